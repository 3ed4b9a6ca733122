"""Activations, with torch.nn.functional's names and arguments.

`inplace` is accepted and changes nothing: the result is a new tensor, and the input keeps its values.
"""

# ruff: noqa: ARG001 (torch's `inplace`)

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import defvjp, primitive
from ..kernels import rows
from ..kernels.select import select
from .arithmetic import abs, add, astype, div, mul, neg, sub
from .compare import clamp, ge, gt, le, logical_and, where
from .dims import axis_of
from .pointwise import pointwise, pointwise_composite, pointwise_vjp
from .powers import exp, expm1
from .promote import as_float
from .reduce import sum
from .trigonometric import erf, sigmoid, tanh

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "selu", "silu", "softmax", "softmin", "softplus", "softshrink",
    "softsign", "tanhshrink", "threshold",
]  # fmt: skip

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, equation 14
SELU_SCALE = 1.0507009873554804934193349852946

# ------------------------------------------------------------------------------------------------- rectifiers and kinks


@primitive
@pointwise
def _relu(x):
    return np.maximum(x, 0)


defvjp(
    _relu,
    pointwise_vjp("relu", lambda g, y, _x: select(np.not_equal(y, 0), g, 0) if type(g) is np.ndarray else where(y != 0, g, 0)),
)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); derivative 0 at 0. A NaN passes its cotangent on."""
    return _relu(input)


@primitive
@pointwise
def _leaky_relu(x, *, slope):
    return select(x > 0, x, x * slope)


# For slope >= 0 the output has the input's sign, so the input need not be kept.
defvjp(_leaky_relu, pointwise_vjp("leaky_relu", lambda g, y, _x, *, slope: where(y > 0, g, g * slope)))


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope·x; derivative negative_slope at 0."""
    if negative_slope < 0:
        return where(gt(input, 0), input, mul(input, negative_slope))
    return _leaky_relu(input, slope=negative_slope)


def rectified(y: Any, slope: float) -> Any:
    """y for y > 0, else slope y: relu for 0, y itself for 1."""
    return y if slope == 1 else relu(y) if slope == 0 else leaky_relu(y, slope)


def prelu(input: Any, weight: Any) -> Any:
    """max(x, 0) + weight·min(x, 0), with one weight, or one for each channel (dimension 1).

    Raises RuntimeError when the number of weights is neither 1 nor the number of channels.
    """
    n, channels = math.prod(weight.shape), input.shape[1] if input.ndim > 1 else 1
    if n not in (1, channels):
        raise RuntimeError(f"prelu: expected 1 weight or one for each of {channels} channels, got {n}")
    weight = weight.reshape((n,) + (1,) * (input.ndim - 2)) if input.ndim > 1 else weight.reshape(())
    return add(_relu(input), mul(weight, clamp(input, max=0)))


@primitive
@pointwise
def _hardtanh(x, *, low, high):
    return np.minimum(np.maximum(x, low), high)


defvjp(_hardtanh, pointwise_vjp("hardtanh", lambda g, y, _x, *, low, high: where((y != low) & (y != high), g, 0)))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x limited to [min_val, max_val]; derivative 0 at the limits. Raises ValueError when min_val > max_val."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is larger than max_val {max_val}")
    return _hardtanh(input, low=min_val, high=max_val)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6); derivative 0 at 0 and 6."""
    return _hardtanh(input, low=0, high=6)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return div(relu6(add(input, 3)), 6)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x·relu6(x + 3) / 6."""
    return mul(input, hardsigmoid(input))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 for |x| <= lambd, else x."""
    return where(logical_and(ge(input, -lambd), le(input, lambd)), 0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, and 0 within it. Raises ValueError for a negative lambd."""
    if lambd < 0:
        raise ValueError(f"softshrink: expected lambd >= 0, got {lambd}")
    return sub(input, clamp(input, -lambd, lambd))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    return where(le(input, threshold), value, input)


# -------------------------------------------------------------------------------------------------- smooth activations


@primitive
@pointwise
def _elu(x, *, alpha, scale, rate):
    x = as_float(x)
    return select(x > 0, x, np.expm1(np.minimum(x, 0) * rate) * alpha) * scale


# For alpha >= 0 the output has the input's sign. Below 0, y + scale·alpha is the exponential.
defvjp(
    _elu,
    pointwise_vjp("elu", lambda g, y, _x, *, alpha, scale, rate: g * where(y > 0, scale, (y + scale * alpha) * rate)),
)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha·(e^x - 1) (Clevert et al. 2015); derivative alpha at 0."""
    if alpha < 0:
        return where(gt(input, 0), input, mul(expm1(clamp(input, max=0)), alpha))
    return _elu(input, alpha=alpha, scale=1.0, rate=1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """1.0507·elu(x, 1.6733) (Klambauer et al. 2017)."""
    return _elu(input, alpha=SELU_ALPHA, scale=SELU_SCALE, rate=1.0)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """max(x, 0) + min(0, alpha·(e^(x/alpha) - 1)) (Barron 2017). Raises ZeroDivisionError for alpha = 0."""
    if alpha < 0:
        return where(gt(input, 0), input, mul(expm1(div(clamp(input, max=0), alpha)), alpha))
    return _elu(input, alpha=alpha, scale=1.0, rate=1 / alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x·Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel 2016), or its approximation by 'tanh'.

    Raises ValueError for another `approximate`.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


@pointwise_composite
def _gelu(x):
    return mul(x, add(mul(erf(mul(x, math.sqrt(0.5))), 0.5), 0.5))


@pointwise_composite
def _gelu_tanh(x):
    cubic = mul(x, add(mul(mul(x, x), 0.044715), 1))
    return mul(x, add(mul(tanh(mul(cubic, math.sqrt(2 / math.pi))), 0.5), 0.5))


@pointwise_composite
def _silu(x):
    return mul(x, sigmoid(x))


def silu(input: Any, inplace: bool = False) -> Any:
    """x·sigmoid(x)."""
    return _silu(input)


@pointwise_composite
def _mish(x):
    return mul(x, tanh(softplus(x)))


def mish(input: Any, inplace: bool = False) -> Any:
    """x·tanh(softplus(x)) (Misra 2019)."""
    return _mish(input)


@primitive
@pointwise
def _softplus(x, *, beta, threshold):
    x = as_float(x)
    z = x * beta
    return select(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def _softplus_vjp(g, _y, x, *, beta, threshold):
    z = x * beta
    return where(z > threshold, g, g * sigmoid(z))


defvjp(_softplus, pointwise_vjp("softplus", _softplus_vjp))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold."""
    return _softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Any) -> Any:
    """log sigmoid(x) = -log(1 + e^-x), finite for any finite x."""
    return _softplus(input, beta=-1.0, threshold=math.inf)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return div(input, add(abs(input), 1))


def tanhshrink(input: Any) -> Any:
    """x - tanh x."""
    return sub(input, tanh(input))


# --------------------------------------------------------------------------------------------------- along a dimension


def glu(input: Any, dim: int = -1) -> Any:
    """a·sigmoid(b), a and b the two halves of x along dim (Dauphin et al. 2016). Raises RuntimeError for an odd size."""
    axis = axis_of(dim, input.ndim)
    if input.ndim == 0 or input.shape[axis] % 2:
        raise RuntimeError(f"glu: dimension {dim} must be of even size to be halved, the input has shape {tuple(input.shape)}")
    half = input.shape[axis] // 2
    before = (slice(None),) * axis
    return mul(input[(*before, slice(half))], sigmoid(input[(*before, slice(half, None))]))


@primitive
def _softmax(x, *, dim):
    if x.size == 0:
        return np.copy(x)
    y = rows.softmax(x, dim)
    if y is not None:
        return y
    y = np.exp(x - np.max(x, axis=dim, keepdims=True))
    return y / np.sum(y, axis=dim, keepdims=True)


def _softmax_vjp(g, y, _x, *, dim):
    gx = rows.softmax_vjp(g, y, dim) if type(g) is np.ndarray else None
    if gx is not None:
        return gx
    h = g * y
    return h - y * sum(h, dim, True)


defvjp(_softmax, _softmax_vjp)


@primitive
def _log_softmax(x, *, dim):
    if x.size == 0:
        return np.copy(x)
    y = rows.softmax(x, dim, logarithm=True)
    if y is not None:
        return y
    y = x - np.max(x, axis=dim, keepdims=True)
    return y - np.log(np.sum(np.exp(y), axis=dim, keepdims=True))


def _log_softmax_vjp(g, y, _x, *, dim):
    gx = rows.softmax_vjp(g, y, dim, logarithm=True) if type(g) is np.ndarray else None
    return g - exp(y) * sum(g, dim, True) if gx is None else gx


defvjp(_log_softmax, _log_softmax_vjp)


def _along(op: Any, x: Any, dim: int, dtype: Any) -> Any:
    if dtype is not None:
        x = astype(x, dtype=dtype)
    elif x.dtype.kind != "f":
        raise RuntimeError(f"softmax: expected a floating-point input, got {x.dtype}; give a dtype to convert it")
    axis = axis_of(dim, x.ndim)
    return op(x, dim=axis) if x.ndim else op(x.reshape((1,)), dim=0).reshape(())


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """e^x / Σ e^x along dim, without overflow. Raises IndexError for a wrong dim, RuntimeError for integers without a dtype."""
    return _along(_softmax, input, dim, dtype)


def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """softmax(-x)."""
    return softmax(neg(input), dim, dtype)


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """x - log Σ e^x along dim, exact where softmax underflows. Errors as softmax."""
    return _along(_log_softmax, input, dim, dtype)
