"""Matrix products, and a dense layer's: small ones by NumPy, whose calls cost less, large ones by the compiled kernels.

Besides being quicker, kernels share their threads with all other kernels, while those of NumPy's BLAS go on spinning for a while
after each product and take the kernels' time. What is not large OpenBLAS computes on one thread (0.3.31, AVX-512).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from .arrays import Array
from .compiled import part
from .epilogue import finish

LARGE = 1_000_000  # products of two numbers


def takes(a: Array, b: Array) -> ModuleType | None:
    """The kernels' module if a product of these matrices, or stacks of them, is theirs to compute."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or a.dtype != b.dtype or a.dtype.char not in "fd":
        return None
    return part("matmul")


def matmul(a: Array, b: Array) -> Array:
    """a @ b for (stacks of) matrices (..., M, K), (..., K, N) -> (..., M, N)."""
    if a.size * b.shape[-1] >= LARGE:
        cpu = takes(a, b)
        if cpu is not None:
            if a.ndim == b.ndim == 2:
                return cpu.matmul(a, b)
            if a.shape[:-2] == b.shape[:-2] and a.shape[-2] * a.shape[-1] * b.shape[-1] >= LARGE:
                return cpu.stack(a, b)
    return np.matmul(a, b)


def linear(x: Array, w: Array, bias: Array | None = None, slope: float = 1.0) -> Array:
    """act(x wᵀ + bias) for x (M, K), w (N, K), bias (N,); act(v) = v where v > 0, else slope v, as in `kernels.conv`."""
    if x.size * w.shape[0] >= LARGE:
        cpu = takes(x, w)
        if cpu is not None and (bias is None or bias.dtype == x.dtype):
            return cpu.matmul(x, w.T, bias, None if slope == 1 else "leaky_relu", slope)
    y = x @ w.T
    return finish(y if bias is None else np.add(y, bias, out=y), None, slope)


def linear_weight(x: Array, g: Array) -> tuple[Array, Array]:
    """(gᵀ x, sum of the rows of g) for x (M, K), g (M, N): the gradients of a dense layer's weight and bias."""
    if x.size * g.shape[1] >= LARGE:
        cpu = takes(x, g)
        if cpu is not None:
            return cpu.linear_weight(x, g)
    return g.T @ x, np.add.reduce(g, 0)
