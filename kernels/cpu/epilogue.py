"""What a convolution does with its results before they leave the cache: bias, (leaky) relu, and a 2x2 max-pool.

y = act(sum + bias),   act(v) = v where v > 0, else slope v        slope 1: nothing, 0: relu
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .launch import parallel
from .simd import I64, Code, Value, aligned, at, plain

INT = types.intp
NO_ARGMAX = np.empty(0, np.uint8)


class Epilogue(NamedTuple):
    """Per result channel a bias; the slope; whether there is anything to do; where a pool's argmax goes (empty: no pool)."""

    bias: np.ndarray
    slope: np.floating
    active: bool
    argmax: np.ndarray

    @staticmethod
    def of(bias: np.ndarray | None, slope: float, channels: int, dtype: np.dtype, argmax: np.ndarray | None = None) -> "Epilogue":
        values = np.zeros(channels, dtype) if bias is None else plain(bias)
        return Epilogue(
            values,
            np.dtype(dtype).type(slope),
            bias is not None or slope != 1,
            NO_ARGMAX if argmax is None else argmax.reshape(-1),
        )

    @staticmethod
    def none(y: np.ndarray) -> "Epilogue":
        """Nothing to do to the channels-last results y."""
        return Epilogue.of(None, 1.0, y.shape[-1], y.dtype)


def act(code: Code, value: Value, slope: Value) -> Value:
    """slope * value where value <= 0: 0 for a slope of 0, even at minus infinity. NaN stays."""
    b = code.b
    flat = b.fcmp_ordered("==", slope, ir.Constant(code.element, 0.0))
    low = b.select(flat, code.zero, b.fmul(value, code.splat(slope)))
    return b.select(b.fcmp_ordered("<=", value, code.zero), low, value)


def first_largest(code: Code, values: list[Value]) -> tuple[Value, Value]:
    """The maximum, and which of the values it is, as bytes: `Code.larger`."""
    bytes_type = ir.VectorType(ir.IntType(8), code.lanes)
    best, index = values[0], ir.Constant(bytes_type, [0] * code.lanes)
    for q, value in enumerate(values[1:], 1):
        better = code.larger(value, best)
        best = code.b.select(better, value, best)
        index = code.b.select(better, ir.Constant(bytes_type, [q] * code.lanes), index)
    return best, index


def unact(code: Code, value: Value, output: Value, slope: Value, relu: Value) -> Value:
    """value act'(output); `slope`, and whether it is 0 (`relu`), in all lanes. A relu passes NaN on, and gives 0 even of inf."""
    b = code.b
    keeps = b.fcmp_ordered(">", output, code.zero)
    keeps = b.or_(keeps, b.and_(relu, b.fcmp_unordered("uno", output, output)))
    return b.select(keeps, value, b.select(relu, code.zero, b.fmul(value, slope)))


@intrinsic
def finish_rows(typing_context, target, places, count, bias, slope, width):
    """target[places[i] + c] = act(target[places[i] + c] + bias[c]) for i < count, c < width; negative places are left out."""
    signature = types.void(target, places, INT, bias, slope, INT)

    def codegen(context, builder, signature, args):
        target, places, count, bias, slope, width = args
        code, b = Code(context, builder, signature.args[0].dtype), builder

        def one_row(i, carried):
            place = b.load(code.at(places, i))
            row = code.at(target, place)

            def vector(c, mask):
                value = b.fadd(code.load(code.at(row, c), mask), code.load(code.at(bias, c), mask))
                code.store(act(code, value, slope), code.at(row, c), mask)

            with b.if_then(b.icmp_signed(">=", place, I64(0))):
                code.vectors_and_tail(width, vector)
            return carried

        with b.if_then(b.icmp_signed(">", count, I64(0))):
            code.loop(count, [], one_row)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def pool_rows(typing_context, source, places, bias, slope, y, argmax, width):
    """y[c] = act(max over q < 4 of source[places[q] + c] + bias[c]), argmax[c] that q, for c < width.

    The first of equals wins, a NaN over everything before it: as `max_tile`.
    """
    signature = types.void(source, places, bias, slope, y, argmax, INT)

    def codegen(context, builder, signature, args):
        source, places, bias, slope, y, argmax, width = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        rows = [code.at(source, b.load(code.at(places, q))) for q in range(4)]

        def vector(c, mask):
            shift = code.load(code.at(bias, c), mask)
            best, index = first_largest(code, [b.fadd(code.load(code.at(row, c), mask), shift) for row in rows])
            code.store(act(code, best, slope), code.at(y, c), mask)
            code.store_bytes(index, code.at(argmax, c), mask)

        code.vectors_and_tail(width, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def unpool_row(typing_context, g, y, argmax, step, gx, corner_step, across, down, total, slope, relu, windows, channels):
    """gx = g act'(y) at the maxima, 0 in the other three places of each window; total += g act'(y).

    Windows lie `step` apart in g, y and argmax, `corner_step` in gx, where the four are 0, across, down and down + across behind
    the corner.
    """
    signature = types.void(g, y, argmax, INT, gx, INT, INT, INT, total, slope, types.boolean, INT, INT)

    def codegen(context, builder, signature, args):
        g, y, argmax, step, gx, corner_step, across, down, total, slope, relu, windows, channels = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        factor, keeps_nan = code.splat(slope), code.splat_bit(relu)

        def window(i, carried):
            start, corner = b.mul(i, step), b.mul(i, corner_step)
            corners = [corner, b.add(corner, across), b.add(corner, down), b.add(b.add(corner, down), across)]

            def vector(c, mask):
                value, output = (code.load(code.at(pointer, start, c), mask) for pointer in (g, y))
                value = unact(code, value, output, factor, keeps_nan)
                place = code.at(total, c)
                code.store(b.fadd(code.load(place, mask), value), place, mask)
                where = code.load_bytes(code.at(argmax, start, c), mask)
                for q, target in enumerate(corners):
                    here = b.icmp_unsigned("==", where, ir.Constant(where.type, [q] * code.lanes))
                    code.store(b.select(here, value, code.zero), code.at(gx, target, c), mask)

            code.vectors_and_tail(channels, vector)
            return carried

        with b.if_then(b.icmp_signed(">", windows, I64(0))):
            code.loop(windows, [], window)
        return context.get_dummy_value()

    return signature, codegen


@parallel
def _unpool(item, g, y, argmax, gx, sums, slope, height, width, channels):
    """The gradients of one row of windows in the places of their maxima, else 0; and, where `sums` has room, their sums."""
    windows, rows, relu = width // 2, (height + 1) // 2, slope == 0
    n, a = divmod(item, rows)
    top = (n * height + 2 * a) * width * channels
    if 2 * a + 1 == height:  # below the last window
        gx[top : top + width * channels] = 0
        return
    total, start = np.zeros(channels, g.dtype), (n * (height // 2) + a) * windows * channels
    unpool_row(
        at(g, start), at(y, start), at(argmax, start), channels, at(gx, top), 2 * channels, channels, width * channels,
        at(total, 0), slope, relu, windows, channels,
    )  # fmt: skip
    if width % 2:
        for place in (top + (width - 1) * channels, top + (2 * width - 1) * channels):
            gx[place : place + channels] = 0
    if len(sums):
        sums[item * channels : (item + 1) * channels] = total


def unpool(
    g: np.ndarray, y: np.ndarray, argmax: np.ndarray, size: tuple[int, int], slope: float, bias: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """(gradient (N, *size, C) of a convolution's result before act and 2x2 max-pool, its sum per channel if `bias`)."""
    n, channels, rows = len(g), g.shape[-1], -(-size[0] // 2)
    gx = aligned((n, *size, channels), g.dtype)
    sums = np.zeros((n * rows if bias else 0, channels), g.dtype)
    if gx.size:
        flat = g.reshape(-1), y.reshape(-1), argmax.reshape(-1), gx.reshape(-1), sums.reshape(-1)
        _unpool(n * rows, *flat, g.dtype.type(slope), *size, channels, nanoseconds=gx.size / 2)
    return gx, sums.sum(0) if bias else None
