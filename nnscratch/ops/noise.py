"""Noise inside a network: dropout in its forms, randomised rectifiers, and sampling from a distribution.

All draw from `generator`, or from the default one, and only while `training`.
"""

# ruff: noqa: ARG001 (torch's `inplace`)

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import fused
from ..backend import Generator, generator_or_default
from ..kernels import pointwise
from ..kernels import random as kernels
from ..kernels.select import select
from ..tensor import Tensor, array_of
from .activation import SELU_ALPHA, SELU_SCALE, leaky_relu, softmax
from .arithmetic import add, div, mul, sub
from .compare import gt, where
from .creation import made
from .dims import axis_of
from .promote import as_float
from .random import MANY, draw_kept, draw_uniform, kept_by

__all__ = [
    "alpha_dropout", "bernoulli", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gumbel_softmax",
    "multinomial", "rrelu",
]  # fmt: skip


def _kept(x: Any, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """A boolean array of `shape` on x's device, True with probability 1 - p."""
    array = array_of(x)
    if tuple(shape) == array.shape:
        keep = draw_kept(array, p, generator)
    else:
        keep = draw_uniform(shape, backend.float32, generator) >= p
    return backend.array_module(array).asarray(keep)


def _mask(x, keep, scale):
    y = pointwise.masked(x, keep, scale)
    return select(keep, x * scale, 0) if y is None else y


@fused(lambda x, *, keep, scale: where(keep, mul(x, scale), 0))
def _masked(x, *, keep, scale):
    """scale x where `keep` holds, else 0."""
    return _mask(as_float(x), keep, scale), None


@_masked.backward
def _(g, _y, _residuals, _needs, _x, *, keep, scale):
    return (_mask(g, keep, scale),)


@fused(lambda x, *, p, scale, key: where(kept_by(x, p, key), mul(x, scale), 0))
def _dropped(x, *, p, scale, key):
    """scale x where the mask of this key holds, which is drawn again whenever it is needed and never in memory."""
    return kernels.dropout(x, x, p, scale, key), None


@_dropped.backward
def _(g, _y, _residuals, _needs, x, *, p, scale, key):
    return (kernels.dropout(g, x, p, scale, key),)


def _check_probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: the probability p must be between 0 and 1, got {p}")


def _channels(name: str, x: Any, dims: int) -> tuple[int, ...]:
    """The shape of one draw for each channel of (N, C, ...) or, where a batch would have `dims` dimensions, of (C, ...)."""
    if x.ndim not in (dims - 1, dims):
        raise RuntimeError(f"{name}: expected {dims - 1} or {dims} dimensions, the input has shape {tuple(x.shape)}")
    batch = x.ndim - dims + 2
    return (*x.shape[:batch], *(1,) * (x.ndim - batch))


def _dropout(name: str, x: Any, shape: Any, p: float, training: bool, generator: Generator | None) -> Any:
    _check_probability(name, p)
    if not training or p == 0:
        return x
    scale = 1 / (1 - p) if p < 1 else 0.0
    if tuple(shape) == tuple(x.shape) and array_of(x).size >= MANY and kernels.drops(array_of(x)):
        return _dropped(x, p=p, scale=scale, key=generator_or_default(generator).key())
    return _masked(x, keep=_kept(x, shape, p, generator), scale=scale)


def dropout(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Each element 0 with probability p, else x / (1 - p) (Srivastava et al. 2014); x itself unless training.

    Raises ValueError for p outside [0, 1].
    """
    return _dropout("dropout", input, input.shape, p, training, generator)


def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L) (Tompson et al. 2015)."""
    return _dropout("dropout1d", input, _channels("dropout1d", input, 3), p, training, generator)


def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Dropout of whole channels of (N, C, H, W); three dimensions are taken as (N, C, L), as torch does."""
    dims = 3 if input.ndim == 3 else 4
    return _dropout("dropout2d", input, _channels("dropout2d", input, dims), p, training, generator)


def dropout3d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _dropout("dropout3d", input, _channels("dropout3d", input, 5), p, training, generator)


def _alpha_dropout(name: str, x: Any, shape: Any, p: float, training: bool, generator: Generator | None) -> Any:
    _check_probability(name, p)
    if not training or p == 0:
        return x
    if p == 1:
        return mul(x, 0.0)
    low = -SELU_ALPHA * SELU_SCALE
    scale = ((1 - p) * (1 + p * low * low)) ** -0.5
    return add(mul(where(_kept(x, shape, p, generator), x, low), scale), -scale * low * p)


def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Dropout to selu(-∞) that keeps mean 0 and variance 1 (Klambauer et al. 2017). Raises ValueError for p outside [0, 1]."""
    return _alpha_dropout("alpha_dropout", input, input.shape, p, training, generator)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Any:
    """Alpha dropout of whole channels of (N, C, ...)."""
    shape = _channels("feature_alpha_dropout", input, max(input.ndim, 2))
    return _alpha_dropout("feature_alpha_dropout", input, shape, p, training, generator)


def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """leaky_relu with a slope drawn for each element from [lower, upper), or their mean unless training (Xu et al. 2015).

    Raises ValueError when lower > upper.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower {lower} is larger than upper {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    slope = draw_uniform(input.shape, input.dtype, generator) * (upper - lower) + lower
    slope = backend.array_module(array_of(input)).asarray(slope.astype(input.dtype, copy=False))
    return mul(input, where(gt(input, 0), 1.0, slope))


def gumbel_softmax(
    logits: Any,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Any:
    """softmax((logits + Gumbel noise) / tau) along dim: a differentiable sample (Jang et al. 2016).

    With `hard` the value is one-hot and the derivative that of the soft sample. `eps` is accepted and not needed.
    """
    exponential = generator_or_default(generator).numpy.standard_exponential(logits.shape, dtype=np.float64)
    gumbel = -np.log(np.maximum(exponential, np.finfo(np.float64).tiny)).astype(logits.dtype)
    soft = softmax(div(add(logits, backend.array_module(array_of(logits)).asarray(gumbel)), tau), dim)
    if not hard:
        return soft
    values = array_of(soft)
    axis = axis_of(dim, values.ndim)
    at = [1] * values.ndim
    at[axis] = -1
    first = np.argmax(values, axis=axis, keepdims=True)
    places = backend.array_module(values).arange(values.shape[axis]).reshape(at)
    one_hot = (places == first).astype(values.dtype)
    return add(sub(one_hot, values), soft)


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability `input` (elementwise) or `p`, else 0, in input's dtype, without history.

    Raises RuntimeError for probabilities outside [0, 1].
    """
    probability = array_of(input) if p is None else p
    if not np.all((probability >= 0) & (probability <= 1)):
        raise RuntimeError("bernoulli: probabilities must be between 0 and 1")
    array = array_of(input)
    draws = backend.array_module(array).asarray(draw_uniform(array.shape, backend.float64, generator))
    return made((draws < probability).astype(array.dtype))


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn with probabilities proportional to the weights in the rows of `input` ((K,) or (N, K)): int64.

    Raises RuntimeError for negative or non-finite weights, all zeros, or more samples than nonzero weights without replacement.
    """
    weights = np.atleast_2d(np.asarray(backend.to_device(array_of(input), "cpu"), np.float64))
    if not np.all(np.isfinite(weights)) or np.any(weights < 0) or np.any(weights.sum(-1) <= 0):
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all zero")
    if not replacement and num_samples > np.count_nonzero(weights, axis=-1).min(initial=weights.shape[-1]):
        raise RuntimeError(f"multinomial: cannot draw {num_samples} samples without replacement from fewer nonzero weights")
    draw = generator_or_default(generator).numpy
    if replacement:
        cumulative = np.cumsum(weights, axis=-1)
        points = draw.random((len(weights), num_samples)) * cumulative[:, -1:]
        picks = np.stack([np.searchsorted(c, t, side="right") for c, t in zip(cumulative, points)])
    else:  # the first arrivals of independent exponential clocks with these rates
        with np.errstate(divide="ignore"):
            arrivals = draw.standard_exponential(weights.shape) / weights
        picks = np.argsort(arrivals, axis=-1, kind="stable")[:, :num_samples]
    return made(picks.reshape((*input.shape[:-1], num_samples)).astype(np.int64), getattr(input, "device", None))
