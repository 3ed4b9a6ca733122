"""The compiled loops of a matrix product: copies of the operands, tiles over them, bias and activation. See `product_plan`."""

from .launch import parallel
from .matrix_tiles import copy_columns, copy_rows_apart, finish_tile, product_tile, transpose_tile
from .product_plan import ROWS, VECTORS
from .simd import at, inlined, kernel, shifted
from .vector_math import sigmoid, tanh

TOGETHER = 32  # rows of b copied at a time: as many streams as a processor foresees


@parallel
def product(
    item, worker, a, a_row, a_column, b, b_row, b_column, y, bias, sums, kind, slope, sizes, scratch, kept
):  # fmt: skip
    """One item: y[part] = act(a b + bias), and to `sums`, if it has room, the sums of a's rows or, swapped, of b's columns.

    All but `kept` (workers, 8) are flat. Of a_row, a_column, the steps between a's rows and columns, one is 1, as of b_row,
    b_column. y is (parts, rows, columns), or where swapped (parts, columns, rows); sums (parts, rows), or (parts, columns).
    After bias and a relu of `slope` on negative values comes tanh for kind 1, the logistic function for kind 2; without a bias,
    nothing. `kept` is -1 at first: whose panels a worker has.
    """
    rows, depth, columns, group, block = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    deep, part, apart, a_place, y_place = sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    swap, keep, stream, lanes = sizes[10] > 0, sizes[11] > 0, sizes[12] > 0, sizes[13]
    rest, t = divmod(item, (rows + block - 1) // block)
    p, g = divmod(rest, (columns + group - 1) // group)
    first, end, result = p * deep, min(depth, (p + 1) * deep), p * rows * columns
    left, top = g * group, t * block
    width, count = min(group, columns - left), min(block, rows - top)
    across = (width + lanes - 1) // lanes * lanes
    own = worker * (len(scratch) // len(kept))  # where this worker's memory begins
    target, step = at(y, result + top * columns + left), columns
    if swap:
        target, step = at(scratch, own + y_place), across
    known = keep and kept[worker, 0] == g
    if keep:
        kept[worker, 0] = g
    for k in range(first, end, part):
        n = min(part, end - k)
        panels = own + (k * across if keep else 0)
        if not known:
            copy_b(b, b_row, b_column, k, n, left, width, lanes, scratch, panels)
        if a_column != 1:
            _copy_a(a, a_column, k, n, top, count, lanes, scratch, own + a_place, apart)
        if len(sums) > 0 and (t == 0 if swap else g == 0):  # of the copies that tiles read
            size, unit, between = (VECTORS * lanes, lanes, VECTORS * lanes * n) if swap else (ROWS, ROWS, apart)
            low, high = (left, left + width) if swap else (top, top + count)
            start = p * (columns if swap else rows)
            _add_sums(scratch[panels if swap else own + a_place :], n, size, unit, between, sums[start + low : start + high])
        for i in range(0, count, ROWS):
            if a_column == 1:
                source, row, along = at(a, (top + i) * a_row + k), a_row, 1
            else:
                source, row, along = at(scratch, own + a_place + i // ROWS * apart), 1, ROWS
            here = shifted(target, i * step)
            tiles(source, row, along, n, at(scratch, panels), width, lanes, here, step, count - i, k > first, stream, None, 0)
            if k + n == end and not swap:
                start = result + (top + i) * columns + left
                finish(y, start, columns, min(ROWS, count - i), width, bias, left, kind, slope)
    if swap:
        for j in range(0, width, lanes):
            for i in range(0, count, lanes):
                transpose_tile(
                    shifted(target, i * step + j), step, min(lanes, count - i), min(lanes, width - j),
                    at(y, result + (left + j) * rows + top + i), rows, min(lanes, count - i),
                )  # fmt: skip
        finish(y, result + left * rows + top, rows, width, count, bias, top, kind, slope)


@inlined
def tiles(source, row, along, n, panels, width, lanes, target, step, count, add, stream, ahead, pace):
    """`count` of ROWS rows of a over all panels; see product_tile."""
    for j in range(0, width, VECTORS * lanes):
        rest, panel, here = width - j, shifted(panels, j * n), shifted(target, j)
        if rest > 2 * lanes:
            product_tile(ROWS, 3, source, row, along, n, panel, here, step, count, rest, add, stream, ahead, pace)
        elif rest > lanes:
            product_tile(ROWS, 2, source, row, along, n, panel, here, step, count, rest, add, stream, ahead, pace)
        else:
            product_tile(ROWS, 1, source, row, along, n, panel, here, step, count, rest, add, stream, ahead, pace)


@kernel
def copy_b(b, row, column, first, count, left, width, lanes, target, base):
    """Panels (count, VECTORS * lanes or what is left) of b's rows from `first` on and of its columns from `left` on."""
    for k in range(first, first + count, TOGETHER):
        n = min(TOGETHER, first + count - k)
        for j in range(0, width, VECTORS * lanes):
            rest = width - j
            vectors = min(VECTORS, (rest + lanes - 1) // lanes)
            place = base + j * count + (k - first) * vectors * lanes
            if column != 1:
                for v in range(0, vectors * lanes, lanes):
                    for c in range(0, n, lanes):
                        transpose_tile(
                            at(b, (left + j + v) * column + k + c), column, min(lanes, rest - v), min(lanes, n - c),
                            at(target, place + c * vectors * lanes + v), vectors * lanes, lanes,
                        )  # fmt: skip
            elif vectors == 3:
                copy_columns(3, at(b, k * row + left + j), row, n, rest, at(target, place))
            elif vectors == 2:
                copy_columns(2, at(b, k * row + left + j), row, n, rest, at(target, place))
            else:
                copy_columns(1, at(b, k * row + left + j), row, n, rest, at(target, place))


@kernel
def _copy_a(a, column, first, count, top, height, lanes, target, base, apart):
    """Tiles (count, ROWS), `apart`, of a's rows from `top` on and of its columns from `first` on, which are contiguous."""
    for i in range(0, height, 8 * lanes):  # more tiles at a time would be more pages than a processor has at hand
        source = at(a, first * column + top + i)
        copy_rows_apart(ROWS, source, column, count, min(8 * lanes, height - i), at(target, base + i // ROWS * apart), apart)


@kernel
def _add_sums(matrices, n, size, unit, between, sums):
    """sums += sums over the rows of matrices (n, size), `between` from each to the next; the last is as narrow as units allow."""
    for i in range(0, len(sums), size):
        matrix, width = matrices[i // size * between :], min(size, (len(sums) - i + unit - 1) // unit * unit)
        total = matrix[:width].copy()
        for k in range(1, n):
            row = matrix[k * width : (k + 1) * width]
            for j in range(width):
                total[j] += row[j]
        for j in range(min(width, len(sums) - i)):
            sums[i + j] += total[j]


@inlined
def finish(y, start, step, count, width, bias, first, kind, slope):
    """act(values + bias) for `count` rows of `width` results, `step` apart; no bias, nothing to do."""
    if len(bias) > 0:
        finish_tile(at(y, start), step, count, width, at(bias, first), y.dtype.type(slope))
    if kind > 0:
        _activate(y, start, step, count, width, kind)


@kernel
def _activate(y, start, step, count, width, kind):
    for i in range(start, start + count * step, step):
        values = y[i : i + width]
        if kind == 1:
            for j in range(width):
                values[j] = tanh(values[j])
        else:
            for j in range(width):
                values[j] = sigmoid(values[j])


@parallel
def add_parts(row, parts, y, bias, kind, slope):
    """y[row] = act(sum over p of parts[p, row] + bias)."""
    values, columns = y[row], y.shape[1]
    values[:] = parts[0, row]
    for p in range(1, len(parts)):
        more = parts[p, row]
        for j in range(columns):
            values[j] += more[j]
    finish(y.reshape(-1), row * columns, columns, 1, columns, bias, 0, kind, slope)
