"""Batch normalisation: a fused op in few passes over channels-last memory, beside its definition.

Its second derivatives come from the definition, in which mean and variance are functions of x like everything else.
"""

from __future__ import annotations

import builtins
from math import prod
from typing import Any

import numpy as np

from .. import backend
from ..autograd import fused, mark_written
from ..kernels import columns
from ..kernels.channels import column_sums, long_rows, rows, tiled
from ..kernels.select import select
from ..tensor import array_of
from .activation import leaky_relu, relu
from .arithmetic import astype, clone
from .channels import channel_affine, chunks, column_dots, unrows
from .powers import rsqrt
from .reduce import mean
from .views import reshape

__all__ = ["batch_norm"]


def _batch_norm_definition(x, w, b, *, eps, slope=1.0, moments=None):  # noqa: ARG001
    axes, across = (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))
    m = mean(x, axes, keepdim=True)
    centred = x - m
    v = mean(centred * centred, axes, keepdim=True)
    y = centred * rsqrt(v + eps)
    if w is not None:
        y = y * reshape(w, across)
    if b is not None:
        y = y + reshape(b, across)
    y = y if slope == 1 else relu(y) if slope == 0 else leaky_relu(y, slope)
    return y, reshape(m, (-1,)), reshape(v, (-1,))


@fused(_batch_norm_definition)
def _batch_norm(x, w, b, *, eps, slope=1.0, moments=None):
    """y = act(w (x - m) / sqrt(v + eps) + b) per channel, and m and v, the mean and biased variance over all axes but the second.

    act(z) = z where z > 0, else slope z; 0 <= slope <= 1. `moments`, where somebody has found them already, are m and v.
    """
    matrix = rows(x)
    m, v = (moment.astype(x.dtype) for moment in moments or _moments(matrix))
    inverse = 1 / np.sqrt(v + x.dtype.type(eps))
    y = _affine(matrix, m, inverse if w is None else inverse * w, b, slope)
    return (unrows(y, x.shape), m, v), (m, inverse)


@_batch_norm.backward
def _(g, _y, residuals, needs, x, w, b, *, eps, slope=1.0, moments=None):  # noqa: ARG001
    # With xhat = (x - m) / sqrt(v + eps), n values per channel and cotangents g, gm, gv of the three outputs:
    # gx = w / sqrt(v + eps) (g - sum(g) / n - xhat sum(g xhat) / n) + gm / n + 2 gv (x - m) / n
    # An activation is first taken back through: its input's sign comes of x again.
    g, gm, gv = g
    m, inverse = residuals
    n, shape, x = x.size // x.shape[1], x.shape, rows(x)
    scale = inverse if w is None else inverse * w
    g_sum, g_xhat = np.zeros_like(m), np.zeros_like(m)
    if g is not None:
        g = rows(g)
        if slope != 1 and not columns.takes(x):
            g, slope = select(_affine(x, m, scale, b) > 0, g, g * slope if slope else 0), 1.0
        g_sum, g_xhat = (total.astype(x.dtype) for total in _dots(x, g, m, scale, b, slope))
        g_xhat *= inverse
    gw, gb = (g_xhat if needs[1] else None), (g_sum if needs[2] else None)
    if not needs[0]:
        return None, gw, gb
    lean, constant = scale * inverse * g_xhat / -n, scale * g_sum / -n
    if gm is not None:
        constant = constant + gm / n
    if gv is not None:
        lean = lean + 2 * gv / n
    gx = _affine(x, m, lean, constant) if g is None else _combine(x, g, m, scale, lean, constant, b, slope)
    return unrows(gx, shape), gw, gb


# ------------------------------------------------------------------------------- passes over (positions, C), compiled or not


def _moments(x: Any) -> tuple[Any, Any]:
    """Mean and biased variance of each channel, in float64.

    Each chunk is centred on its own mean while in the cache, and the chunks' moments are merged (Chan et al. 1983): one pass over
    memory, and no cancellation however far the data lie from zero.
    """
    found = columns.moments(x)
    if found is not None:
        return found
    counts, means, squares, scratch = [], [], [], None
    matrix, channels = long_rows(x), x.shape[1]
    for chunk in chunks(matrix):
        part = matrix[chunk]
        count = part.size // channels
        first = column_sums(part, channels) / count
        scratch = np.empty_like(part) if scratch is None else scratch[: len(part)]
        centred = np.subtract(part, tiled(first, part.shape[1]), out=scratch)
        rest = column_sums(centred, channels).astype(np.float64)  # what rounding of the first mean has left
        counts.append(count)
        means.append(first + rest / count)
        squares.append(column_dots(centred, centred, channels) - rest * rest / count)
    n = len(x)
    if len(counts) == 1:
        return means[0], squares[0] / n
    xp = backend.array_module(matrix)
    weights, centres = xp.asarray(counts, np.float64)[:, None], xp.stack(means)
    m = (weights * centres).sum(0) / n
    return m, (xp.stack(squares).sum(0) + (weights * (centres - m) ** 2).sum(0)) / n


def _affine(x: Any, middle: Any, scale: Any, shift: Any, slope: float = 1.0) -> Any:
    """act((x - middle) scale + shift)."""
    y = columns.affine(x, middle, scale, shift, slope)
    if y is not None:
        return y
    matrix = long_rows(x)
    middle, scale, shift = (v if v is None else tiled(v, matrix.shape[1]) for v in (middle, scale, shift))
    y = np.empty_like(matrix)
    for chunk in chunks(matrix):
        part = np.subtract(matrix[chunk], middle, out=y[chunk])
        part *= scale
        if shift is not None:
            part += shift
        if slope != 1:
            part[...] = select(part > 0, part, part * slope if slope else 0)
    return y.reshape(x.shape)


def _dots(x: Any, g: Any, middle: Any, scale: Any, shift: Any, slope: float) -> tuple[Any, Any]:
    """The sums of h and of h (x - middle) over the positions; h = g act'((x - middle) scale + shift), without kernels h = g."""
    found = columns.dots(x, g, middle, scale, shift, slope)
    if found is not None:
        return found
    channels, x, g = x.shape[1], long_rows(x), long_rows(g)
    middle, total, dot = tiled(middle, x.shape[1]), 0, 0
    for chunk in chunks(x):
        total = total + column_sums(g[chunk], channels)
        dot = dot + column_dots(x[chunk] - middle, g[chunk], channels)
    return total, dot


def _combine(x: Any, g: Any, middle: Any, scale: Any, lean: Any, constant: Any, shift: Any, slope: float) -> Any:
    """h scale + (x - middle) lean + constant, h as in `_dots`."""
    y = columns.combine(x, g, middle, scale, lean, constant, shift, slope)
    if y is not None:
        return y
    x, g = long_rows(x), long_rows(g)
    middle, scale, lean, constant = (tiled(v, x.shape[1]) for v in (middle, scale, lean, constant))
    y = np.empty_like(x)
    for chunk in chunks(x):
        part = np.subtract(x[chunk], middle, out=y[chunk])
        part *= lean
        part += constant
        part += g[chunk] * scale
    return y


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = weight (x - m) / sqrt(v + eps) + bias for each channel of (N, C, *spatial) (Ioffe & Szegedy 2015).

    In training m and v are the batch's mean and biased variance, and the running statistics, if given, move towards them in
    place: running = (1 - momentum) running + momentum new, with the unbiased variance. Otherwise the running ones are used.
    Raises ValueError for one value per channel in training and for shapes that do not fit, RuntimeError for mixed dtypes.
    """
    return batch_norm_block(input, running_mean, running_var, weight, bias, training, momentum, eps, 1.0)


def batch_norm_block(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
    slope: float,
    moments: Any = None,
) -> Any:
    """`batch_norm`, and then y where y > 0, else slope y (0: relu, 1: nothing); in training as one op.

    `moments` are arrays, the mean and biased variance of the input's channels, where they are known.
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm: input must have at least 2 axes (N, C, ...), got shape {tuple(input.shape)}")
    check_affine("batch_norm", input, weight, bias, (input.shape[1],))
    for what, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is None:
            if not training:
                raise ValueError(f"batch_norm: {what} is needed in evaluation (training=False)")
        elif tuple(running.shape) != (input.shape[1],):
            given, expected = tuple(running.shape), (input.shape[1],)
            raise ValueError(f"batch_norm: {what} has shape {given}, expected {expected} for input shape {tuple(input.shape)}")
    half = input.dtype == np.float16
    x, w, b = (t if t is None or not half else astype(t, dtype=np.float32) for t in (input, weight, bias))
    if not training:
        scale = rsqrt(astype(running_var, dtype=x.dtype) + eps)
        scale = scale if w is None else scale * w
        shift = -astype(running_mean, dtype=x.dtype) * scale
        y = channel_affine(x, scale, shift if b is None else shift + b)
        y = y if slope == 1 else relu(y) if slope == 0 else leaky_relu(y, slope)
    else:
        n = prod(input.shape) // builtins.max(input.shape[1], 1)  # values per channel
        if n == 1:
            raise ValueError(f"batch_norm: training needs more than one value per channel, got input shape {tuple(input.shape)}")
        if n == 0:
            return clone(input)  # nothing to normalise, and no statistics to learn from
        y, m, v = _batch_norm(x, w, b, eps=eps, slope=slope, moments=None if half else moments)
        if running_mean is not None:
            move_towards(running_mean, m, momentum)
        if running_var is not None:
            move_towards(running_var, v, momentum, factor=n / (n - 1))
    return astype(y, dtype=np.float16) if half else y


def move_towards(running: Any, new: Any, momentum: float, factor: float = 1.0) -> None:
    """running = (1 - momentum) running + momentum factor new, in place and unrecorded."""
    data, value = (array_of(t) for t in (running, new))
    data *= 1 - momentum
    data += (value * (momentum * factor)).astype(data.dtype, copy=False)
    mark_written(data)


def check_affine(name: str, input: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> None:
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: input must be floating-point, got {input.dtype}")
    for what, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        if tuple(t.shape) != shape:
            raise ValueError(f"{name}: {what} has shape {tuple(t.shape)}, expected {shape} for input shape {tuple(input.shape)}")
        if t.dtype != input.dtype:
            raise RuntimeError(f"{name}: input is {input.dtype}, {what} is {t.dtype}; convert one with to(dtype)")
