"""What a matrix product does to registers: a tile of products, and copies of operands into the order that tiles read."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .epilogue import act
from .simd import I32, I64, MASKS_ARE_FREE, Code, Value

INT, FLAG = types.intp, types.boolean


@intrinsic(prefer_literal=True)
def product_tile(
    typing_context, rows, vectors, a, row_step, step, depth, panel, target, target_step, count, width, add, stream, ahead, pace
):  # fmt: skip
    """target[i * target_step + j] (+)= sum over k < depth of a[i * row_step + k * step] * panel[k * vectors * lanes + j].

    i < min(count, rows), j < min(width, vectors * lanes), all at least 1, as is depth. `add` says whether to add to the target,
    `stream` to write round the cache, for which whole vectors must be wanted, at aligned places. Meanwhile what lies at
    ahead[k * pace] is brought into the second-level cache, unless ahead is None.
    """
    signature = types.void(rows, vectors, a, INT, INT, INT, panel, target, INT, INT, INT, FLAG, FLAG, ahead, INT)
    M, N = rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, args):
        _, _, a, row_step, step, depth, panel, target, target_step, count, width, add, stream, ahead, pace = args
        code, b = Code(context, builder, signature.args[2].dtype), builder
        fetching = not isinstance(signature.args[-2], types.NoneType)
        numbers = _numbers(b, M, count)
        sources = [code.at(a, b.mul(row_step, i)) for i in numbers]

        def one(k, carried):
            row, offset, *sums = carried
            factors = [code.load(code.at(row, v * code.lanes)) for v in range(N)]
            values = [code.splat(b.load(code.at(source, offset))) for source in sources]
            if fetching:
                code.prefetch(code.at(ahead, b.mul(k, pace)))
            sums = [code.fma(values[i // N], factors[i % N], sums[i]) for i in range(M * N)]
            return [code.at(row, N * code.lanes), b.add(offset, step), *sums]

        sums = code.loop(depth, [panel, I64(0)] + [code.zero] * (M * N), one)[2:]
        places = [code.at(target, b.mul(target_step, i), v * code.lanes) for i in numbers for v in range(N)]

        def write(masks):
            before = b.block
            with b.if_then(add):  # all is read before anything is written: rows may be repeated
                more = [b.fadd(s, code.load(place, masks[j % N])) for j, (s, place) in enumerate(zip(sums, places, strict=True))]
                after = b.block
            for j, value in enumerate(merge(b, before, sums, after, more)):
                code.store(value, places[j], masks[j % N])

        with b.if_else(stream) as (round_cache, through_cache):
            with round_cache:
                for value, place in zip(sums, places, strict=True):
                    code.store_round_cache(value, place)
            with through_cache:
                _with_masks(code, width, N, write)
        return context.get_dummy_value()

    return signature, codegen


def _numbers(b: ir.IRBuilder, most: int, count: Value) -> list[Value]:
    """0, 1, ... `most` - 1, where those from `count` on repeat the last one: the same is computed and written once more."""
    last = b.sub(count, I64(1))
    return [b.select(b.icmp_signed("<", I64(i), last), I64(i), last) for i in range(most)]


def _with_masks(code: Code, width: Value, vectors: int, body) -> None:
    """body(masks of the first `width` lanes of some vectors)."""
    masks = [code.first(code.b.sub(width, I64(v * code.lanes))) for v in range(vectors)]
    if MASKS_ARE_FREE:
        body(masks)
        return
    with code.b.if_else(code.b.icmp_signed(">=", width, I64(vectors * code.lanes))) as (full, partial):
        with full:
            body([None] * vectors)
        with partial:
            body(masks)


@intrinsic(prefer_literal=True)
def copy_columns(typing_context, vectors, source, source_step, count, width, target):
    """target[k * vectors * lanes + j] = source[k * source_step + j] where j < width, else 0; k < count, j < vectors * lanes."""
    signature = types.void(vectors, source, INT, INT, INT, target)
    N = vectors.literal_value

    def codegen(context, builder, signature, args):
        _, source, source_step, count, width, target = args
        code = Code(context, builder, signature.args[1].dtype)

        def copy(masks):
            def one_row(k, carried):
                row, place = carried
                for v, mask in enumerate(masks):
                    code.store(code.load(code.at(row, v * code.lanes), mask), code.at(place, v * code.lanes))
                return [code.at(row, source_step), code.at(place, N * code.lanes)]

            code.loop(count, [source, target], one_row)

        _with_masks(code, width, N, copy)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def copy_rows_apart(typing_context, rows, source, source_step, count, width, target, target_step):
    """target[i // rows * target_step + k * rows + i % rows] = source[k * source_step + i]; k < count, i < width.

    It takes whole vectors: of tiles of `rows` past the last one, zeros are written too.
    """
    signature = types.void(rows, source, INT, INT, INT, target, INT)
    R = rows.literal_value

    def codegen(context, builder, signature, args):
        _, source, source_step, count, width, target, target_step = args
        code, b = Code(context, builder, signature.args[1].dtype), builder
        size = min(R, code.lanes)
        piece = ir.VectorType(code.element, size)

        def one_row(k, carried):
            row, place = carried

            def one_vector(v, carried):
                i = b.mul(v, I64(code.lanes))
                vector = code.load(code.at(row, i), code.first(b.sub(width, i)))
                for p in range(0, code.lanes, size):
                    indices = ir.Constant(ir.VectorType(I32, size), list(range(p, p + size)))
                    j = b.add(i, I64(p))
                    where = code.at(place, b.mul(b.udiv(j, I64(R)), target_step), b.urem(j, I64(R)))
                    store = b.store(b.shuffle_vector(vector, vector, indices), b.bitcast(where, piece.as_pointer()))
                    store.align = code.bytes
                return carried

            code.loop(b.udiv(b.add(width, I64(code.lanes - 1)), I64(code.lanes)), [], one_vector)
            return [code.at(row, source_step), code.at(place, R)]

        code.loop(count, [source, target], one_row)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def transpose_tile(typing_context, source, source_step, rows, columns, target, target_step, width):
    """target[j * target_step + i] = source[min(i, rows - 1) * source_step + j], i < width, j < columns.

    width, rows and columns are from 1 to the number of lanes.
    """
    signature = types.void(source, INT, INT, INT, target, INT, INT)

    def codegen(context, builder, signature, args):
        source, source_step, rows, columns, target, target_step, width = args
        code, b = Code(context, builder, signature.args[0].dtype), builder
        L = code.lanes
        read, written = code.first(columns), code.first(width)
        vectors = [code.load(code.at(source, b.mul(source_step, i)), read) for i in _numbers(b, L, rows)]
        for d in [1 << i for i in range(L.bit_length() - 1)]:  # exchange this bit of the vector's number and of the lane's
            low = ir.Constant(ir.VectorType(I32, L), [L + j - d if j & d else j for j in range(L)])
            high = ir.Constant(ir.VectorType(I32, L), [L + j if j & d else j + d for j in range(L)])
            for i in range(L):
                if not i & d:
                    x, y = vectors[i], vectors[i + d]
                    vectors[i], vectors[i + d] = b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high)
        numbers = _numbers(b, L, columns)
        for j in reversed(range(L)):  # so that the last of repeated rows is the true one
            code.store(vectors[j], code.at(target, b.mul(target_step, numbers[j])), written)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def finish_tile(typing_context, target, target_step, count, width, bias, slope):
    """target[i * target_step + j] = act(target[i * target_step + j] + bias[j]), i < count, j < width, both at least 1.

    act(v) = v where v > 0, else slope v.
    """
    signature = types.void(target, INT, INT, INT, bias, target.dtype)

    def codegen(context, builder, signature, args):
        target, target_step, count, width, bias, slope = args
        code, b = Code(context, builder, signature.args[0].dtype), builder

        def one_row(i, carried):
            row = code.at(target, b.mul(i, target_step))

            def vector(j, mask):
                value = b.fadd(code.load(code.at(row, j), mask), code.load(code.at(bias, j), mask))
                code.store(act(code, value, slope), code.at(row, j), mask)

            code.vectors_and_tail(width, vector)
            return carried

        code.loop(count, [], one_row)
        return context.get_dummy_value()

    return signature, codegen


def merge(b: ir.IRBuilder, before, untouched, after, changed) -> list[ir.Value]:
    """The values after an if_then that may have changed them."""
    phis = []
    for old, new in zip(untouched, changed, strict=True):
        phi = b.phi(old.type)
        phi.add_incoming(old, before)
        phi.add_incoming(new, after)
        phis.append(phi)
    return phis
