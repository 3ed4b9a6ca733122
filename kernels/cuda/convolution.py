"""Convolutions by the kernels of `convolution.cuh`: the plan of one, and its launches.

An input gradient is a gather too. With stride s the pixels of the input whose place leaves the same remainder by s, a phase, are
reached by the same taps, and from places that lie one apart: s_y s_x convolutions of stride 1, all in one launch.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..arrays import Array, array_module, channels_first, channels_last
from ..moments import wanted
from ..precision import strict
from ..spec import ConvSpec
from .launch import NOTHING, device, launch, operand, shared_memory
from .versions import Gather, choose_gather, choose_weight, parts

LARGEST = (1 << 31) - (1 << 16)  # elements that 32 bits can number, with what the last tile reaches beyond them
WIDEST = 1 << 20  # channels, and taps times channels: tiles of 16 and of 64 columns, at most 65535 of them
TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def takes(spec: ConvSpec, a: Array, b: Array) -> bool:
    """Whether the kernels compute this: one or two spatial axes, one floating type, sizes that they can address."""
    if spec.rank > 2 or a.dtype not in TYPES or a.dtype != b.dtype or not (a.size and b.size):
        return False
    n = len(a)
    largest = max(prod(spec.input_shape(n)), prod(spec.output_shape(n)), prod(spec.weight_shape) * spec.groups)
    taps, channels = prod(spec.kernel), max(spec.in_channels, spec.out_channels)
    fits = largest < LARGEST and max(channels, taps * spec.weight_shape[1]) < WIDEST
    return fits and taps <= 1024 and spec.groups * prod(spec.stride) < 1 << 16


def conv(x: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float) -> Array:
    """act(conv(x, w) + bias)."""
    return _with_moments(x, w, bias, spec, slope, forward=True)


def conv_input(g: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float) -> Array:
    """act(conv_input(g, w) + bias)."""
    return _with_moments(g, w, bias, spec, slope, forward=False)


def _with_moments(x: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float, forward: bool) -> Array:
    """The results; their moments are left where somebody waits for them."""
    place = wanted.get()
    y, tiles = gather(x, w, bias, spec, slope, forward, moments=place is not None)
    if place is not None:
        place.found.append((y, tiles))
    return y


def gather(
    x: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float, forward: bool, moments: bool = False
) -> tuple[Array, Array | None]:
    """(results (N, C, *spatial); with `moments` of each tile's columns count, mean and squared deviations, (tiles, 3, C))."""
    xp, x, n = array_module(x), operand(channels_last(x)), len(x)
    plan, rows, phases = _plan(spec, n, forward, x.dtype, device(x))
    size = spec.output if forward else spec.input
    results, inputs = (spec.out_channels, spec.in_channels)[:: 1 if forward else -1]
    columns, depth = results // spec.groups, inputs // spec.groups
    taps = prod(spec.kernel)
    version = choose_gather(rows, columns, depth, x.dtype, exact=strict(), taps=taps, shared=shared_memory(x))
    y = xp.empty((n, *size, results), x.dtype)
    tiles = -(-rows // version.rows)
    sums = xp.empty((phases * tiles, 3, results), np.float64) if moments else None
    grid = (tiles, -(-columns // version.columns), phases * spec.groups)
    given = NOTHING if bias is None else xp.ascontiguousarray(bias, x.dtype), y, NOTHING if sums is None else sums
    arguments = (x, _weights(w, spec, forward), *given, plan, x.dtype.type(slope))
    launch("convolution", version.name, grid, version.threads, arguments, version.shared(taps))
    return channels_first(y), sums


def conv_weight(x: Array, g: Array, spec: ConvSpec) -> Array:
    """The gradient of the weight, in the order of its shape."""
    xp, n = array_module(x), len(x)
    plan, _, _ = _plan(spec, n, True, x.dtype, device(x))
    rows, inputs = spec.out_channels // spec.groups, spec.weight_shape[1]
    columns, pixels = prod(spec.kernel) * inputs, n * prod(spec.output)
    version = choose_weight(rows, columns, inputs, x.dtype, exact=strict(), shared=shared_memory(x))
    count = parts(version, rows, columns, pixels, spec.groups)
    partial = xp.empty((count, spec.out_channels, columns), x.dtype)
    grid = (-(-rows // version.rows), -(-columns // version.columns), count * spec.groups)
    arguments = (operand(channels_last(x)), operand(channels_last(g)), partial, plan, np.int32(count))
    launch("convolution", version.name, grid, version.threads, arguments, version.shared)
    w = xp.empty(spec.weight_shape, x.dtype)
    sizes = (np.int32(n) for n in (count, spec.out_channels, prod(spec.kernel), inputs))
    name = "sum_parts_f64" if x.dtype == np.float64 else "sum_parts_f32"
    launch("convolution", name, (-(-w.size // 256),), 256, (partial, w, *sizes))
    return w


def _weights(w: Array, spec: ConvSpec, forward: bool) -> Array:
    """w (O, C / groups, *kernel) as (results, taps, depth): each result's row, with what it is summed over innermost."""
    xp, taps = array_module(w), prod(spec.kernel)
    split = w.reshape(spec.groups, spec.out_channels // spec.groups, spec.weight_shape[1], taps)
    return operand(xp.ascontiguousarray(split.transpose((0, 1, 3, 2) if forward else (0, 2, 3, 1))))  # often w itself, at 1x1


@lru_cache(maxsize=1024)
def _plan(spec: ConvSpec, n: int, forward: bool, dtype: np.dtype, where: Any) -> tuple[Array, int, int]:  # noqa: ARG001
    """(the plan on the device, rows of the largest phase, phases). See `convolution.cuh`."""
    (in_h, in_w), (out_h, out_w), kernel, stride, dilation, low = _in_two(spec)
    taps = [(y, x) for y in range(kernel[0]) for x in range(kernel[1])]
    phases, table = [], []
    if forward:
        sizes = in_h, in_w, spec.in_channels // spec.groups, spec.groups, out_h, out_w, spec.out_channels // spec.groups
        steps = *stride, 1, 1
        phases.append((0, 0, out_h, out_w, 0, len(taps)))
        table = [(y * dilation[0] - low[0], x * dilation[1] - low[1], slot) for slot, (y, x) in enumerate(taps)]
    else:
        sizes = out_h, out_w, spec.out_channels // spec.groups, spec.groups, in_h, in_w, spec.in_channels // spec.groups
        steps = 1, 1, *stride
        for y0 in range(min(stride[0], in_h)):
            for x0 in range(min(stride[1], in_w)):
                first = len(table)
                for slot, (y, x) in enumerate(taps):
                    away = y0 + low[0] - y * dilation[0], x0 + low[1] - x * dilation[1]
                    if away[0] % stride[0] == away[1] % stride[1] == 0:
                        table.append((away[0] // stride[0], away[1] // stride[1], slot))
                height, width = -(-(in_h - y0) // stride[0]), -(-(in_w - x0) // stride[1])
                phases.append((y0, x0, height, width, first, len(table) - first))
    header = (n, *sizes, *steps, len(taps), len(phases), len(table))
    numbers = [*header, *(v for phase in phases for v in phase), *(v for tap in table for v in tap)]
    rows = n * max(height * width for _, _, height, width, _, _ in phases)
    return where.asarray(np.array(numbers, np.int32), for_all=True), rows, len(phases)


def _in_two(spec: ConvSpec) -> tuple[tuple[int, ...], ...]:
    """Input, output, kernel, stride, dilation and low padding on two axes; a first one of length 1 where there is but one."""
    low = tuple(pair[0] for pair in spec.padding)
    both = (spec.input, 1), (spec.output, 1), (spec.kernel, 1), (spec.stride, 1), (spec.dilation, 1), (low, 0)
    return tuple((default, *sizes)[-2:] for sizes, default in both)


__all__ = ["Gather", "conv", "conv_input", "conv_weight", "gather", "takes"]
