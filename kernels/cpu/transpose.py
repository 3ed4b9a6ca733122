"""A register tile that transposes: as many rows as there are lanes, of as many elements."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I1, I32, I64, Code

INT = types.intp


@intrinsic
def transpose_tile(context, source, places, rows, columns, parts, part_step, target, targets, width):
    """target[targets[j] + i] = sum over p < parts of source[p * part_step + places[i] + j] for i < rows, 0 for i < width.

    For j < columns where targets[j] is not negative. rows, columns and width are at most the lanes, parts at least 1.
    """
    signature = types.void(source, places, INT, INT, INT, INT, target, targets, INT)

    def codegen(context, builder, signature, args):
        source, places, rows, columns, parts, part_step, target, targets, width = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        L = code.lanes
        everywhere, nowhere = code.first(columns), ir.Constant(ir.VectorType(I1, L), [False] * L)
        masks = [b.select(b.icmp_signed("<", I64(i), rows), everywhere, nowhere) for i in range(L)]

        def one_part(p, sums):
            start = code.at(source, b.mul(p, part_step))
            offsets = [b.load(code.at(places, i)) for i in range(L)]
            return [b.fadd(s, code.load(code.at(start, o), mask)) for s, o, mask in zip(sums, offsets, masks, strict=True)]

        vectors = code.loop(parts, [code.zero] * L, one_part)
        for _ in range(L.bit_length() - 1):  # each step interleaves the first half of the vectors with the second
            pairs = zip(vectors[: L // 2], vectors[L // 2 :], strict=True)
            vectors = [b.shuffle_vector(low, high, half) for low, high in pairs for half in _halves(L)]
        kept = code.first(width)
        for j, vector in enumerate(vectors):
            offset = b.load(code.at(targets, j))
            wanted = b.and_(b.icmp_signed("<", I64(j), columns), b.icmp_signed(">=", offset, I64(0)))
            with b.if_then(wanted):
                code.store(vector, code.at(target, offset), kept)
        return context.get_dummy_value()

    return signature, codegen


def _halves(lanes: int) -> tuple[ir.Constant, ir.Constant]:
    """Shuffles that interleave the low and the high halves of two vectors."""
    kind = ir.VectorType(I32, lanes)
    pairs = [(i, lanes + i) for i in range(lanes)]
    low, high = ([place for pair in part for place in pair] for part in (pairs[: lanes // 2], pairs[lanes // 2 :]))
    return ir.Constant(kind, low), ir.Constant(kind, high)
