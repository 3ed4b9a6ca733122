"""The register tiles all products are made of: each keeps its whole result in registers while it sums.

Arguments named `rows`, `vectors`, `taps` and `channels` first in a tile's list are literals; the others are run-time values.
"""

from fractions import Fraction

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, Code

INT = types.intp


@intrinsic(prefer_literal=True)
def gather_tile(
    typing_context, rows, vectors, source, zeros, table, stride, taps, depth, weights, tap_step, target, targets, count, width, add
):
    """target[targets[i] + j] (+)= sum over t < taps, c < depth of source[table[t * stride + i] + c] * weights[t, c, j].

    i < count <= rows, j < width <= vectors * lanes. weights is (taps, depth, vectors * lanes) with `tap_step` between taps.
    taps and depth are at least 1; `add` says whether to add to the target. `table` holds `rows` readable offsets per tap.
    """
    signature = types.void(
        rows, vectors, source, zeros, table, INT, INT, INT, weights, INT, target, targets, INT, INT, types.boolean
    )
    M, N = rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, table, stride, taps, depth, weights, tap_step, target, targets, count, width, add = args
        code, b = Code(context, builder, signature.args[2].dtype), builder

        def one_tap(t, sums):
            pointers = code.places(source, code.at(table, b.mul(t, stride)), M, zeros)
            panel = code.at(weights, b.mul(t, tap_step))

            def one_channel(c, sums):
                row = code.at(panel, b.mul(c, I64(N * code.lanes)))
                factors = [code.load(code.at(row, v * code.lanes)) for v in range(N)]
                values = [code.splat(b.load(code.at(pointer, c))) for pointer in pointers]
                return [code.fma(values[i // N], factors[i % N], sums[i]) for i in range(M * N)]

            return code.loop(depth, sums, one_channel)

        sums = code.loop(taps, [code.zero] * (M * N), one_tap)
        sums = [sums[i * N : (i + 1) * N] for i in range(M)]

        def write(masks, adding):
            for i in range(M):
                with b.if_then(b.icmp_signed("<", I64(i), count)):
                    row = code.at(target, b.load(code.at(targets, i)))
                    for v, mask in enumerate(masks):
                        place = code.at(row, v * code.lanes)
                        value = b.fadd(sums[i][v], code.load(place, mask)) if adding else sums[i][v]
                        code.store(value, place, mask)

        with b.if_else(b.icmp_signed("==", width, I64(N * code.lanes))) as (full, partial):
            with full, b.if_else(add) as (adding, storing):
                with adding:
                    write([None] * N, True)
                with storing:
                    write([None] * N, False)
            with partial:
                masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]
                with b.if_else(add) as (adding, storing):
                    with adding:
                        write(masks, True)
                    with storing:
                        write(masks, False)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def dot_tile(typing_context, rows, channels, source, zeros, table, stride, taps, depth, weights, tap_step, sums):
    """sums[i, o] = sum over t < taps, c < depth of source[table[t * stride + i] + c] * weights[t, o, c].

    For few output channels: the lanes run over the input's. weights is (taps, channels, depth padded to whole vectors).
    """
    signature = types.void(rows, channels, source, zeros, table, INT, INT, INT, weights, INT, sums)
    M, N = rows.literal_value, channels.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, table, stride, taps, depth, weights, tap_step, sums = args
        code, b = Code(context, builder, signature.args[2].dtype), builder
        whole = b.udiv(depth, I64(code.lanes))
        rest = b.urem(depth, I64(code.lanes))
        rounded = b.mul(b.udiv(b.add(depth, I64(code.lanes - 1)), I64(code.lanes)), I64(code.lanes))
        tail = code.first(rest)

        def one_tap(t, carried):
            pointers = code.places(source, code.at(table, b.mul(t, stride)), M, zeros)
            panel = code.at(weights, b.mul(t, tap_step))

            def products(c, mask, carried):
                factors = [code.load(code.at(panel, b.add(b.mul(rounded, I64(o)), c))) for o in range(N)]
                values = [code.load(code.at(pointer, c), mask) for pointer in pointers]
                return [code.fma(values[i // N], factors[i % N], carried[i]) for i in range(M * N)]

            before = b.block
            with b.if_then(b.icmp_signed(">", whole, I64(0))):
                looped = code.loop(whole, carried, lambda i, old: products(b.mul(i, I64(code.lanes)), None, old))
                after = b.block
            carried = _merge(b, before, carried, after, looped)
            before = b.block
            with b.if_then(b.icmp_signed(">", rest, I64(0))):
                last = products(b.mul(whole, I64(code.lanes)), tail, carried)
                after = b.block
            return _merge(b, before, carried, after, last)

        for i, total in enumerate(code.loop(taps, [code.zero] * (M * N), one_tap)):
            b.store(code.total(total), code.at(sums, i))
        return context.get_dummy_value()

    return signature, codegen


def _merge(b: ir.IRBuilder, before, untouched, after, changed) -> list[ir.Value]:
    """The values after an if_then that may have changed them."""
    phis = []
    for old, new in zip(untouched, changed, strict=True):
        phi = b.phi(old.type)
        phi.add_incoming(old, before)
        phi.add_incoming(new, after)
        phis.append(phi)
    return phis


@intrinsic(prefer_literal=True)
def pixel_tile(
    typing_context, taps, rows, vectors, source, zeros, table, stride, pixels, panel, target, tap_step, row_step, tap_count, skip
):
    """target[t, r, j] += sum over p < pixels of source[table[t * stride + p] + r] * panel[p, j].

    t < tap_count <= taps; skip <= r < rows; j < vectors * lanes. panel is (pixels, vectors * lanes); pixels is at least 1.
    `table` holds readable offsets for all `taps`, `source` readable rows from 0.
    """
    signature = types.void(
        taps, rows, vectors, source, zeros, table, INT, INT, panel, target, INT, INT, INT, INT
    )  # fmt: skip
    T, R, N = taps.literal_value, rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, _, source, zeros, table, stride, pixels, panel, target, tap_step, row_step, tap_count, skip = args
        code, b = Code(context, builder, signature.args[3].dtype), builder
        tables = [code.at(table, b.mul(stride, I64(t))) for t in range(T)]

        def one_pixel(p, sums):
            row = code.at(panel, b.mul(p, I64(N * code.lanes)))
            factors = [code.load(code.at(row, v * code.lanes)) for v in range(N)]
            pointers = [code.places(source, code.at(t, p), 1, zeros)[0] for t in tables]
            values = [code.splat(b.load(code.at(pointer, r))) for pointer in pointers for r in range(R)]
            return [code.fma(values[i // N], factors[i % N], sums[i]) for i in range(T * R * N)]

        sums = code.loop(pixels, [code.zero] * (T * R * N), one_pixel)
        for t in range(T):
            for r in range(R):
                wanted = b.and_(b.icmp_signed("<", I64(t), tap_count), b.icmp_signed(">=", I64(r), skip))
                with b.if_then(wanted):
                    row = code.at(target, b.add(b.mul(tap_step, I64(t)), b.mul(row_step, I64(r))))
                    for v in range(N):
                        place = code.at(row, v * code.lanes)
                        code.store(b.fadd(sums[(t * R + r) * N + v], code.load(place)), place)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def depthwise_tile(typing_context, rows, source, zeros, table, stride, taps, weights, target, targets, count, channels):
    """target[targets[i] + c] = sum over t < taps of source[table[t * stride + i] + c] * weights[t, c]; i < count <= rows."""
    signature = types.void(rows, source, zeros, table, INT, INT, weights, target, targets, INT, INT)
    M = rows.literal_value

    def codegen(context, builder, signature, args):
        _, source, zeros, table, stride, taps, weights, target, targets, count, channels = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        results = [code.at(target, b.load(code.at(targets, i))) for i in range(M)]

        def vector(c, mask):
            def one_tap(t, sums):
                pointers = code.places(source, code.at(table, b.mul(t, stride)), M, zeros)
                factor = code.load(code.at(weights, b.add(b.mul(t, channels), c)), mask)
                return [code.fma(code.load(code.at(p, c), mask), factor, s) for p, s in zip(pointers, sums, strict=True)]

            for i, total in enumerate(code.loop(taps, [code.zero] * M, one_tap)):
                with b.if_then(b.icmp_signed("<", I64(i), count)):
                    code.store(total, code.at(results[i], c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def depthwise_weight_tile(typing_context, taps, source, zeros, table, stride, pixels, g, gaps, target, tap_count, channels):
    """target[t, c] += sum over p < pixels of source[table[t * stride + p] + c] * g[gaps[p] + c]; t < tap_count <= taps."""
    signature = types.void(taps, source, zeros, table, INT, INT, g, gaps, target, INT, INT)
    T = taps.literal_value

    def codegen(context, builder, signature, args):
        _, source, zeros, table, stride, pixels, g, gaps, target, tap_count, channels = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        tables = [code.at(table, b.mul(stride, I64(t))) for t in range(T)]

        def vector(c, mask):
            def one_pixel(p, sums):
                factor = code.load(code.at(g, b.load(code.at(gaps, p)), c), mask)
                pointers = [code.places(source, code.at(t, p), 1, zeros)[0] for t in tables]
                return [code.fma(code.load(code.at(x, c), mask), factor, s) for x, s in zip(pointers, sums, strict=True)]

            for t, total in enumerate(code.loop(pixels, [code.zero] * T, one_pixel)):
                with b.if_then(b.icmp_signed("<", I64(t), tap_count)):
                    place = code.at(target, b.add(b.mul(channels, I64(t)), c))
                    code.store(b.fadd(total, code.load(place, mask)), place, mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


# Cook-Toom's minimal filtering F(m, 3), by its interpolation points (and infinity): m + 2 products for m outputs,
# y = output @ ((filter @ w) * (input @ x)). Points of small, mixed magnitude keep the sums well conditioned.
# (A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2015; B. Barabasz et al., "Error analysis and
# improving the accuracy of Winograd convolution for deep neural networks", 2018.)
POINTS = {2: (0, 1, -1), 4: (0, 1, -1, Fraction(1, 2), -2)}

Matrix = tuple[tuple[Fraction, ...], ...]


def _winograd(m: int) -> dict[str, Matrix]:
    points = [Fraction(p) for p in POINTS[m]]
    n = m + 2

    def without(skipped):
        """Coefficients of the product of (x - p) over the other points, and its value at the skipped one."""
        polynomial, value = [Fraction(1)], Fraction(1)
        for p in points:
            if p is not skipped:
                polynomial = [a - p * b for a, b in zip([0, *polynomial], [*polynomial, 0], strict=True)]
                value *= (skipped if skipped is not None else 0) - p
        return polynomial + [Fraction(0)] * (n - len(polynomial)), value

    input = [without(p)[0] for p in points] + [without(None)[0]]
    filter = [[p**k / without(p)[1] for k in range(3)] for p in points] + [[Fraction(0), Fraction(0), Fraction(1)]]
    output = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    maps = {"input": input, "filter": filter, "output": output}
    maps |= {name + "'": list(zip(*rows, strict=True)) for name, rows in maps.items()}
    return {f"{name}{m}": tuple(map(tuple, rows)) for name, rows in maps.items()}


MAPS: dict[str, Matrix] = _winograd(2) | _winograd(4)


@intrinsic(prefer_literal=True)
def linear_map(typing_context, name, source, places, padding, target, targets, waste, channels):
    """target[targets[i] + c] = sum over j of MAPS[name][i, j] * source[places[j] + c] for all c < channels.

    `padding` and `waste` take the place of negative offsets.
    """
    signature = types.void(name, source, places, padding, target, targets, waste, INT)
    matrix = MAPS[name.literal_value]

    def codegen(context, builder, signature, args):
        _, source, places, padding, target, targets, waste, channels = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        inputs = code.places(source, places, len(matrix[0]), padding)
        outputs = code.places(target, targets, len(matrix), waste)

        def vector(c, mask):
            values = [code.load(code.at(pointer, c), mask) for pointer in inputs]
            for row, pointer in zip(matrix, outputs, strict=True):
                code.store(_combine(code, row, values), code.at(pointer, c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


def _combine(code: Code, row: tuple[Fraction, ...], values: list[ir.Value]) -> ir.Value:
    """sum of row[j] * values[j], without the zeros, units first."""
    terms = sorted(((abs(c) != 1, c < 0, j, c) for j, c in enumerate(row) if c), key=lambda term: term[:3])
    total = None
    for multiplied, negative, j, c in terms:
        factor = ir.Constant(code.type, [float(c)] * code.lanes)
        if total is None:
            total = code.b.fmul(values[j], factor) if multiplied or negative else values[j]
        elif multiplied:
            total = code.fma(values[j], factor, total)
        else:
            total = code.b.fsub(total, values[j]) if negative else code.b.fadd(total, values[j])
    return total
