"""A module as a function of its inputs and its parameters, to check the gradients of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..nn.module import Module
from ..tensor import Tensor


def free_parameters(module: Module) -> dict[str, Tensor]:
    """The parameters that gradients flow to, by their dotted names; one that is shared goes by its first name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def functional(module: Module, inputs: int) -> Callable[..., Any]:
    """f(*inputs, *free parameters) = module(*inputs) with these parameters.

    Every call begins with the buffers that the module has now (running statistics), and leaves the module as it was.
    """
    parameters = list(free_parameters(module).values())
    buffers = {id(b): np.copy(b.data) if isinstance(b.data, np.ndarray) else b.data.copy() for b in module.buffers()}

    def function(*tensors: Tensor) -> Any:
        replaced = {id(p): t for p, t in zip(parameters, tensors[inputs:])}
        kinds = [t.dtype for t in tensors if t.dtype.kind == "f"]
        for b in module.buffers():
            array = buffers[id(b)]
            # In the precision of this call: a float32 check is repeated in float64, and must be so throughout.
            replaced[id(b)] = Tensor(array.astype(np.result_type(*kinds)) if kinds and array.dtype.kind == "f" else array.copy())
        with _replaced(module, replaced):
            return module(*tensors[:inputs])

    function.__name__ = type(module).__name__
    return function


@contextmanager
def _replaced(module: Module, by: dict[int, Tensor]) -> Iterator[None]:
    """Inside, other tensors stand in the place of those with the given ids, wherever these are registered."""
    tables = [table for owner in module.modules() for table in (owner._parameters, owner._buffers)]
    before = [dict(table) for table in tables]
    try:
        for table in tables:
            table.update({name: by[id(t)] for name, t in table.items() if id(t) in by})
        yield
    finally:
        for table, old in zip(tables, before):
            table.clear()
            table.update(old)
