"""Matrix products of any layout at the speed of the multiplying units, or of the memory where that is slower."""

import numpy as np

from .launch import threads
from .product import add_parts, product
from .product_plan import Plan, plan
from .simd import aligned, lanes, plain

NO_SUMS = np.empty(0)
STREAM = 1 << 24  # bytes of a result that no cache holds until it is used
RATE = 90  # products a nanosecond of one core, to estimate times
NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}
LANES = {np.dtype(t): lanes(t) for t in (np.float32, np.float64)}
ACTIVATIONS = {None: 0, "relu": 0, "leaky_relu": 0, "tanh": 1, "sigmoid": 2}  # what is left to do after bias and slope


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None, slope: float = 0.01
) -> np.ndarray:
    """activation(a @ b + bias) for a (M, K), b (K, N), bias (N,), all of one type, float32 or float64.

    `activation` is None, "relu", "leaky_relu" (with `slope`), "tanh" or "sigmoid". Operands whose rows or columns are contiguous
    are read where they are. Raises ValueError where shapes do not fit, TypeError for other types.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or (bias is not None and bias.shape != b.shape[1:]):
        given = f"{a.shape} @ {b.shape}" + (f" + {bias.shape}" if bias is not None else "")
        raise ValueError(f"matmul: expected (M, K) @ (K, N) + (N,), got {given}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"matmul: activation must be one of {tuple(ACTIVATIONS)}, got {activation!r}")
    _check_types("matmul", a, b, bias)
    if activation and bias is None:
        bias = np.zeros(b.shape[1], a.dtype)
    slope = slope if activation == "leaky_relu" else 0.0 if activation == "relu" else 1.0
    y = aligned((a.shape[0], b.shape[1]), a.dtype)
    _run(a, b, y, bias, None, ACTIVATIONS[activation], slope)
    return y


def stack(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b for stacks of matrices (..., M, K) and (..., K, N) of the same shape; types as for `matmul`."""
    _check_types("stack", a, b)
    y = aligned((*a.shape[:-1], b.shape[-1]), a.dtype)
    for i in np.ndindex(*a.shape[:-2]):
        _run(a[i], b[i], y[i], None, None, 0, 1.0)
    return y


def linear_weight(x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gᵀ x, sum of the rows of g) for x (M, K), g (M, N): the gradients of a dense layer's weight and bias. Raises as matmul."""
    if x.ndim != 2 or g.ndim != 2 or len(x) != len(g):
        raise ValueError(f"linear_weight: expected (M, K) and (M, N), got {x.shape} and {g.shape}")
    _check_types("linear_weight", x, g)
    gw, gb = aligned((g.shape[1], x.shape[1]), x.dtype), np.zeros(g.shape[1])
    _run(g.T, x, gw, None, gb, 0, 1.0)
    return gw, gb.astype(x.dtype)


def _check_types(name: str, a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> None:
    if a.dtype not in LANES or b.dtype != a.dtype or (c is not None and c.dtype != a.dtype):
        names = ", ".join(sorted({array.dtype.name for array in (a, b, c) if array is not None}))
        raise TypeError(f"{name}: expected arrays of one type, float32 or float64, got {names}")


def _run(
    a: np.ndarray, b: np.ndarray, y: np.ndarray, bias: np.ndarray | None, sums: np.ndarray | None, kind: int, slope: float
) -> None:
    """y = act(a b + bias); to `sums`, float64, the sums of a's rows."""
    (rows, depth), columns, dtype = a.shape, b.shape[1], y.dtype
    nothing = NOTHING[dtype]
    bias = nothing if bias is None else plain(bias)
    if not y.size:
        if sums is not None and depth:
            np.add.reduce(a, 1, np.float64, out=sums)
        return
    if not depth:
        a, b, depth = np.zeros((rows, 1), dtype), np.zeros((1, columns), dtype), 1
    (a_data, a_row, a_column), (b_data, b_row, b_column) = _flat(a), _flat(b)
    if sums is not None and a_column == 1:  # then a is not copied, which is when the kernel sums
        np.add.reduce(a, 1, np.float64, out=sums)
        sums = None
    stream = y.nbytes >= STREAM and not len(bias)
    p: Plan = plan(rows, depth, columns, a_column == 1, b_column == 1, LANES[dtype], stream)
    if p.swap:
        a_data, a_row, a_column, b_data, b_row, b_column = b_data, b_column, b_row, a_data, a_column, a_row
    workers, whole = threads(), p.parts == 1
    kept = np.empty((workers, 8), np.int64)
    kept.fill(-1)
    last = (bias, kind) if whole else (nothing, 0)  # what is left for the kernel to do in the end
    target = y if whole else aligned((p.parts, *y.shape), dtype)
    totals = NO_SUMS if sums is None else np.zeros(p.parts * rows)
    product(
        p.items, a_data, a_row, a_column, b_data, b_row, b_column, target.reshape(-1), last[0], totals, last[1], slope, p.sizes,
        aligned((workers * p.room,), dtype), kept, nanoseconds=rows * columns * depth / RATE,
    )  # fmt: skip
    if sums is not None:
        np.add.reduce(totals.reshape(p.parts, rows), 0, out=sums)
    if not whole:
        add_parts(rows, target, y, bias, kind, slope, nanoseconds=target.size / 4)


def _flat(x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The memory of a matrix and the steps between its rows and columns, one of which is 1; a copy where neither would be."""
    flags, (m, n) = x.flags, x.shape
    if flags.writeable and flags.aligned:  # for a read-only array Numba would compile anew
        if flags.c_contiguous:
            return x.reshape(-1), n, 1
        if flags.f_contiguous:
            return x.T.reshape(-1), 1, m
        row, column = (step // x.itemsize for step in x.strides)
        if (column == 1 and row >= n) or (row == 1 and column >= m):
            size = (m - 1) * row + (n - 1) * column + 1
            return np.lib.stride_tricks.as_strided(x, (size,), (x.itemsize,)), row, column
    return plain(x).reshape(-1), n, 1
