"""Work on many parameters at once: vectors, clipping; and weights computed from other parameters: weight and spectral norm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import autograd, backend, ops
from ...backend import default_generator
from ...kernels import optimizer as kernels
from ...optim.clipping import clip_factor, total_norm
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from . import rnn

# ------------------------------------------------------------------------------------------------------------ vectors


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters flattened and concatenated into one vector, differentiably."""
    return ops.cat([ops.reshape(p, (-1,)) for p in parameters], 0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy consecutive pieces of a vector into the parameters. Raises TypeError, and ValueError when the sizes differ."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    expected = sum(p.numel() for p in parameters)
    if vec.shape != (expected,):
        raise ValueError(
            f"vector_to_parameters: the parameters have {expected} elements, the vector has shape {tuple(vec.shape)}"
        )
    start = 0
    for p in parameters:
        p.data[...] = vec.data[start : start + p.numel()].reshape(p.shape)
        autograd.mark_written(p.data)
        start += p.numel()


# ----------------------------------------------------------------------------------------------------------- clipping


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad.data for p in parameters if p.grad is not None]


def _check_finite(norm: Any, norm_type: float, error_if_nonfinite: bool) -> None:
    if error_if_nonfinite and not math.isfinite(float(norm)):
        raise RuntimeError(
            f"the total norm of order {norm_type} of the gradients is {float(norm)}, so they cannot be clipped; "
            "error_if_nonfinite=False scales them by it anyway"
        )


def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all elements of all tensors together. Raises RuntimeError when it is not finite and `error_if_nonfinite`."""
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    norm = total_norm([t.data for t in tensors], norm_type)
    _check_finite(norm, norm_type, error_if_nonfinite)
    return Tensor(backend.array_module(norm).asarray(norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)), in place; returns the norm before (Pascanu et al. 2013).

    Where the optimiser's step is all that they are for, its `step(max_norm=...)` does the same in one pass over them less.
    Raises RuntimeError for a norm that is inf or nan, with `error_if_nonfinite`, before anything is changed.
    """
    arrays = _gradients(parameters)
    norm = total_norm(arrays, norm_type)
    _check_finite(norm, norm_type, error_if_nonfinite)
    scale = clip_factor(norm, max_norm)
    if scale != 1.0:
        if not kernels.scale(arrays, scale):
            for a in arrays:
                np.multiply(a, scale, out=a)
        for a in arrays:
            autograd.mark_written(a)
    return Tensor(backend.array_module(norm).asarray(norm))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp every element of every gradient to [-clip_value, clip_value], in place."""
    for a in _gradients(parameters):
        np.clip(a, -float(clip_value), float(clip_value), out=a)
        autograd.mark_written(a)


# ------------------------------------------------------------------------- weights computed from others before each call


class _Reparametrised:
    """A forward pre-hook that computes the attribute `name` of its module from other parameters."""

    def __init__(self, name: str):
        self.name = name

    def weight(self, module: Module) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Module, args: tuple) -> None:  # noqa: ARG002
        setattr(module, self.name, self.weight(module))

    def attach(self, module: Module) -> Parameter:
        """Take the parameter out of the module's table; returns it."""
        for hook, _ in module._forward_pre_hooks.values():
            if isinstance(hook, _Reparametrised) and hook.name == self.name:
                raise RuntimeError(f"{type(module).__name__}.{self.name} is computed by {type(hook).__name__.strip('_')} already")
        weight = module._parameters.get(self.name)
        if weight is None:
            raise ValueError(f"{type(module).__name__} has no parameter {self.name!r}")
        del module._parameters[self.name]
        return weight


def _remove(module: Module, name: str, kind: type[_Reparametrised]) -> Module:
    for key, (hook, _) in list(module._forward_pre_hooks.items()):
        if isinstance(hook, kind) and hook.name == name:
            was_training = module.training
            module.training = False  # removal is no step of the power iteration
            weight = hook.weight(module).detach()
            module.training = was_training
            del module._forward_pre_hooks[key]
            for suffix in ("_orig", "_u", "_v", "_g"):
                if name + suffix in (*module._parameters, *module._buffers):
                    delattr(module, name + suffix)
            setattr(module, name, Parameter(weight))
            return module
    raise ValueError(f"{kind.__name__.strip('_')} of {name!r} not found in {type(module).__name__}")


class _WeightNorm(_Reparametrised):
    def __init__(self, name: str, dim: int | None):
        super().__init__(name)
        self.dim = dim

    def axes(self, v: Tensor) -> tuple[int, ...]:
        """Everything but `dim`; dim None or -1 means one norm for all, as in torch."""
        return tuple(i for i in range(v.ndim) if self.dim in (None, -1) or i != self.dim)

    def norm(self, v: Tensor) -> Tensor:
        return ops.vector_norm(v, 2.0, self.axes(v), keepdim=self.dim is not None)

    def weight(self, module: Module) -> Tensor:
        v = getattr(module, self.name + "_v")
        return v * (getattr(module, self.name + "_g") / self.norm(v))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / ‖v‖ with a length g for each index of `dim` (Salimans & Kingma 2016): parameters name_g, name_v replace name.

    The weight is recomputed before each forward. dim=None: one length for the whole weight. Returns the module. Raises ValueError
    where there is no such parameter, RuntimeError where it is computed already.
    """
    hook = _WeightNorm(name, dim)
    v = hook.attach(module)
    with autograd.no_grad():
        module.register_parameter(name + "_g", Parameter(hook.norm(v)))
    module.register_parameter(name + "_v", v)
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a plain parameter again, with its present value. Raises ValueError where there is no weight norm."""
    return _remove(module, name, _WeightNorm)


class _SpectralNorm(_Reparametrised):
    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float):
        if n_power_iterations <= 0:
            raise ValueError(f"spectral_norm: expected n_power_iterations > 0, got {n_power_iterations}")
        super().__init__(name)
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps

    def matrix(self, w: Any) -> Any:
        """The weight with `dim` as rows and all else as columns."""
        order = (self.dim, *[i for i in range(w.ndim) if i != self.dim])
        return ops.reshape(ops.permute(w, order), (w.shape[self.dim], -1))

    def normalize(self, x: Any) -> Any:
        return x / max(float(np.sqrt(x @ x)), self.eps)

    def weight(self, module: Module) -> Tensor:
        w = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        if module.training:
            matrix = self.matrix(w.data)
            for _ in range(self.n_power_iterations):
                v.data[...] = self.normalize(matrix.T @ u.data)
                u.data[...] = self.normalize(matrix @ v.data)
            autograd.mark_written(u.data)
            autograd.mark_written(v.data)
        # Copies: the next iteration changes the buffers, and this graph's backward needs today's vectors.
        sigma = (ops.clone(u) * (self.matrix(w) @ ops.clone(v))).sum()
        return w / sigma


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """w = w_orig / σ with σ = uᵀ W v, the largest singular value of the weight as a matrix (Miyato et al. 2018).

    The vectors u, v are buffers, moved by `n_power_iterations` steps at each forward in training, and constants to gradients.
    `dim` is the rows' dimension: by default 1 for transposed convolutions, else 0. Returns the module; raises as `weight_norm`.
    """
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    hook = _SpectralNorm(name, n_power_iterations, dim, eps)
    w = hook.attach(module)
    module.register_parameter(name + "_orig", w)
    for suffix, size in zip(("_u", "_v"), hook.matrix(w.data).shape):
        drawn = hook.normalize(default_generator.numpy.standard_normal(size).astype(w.dtype))
        module.register_buffer(name + suffix, Tensor(backend.to_device(drawn, w.device)))
    setattr(module, name, w.detach())
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a plain parameter again, with its present value. Raises ValueError where there is no spectral norm."""
    return _remove(module, name, _SpectralNorm)
