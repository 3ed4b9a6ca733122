"""What all losses share: the reduction and the shape check."""

from __future__ import annotations

from typing import Any

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
