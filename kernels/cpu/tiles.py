"""The register tiles all products are made of: each keeps its whole result in registers while it sums.

Arguments named `rows`, `vectors`, `taps` and `channels` first in a tile's list are literals; the others are run-time values.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

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
    ahead,
):
    """target[targets[i] + j] (+)= sum over t < taps, c < depth of source[table[t * stride + i] + c] * weights[t, c, j].

    i < count <= rows, j < width <= vectors * lanes. weights is (taps, depth, vectors * lanes) with `tap_step` between taps.
    taps and depth are at least 1; `add` says whether to add to the target. `table` holds `rows` readable offsets per tap.
    Meanwhile taps * depth cache lines from `ahead` on, unless it is None, are brought into the second-level cache.
    """
    signature = types.void(
        rows, vectors, source, zeros, table, INT, INT, INT, weights, INT, target, targets, INT, INT, types.boolean, ahead
    )
    M, N = rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, table, stride, taps, depth, weights, tap_step, target, targets, count, width, add, ahead = args
        fetching = not isinstance(signature.args[-1], types.NoneType)
        code, b = Code(context, builder, signature.args[2].dtype), builder

        def one_tap(t, sums):
            pointers = code.places(source, code.at(table, b.mul(t, stride)), M, zeros)
            panel = code.at(weights, b.mul(t, tap_step))

            def one_channel(c, sums):
                row = code.at(panel, b.mul(c, I64(N * code.lanes)))
                factors = [code.load(code.at(row, v * code.lanes)) for v in range(N)]
                values = [code.splat(b.load(code.at(pointer, c))) for pointer in pointers]
                if fetching:
                    code.prefetch(code.at(ahead, b.mul(b.add(b.mul(t, depth), c), I64(code.lanes))))
                return [code.fma(values[i // N], factors[i % N], sums[i]) for i in range(M * N)]

            return code.loop(depth, sums, one_channel)

        sums = code.loop(taps, [code.zero] * (M * N), one_tap)
        sums = [sums[i * N : (i + 1) * N] for i in range(M)]

        def write(masks):
            old = [code.only_if(add, mask) for mask in masks]  # nothing is read that is not added
            for i in range(M):
                with b.if_then(b.icmp_signed("<", I64(i), count)):
                    row = code.at(target, b.load(code.at(targets, i)))
                    for v, mask in enumerate(masks):
                        place = code.at(row, v * code.lanes)
                        code.store(b.fadd(sums[i][v], code.load(place, old[v])), place, mask)

        masks = [code.first(b.sub(width, I64(v * code.lanes))) for v in range(N)]
        if MASKS_ARE_FREE:
            write(masks)
        else:
            with b.if_else(b.icmp_signed("==", width, I64(N * code.lanes))) as (full, partial):
                with full:
                    write([None] * N)
                with partial:
                    write(masks)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def pixel_tile(
    typing_context,
    rows,
    vectors,
    source,
    zeros,
    table,
    pixels,
    panel,
    step,
    target,
    row_step,
    skip,
    count,
    add,
    ahead,
    ahead_step,
):
    """target[r, j] (+)= sum over p < pixels of source[table[p] + r] * panel[p, j] for skip <= r < count, j < vectors * lanes.

    Rows of the panel lie `step` apart, those of the target `row_step`. All `rows` of the source are readable; pixels is at
    least 1. Meanwhile the cache lines at ahead[p * ahead_step] are fetched.
    """
    signature = types.void(
        rows, vectors, source, zeros, table, INT, panel, INT, target, INT, INT, INT, types.boolean, ahead, INT
    )  # fmt: skip
    R, N = rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, ahead_step = args
        code, b = Code(context, builder, signature.args[2].dtype), builder

        def one_pixel(p, sums):
            row = code.at(panel, b.mul(p, step))
            factors = [code.load(code.at(row, v * code.lanes)) for v in range(N)]
            pointer = code.places(source, code.at(table, p), 1, zeros)[0]
            values = [code.splat(b.load(code.at(pointer, r))) for r in range(R)]
            code.prefetch(code.at(ahead, b.mul(p, ahead_step)))
            return [code.fma(values[i // N], factors[i % N], sums[i]) for i in range(R * N)]

        sums = code.loop(pixels, [code.zero] * (R * N), one_pixel)
        old = code.only_if(add)
        for r in range(R):
            with b.if_then(b.and_(b.icmp_signed(">=", I64(r), skip), b.icmp_signed("<", I64(r), count))):
                for v in range(N):
                    place = code.at(target, b.mul(row_step, I64(r)), v * code.lanes)
                    code.store(b.fadd(sums[r * N + v], code.load(place, old)), place)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy_rows(context, source, zeros, table, count, width, target, step):
    """target[i * step + j] = source[table[i] + j] for i < count, j < width, then zeros to the end of the vector.

    count and width are at least 1. A row may end in the next one's place, which is copied later.
    """
    signature = types.void(source, zeros, table, INT, INT, target, INT)

    def codegen(context, builder, signature, args):
        source, zeros, table, count, width, target, step = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        vectors = b.udiv(b.sub(width, I64(1)), I64(code.lanes))  # but for the last
        last = b.mul(vectors, I64(code.lanes))
        mask = code.first(b.sub(width, last))

        def one_row(i, copy):
            start = code.places(source, code.at(table, i), 1, zeros)[0]
            copy(start, code.at(target, b.mul(i, step)))
            return []

        def short(start, end):
            code.store(code.load(start, mask), end)

        def long(start, end):
            def vector(v, carried):
                c = b.mul(v, I64(code.lanes))
                code.store(code.load(code.at(start, c)), code.at(end, c))
                return carried

            code.loop(vectors, [], vector)
            code.store(code.load(code.at(start, last), mask), code.at(end, last))

        with b.if_else(b.icmp_signed("==", vectors, I64(0))) as (one, many):
            with one:
                code.loop(count, [], lambda i, _: one_row(i, short))
            with many:
                code.loop(count, [], lambda i, _: one_row(i, long))
        return context.get_dummy_value()

    return signature, codegen
