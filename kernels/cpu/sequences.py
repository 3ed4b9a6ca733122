"""Kernels that run recurrent layers: one item of work is a block of the batch's rows, which goes through all steps alone.

So no thread waits for another between steps, and the weights, packed once, stay in each core's cache. Where both weights and
their gradients fit there too, an item does all of a layer: also the products with the input, and the gradients of input and
weights. Else those are matrix products outside (`plan.inside` is 0).

States h are (steps + 1, batch, size), in the order in which the sequence is read: h[k] before step k, h[k + 1] after it.
"""

from typing import NamedTuple

import numpy as np

from .gates import (
    gru_cell,
    gru_cell_back,
    lstm_cell,
    lstm_cell_back,
    relu_cell,
    relu_cell_back,
    tanh_cell,
    tanh_cell_back,
)
from .launch import parallel
from .matrix_tiles import copy_columns, product_tile
from .product import copy_b, tiles
from .product_plan import ROWS, VECTORS
from .simd import WIDEST, at, inlined, kernel

LSTM, GRU, TANH, RELU = range(4)
WEIGHT_ROWS = 6  # of a register tile of weight gradients, WIDEST vectors wide
NARROW_ROWS, NARROW = 12, WIDEST // 2  # rows and vectors of one for their last columns
DEPTH = 256  # products per pass over a block: a panel of weights stays near


class Plan(NamedTuple):
    """The sizes of a sequence, how its work is cut, and how its memory is laid out; distances are in elements."""

    kind: int
    steps: int
    batch: int
    features: int
    size: int
    width: int  # of the gates side by side
    rows: int  # of the batch in one item
    together: int  # rows of several steps whose share of a weight's gradient is added at a time
    inside: int  # whether the kernels do more than the recurrence
    reverse: int
    keep: int  # the gates of all steps, for the gradients, and not those of one
    lanes: int
    x_step: int  # distances in x's memory
    x_row: int
    shift: int  # in a row of the gates' cotangents, between those that the input's weights see and those that the state's see
    turn: int  # the former begin with the gate of this row of the weights
    stride: int  # of those rows


@parallel
def pack_panel(panel, w, packed, depth, columns, transposed, turn, lanes):
    """One panel (depth, VECTORS vectors or what is left) of a matrix, from w (depth, columns) or, transposed, (columns, depth).

    In the first case the panel's row c is w's row (c + turn) % depth.
    """
    width = VECTORS * lanes
    first = panel * width
    row, column = (1, depth) if transposed else (columns, 1)
    n = min(width, columns - first)
    copy_b(w, row, column, turn, depth - turn, first, n, lanes, packed, first * depth)
    if turn:
        copy_b(
            w, row, column, 0, turn, first, n, lanes, packed, first * depth + (depth - turn) * ((n + lanes - 1) // lanes * lanes)
        )


@kernel
def _product(source, begin, step, count, depth, packed, columns, lanes, target, place, target_step, add):
    """target[place + i * target_step + j] (+)= sum over c < depth of source[begin + i * step + c] * packed[c, j].

    i < count, j < columns.
    """
    for j in range(0, columns, VECTORS * lanes):
        width = min(VECTORS * lanes, columns - j)
        across = (width + lanes - 1) // lanes * lanes
        for c in range(0, depth, DEPTH):
            n, panel = min(DEPTH, depth - c), at(packed, j * depth + c * across)
            for i in range(0, count, ROWS):
                tiles(
                    at(source, begin + i * step + c), step, 1, n, panel, width, lanes, at(target, place + i * target_step + j),
                    target_step, count - i, add or c > 0, False, None, 0,
                )  # fmt: skip


@inlined
def _copy(a, source, target, count):
    for i in range(count):
        a[target + i] = a[source + i]


@parallel
def forward(block, worker, plan, x, gates, h, kept, running, w_ih, w_hh, b_ih, b_hh, memory):
    """States h and gates of one block, from h[0]; unless inside, from gates that hold what the input gives to them.

    kept: an LSTM's cell states, like h; for a GRU (steps, batch, size), what the state gives to n. gates: (steps, batch, width)
    in the order of reading. running: the rows that take part in each step; the others keep their states.
    """
    kind, size, width, lanes = plan.kind, plan.size, plan.width, plan.lanes
    fresh, more = np.bool_(False), np.bool_(True)  # not literals, for each of which Numba would compile _product once more
    first, start = block * plan.rows, np.int64(0)
    most, from_state = min(plan.rows, plan.batch - first), memory[worker]
    for k in range(plan.steps):
        t = plan.steps - 1 - k if plan.reverse else k
        n, row = max(0, min(most, running[k] - first)), k * plan.batch + first
        gate_row = row if plan.keep else worker * plan.rows
        if plan.inside:
            begin = t * plan.x_step + first * plan.x_row
            _product(x, begin, plan.x_row, n, plan.features, w_ih, width, lanes, gates, gate_row * width, width, fresh)
        if kind == GRU:
            _product(h, row * size, size, n, size, w_hh, width, lanes, from_state, start, width, fresh)
        else:
            _product(h, row * size, size, n, size, w_hh, width, lanes, gates, gate_row * width, width, more)
        for i in range(n):
            a, here, after = at(gates, (gate_row + i) * width), (row + i) * size, (row + i + plan.batch) * size
            if kind == LSTM:
                lstm_cell(a, at(b_ih, 0), at(kept, here), at(kept, after), at(h, after), size)
            elif kind == GRU:
                s = at(from_state, i * width)
                gru_cell(a, s, at(b_ih, 0), at(b_hh, 0), at(h, here), at(kept, here), at(h, after), size)
            elif kind == TANH:
                tanh_cell(a, at(b_ih, 0), at(h, after), size)
            else:
                relu_cell(a, at(b_ih, 0), at(h, after), size)
        if n < most:
            here, rest = (row + n) * size, (most - n) * size
            _copy(h, here, here + plan.batch * size, rest)
            if kind == LSTM:
                _copy(kept, here, here + plan.batch * size, rest)


@inlined
def _add_to_panels(source, begin, step, count, columns, panels, done, apart, lanes):
    """`count` rows of the source, after `done` others, in the order in which tiles read them: panels `apart` from each other."""
    for q in range(0, columns, WIDEST * lanes):
        rest, place = columns - q, q // (WIDEST * lanes) * apart
        if rest <= NARROW * lanes:
            copy_columns(NARROW, at(source, begin + q), step, count, rest, at(panels, place + done * NARROW * lanes))
        else:
            copy_columns(WIDEST, at(source, begin + q), step, count, rest, at(panels, place + done * WIDEST * lanes))


@kernel
def _weight_gradient(da, stride, count, panels, apart, rows, columns, lanes, total, add):
    """total[r * columns + j] (+)= sum over p < count of da[p * stride + r] * (row p of the panels)[j]; r < rows, j < columns."""
    for q in range(0, columns, WIDEST * lanes):
        rest, panel = columns - q, q // (WIDEST * lanes) * apart
        if rest <= NARROW * lanes:
            for r in range(0, rows, NARROW_ROWS):
                product_tile(
                    NARROW_ROWS, NARROW, at(da, r), 1, stride, count, at(panels, panel), at(total, r * columns + q), columns,
                    rows - r, rest, add, False, None, 0,
                )  # fmt: skip
        else:
            for r in range(0, rows, WEIGHT_ROWS):
                product_tile(
                    WEIGHT_ROWS, WIDEST, at(da, r), 1, stride, count, at(panels, panel), at(total, r * columns + q), columns,
                    rows - r, rest, add, False, None, 0,
                )  # fmt: skip


@parallel
def backward(block, worker, plan, x, gates, h, kept, running, gy, gy_step, gy_row, dh, dc, dx, w_ih, w_hh, parts, needs, memory):
    """Gradients of one block, from those of all outputs (gy), of the last h (dh) and, for an LSTM, of the last c (dc).

    dh and dc become those of the first states; dx gets the input's, and a row of `parts` this block's share of the weights'
    and biases'. Unless inside, `memory` gets the gates' instead, in the order of reading. needs: whether dx, the first states'
    and the weights' are wanted. The rest is as `forward` left it.
    """
    kind, size, features, width, stride, lanes = plan.kind, plan.size, plan.features, plan.width, plan.stride, plan.lanes
    needs_x, needs_h, needs_w = needs
    fresh, wide, apart = np.bool_(False), width + plan.shift, plan.together * WIDEST * lanes
    more: np.bool_
    first, count, more = block * plan.rows, np.int64(0), np.bool_(False)
    most = min(plan.rows, plan.batch - first)
    da, part = memory[worker if plan.inside else 0], parts[block]
    x_panels = da[plan.together * stride :]
    h_panels = x_panels[(features + WIDEST * lanes - 1) // (WIDEST * lanes) * apart :]
    gw_hh, gb = part[width * features :], part[width * (features + size) :]
    gb[:] = 0
    for k in range(plan.steps - 1, -1, -1):
        t = plan.steps - 1 - k if plan.reverse else k
        n, row = max(0, min(most, running[k] - first)), k * plan.batch + first
        place = count if plan.inside else row
        for i in range(n):
            a, to = at(gates, (row + i) * width), at(da, (place + i) * stride)
            here, after = (row + i) * size, (row + i + plan.batch) * size
            g, d = at(gy, t * gy_step + (first + i) * gy_row), at(dh, (first + i) * size)
            if kind == LSTM:
                lstm_cell_back(a, at(kept, here), at(kept, after), g, d, at(dc, (first + i) * size), to, size)
            elif kind == GRU:
                gru_cell_back(a, at(h, here), at(kept, here), g, d, to, size)
            elif kind == TANH:
                tanh_cell_back(at(h, after), g, d, to, size)
            else:
                relu_cell_back(at(h, after), g, d, to, size)
        if k or needs_h:
            begin = place * stride + plan.shift
            _product(da, begin, stride, n, width, w_hh, size, lanes, dh, first * size, size, kind == GRU)
        if not plan.inside:
            continue
        if needs_x:
            to_x = (t * plan.batch + first) * features
            _product(da, place * stride, stride, n, width, w_ih, features, lanes, dx, to_x, features, fresh)
        if n and needs_w:
            begin = t * plan.x_step + first * plan.x_row
            _add_to_panels(x, begin, plan.x_row, n, features, x_panels, count, apart, lanes)
            _add_to_panels(h, row * size, size, n, size, h_panels, count, apart, lanes)
            for i in range(count * stride, (count + n) * stride, stride):
                values = da[i : i + wide]
                for j in range(wide):
                    gb[j] += values[j]
            count += n
        if count and (count + most > plan.together or k == 0):
            above = width - plan.turn
            _weight_gradient(da, stride, count, x_panels, apart, above, features, lanes, part[plan.turn * features :], more)
            if plan.turn:
                _weight_gradient(da[above:], stride, count, x_panels, apart, plan.turn, features, lanes, part, more)
            _weight_gradient(da[plan.shift :], stride, count, h_panels, apart, width, size, lanes, gw_hh, more)
            count, more = np.int64(0), np.bool_(True)
    if not more:
        part[:] = 0


@inlined
def _sum(parts, start, to):
    for p in range(len(parts)):
        part = parts[p, start : start + len(to)]
        if p == 0:
            for j in range(len(to)):
                to[j] = part[j]
        else:
            for j in range(len(to)):
                to[j] += part[j]


@parallel
def collect(row, parts, gw_ih, gw_hh):
    """One row of the weights' gradients: the sum over parts."""
    features, size = gw_ih.shape[1], gw_hh.shape[1]
    _sum(parts, row * features, gw_ih[row])
    _sum(parts, len(gw_ih) * features + row * size, gw_hh[row])
