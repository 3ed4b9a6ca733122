"""Sizes per spatial axis: their accepted forms made one, their checks, and the small formulas that specs are made of."""

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any, NoReturn

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def normalise_padding(padding: Any, kernel: Ints, stride: Ints, dilation: Ints, input: Ints) -> Pairs:
    """Padding in any accepted form as one (low, high) pair per axis.

    Accepts an int, one int per axis, one (low, high) pair per axis, 'valid' (none) and 'same': TensorFlow's meaning,
    output = ceil(input / stride), the odd element on the high side.
    """
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        totals = [
            max((-(-size // s) - 1) * s + extent - size, 0)
            for size, s, extent in zip(input, stride, extents(kernel, dilation), strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)
    expected = f"padding must be an int, {rank} ints, {rank} (low, high) pairs, 'valid' or 'same', got {padding!r}"
    if isinstance(padding, str):
        raise ValueError(expected)
    sides = freeze(padding)
    if isinstance(sides, int):
        sides = (sides,)
    if len(sides) == 1:
        sides *= rank
    pairs = tuple((side, side) if isinstance(side, int) else side for side in sides)
    if len(pairs) != rank or any(len(pair) != 2 or not all(isinstance(side, int) for side in pair) for pair in pairs):
        raise ValueError(expected)
    if any(side < 0 for pair in pairs for side in pair):
        raise ValueError(f"padding must not be negative, got {padding!r}")
    return pairs


def window_ranges(kernel: int, stride: int, pair: tuple[int, int], dilation: int, output: int) -> list[range]:
    """Input positions of each window along one axis; those outside the input are padding."""
    starts = (p * stride - pair[0] for p in range(output))
    return [range(start, start + kernel * dilation, dilation) for start in starts]


def extents(kernel: Ints, dilation: Ints) -> Ints:
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def freeze(value: Any) -> Any:
    """An int (of any integer type), a string, or nested tuples of them: hashable, and equal only when the same."""
    if type(value) is int or isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return tuple(freeze(item) for item in value)
    return index(value)


def per_axis(name: str, what: str, value: Any, rank: int, least: int = 1) -> Ints:
    axes = (value,) if isinstance(value, int) else value
    if len(axes) == 1:
        axes = axes * rank
    if len(axes) != rank or not all(isinstance(axis, int) and axis >= least for axis in axes):
        fail(name, f"{what} must be one int or {rank} ints, at least {least}, got {value!r}")
    return axes


def padding_pairs(name: str, padding: Any, kernel: Ints, stride: Ints, dilation: Ints, input: Ints) -> Pairs:
    try:
        return normalise_padding(padding, kernel, stride, dilation, input)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def rank_of(name: str, x_shape: Ints, w_shape: Ints | None = None) -> tuple[str, int]:
    rank = len(x_shape if w_shape is None else w_shape) - 2
    if not 1 <= rank <= 3:
        shape = x_shape if w_shape is None else w_shape
        fail(name, f"needs 1 to 3 spatial axes after two leading ones, got shape {shape}")
    name = f"{name}{rank}d"
    if w_shape is not None and len(x_shape) != len(w_shape):
        fail(name, f"input must have {rank + 2} axes (N, C and {rank} spatial), got shape {x_shape}")
    return name, rank


def check_weight(name: str, w_shape: Ints, groups: int) -> None:
    if prod(w_shape[2:]) < 1:
        fail(name, f"kernel is empty (weight shape {w_shape})")
    if groups < 1:
        fail(name, f"groups must be at least 1, got {groups}")


def channels_text(count: int) -> str:
    return f"{count} channel" if count == 1 else f"{count} channels"


def fail(name: str, message: str) -> NoReturn:
    raise ValueError(f"{name}: {message}")
