"""The register tiles all products are made of: each keeps its whole result in registers while it sums.

Arguments named `rows`, `vectors`, `taps` and `channels` first in a tile's list are literals; the others are run-time values.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, MASKS_ARE_FREE, Code

INT = types.intp


@intrinsic(prefer_literal=True)
def gather_tile(
    typing_context,
    rows,
    vectors,
    source,
    zeros,
    table,
    stride,
    taps,
    depth,
    weights,
    tap_step,
    target,
    targets,
    count,
    width,
    add,
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

        def write_all(masks):
            with b.if_else(add) as (adding, storing):
                with adding:
                    write(masks, True)
                with storing:
                    write(masks, False)

        masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]
        if MASKS_ARE_FREE:
            write_all(masks)
        else:
            with b.if_else(b.icmp_signed("==", width, I64(N * code.lanes))) as (full, partial):
                with full:
                    write_all([None] * N)
                with partial:
                    write_all(masks)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def dot_tile(context, rows, channels, source, zeros, table, stride, taps, depth, weights, tap_step, sums):
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
    typing_context,
    taps,
    rows,
    vectors,
    source,
    zeros,
    table,
    stride,
    pixels,
    panel,
    step,
    target,
    tap_step,
    row_step,
    tap_count,
    skip,
):
    """target[t, r, j] += sum over p < pixels of source[table[t * stride + p] + r] * panel[p, j].

    t < tap_count <= taps; skip <= r < rows; j < vectors * lanes; pixels is at least 1. Rows of the panel lie `step` apart.
    `table` holds readable offsets for all `taps`, `source` readable rows from 0.
    """
    signature = types.void(
        taps, rows, vectors, source, zeros, table, INT, INT, panel, INT, target, INT, INT, INT, INT
    )  # fmt: skip
    T, R, N = taps.literal_value, rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, _, source, zeros, table, stride, pixels, panel, step, target, tap_step, row_step, tap_count, skip = args
        code, b = Code(context, builder, signature.args[3].dtype), builder
        tables = [code.at(table, b.mul(stride, I64(t))) for t in range(T)]

        def one_pixel(p, sums):
            row = code.at(panel, b.mul(p, step))
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
def copy_rows(context, vectors, source, table, count, width, target):
    """target[i, j] = source[table[i] + j] where j < width, else 0; i < count, j < vectors * lanes. count is at least 1."""
    signature = types.void(vectors, source, table, INT, INT, target)
    N = vectors.literal_value

    def codegen(context, builder, signature, args):
        _, source, table, count, width, target = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]

        def one_row(i, carried):
            row = code.at(source, b.load(code.at(table, i)))
            place = code.at(target, b.mul(i, I64(N * code.lanes)))
            for v, mask in enumerate(masks):
                code.store(code.load(code.at(row, v * code.lanes), mask), code.at(place, v * code.lanes))
            return carried

        code.loop(count, [], one_row)
        return context.get_dummy_value()

    return signature, codegen
