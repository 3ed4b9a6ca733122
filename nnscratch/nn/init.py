"""Initial distributions, as torch.nn.init: each function fills a tensor in place and returns it, without being recorded.

Random numbers come from `generator`, or from the default generator that `nnscratch.manual_seed` restarts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import autograd, backend
from ..backend import Generator, generator_or_default
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _fill(tensor: Tensor, values: Any) -> Tensor:
    """Write values (a number or a NumPy array) into the tensor's memory."""
    array = tensor.data
    array[...] = backend.array_module(array).asarray(values) if isinstance(values, np.ndarray) else values
    autograd.mark_written(array)
    return tensor


def _draw_dtype(tensor: Tensor) -> Any:
    if not tensor.is_floating_point():
        raise TypeError(f"random initialisation needs a floating-point tensor, got {tensor.dtype}")
    return np.float64 if tensor.dtype == np.float64 else np.float32


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity (He et al. 2015; selu: Klambauer et al. 2017).

    1 for linear, convolutions and sigmoid; 5/3 for tanh; sqrt 2 for relu; sqrt(2 / (1 + slope²)) for leaky_relu (slope 0.01);
    3/4 for selu. Raises ValueError for another name.
    """
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope!r} is not a number")
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: unsupported nonlinearity {nonlinearity!r}")
    return gains[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b)."""
    u = generator_or_default(generator).numpy.random(tensor.shape, _draw_dtype(tensor))
    return _fill(tensor, a + (b - a) * u)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    if std < 0:
        raise ValueError(f"normal_: expected std >= 0, got {std}")
    z = generator_or_default(generator).numpy.standard_normal(tensor.shape, _draw_dtype(tensor))
    return _fill(tensor, mean + std * z)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> Tensor:
    """Normal(mean, std²) conditioned on lying in [a, b].

    Exact by rejection: from the normal itself where the interval holds a good part of it, else from a truncated exponential that
    starts at the interval's end nearest to the mean (Robert 1995, Simulation of truncated normal variables).
    """
    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: expected std > 0 and a < b, got std={std}, a={a}, b={b}")
    _draw_dtype(tensor)
    rng = generator_or_default(generator).numpy
    low, high = (a - mean) / std, (b - mean) / std
    sign = -1.0 if high < 0 else 1.0  # the left tail is the right one mirrored
    if sign < 0:
        low, high = -high, -low
    common = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) > 0.25
    near = max(low, 0.0)
    x = np.empty(tensor.numel())
    todo = np.arange(x.size)
    while todo.size:
        if common:
            z = rng.standard_normal(todo.size)
            good = (z >= low) & (z <= high)
        else:
            u = rng.random(todo.size)
            z = near - np.log1p(u * np.expm1(-near * (high - near))) / near if low > 0 else low + (high - low) * u
            good = rng.random(todo.size) < np.exp(-0.5 * (z - near) ** 2 if low > 0 else -0.5 * z**2)
        x[todo[good]] = z[good]
        todo = todo[~good]
    return _fill(tensor, np.clip(mean + std * sign * x, a, b).reshape(tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    return _fill(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return _fill(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return _fill(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity (a 2-d tensor): a linear layer that passes its input on."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (O, C, k...) that passes its first channels on, in each of `groups` groups."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: only tensors with 3, 4 or 5 dimensions are supported, got shape {tuple(tensor.shape)}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: {tensor.shape[0]} output channels are not divisible by groups={groups}")
    values = np.zeros(tensor.shape)
    per_group = tensor.shape[0] // groups
    centre = tuple(k // 2 for k in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + channel, channel, *centre)] = 1
    return _fill(tensor, values)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Inputs per output unit and outputs per input unit of a weight (O, C, k...): (C k, O k)."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need a tensor with at least 2 dimensions, got shape {tuple(tensor.shape)}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    return _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on ±gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform on ±gain(nonlinearity, a) sqrt(3 / fan) (He et al. 2015)."""
    if 0 in tensor.shape:
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain(nonlinearity, a) / sqrt(fan) (He et al. 2015)."""
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain times a random (semi-)orthogonal matrix of shape (O, C k...), uniform by Haar measure (Saxe et al. 2014).

    The Q of a Gaussian's QR factorisation, with R's diagonal made positive.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: only tensors with 2 or more dimensions are supported, got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    _draw_dtype(tensor)
    rows, cols = tensor.shape[0], tensor.numel() // tensor.shape[0]
    z = generator_or_default(generator).numpy.standard_normal((max(rows, cols), min(rows, cols)))
    q, r = np.linalg.qr(z)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q.T if rows < cols else q).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal(0, std²) with a fraction `sparsity` (rounded up) of each column set to zero; 2-d only (Martens 2010)."""
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    rng = generator_or_default(generator).numpy
    rows, cols = tensor.shape
    values = std * rng.standard_normal((rows, cols), _draw_dtype(tensor))
    for column in range(cols):
        values[rng.permutation(rows)[: math.ceil(sparsity * rows)], column] = 0
    return _fill(tensor, values)
