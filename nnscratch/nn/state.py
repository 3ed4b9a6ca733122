"""state_dict and load_state_dict: a model's arrays by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import autograd, backend
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class IncompatibleKeys(NamedTuple):
    """What a load left untouched and what it could not place."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _entries(module: Module, prefix: str) -> Iterator[tuple[str, Module, str, Tensor]]:
    """(key, owner, name, tensor) of everything that is state; a shared tensor under each of its names."""
    for path, owner in module.named_modules(prefix=prefix.removesuffix("."), remove_duplicate=False):
        for name, tensor in [*owner._parameters.items(), *owner._buffers.items()]:
            if tensor is not None and name not in owner._transient:
                yield f"{path}.{name}" if path else name, owner, name, tensor


def state_dict(module: Module, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
    """See Module.state_dict."""
    return {key: tensor if keep_vars else tensor.detach() for key, _, _, tensor in _entries(module, prefix)}


def _as_array(value: Any) -> Any:
    """The array in a tensor, an array or anything that offers itself as one; None for what is not numbers."""
    if isinstance(value, Tensor):
        return value.data
    if not backend.is_array(value):
        if not hasattr(value, "__array__"):
            return None
        value = np.asarray(value)
    return value if value.dtype.kind in "fiub" else None


def load_state_dict(module: Module, given: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
    """See Module.load_state_dict. Everything is checked before anything is written."""
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: expected a mapping of names to tensors or arrays, got {type(given).__name__}")
    own = list(_entries(module, ""))
    names = {key for key, *_ in own}
    missing = [key for key, *_ in own if key not in given]
    unexpected = [key for key in given if key not in names]
    faults = []
    if strict and unexpected:
        faults.append("unexpected key(s): " + ", ".join(map(repr, unexpected)))
    if strict and missing:
        faults.append("missing key(s): " + ", ".join(map(repr, missing)))
    arrays = {}
    for key, _, _, tensor in own:
        if key in given:
            array = arrays[key] = _as_array(given[key])
            if array is None:
                faults.append(f"{key}: expected a tensor or an array of numbers, got {type(given[key]).__name__}")
            elif array.shape != tensor.shape:
                faults.append(f"size mismatch for {key}: given {tuple(array.shape)}, the model has {tuple(tensor.shape)}")
    if faults:
        raise RuntimeError(
            f"error(s) in loading the state of {type(module).__name__}; nothing was changed:\n  " + "\n  ".join(faults)
        )
    for key, owner, name, tensor in own:
        if key in arrays:
            if assign:
                is_parameter = name in owner._parameters
                new = Parameter(arrays[key], tensor.requires_grad) if is_parameter else Tensor(arrays[key])
                owner.__dict__["_parameters" if is_parameter else "_buffers"][name] = new
            else:
                np.copyto(tensor.data, backend.to_device(arrays[key], tensor.device), casting="unsafe")
                autograd.mark_written(tensor.data)
    return IncompatibleKeys(missing, unexpected)
