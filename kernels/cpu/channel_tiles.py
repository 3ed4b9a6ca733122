"""Tiles whose lanes run over channels that do not mix: depthwise convolution and pools."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, Code

INT = types.intp
FEW = 8  # channels that `sum_tile` stores at most
TAPS = 9  # of a tile of a depthwise weight gradient


@intrinsic(prefer_literal=True)
def run_tile(context, pixels, source, places, weights, factors, taps, count, step, target, target_step, channels):
    """target[i * target_step + c] = sum over t < taps of source[places[t] + i * step + c] * weights[factors[t] + c].

    For i < count and c < channels, `pixels` at a time. count is at least 1.
    """
    signature = types.void(pixels, source, places, weights, factors, INT, INT, INT, target, INT, INT)
    M = pixels.literal_value

    def codegen(context, builder, signature, args):
        _, source, places, weights, factors, taps, count, step, target, target_step, channels = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        last = b.sub(count, I64(1))

        def some_pixels(k, carried):
            first = b.mul(k, I64(M))
            pixels = [b.add(first, I64(i)) for i in range(M)]
            inside = [b.icmp_signed("<", pixel, count) for pixel in pixels]
            steps = [b.mul(b.select(known, pixel, last), step) for pixel, known in zip(pixels, inside, strict=True)]
            results = [code.at(target, b.mul(pixel, target_step)) for pixel in pixels]

            def vector(c, mask):
                def one_tap(t, sums):
                    pointer = code.at(source, b.load(code.at(places, t)), c)
                    factor = code.load(code.at(weights, b.load(code.at(factors, t)), c), mask)
                    return [code.fma(code.load(code.at(pointer, o), mask), factor, s) for o, s in zip(steps, sums, strict=True)]

                def write(sums):
                    for known, result, total in zip(inside, results, sums, strict=True):
                        with b.if_then(known):
                            code.store(total, code.at(result, c), mask)

                with b.if_else(b.icmp_signed(">", taps, I64(0))) as (some, none):
                    with some:
                        write(code.loop(taps, [code.zero] * M, one_tap))
                    with none:
                        write([code.zero] * M)

            code.vectors_and_tail(channels, vector)
            return carried

        code.loop(b.udiv(b.add(count, I64(M - 1)), I64(M)), [], some_pixels)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def run_weight_tile(context, taps, source, places, g, g_step, count, step, target, sums, tap_count, channels):
    """target[sums[t] + c] += sum over i < count of source[places[t] + i * step + c] * g[i * g_step + c]; t < tap_count <= taps.

    For all c < channels. All `taps` places are readable; count is at least 1.
    """
    signature = types.void(taps, source, places, g, INT, INT, INT, target, sums, INT, INT)
    T = taps.literal_value

    def codegen(context, builder, signature, args):
        _, source, places, g, g_step, count, step, target, sums, tap_count, channels = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        starts = [code.at(source, b.load(code.at(places, t))) for t in range(T)]

        def vector(c, mask):
            def one_pixel(i, totals):
                factor = code.load(code.at(g, b.mul(i, g_step), c), mask)
                offset = b.add(b.mul(i, step), c)
                return [code.fma(code.load(code.at(x, offset), mask), factor, s) for x, s in zip(starts, totals, strict=True)]

            for t, total in enumerate(code.loop(count, [code.zero] * T, one_pixel)):
                with b.if_then(b.icmp_signed("<", I64(t), tap_count)):
                    place = code.at(target, b.load(code.at(sums, t)), c)
                    code.store(b.fadd(total, code.load(place, mask)), place, mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def sum_tile(context, source, rows, row_count, cols, taps, col_counts, target, step, count, channels):
    """target[b * step + c] = sum over i < row_count, j < col_counts[b] of source[rows[i] + cols[b * taps + j] + c].

    For c < channels <= FEW and b < count; FEW elements of the source are readable at each place. count is at least 1.
    """
    signature = types.void(source, rows, INT, cols, INT, col_counts, target, INT, INT, INT)

    def codegen(context, builder, signature, args):
        source, rows, row_count, cols, taps, col_counts, target, step, count, channels = args
        code = Code(context, builder, signature.args[0].dtype, FEW)
        b, mask = builder, code.first(channels)

        def one_result(i, carried):
            places, place = code.at(cols, b.mul(i, taps)), code.at(target, b.mul(i, step))
            col_count = b.load(code.at(col_counts, i))

            def one_row(i, sums):
                row = code.at(source, b.load(code.at(rows, i)))

                def one_tap(j, sums):
                    return [b.fadd(sums[0], code.load(code.at(row, b.load(code.at(places, j)))))]

                return code.loop(col_count, sums, one_tap)

            met = b.and_(b.icmp_signed(">", row_count, I64(0)), b.icmp_signed(">", col_count, I64(0)))
            with b.if_else(met) as (some, none):
                with some:
                    code.store(code.loop(row_count, [code.zero], one_row)[0], place, mask)
                with none:
                    code.store(code.zero, place, mask)
            return carried

        code.loop(count, [], one_result)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def max_tile(context, source, step, places, count, best, indices, channels):
    """best[c] = max over j < count of source[places[j] * step + c], indices[c] the place where it was found, for c < channels.

    The first of equals wins, a NaN over everything before it. count is at least 1.
    """
    signature = types.void(source, INT, places, INT, best, indices, INT)

    def codegen(context, builder, signature, args):
        source, step, places, count, best, indices, channels = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        as_places = ir.VectorType(I64, code.lanes)
        same = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), [0] * code.lanes)

        def vector(c, mask):
            def at_place(j):
                place = b.load(code.at(places, j))
                splat = b.insert_element(ir.Constant(as_places, ir.Undefined), place, ir.IntType(32)(0))
                splat = b.shuffle_vector(splat, ir.Constant(as_places, ir.Undefined), same)
                return code.load(code.at(source, b.add(b.mul(place, step), c)), mask), splat

            def one_place(j, old):
                value, place = at_place(j)
                better = code.larger(value, old[0])
                return [b.select(better, value, old[0]), b.select(better, place, old[1])]

            value, place = code.loop(count, list(at_place(I64(0))), one_place)
            code.store(value, code.at(best, c), mask)
            code.store_places(place, code.at(indices, c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def mean_tile(context, source, step, places, count, divisor, target, channels):
    """target[c] = (sum over j < count of source[places[j] * step + c]) / divisor for c < channels; 0 where count is 0."""
    signature = types.void(source, INT, places, INT, source.dtype, target, INT)

    def codegen(context, builder, signature, args):
        source, step, places, count, divisor, target, channels = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        by = code.splat(divisor)

        def vector(c, mask):
            def one_place(j, total):
                offset = b.mul(b.load(code.at(places, j)), step)
                return [b.fadd(total[0], code.load(code.at(source, b.add(offset, c)), mask))]

            with b.if_else(b.icmp_signed(">", count, I64(0))) as (some, none):
                with some:
                    code.store(b.fdiv(code.loop(count, [code.zero], one_place)[0], by), code.at(target, c), mask)
                with none:
                    code.store(code.zero, code.at(target, c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def share_tile(context, source, divisor, places, count, target, step, add, channels):
    """target[places[j] * step + c] (+)= source[c] / divisor for j < count and c < channels; `add` says whether to add."""
    signature = types.void(source, source.dtype, places, INT, target, INT, types.boolean, INT)

    def codegen(context, builder, signature, args):
        source, divisor, places, count, target, step, add, channels = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        by = code.splat(divisor)

        def vector(c, mask):
            share = b.fdiv(code.load(code.at(source, c), mask), by)

            def one_place(j, carried):
                place = code.at(target, b.add(b.mul(b.load(code.at(places, j)), step), c))
                with b.if_else(add) as (more, only):
                    with more:
                        code.store(b.fadd(code.load(place, mask), share), place, mask)
                    with only:
                        code.store(share, place, mask)
                return carried

            code.loop(count, [], one_place)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen
