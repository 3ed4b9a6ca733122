"""Tiles whose lanes run over channels that do not mix: depthwise convolution and pools."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, Code

INT = types.intp
FEW = 8  # channels that `sum_tile` stores at most


@intrinsic(prefer_literal=True)
def depthwise_tile(context, rows, source, zeros, table, stride, taps, weights, target, targets, count, channels):
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
def depthwise_weight_tile(context, taps, source, zeros, table, stride, pixels, g, gaps, target, tap_count, channels):
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
                better = b.fcmp_unordered(">", value, old[0])  # or either is NaN
                # A NaN stays until another NaN comes.
                better = b.and_(better, b.or_(b.fcmp_ordered("ord", old[0], old[0]), b.fcmp_unordered("uno", value, value)))
                return [b.select(better, value, old[0]), b.select(better, place, old[1])]

            value, place = code.loop(count, list(at_place(I64(0))), one_place)
            code.store(value, code.at(best, c), mask)
            code.store_places(place, code.at(indices, c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen
