"""The linear maps of Winograd convolution, and the intrinsic that applies one to blocks of channels."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from fractions import Fraction

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd import Code

# Cook-Toom's minimal filtering F(m, r), by its interpolation points (and infinity): m + r - 1 products for m outputs of r taps,
# y = output @ ((filter @ w) * (input @ x)). Points of small, mixed magnitude keep the sums well conditioned.
# (A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2015; B. Barabasz et al., "Error analysis and
# improving the accuracy of Winograd convolution for deep neural networks", 2018.)
HALF = Fraction(1, 2)
POINTS = {(2, 3): (0, 1, -1), (4, 3): (0, 1, -1, HALF, -2), (2, 2): (1, -1), (4, 2): (0, HALF, -1, 2)}

Matrix = tuple[tuple[Fraction, ...], ...]


def _winograd(m: int, r: int) -> dict[str, Matrix]:
    points = [Fraction(p) for p in POINTS[m, r]]
    n, zero = m + r - 1, Fraction(0)

    def without(skipped: Fraction | None) -> tuple[list[Fraction], Fraction]:
        """Coefficients of the product of (x - p) over the other points, and its value at the skipped one."""
        polynomial, value = [Fraction(1)], Fraction(1)
        for p in points:
            if p is not skipped:
                polynomial = [a - p * b for a, b in zip([zero, *polynomial], [*polynomial, zero], strict=True)]
                value *= (skipped if skipped is not None else 0) - p
        return polynomial + [zero] * (n - len(polynomial)), value

    input = [without(p)[0] for p in points] + [without(None)[0]]
    filter = [[p**k / without(p)[1] for k in range(r)] for p in points] + [[zero] * (r - 1) + [Fraction(1)]]
    output = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    maps = {"input": input, "filter": filter, "output": output}
    maps |= {name + "'": [list(column) for column in zip(*rows, strict=True)] for name, rows in maps.items()}
    return {f"{name}{m}{r}": tuple(map(tuple, rows)) for name, rows in maps.items()}


MAPS: dict[str, Matrix] = {name: rows for m, r in POINTS for name, rows in _winograd(m, r).items()}


@intrinsic(prefer_literal=True)
def linear_map(typing_context, name, source, places, padding, target, targets, waste, channels):
    """target[targets[i] + c] = sum over j of MAPS[name][i, j] * source[places[j] + c] for all c < channels.

    `padding` and `waste` take the place of negative offsets.
    """
    signature = types.void(name, source, places, padding, target, targets, waste, types.intp)
    matrix = MAPS[name.literal_value]

    def codegen(context, builder, signature, args):
        _, source, places, padding, target, targets, waste, channels = args
        code = Code(context, builder, signature.args[1].dtype)
        inputs = code.places(source, places, len(matrix[0]), padding)
        outputs = code.places(target, targets, len(matrix), waste)

        def vector(c, mask):
            values = [code.load(code.at(pointer, c), mask) for pointer in inputs]
            for row, pointer in zip(matrix, outputs, strict=True):
                code.store(_combine(code, row, values), code.at(pointer, c), mask)

        code.vectors_and_tail(channels, vector)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def tile_map(typing_context, name, source, places, padding, target, step, channels):
    """target[(a * n + b) * step + c] = sum over i, j of M[a, i] M[b, j] source[places[i * k + j] + c], M being MAPS[name] (n, k).

    For all a, b < n and c < channels. `padding` takes the place of negative offsets.
    """
    signature = types.void(name, source, places, padding, target, types.intp, types.intp)
    matrix = MAPS[name.literal_value]

    def codegen(context, builder, signature, args):
        _, source, places, padding, target, step, channels = args
        code, k = Code(context, builder, signature.args[1].dtype), len(matrix[0])
        pointers = cgutils.alloca_once(builder, source.type, k * k)  # too many to stay in registers
        for i, pointer in enumerate(code.places(source, places, k * k, padding)):
            builder.store(pointer, code.at(pointers, i))

        def vector(c, mask):
            columns = []
            for j in range(k):
                values = [code.load(code.at(builder.load(code.at(pointers, i * k + j)), c), mask) for i in range(k)]
                columns.append([_combine(code, row, values) for row in matrix])
            place = code.at(target, c)
            for across in zip(*columns, strict=True):
                for row in matrix:
                    code.store(_combine(code, row, list(across)), place, mask)
                    place = code.at(place, step)

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
