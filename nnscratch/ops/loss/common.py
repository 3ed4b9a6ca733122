"""What all losses share: the reduction and the shape check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import fused
from ...kernels import pairs
from ...tensor import array_of
from ..reduce import mean, sum

_REDUCE = {"none": lambda loss: loss, "mean": mean, "sum": sum}


def check_reduction(name: str, reduction: str, *more: str) -> None:
    if reduction not in _REDUCE and reduction not in more:
        raise ValueError(f"{name}: unknown reduction {reduction!r}; expected one of {', '.join(map(repr, (*_REDUCE, *more)))}")


def check_same_shape(name: str, **arrays: Any) -> None:
    """Raise ValueError, naming all shapes, unless they agree."""
    shapes = {key: tuple(x.shape) for key, x in arrays.items()}
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"{key} has shape {shape}" for key, shape in shapes.items())
        raise ValueError(f"{name}: {given}; they must be the same (losses do not broadcast)")


def reduce(name: str, loss: Any, reduction: str) -> Any:
    """The loss as it is, its mean, or its sum."""
    check_reduction(name, reduction)
    return _REDUCE[reduction](loss)


def pairwise(name: str, value: Callable) -> Callable:
    """loss(caller's name, input, target, reduction, parameter): value(input, target, parameter), element by element, reduced.

    Large arrays go to the kernel `name` as a fused op: one pass over them forward, and one back.
    """

    def definition(x, t, *, reduction, parameter):
        return _REDUCE[reduction](value(x, t, parameter))

    def forward(x, t, *, reduction, parameter):
        if reduction == "none":
            return pairs.each("value", name, x, t, parameter, 1.0), None
        total = pairs.total(name, x, t, parameter)
        return np.asarray(total / x.size if reduction == "mean" else total, x.dtype), None

    def backward(g, _y, _residuals, needs, x, t, *, reduction, parameter):
        factor = 1.0 if reduction == "none" else float(g) / (x.size if reduction == "mean" else 1)
        gs = [pairs.each(mode, name, x, t, parameter, factor) if need else None for mode, need in zip(("by_x", "by_t"), needs)]
        if reduction == "none":
            for gi in gs:
                if gi is not None:
                    gi *= g
        return gs

    forward.__name__ = name
    op = fused(definition)(forward)
    op.backward(backward)

    def loss(caller: str, input: Any, target: Any, reduction: str, parameter: float = 0.0) -> Any:
        check_reduction(caller, reduction)
        choose = op if pairs.takes(array_of(input), array_of(target)) else definition
        return choose(input, target, reduction=reduction, parameter=parameter)

    loss.fused = op  # type: ignore[attr-defined]
    return loss
