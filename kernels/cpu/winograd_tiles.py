"""What is done to one tile of a Winograd convolution: into its transform, the products of many, and out again.

A tile of one phase (phases.py) has (m + r - 1)^2 points. Maps are looked up by name at compile time, hence the branches.
"""

from .epilogue import finish_rows, pool_rows
from .linear_maps import linear_map, tile_map
from .simd import ROWS_1, ROWS_2, ROWS_4, at, inlined, kernel, shifted
from .tiles import gather_tile
from .winograd_filters import grid, tables


@kernel
def _places(places, tile, rows, row_step, cols, col_step, size, down, across, image):
    """Offsets of the size x size pixels of one tile, row by row, from tables of `down` and `across` tiles."""
    n, place = divmod(tile, down * across)
    ty, tx = divmod(place, across)
    for a in range(size):
        row = rows[ty * row_step + a]
        for b in range(size):
            col = cols[tx * col_step + b]
            places[a * size + b] = n * image + row + col if row >= 0 and col >= 0 else -1


@kernel
def _map_input(m, r, source, places, zeros, target, step, channels):
    if r == 3:
        if m == 4:
            tile_map("input43", source, places, zeros, target, step, channels)
        else:
            tile_map("input23", source, places, zeros, target, step, channels)
    elif m == 4:
        tile_map("input42", source, places, zeros, target, step, channels)
    else:
        tile_map("input22", source, places, zeros, target, step, channels)


@kernel
def _map_output(m, r, source, places, target, targets, waste, channels):
    if r == 3:
        if m == 4:
            linear_map("output43", source, places, source, target, targets, waste, channels)
        else:
            linear_map("output23", source, places, source, target, targets, waste, channels)
    elif m == 4:
        linear_map("output42", source, places, source, target, targets, waste, channels)
    else:
        linear_map("output22", source, places, source, target, targets, waste, channels)


@inlined
def transform_tile(m, r, tile, phase, source, gather, first_row, first_col, zeros, channels, places, target, step):
    """B' x B of one tile of one phase of the source, its points `step` apart."""
    n, row_step, col_step = m + r - 1, gather.rows.shape[1], gather.cols.shape[1]
    down, across = divmod(phase, gather.sources[1])
    _places(
        at(places, 0), tile, at(gather.rows, first_row * row_step + down * n), row_step,
        at(gather.cols, first_col * col_step + across * n), col_step, n, gather.tiles[0], gather.tiles[1], gather.image,
    )  # fmt: skip
    _map_input(m, r, source, at(places, 0), zeros, target, step, channels)


@kernel
def _map_cotangent(m, r, source, places, zeros, target, step, channels):
    if r == 3:
        if m == 4:
            tile_map("output'43", source, places, zeros, target, step, channels)
        else:
            tile_map("output'23", source, places, zeros, target, step, channels)
    elif m == 4:
        tile_map("output'42", source, places, zeros, target, step, channels)
    else:
        tile_map("output'22", source, places, zeros, target, step, channels)


@inlined
def transform_cotangent(m, r, tile, source, gather, zeros, channels, places, target, step):
    """A g A' of one tile of the results' cotangent, its points `step` apart."""
    target_places(m, tile, gather, 0, 0, places)
    _map_cotangent(m, r, source, at(places, 0), zeros, target, step, channels)


@inlined
def target_places(m, tile, gather, first_row, first_col, places):
    """Offsets of the m x m results of one tile."""
    _places(
        at(places, 0), tile, at(gather.row_targets, first_row * m), m, at(gather.col_targets, first_col * m), m, m,
        gather.tiles[0], gather.tiles[1], gather.target_image,
    )  # fmt: skip


@inlined
def multiply(count, inputs, starts, filters, depth, products, targets, vectors, columns, ahead):
    """products (count, columns) = inputs (count, depth) @ filters (depth, columns); meanwhile as much `ahead` is fetched.

    starts and targets hold the rows' offsets; there are as many as `count` rounded up to whole tiles.
    """
    if vectors == 4:
        for i in range(0, count, ROWS_4):
            gather_tile(
                ROWS_4, 4, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0, products, at(targets, i), count - i, columns,
                False, shifted(ahead, min(i // ROWS_4, 3) * depth * (columns // 4)),
            )  # fmt: skip
    elif vectors == 2:
        for i in range(0, count, ROWS_2):
            gather_tile(
                ROWS_2, 2, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0, products, at(targets, i), count - i, columns,
                False, shifted(ahead, min(i // ROWS_2, 1) * depth * (columns // 2)),
            )  # fmt: skip
    else:
        for i in range(0, count, ROWS_1):
            gather_tile(
                ROWS_1, 1, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0, products, at(targets, i), count - i, columns,
                False, ahead,
            )  # fmt: skip


@inlined
def result_tables(m, n, step, columns):
    """Tables for `write_tile`: of offsets within its products, whose points lie `step` apart, and within its memory."""
    places, halves, quarters, points = tables()
    pixels, windows, _, _ = tables()
    grid(points, n, n, n * step, step)
    grid(halves, m, n, n * columns, columns)  # the half-transformed tile is kept by columns
    grid(quarters, n, m, columns, n * columns)
    grid(pixels, m, m, columns, m * columns)  # row by row
    for window in range(m * m // 4):
        corner = window // (m // 2) * 2 * m + window % (m // 2) * 2
        for q in range(4):
            windows[4 * window + q] = pixels[corner + q // 2 * m + q % 2]
    return points, halves, quarters, pixels, windows, places


@inlined
def write_tile(m, r, tile, products, room, columns, tables, y, gather, first_row, first_col, epilogue, channel, width):
    """The results of one tile for `width` channels from `channel` on: A' products A, and what the epilogue says.

    `room` has (n * n + m * m + 1) * columns elements.
    """
    n = m + r - 1
    points, halves, quarters, pixels, windows, places = tables
    half, whole, waste = room, shifted(room, n * n * columns), shifted(room, (n * n + m * m) * columns)
    bias = at(epilogue.bias, channel)
    for b in range(n):
        _map_output(m, r, products, at(points, n * b), half, at(halves, m * b), waste, width)
    if len(epilogue.argmax):
        target_places(m // 2, tile, gather, first_row, first_col, places)
        for a in range(m):
            _map_output(m, r, half, at(quarters, n * a), whole, at(pixels, m * a), waste, width)
        for window in range(m * m // 4):
            place = places[window] + channel
            if places[window] >= 0:
                pool_rows(whole, at(windows, 4 * window), bias, epilogue.slope, at(y, place), at(epilogue.argmax, place), width)
    else:
        target_places(m, tile, gather, first_row, first_col, places)
        for a in range(m):
            _map_output(m, r, half, at(quarters, n * a), at(y, channel), at(places, m * a), waste, width)
        if epilogue.active:
            finish_rows(at(y, channel), at(places, 0), m * m, bias, epilogue.slope, width)
