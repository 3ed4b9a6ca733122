"""Geometry of convolutions and pools: every size is computed and checked once, here.

A spec is frozen, hashable and cached by its arguments; kernels read sizes from it and never recompute or re-check them.
All specs are rank-generic: one, two or three spatial axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import index
from typing import Any

from .sizes import (
    Ints,
    Pairs,
    channels_text,
    check_weight,
    extents,
    fail,
    freeze,
    normalise_padding,
    padding_pairs,
    per_axis,
    rank_of,
    window_ranges,
)

__all__ = ["ConvSpec", "Ints", "Pairs", "PoolSpec", "normalise_padding"]


@dataclass(frozen=True)
class ConvSpec:
    """A convolution (cross-correlation, as in torch) from (N, in_channels, *input) to (N, out_channels, *output).

    y[n, o, p] = sum over c, k of x[n, c, p * stride + k * dilation - low] * w[o, c, k], x being zero outside.

    `output` is stored because a transposed convolution may leave the last windows of its input unused.
    """

    in_channels: int
    out_channels: int
    input: Ints
    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int
    output: Ints

    def __hash__(self) -> int:
        return self._hash  # of nine tuples and numbers, asked for at every look into a cache

    @cached_property
    def _hash(self) -> int:
        return hash((self.in_channels, self.out_channels, self.input, self.kernel, self.stride, self.padding, self.groups))

    @cached_property
    def rank(self) -> int:
        return len(self.kernel)

    @cached_property
    def extent(self) -> Ints:
        """Dilated kernel size per axis."""
        return extents(self.kernel, self.dilation)

    @cached_property
    def weight_shape(self) -> Ints:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    def input_shape(self, batch: int) -> Ints:
        return (batch, self.in_channels, *self.input)

    def output_shape(self, batch: int) -> Ints:
        return (batch, self.out_channels, *self.output)

    @staticmethod
    def of(
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> "ConvSpec":
        """The spec of conv(x, w) for x (N, C, *input) and w (O, C / groups, *kernel).

        `padding` is an int, one int per axis, one (low, high) pair per axis, 'valid' or 'same'.
        Raises ValueError where shapes, sizes or groups do not fit together, TypeError for non-integers.
        """
        return _conv_spec(tuple(x_shape), tuple(w_shape), freeze(stride), freeze(padding), freeze(dilation), index(groups))

    @staticmethod
    def transposed(
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        output_padding: int | Sequence[int] = 0,
        output_size: Sequence[int] | None = None,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> "ConvSpec":
        """The spec S with conv_transpose(x, w) = conv_input(x, w, spec=S), w being (C_in, C_out / groups, *kernel).

        S.input = (x - 1) * stride - low - high + dilation * (kernel - 1) + 1 + output_padding.
        `output_size`, the spatial sizes wanted, replaces `output_padding`; as in torch it lies within stride - 1
        of the smallest size. Raises ValueError as `of` does.
        """
        return _transposed_spec(
            tuple(x_shape),
            tuple(w_shape),
            freeze(stride),
            freeze(padding),
            freeze(output_padding),
            None if output_size is None else tuple(index(size) for size in output_size),
            freeze(dilation),
            index(groups),
        )


@dataclass(frozen=True)
class PoolSpec:
    """Windows of a pool over (N, C, *input); geometry as in ConvSpec, one channel at a time."""

    input: Ints
    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    output: Ints

    @cached_property
    def rank(self) -> int:
        return len(self.kernel)

    @cached_property
    def extent(self) -> Ints:
        """Dilated kernel size per axis."""
        return extents(self.kernel, self.dilation)

    @cached_property
    def counts(self) -> tuple[Ints, ...]:
        """Per axis and output position, how many window elements average pooling counts (their product divides)."""
        return tuple(
            tuple(
                sum(-low <= i < size + high if self.count_include_pad else 0 <= i < size for i in window)
                for window in window_ranges(k, s, (low, high), d, out)
            )
            for size, k, s, (low, high), d, out in zip(
                self.input, self.kernel, self.stride, self.padding, self.dilation, self.output, strict=True
            )
        )

    @staticmethod
    def of(
        x_shape: Sequence[int],
        *,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> "PoolSpec":
        """The spec of a pool over x (N, C, *input); `stride` None means `kernel_size`.

        With `ceil_mode` a last, partial window counts if it starts inside the input or the low padding.
        Raises ValueError where sizes do not fit together or padding exceeds half the dilated kernel.
        """
        return _pool_spec(
            tuple(x_shape),
            freeze(kernel_size),
            freeze(kernel_size if stride is None else stride),
            freeze(padding),
            freeze(dilation),
            bool(ceil_mode),
            bool(count_include_pad),
            None if divisor_override is None else index(divisor_override),
        )


# The cached constructors take frozen arguments only. lru_cache holds 1, 1.0 and True to be one key: `freeze` has made
# them all int.


@lru_cache(maxsize=4096)
def _conv_spec(x_shape: Ints, w_shape: Ints, stride: Any, padding: Any, dilation: Any, groups: int) -> ConvSpec:
    name, rank = rank_of("conv", x_shape, w_shape)
    channels, out_channels, kernel, input = x_shape[1], w_shape[0], w_shape[2:], x_shape[2:]
    stride = per_axis(name, "stride", stride, rank)
    dilation = per_axis(name, "dilation", dilation, rank)
    check_weight(name, w_shape, groups)
    if channels != w_shape[1] * groups:
        weight = f"(weight shape {w_shape}, groups {groups})"
        fail(name, f"input has {channels_text(channels)}, weight expects {w_shape[1] * groups} {weight}")
    if out_channels % groups:
        fail(name, f"groups {groups} does not divide the {out_channels} output channels (weight shape {w_shape})")
    if any(size < 1 for size in input):
        fail(name, f"input {input} has an empty axis")
    pairs = padding_pairs(name, padding, kernel, stride, dilation, input)
    padded = tuple(size + low + high for size, (low, high) in zip(input, pairs, strict=True))
    extent = extents(kernel, dilation)
    if any(e > size for e, size in zip(extent, padded, strict=True)):
        fail(name, f"kernel {kernel} with dilation {dilation} spans {extent}, more than the padded input {padded}")
    output = tuple((size - e) // s + 1 for size, e, s in zip(padded, extent, stride, strict=True))
    return ConvSpec(channels, out_channels, input, kernel, stride, pairs, dilation, groups, output)


@lru_cache(maxsize=4096)
def _transposed_spec(
    x_shape: Ints,
    w_shape: Ints,
    stride: Any,
    padding: Any,
    output_padding: Any,
    output_size: Ints | None,
    dilation: Any,
    groups: int,
) -> ConvSpec:
    name, rank = rank_of("conv_transpose", x_shape, w_shape)
    channels, kernel, input = x_shape[1], w_shape[2:], x_shape[2:]
    stride = per_axis(name, "stride", stride, rank)
    dilation = per_axis(name, "dilation", dilation, rank)
    extra = per_axis(name, "output_padding", output_padding, rank, least=0)
    check_weight(name, w_shape, groups)
    if channels != w_shape[0]:
        fail(name, f"input has {channels_text(channels)}, weight expects {w_shape[0]} (weight shape {w_shape})")
    if channels % groups:
        fail(name, f"groups {groups} does not divide the {channels} input channels")
    if isinstance(padding, str):
        fail(name, f"padding must be numbers, got {padding!r}")
    if any(size < 1 for size in input):
        fail(name, f"input {input} has an empty axis")
    pairs = padding_pairs(name, padding, kernel, stride, dilation, input)
    smallest = tuple(
        (size - 1) * s - low - high + e
        for size, s, (low, high), e in zip(input, stride, pairs, extents(kernel, dilation), strict=True)
    )
    if output_size is not None:
        wanted = output_size[2:] if len(output_size) == rank + 2 else output_size
        largest = tuple(size + s - 1 for size, s in zip(smallest, stride, strict=True))
        if len(wanted) != rank or not all(a <= size <= b for a, size, b in zip(smallest, wanted, largest, strict=True)):
            fail(name, f"output_size {output_size} is not within {smallest} .. {largest} (input {input})")
        output = wanted
    else:
        if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
            fail(name, f"output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
        output = tuple(size + e for size, e in zip(smallest, extra, strict=True))
    if any(size < 1 for size in output):
        fail(name, f"the output would have the sizes {output} (input {input}, kernel {kernel}, padding {pairs})")
    return ConvSpec(w_shape[1] * groups, channels, output, kernel, stride, pairs, dilation, groups, input)


@lru_cache(maxsize=4096)
def _pool_spec(
    x_shape: Ints,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> PoolSpec:
    name, rank = rank_of("pool", x_shape)
    input = x_shape[2:]
    kernel = per_axis(name, "kernel_size", kernel_size, rank)
    stride = per_axis(name, "stride", stride, rank)
    dilation = per_axis(name, "dilation", dilation, rank)
    sides = per_axis(name, "padding", padding, rank, least=0)
    extent = extents(kernel, dilation)
    if any(2 * side > e for side, e in zip(sides, extent, strict=True)):
        fail(name, f"padding {sides} must be at most half of the dilated kernel {extent}")
    if divisor_override == 0:
        fail(name, "divisor_override must not be zero")
    output = tuple(
        _pool_output(size, e, s, side, ceil_mode) for size, e, s, side in zip(input, extent, stride, sides, strict=True)
    )
    if any(size < 1 for size in output):
        fail(name, f"input {input} with padding {sides} is smaller than the kernel {kernel} (dilation {dilation})")
    pairs = tuple((side, side) for side in sides)
    for size, k, s, pair, d, out in zip(input, kernel, stride, pairs, dilation, output, strict=True):
        if not all(any(0 <= i < size for i in window) for window in window_ranges(k, s, pair, d, out)):
            fail(name, f"a window of kernel {kernel}, dilation {dilation} holds only padding (input {input})")
    return PoolSpec(input, kernel, stride, pairs, dilation, ceil_mode, count_include_pad, divisor_override, output)


def _pool_output(size: int, extent: int, stride: int, side: int, ceil_mode: bool) -> int:
    span = size + 2 * side - extent
    if not ceil_mode:
        return span // stride + 1
    output = -(-span // stride) + 1
    return output - 1 if (output - 1) * stride >= size + side else output
