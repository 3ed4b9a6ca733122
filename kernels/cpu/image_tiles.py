"""Tiles of convolutions of few channels: a row of the kernel is one run of the source, and positions are told by its ends.

    sums[position][j] = sum over t < taps, c < depth of source[rows[t] + cols[position] + c] * weights[t, c, j]
    total[t, c][j]    = sum over positions          of source[rows[t] + cols[position] + c] * g[position, j]

rows[t] is where row t of the kernel lies in the image, negative outside of it; cols where a column of results begins there.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .epilogue import act, first_largest, unact
from .simd import I64, Code, Value

INT = types.intp


def _sums(code: Code, heights: list[Value], starts: list[Value], zeros: Value, vectors: int, size: tuple, memory: tuple) -> list:
    """The sums of all positions of rows x columns: heights are their rows of the table, starts their columns."""
    b, (taps, depth), (source, weights) = code.b, size, memory
    count = len(heights) * len(starts)

    def one_tap(t, sums):
        pointers = []
        for rows in heights:
            row = b.load(code.at(rows, t))
            outside = b.icmp_signed("<", row, I64(0))
            pointers += [b.select(outside, zeros, code.at(source, row, start)) for start in starts]
        panel = code.at(weights, b.mul(b.mul(t, depth), I64(vectors * code.lanes)))

        def one_element(c, sums):
            row = code.at(panel, b.mul(c, I64(vectors * code.lanes)))
            factors = [code.load(code.at(row, v * code.lanes)) for v in range(vectors)]
            values = [code.splat(b.load(code.at(pointer, c))) for pointer in pointers]
            return [code.fma(values[i // vectors], factors[i % vectors], sums[i]) for i in range(count * vectors)]

        return code.loop(depth, sums, one_element)

    sums = code.loop(taps, [code.zero] * (count * vectors), one_tap)
    return [sums[i * vectors : (i + 1) * vectors] for i in range(count)]


def _columns(code: Code, cols: Value, first: Value, last: Value, count: int) -> list[Value]:
    """Where `count` columns from the first begin; those past the last repeat it."""
    b, places = code.b, [code.b.add(first, I64(j)) for j in range(count)]
    return [b.load(code.at(cols, b.select(b.icmp_signed(">", place, last), last, place))) for place in places]


@intrinsic(prefer_literal=True)
def run_of_pixels(
    context, pixels, vectors, source, zeros, rows, taps, depth, cols, col, last, weights, bias, slope, y, step, count, width
):
    """y[i * step + j] = act(sums[i][j] + bias[j]) for i < count <= pixels of one row, j < width <= vectors * lanes."""
    signature = types.void(
        pixels, vectors, source, zeros, rows, INT, INT, cols, INT, INT, weights, bias, slope, y, INT, INT, INT
    )  # fmt: skip
    M, N = pixels.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, rows, taps, depth, cols, col, last, weights, bias, slope, y, step, count, width = args
        code, b = Code(context, builder, signature.args[2].dtype), builder
        starts = _columns(code, cols, col, last, M)
        sums = _sums(code, [rows], starts, zeros, N, (taps, depth), (source, weights))
        masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]
        shifts = [code.load(code.at(bias, v * code.lanes), mask) for v, mask in enumerate(masks)]
        for i in range(M):
            with b.if_then(b.icmp_signed("<", I64(i), count)):
                place = code.at(y, b.mul(step, I64(i)))
                for v, mask in enumerate(masks):
                    code.store(act(code, b.fadd(sums[i][v], shifts[v]), slope), code.at(place, v * code.lanes), mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def run_of_windows(
    context, windows, vectors, source, zeros, rows, taps, depth, cols, col, last, weights, bias, slope, y, argmax, step, count,
    width,
):  # fmt: skip
    """y[i * step + j] = act(max over the four of a 2x2 window of sums[..][j] + bias[j]), argmax which it was; as run_of_pixels.

    `rows` has two rows of the table, and `col` is the first window's first column. The first of equals wins, a NaN over
    everything before it: as `pool_rows`.
    """
    signature = types.void(
        windows, vectors, source, zeros, rows, INT, INT, cols, INT, INT, weights, bias, slope, y, argmax, INT, INT, INT
    )  # fmt: skip
    M, N = windows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, rows, taps, depth, cols, col, last, weights, bias, slope, y, argmax, step, count, width = args
        code, b = Code(context, builder, signature.args[2].dtype), builder
        starts = _columns(code, cols, col, last, 2 * M)
        sums = _sums(code, [rows, code.at(rows, taps)], starts, zeros, N, (taps, depth), (source, weights))
        masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]
        shifts = [code.load(code.at(bias, v * code.lanes), mask) for v, mask in enumerate(masks)]
        for i in range(M):
            with b.if_then(b.icmp_signed("<", I64(i), count)):
                place = b.mul(step, I64(i))
                for v, mask in enumerate(masks):
                    values = [
                        b.fadd(sums[position][v], shifts[v]) for position in (2 * i, 2 * i + 1, 2 * (M + i), 2 * (M + i) + 1)
                    ]
                    best, index = first_largest(code, values)
                    code.store(act(code, best, slope), code.at(y, place, v * code.lanes), mask)
                    code.store_bytes(index, code.at(argmax, place, v * code.lanes), mask)
        return context.get_dummy_value()

    return signature, codegen


def _add_up(code: Code, totals: list[Value], pointers: list[Value], depth: int, column: Value, g: Value) -> list[Value]:
    """totals[t * depth + c] + pointers[t][column + c] * g."""
    places = [code.at(pointer, column) for pointer in pointers]
    return [code.fma(code.splat(code.b.load(code.at(places[r // depth], r % depth))), g, s) for r, s in enumerate(totals)]


def _row_pointers(code: Code, source: Value, zeros: Value, rows: Value, taps: int) -> list[Value]:
    found = [code.b.load(code.at(rows, t)) for t in range(taps)]
    return [code.b.select(code.b.icmp_signed("<", row, I64(0)), zeros, code.at(source, row)) for row in found]


def _add_to(code: Code, target: Value, step: Value, totals: list[Value]) -> None:
    for r, value in enumerate(totals):
        place = code.at(target, code.b.mul(step, I64(r)))
        code.store(code.b.fadd(code.load(place), value), place)


@intrinsic(prefer_literal=True)
def weights_of_pixels(
    context, taps, depth, source, zeros, rows, row_step, cols, height, count, g, step, target, target_step, width
):  # fmt: skip
    """target[t * depth + c][j] += sum over pixels of source[rows[a][t] + cols[i] + c] * g[(a * count + i) * step + j].

    a < height, i < count, j < width <= lanes. The table's rows lie `row_step` apart; those of the target, whole vectors,
    `target_step`. Zeros are as long as a row of the source.
    """
    signature = types.void(taps, depth, source, zeros, rows, INT, cols, INT, INT, g, INT, target, INT, INT)
    T, D = taps.literal_value, depth.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, rows, row_step, cols, height, count, g, step, target, target_step, width = args
        code, b = Code(context, builder, signature.args[2].dtype), builder
        mask = code.first(width)

        def one_row(a, totals):
            pointers = _row_pointers(code, source, zeros, code.at(rows, b.mul(a, row_step)), T)
            row = code.at(g, b.mul(b.mul(a, count), step))

            def one_pixel(i, totals):
                value = code.load(code.at(row, b.mul(i, step)), mask)
                return _add_up(code, totals, pointers, D, b.load(code.at(cols, i)), value)

            return code.loop(count, totals, one_pixel)

        _add_to(code, target, target_step, code.loop(height, [code.zero] * (T * D), one_row))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def weights_of_windows(
    context, taps, depth, source, zeros, rows, row_step, cols, height, count, g, y, argmax, step, slope, relu, bias, target,
    target_step, width,
):  # fmt: skip
    """The same for g act'(y) at the maxima of 2x2 windows, height x count of them, 0 in their other three places.

    bias += the sum of that g.
    """
    signature = types.void(
        taps, depth, source, zeros, rows, INT, cols, INT, INT, g, y, argmax, INT, slope, types.boolean, bias, target, INT, INT
    )  # fmt: skip
    T, D = taps.literal_value, depth.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, rows, row_step, cols, height, count, *rest = args
        g, y, argmax, step, slope, relu, bias, target, target_step, width = rest
        code, b = Code(context, builder, signature.args[2].dtype), builder
        mask, factor, keeps_nan = code.first(width), code.splat(slope), code.splat_bit(relu)

        def one_row(a, carried):
            table, first = code.at(rows, b.mul(b.shl(a, I64(1)), row_step)), b.mul(b.mul(a, count), step)
            pointers = [_row_pointers(code, source, zeros, row, T) for row in (table, code.at(table, row_step))]

            def one_window(i, carried):
                total, *totals = carried
                place = b.add(first, b.mul(i, step))
                value, output = (code.load(code.at(pointer, place), mask) for pointer in (g, y))
                value = unact(code, value, output, factor, keeps_nan)
                where = code.load_bytes(code.at(argmax, place), mask)
                for q in range(4):
                    here = b.icmp_unsigned("==", where, ir.Constant(where.type, [q] * code.lanes))
                    column = b.load(code.at(cols, b.shl(i, I64(1)), q % 2))
                    totals = _add_up(code, totals, pointers[q // 2], D, column, b.select(here, value, code.zero))
                return [b.fadd(total, value), *totals]

            return code.loop(count, carried, one_window)

        total, *totals = code.loop(height, [code.zero] * (1 + T * D), one_row)
        code.store(b.fadd(code.load(bias), total), bias)
        _add_to(code, target, target_step, totals)
        return context.get_dummy_value()

    return signature, codegen
