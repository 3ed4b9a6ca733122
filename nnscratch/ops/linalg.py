"""Products of matrices, vectors and tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import defvjp, fused, primitive
from ..kernels import products
from ..kernels.epilogue import unfinish
from .activation import rectified
from .arithmetic import add, mul
from .dims import axes_of
from .reduce import sum
from .shape import squeeze, unsqueeze
from .views import permute, reshape, transpose

__all__ = ["addmm", "addmv", "baddbmm", "bmm", "dot", "kron", "linear", "matmul", "mm", "mv", "outer", "tensordot", "vdot"]


@primitive
def _matmul(a, b):
    """The product of (stacks of) matrices; each has at least two dimensions."""
    return products.matmul(a, b)


def _flip(x: Any) -> Any:
    return x.T if x.ndim == 2 else transpose(x, -2, -1)


defvjp(
    _matmul,
    lambda g, _y, _a, b: g @ _flip(b),
    lambda g, _y, a, _b: _flip(a) @ g,
)


@primitive
def _linear(x, w, b):
    return products.linear(x, w, b)


defvjp(
    _linear,
    lambda g, _y, _x, w, _b: g @ w,
    lambda g, _y, x, _w, _b: g.T @ x,
    lambda g, _y, _x, _w, _b: sum(g, 0),
)


@fused(lambda x, w, b: _linear(x, w, b))
def linear_block(x, w, b):
    """A large `_linear` with a bias: its gradient comes with the weight's, which reads the cotangent anyway."""
    return products.linear(x, w, b), None


@linear_block.backward
def _(g, _y, _residuals, needs, x, w, _b) -> Any:
    return _linear_gradients(g, needs, x, w)


def _linear_gradients(g, needs, x, w) -> Any:
    gx = products.matmul(g, w) if needs[0] else None
    if needs[1] and needs[2]:
        return gx, *products.linear_weight(x, g)
    return gx, products.matmul(g.T, x) if needs[1] else None, sum(g, 0) if needs[2] else None


@fused(lambda x, w, b, *, slope: rectified(_linear(x, w, b), slope))
def linear_act(x, w, b, *, slope):
    """act(x wᵀ + b) of a large dense layer: relu for a slope of 0, leaky_relu for one below 1."""
    return products.linear(x, w, b, slope), None


@linear_act.backward
def _(g, y, _residuals, needs, x, w, _b, *, slope) -> Any:
    return _linear_gradients(unfinish(g, y, slope), needs, x, w)


def _check_dtypes(name: str, a: Any, b: Any) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name}: expected equal dtypes, got {a.dtype} and {b.dtype}; convert one with .to(dtype)")


def matmul(input: Any, other: Any) -> Any:
    """The product Σ_k input[..., i, k] · other[..., k, j]; leading dimensions broadcast.

    A vector is a row on the left and a column on the right, and its dimension goes.

    Raises RuntimeError where the inner sizes, the leading ones or the dtypes do not fit.
    """
    a, b = input, other
    m, n = a.ndim, b.ndim
    if not m or not n:
        raise RuntimeError(f"matmul: expected at least one dimension each, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    if a.shape[-1] != b.shape[-2 if n > 1 else 0]:
        sizes = f"{a.shape[-1]} and {b.shape[-2 if n > 1 else 0]}"
        raise RuntimeError(f"matmul: the inner sizes of shapes {tuple(a.shape)} and {tuple(b.shape)} differ: {sizes}")
    if a.dtype != b.dtype:
        _check_dtypes("matmul", a, b)
    if m == 2 and n == 2:
        return _matmul(a, b)
    if m == 1 and n == 1:
        return sum(mul(a, b))
    if n == 1:
        return squeeze(matmul(a, unsqueeze(b, 1)), -1)
    if m == 1:
        return squeeze(matmul(unsqueeze(a, 0), b), -2)
    if n == 2:  # one matrix for the whole stack: a single product of two matrices
        rows = math.prod(a.shape[:-1])
        return reshape(_matmul(reshape(a, (rows, a.shape[-1])), b), (*a.shape[:-1], b.shape[-1]))
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise RuntimeError(f"matmul: the stacks of shapes {tuple(a.shape)} and {tuple(b.shape)} do not broadcast") from None
    return _matmul(a, b)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """input @ weightᵀ + bias: (..., in) with weight (out, in) and bias (out) to (..., out). Raises RuntimeError.

    A weight of shape (in), with a bias of shape (), stands for one output without a dimension of its own: (..., in) to (...).
    """
    shape, sizes = input.shape, weight.shape
    if len(sizes) == 1:
        y = linear(input, unsqueeze(weight, 0), bias if bias is None else reshape(bias, (1,)))
        return squeeze(y, -1)
    fits = len(sizes) == 2 and len(shape) > 0 and shape[-1] == sizes[1]
    if not fits or (bias is not None and tuple(bias.shape) != sizes[:1]):
        raise RuntimeError(f"linear: {_misfit(tuple(shape), tuple(sizes), bias)}")
    if input.dtype != weight.dtype:
        _check_dtypes("linear", input, weight)
    if bias is not None and bias.dtype != weight.dtype:
        _check_dtypes("linear", bias, weight)
    if len(shape) != 2:
        y = linear(reshape(input, (math.prod(shape[:-1]), shape[-1])), weight, bias)
        return reshape(y, (*shape[:-1], sizes[0]))
    large = bias is not None and shape[0] * sizes[0] * sizes[1] >= products.LARGE
    return linear_block(input, weight, bias) if large else _linear(input, weight, bias)


def _misfit(input: tuple[int, ...], weight: tuple[int, ...], bias: Any) -> str:
    """What does not fit in these arguments of `linear`."""
    if len(weight) != 2:
        return f"the weight has shape {weight}, expected (out, in) or (in,)"
    if not input:
        return f"the input has no dimensions, expected (..., {weight[1]})"
    if input[-1] != weight[1]:
        return f"the input has {input[-1]} features, the weight expects {weight[1]} (input shape {input}, weight shape {weight})"
    return f"the bias has shape {tuple(bias.shape)}, the weight of shape {weight} expects ({weight[0]},)"


def _product(name: str, a: Any, b: Any, ranks: tuple[int, int]) -> Any:
    if (a.ndim, b.ndim) != ranks:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise RuntimeError(f"{name}: expected {ranks[0]} and {ranks[1]} dimensions, got shapes {shapes}")
    return matmul(a, b)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices. Raises RuntimeError for other dimensions."""
    return _product("mm", input, mat2, (2, 2))


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two stacks of matrices, (b, n, k) and (b, k, m). Raises RuntimeError for other dimensions."""
    if input.ndim == mat2.ndim == 3 and input.shape[0] != mat2.shape[0]:
        raise RuntimeError(f"bmm: expected equally many matrices, got shapes {tuple(input.shape)} and {tuple(mat2.shape)}")
    return _product("bmm", input, mat2, (3, 3))


def mv(input: Any, vec: Any) -> Any:
    """A matrix times a vector. Raises RuntimeError for other dimensions."""
    return _product("mv", input, vec, (2, 1))


def dot(input: Any, tensor: Any) -> Any:
    """Σ a_i b_i of two vectors. Raises RuntimeError for other dimensions."""
    return _product("dot", input, tensor, (1, 1))


vdot = dot


def outer(input: Any, vec2: Any) -> Any:
    """y_ij = a_i b_j of two vectors. Raises RuntimeError for other dimensions."""
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(f"outer: expected two vectors, got shapes {tuple(input.shape)} and {tuple(vec2.shape)}")
    return mul(unsqueeze(input, 1), vec2)


def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: each element of input, in its place, times all of other. Missing dimensions in front are 1."""
    n = max(input.ndim, other.ndim)
    a, b = [(1,) * (n - x.ndim) + tuple(x.shape) for x in (input, other)]
    spread = mul(reshape(input, tuple([k for i in a for k in (i, 1)])), reshape(other, tuple([k for i in b for k in (1, i)])))
    return reshape(spread, tuple([i * j for i, j in zip(a, b)]))


def _plus(input: Any, product: Any, beta: float, alpha: float) -> Any:
    """beta · input + alpha · product; input is not looked at where beta is 0."""
    product = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return product
    return add(input if beta == 1 else mul(input, beta), product)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat1 @ mat2."""
    return _plus(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat @ vec."""
    return _plus(input, mv(mat, vec), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · batch1 @ batch2, for stacks of matrices."""
    return _plus(input, bmm(batch1, batch2), beta, alpha)


def tensordot(a: Any, b: Any, dims: int | Sequence[Sequence[int]] = 2) -> Any:
    """The sum of products over the last `dims` dimensions of a and the first of b, or over those named by a pair of lists.

    Raises RuntimeError where their sizes differ.
    """
    if isinstance(dims, int):
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    da, db = axes_of(dims[0], a.ndim), axes_of(dims[1], b.ndim)
    if [a.shape[i] for i in da] != [b.shape[i] for i in db]:
        raise RuntimeError(f"tensordot: sizes differ in dims {da} of {tuple(a.shape)} and {db} of {tuple(b.shape)}")
    fa, fb = [i for i in range(a.ndim) if i not in da], [i for i in range(b.ndim) if i not in db]
    inner = math.prod([a.shape[i] for i in da])
    rows, columns = tuple([a.shape[i] for i in fa]), tuple([b.shape[i] for i in fb])
    left = reshape(permute(a, (*fa, *da)), (math.prod(rows), inner))
    right = reshape(permute(b, (*db, *fb)), (inner, math.prod(columns)))
    return reshape(matmul(left, right), rows + columns)
