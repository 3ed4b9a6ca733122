"""Optimisers' rules by the kernels of `optimizer.cuh`: all parameters of a type on a device in one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from .launch import device, launch

BLOCK, THREADS = 4096, 256
BUFFERS, NUMBERS = 3, 10
# The rules' own numbers, in double precision, of their coefficients: as kernels/cpu/optimizer.py's.
RULES: dict[str, Callable[..., tuple[float, ...]]] = {
    "adam": lambda beta1, beta2, lr, eps: (1 - beta1, beta2, 1 - beta2, lr, eps),
    "sgd": lambda lr, momentum, keep, nesterov: (lr, momentum, keep, nesterov),
}


def step(rule: str, rows: Sequence[Sequence[Array]], numbers: Sequence[Sequence[Any]], kept: dict[Any, Any]) -> None:
    """Change parameters and buffers in place. A row is a parameter, its gradient and its buffers, dense and in one order.

    `numbers` are (1 - decoupled decay, the gradient's factor, weight decay, the rule's coefficients); `kept` is a dictionary
    where tables stay on the device from step to step, for as long as arrays stay where they are.
    """
    first = rows[0][0]
    where, kind = device(first), "f64" if first.dtype == np.float64 else "f32"
    table, blocks = [], 0
    for row in rows:
        addresses = [a.data.ptr for a in row]
        table.append((blocks, row[0].size, *addresses, *(0,) * (2 + BUFFERS - len(addresses))))
        blocks += -(-row[0].size // BLOCK)
    if not blocks:
        return
    values = np.zeros((len(rows), NUMBERS), first.dtype)
    for line, (*common, coefficients) in zip(values, numbers):
        own = (*common, *RULES[rule](*coefficients))
        line[: len(own)] = own
    places = _kept(kept, (rule, where, kind, "table"), np.array(table, np.int64), where)
    given = _kept(kept, (rule, where, kind, "numbers"), values, where)
    launch("optimizer", f"{rule}_{kind}", (blocks,), THREADS, (places, given, np.int32(len(rows))))


def _kept(kept: dict[Any, Any], key: Any, values: np.ndarray, where: Any) -> Array:
    """The values on the device: those of the last step, where they have not changed."""
    found = kept.get(key)
    if found is None or found[0].shape != values.shape or not np.array_equal(found[0], values):
        found = kept[key] = values, where.asarray(values)
    return found[1]
