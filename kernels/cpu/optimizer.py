"""Optimisers' rules: every parameter in one pass and one launch, each element read and written once.

A rule computes to the letter what the NumPy passes of `nnscratch.optim` compute, operation by operation and rounding by rounding:
no fast-math flags, so no fused multiply-add, and both give the same bits. Memory is the bound in any case.

Arrays come in a table with a row for each parameter: first item, elements, and the addresses of the array objects of the
parameter, its gradient and its state buffers. All are dense and, in a row, of the same strides: a row is some runs of memory.
An item is BLOCK elements of a row. A row of numbers goes with it, in the arrays' type: 1 - decoupled decay, the factor of the
gradient, weight decay, and the rule's own.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from .launch import parallel
from .simd import I64, inlined

BLOCK = 1 << 14
BUFFERS = 3  # most that a rule has
LIKE = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}
Rows = Sequence[Sequence[int]]  # each (elements, *addresses of the array objects)


def step(rule: str, rows: Rows, numbers: Sequence[tuple[Any, ...]], dtype: np.dtype) -> None:
    """Change the parameters and their buffers in place; a row of numbers has the rule's own coefficients as its last, a tuple."""
    kernel, own = RULES[rule]
    table, items = _table(rows)
    given = np.array([(*common, *own(*rest)) for *common, rest in numbers], dtype)
    kernel(items, table, given, LIKE[dtype], nanoseconds=2 * _elements(rows))


def squares(rows: Rows, dtype: np.dtype) -> float:
    """The sum of squares of all elements of all arrays, in float64."""
    table, items = _table(rows)
    sums = np.zeros(items)
    _squares(items, table, sums, LIKE[dtype], nanoseconds=_elements(rows) / 2)
    return float(sums.sum())


def scale(rows: Rows, factor: float, dtype: np.dtype) -> None:
    """Multiply all arrays by a factor, in place."""
    table, items = _table(rows)
    _scale(items, table, np.array([factor], dtype), LIKE[dtype], nanoseconds=_elements(rows))


def _elements(rows: Rows) -> int:
    return sum([row[0] for row in rows])


def _table(rows: Rows) -> tuple[np.ndarray, int]:
    """The rows with their first items, all of one length; and the number of items."""
    table, items = [], 0
    for row in rows:
        table.append((items, *row, *(0,) * (3 + BUFFERS - len(row))))
        items += -(-row[0] // BLOCK)
    return np.array(table, np.int64).reshape(-1, 4 + BUFFERS), items


# IEEE arithmetic, as it is written. A function that does not say so takes its caller's flags.
exact = njit(nogil=True, error_model="numpy", fastmath=False)


@intrinsic
def _memory(typing_context, address, like):
    """Pointer to the data of the array object at `address`, of like's dtype: the first field behind the object's header."""

    def codegen(context, builder, signature, args):
        place = context.get_value_type(signature.return_type).as_pointer()
        field = builder.add(args[0], I64(object.__basicsize__))
        return builder.load(builder.inttoptr(field, place))

    return types.CPointer(like.dtype)(types.int64, like), codegen


@inlined
def _row(item, table):
    """The row that an item belongs to: the last whose first item is not above it."""
    low, high = 0, len(table) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if table[middle, 0] <= item:
            low = middle
        else:
            high = middle - 1
    return low


@njit(nogil=True, error_model="numpy", fastmath=False, inline="always")
def _gradient(x, g, sign, decay):
    return x * decay + g * sign if decay != 0 else g * sign


@inlined
def _run(item, row, column, like):
    """The item's part of the array in a column of its row."""
    start = (item - row[0]) * BLOCK
    return carray(_memory(row[column], like), row[1])[start : min(start + BLOCK, row[1])]


@parallel
def _sgd(item, table, numbers, like):
    r = _row(item, table)
    row, momentum = table[r], table[r, 4] != 0
    _sgd_loop(
        _run(item, row, 2, like), _run(item, row, 3, like), _run(item, row, 4 if momentum else 2, like), numbers[r], momentum
    )


@exact
def _sgd_loop(p, g, b, numbers, momentum):
    shrink, sign, decay, lr, keep_b, keep_g = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    nesterov = numbers[6] != 0
    for i in range(len(p)):
        x = p[i] * shrink
        d = _gradient(x, g[i], sign, decay)
        if momentum:
            average = b[i] * keep_b + d * keep_g
            b[i] = average
            d = average * keep_b + d if nesterov else average
        p[i] = x - d * lr


@parallel
def _adam(item, table, numbers, like):
    r = _row(item, table)
    row, amsgrad = table[r], table[r, 6] != 0
    p, g, m, v = _run(item, row, 2, like), _run(item, row, 3, like), _run(item, row, 4, like), _run(item, row, 5, like)
    _adam_loop(p, g, m, v, _run(item, row, 6 if amsgrad else 5, like), numbers[r], amsgrad)


@exact
def _adam_loop(p, g, m, v, largest, numbers, amsgrad):
    shrink, sign, decay, rest_m, keep_v, rest_v = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    lr, eps = numbers[6], numbers[7]
    for i in range(len(p)):
        x = p[i] * shrink
        d = _gradient(x, g[i], sign, decay)
        mean = m[i] + (d - m[i]) * rest_m
        size = v[i] * keep_v + d * d * rest_v
        m[i] = mean
        v[i] = size
        if amsgrad:
            before = largest[i]
            size = before if before >= size or before != before else size  # nan wins, as in np.maximum
            largest[i] = size
        p[i] = x - mean / (np.sqrt(size) + eps) * lr


@parallel
def _rmsprop(item, table, numbers, like):
    r = _row(item, table)
    row, momentum, centered = table[r], numbers[r, 7] != 0, numbers[r, 8] != 0
    p, g, v = _run(item, row, 2, like), _run(item, row, 3, like), _run(item, row, 4, like)
    if not (momentum or centered):
        _plain_rmsprop_loop(p, g, v, numbers[r])
        return
    b, a = _run(item, row, 5 if momentum else 4, like), _run(item, row, 4 + centered + (centered and momentum), like)
    _rmsprop_loop(p, g, v, b, a, numbers[r], momentum, centered)


@exact
def _plain_rmsprop_loop(p, g, v, numbers):
    """Apart from the other, which is not vectorised when one buffer stands in for several."""
    shrink, sign, decay, lr, keep, rest, eps = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    for i in range(len(p)):
        x = p[i] * shrink
        d = _gradient(x, g[i], sign, decay)
        size = v[i] * keep + d * d * rest
        v[i] = size
        p[i] = x - d / (np.sqrt(size) + eps) * lr


@exact
def _rmsprop_loop(p, g, v, b, a, numbers, momentum, centered):
    shrink, sign, decay, lr, keep, rest = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    eps, keep_b = numbers[6], numbers[7]
    for i in range(len(p)):
        x = p[i] * shrink
        d = _gradient(x, g[i], sign, decay)
        size = v[i] * keep + d * d * rest
        v[i] = size
        if centered:
            mean = a[i] + (d - a[i]) * rest
            a[i] = mean
            size = size - mean * mean
        d = d / (np.sqrt(size) + eps)
        if momentum:
            d = b[i] * keep_b + d
            b[i] = d
        p[i] = x - d * lr


@parallel
def _adagrad(item, table, numbers, like):
    r = _row(item, table)
    row = table[r]
    _adagrad_loop(_run(item, row, 2, like), _run(item, row, 3, like), _run(item, row, 4, like), numbers[r])


@exact
def _adagrad_loop(p, g, s, numbers):
    shrink, sign, decay, lr, eps = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for i in range(len(p)):
        x = p[i] * shrink
        d = _gradient(x, g[i], sign, decay)
        size = s[i] + d * d
        s[i] = size
        p[i] = x - d / (np.sqrt(size) + eps) * lr


@parallel
def _average(item, table, numbers, like):
    """a <- a + rest (w - a), with a in the parameter's place and w in the gradient's."""
    r = _row(item, table)
    _average_loop(_run(item, table[r], 2, like), _run(item, table[r], 3, like), numbers[r, 3])


@exact
def _average_loop(a, w, rest):
    for i in range(len(a)):
        a[i] += (w[i] - a[i]) * rest


@parallel
def _squares(item, table, sums, like):
    x, total = _run(item, table[_row(item, table)], 2, like), 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    sums[item] = total


@parallel
def _scale(item, table, factor, like):
    x = _run(item, table[_row(item, table)], 2, like)
    for i in range(len(x)):
        x[i] *= factor[0]


# Name -> kernel, and the numbers that it takes, in double precision, from the coefficients of the rule.
RULES: dict[str, tuple[Callable, Callable[..., tuple[float, ...]]]] = {
    "sgd": (_sgd, lambda lr, momentum, keep, nesterov: (lr, momentum, keep, nesterov)),
    "adam": (_adam, lambda beta1, beta2, lr, eps: (1 - beta1, beta2, 1 - beta2, lr, eps)),
    "rmsprop": (_rmsprop, lambda lr, alpha, eps, momentum, centered: (lr, alpha, 1 - alpha, eps, momentum, centered)),
    "adagrad": (_adagrad, lambda lr, eps: (lr, eps)),
    "average": (_average, lambda decay: (1 - decay,)),
}
