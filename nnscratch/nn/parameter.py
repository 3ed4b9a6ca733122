"""Tensors that a module recognises as its own: what is trained, and what is only carried along."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, array_of


class Parameter(Tensor):
    """A leaf tensor that becomes part of `parameters()` and of the state when it is assigned to a module's attribute.

    `Parameter(data, requires_grad=True)` shares the memory of `data` (a tensor, an array or nested numbers). Ops on it give plain
    tensors. Raises RuntimeError when gradients are asked of integers.
    """

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(array_of(data), requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that belongs to a module's state without being trained (running statistics, tables).

    `module.name = Buffer(data, persistent=True)` is `module.register_buffer("name", data, persistent)`. A buffer that is not
    persistent moves with the module but stays out of its state_dict.
    """

    def __init__(self, data: Any, *, persistent: bool = True):
        super().__init__(array_of(data))
        self.persistent = persistent
