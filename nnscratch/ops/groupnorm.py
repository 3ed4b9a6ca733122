"""Group norm, a fused op beside its definition; layer norm (one group) and instance norm (a channel per group) are cases of it.

RMS norm, local response norm and p-norms are composed.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..autograd import fused
from ..backend import array_module
from ..kernels import groups as group_kernels
from ..kernels.channels import column_sums, tiled
from ..tensor import array_of
from .arithmetic import astype
from .arrange import pad
from .batchnorm import batch_norm, check_affine, move_towards
from .channels import by_image, column_dots, image_chunks, unrows
from .compare import clamp_min
from .powers import pow, rsqrt
from .reduce import mean, var_mean, vector_norm
from .shape import narrow
from .views import reshape

__all__ = ["group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


def _group_norm_definition(x, w, b, *, groups, eps):
    n, channels, *spatial = x.shape
    split = reshape(x, (n, groups, channels // groups, *spatial))
    axes, across = tuple(range(2, split.ndim)), (-1, *(1,) * len(spatial))
    centred = split - mean(split, axes, keepdim=True)
    v = mean(centred * centred, axes, keepdim=True)
    y = reshape(centred * rsqrt(v + eps), x.shape)
    if w is not None:
        y = y * reshape(w, across)
    return y if b is None else y + reshape(b, across)


@fused(_group_norm_definition)
def _group_norm(x, w, b, *, groups, eps):
    """y = w (x - m) / sqrt(v + eps) + b per image and group of channels of (N, C, *spatial); w and b (C,) or None."""
    found = group_kernels.forward(x, w, b, groups, eps)
    if found is not None:
        return found
    images = by_image(x)
    y, width = np.empty_like(images), images.shape[2]
    mean_of, spread = partial(_group_mean, x.shape[1], groups), partial(_spread, x.shape[1], width)
    m = array_module(x).empty((len(x), groups), x.dtype)
    inverse = np.empty_like(m)
    for chunk in image_chunks(images):
        first = mean_of(images[chunk])
        part = np.subtract(images[chunk], spread(first), out=y[chunk])
        rest = mean_of(part)  # left by rounding the first mean, which matters for data far from zero
        part -= spread(rest)
        m[chunk] = first + rest
        inverse[chunk] = 1 / np.sqrt(mean_of(part * part) + x.dtype.type(eps))
        part *= spread(inverse[chunk])
        if w is not None:
            part *= tiled(w, width)
        if b is not None:
            part += tiled(b, width)
    return unrows(y, x.shape), (m, inverse)


@_group_norm.backward
def _(g, _y, residuals, needs, x, w, b, *, groups, eps):  # noqa: ARG001
    # gx = (h - mean(h) - xhat mean(h xhat)) / sqrt(v + eps), with h = g w and xhat = (x - m) / sqrt(v + eps)
    gs = group_kernels.backward(g, residuals, needs, x, w, groups)
    if gs is not None:
        return gs
    m, inverse = residuals
    images, g_images, channels = by_image(x), by_image(g), x.shape[1]
    gx, width = np.empty_like(images), images.shape[2]
    mean_of, spread = partial(_group_mean, channels, groups), partial(_spread, channels, width)
    gw, gb = np.zeros_like(x, shape=channels), np.zeros_like(x, shape=channels)
    flat = (-1, width) if x.size else (0, width)
    for chunk in image_chunks(images):
        scale, h = spread(inverse[chunk]), g_images[chunk]
        xhat = np.subtract(images[chunk], spread(m[chunk]), out=gx[chunk])
        xhat *= scale
        if needs[1]:
            gw += column_dots(h.reshape(flat), xhat.reshape(flat), channels)
        if needs[2]:
            gb += column_sums(h.reshape(flat), channels)
        if not needs[0]:
            continue
        if w is not None:
            h = h * tiled(w, width)
        xhat *= -spread(mean_of(h * xhat))
        xhat += h
        xhat -= spread(mean_of(h))
        xhat *= scale
    return unrows(gx, x.shape), gw, gb


def _group_mean(channels: int, groups: int, images: Any) -> Any:
    """Means over each image's groups of channels: (n, rows, k channels) -> (n, groups)."""
    n, long, width = images.shape
    total = images.reshape(n, width) if long == 1 else np.add.reduce(images, axis=1)
    if width > channels:
        total = np.add.reduce(total.reshape(n, width // channels, channels), axis=1)
    if groups == 1:
        total = total @ np.ones_like(total, shape=(channels, 1))  # five times as fast as NumPy's sum along short rows
    else:
        total = np.add.reduce(total.reshape(n, groups, channels // groups), axis=2)
    return total / images.dtype.type(long * width // groups)


def _spread(channels: int, width: int, values: Any) -> Any:
    """(n, groups) stretched to broadcast against (n, rows, width), width being a multiple of channels."""
    n, groups = values.shape
    if groups > 1:
        wide = np.repeat(values, channels // groups, axis=1)
        values = np.tile(wide, width // channels) if width > channels else wide
    return values.reshape(n, 1, -1)


def _by_group(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """`_group_norm`, half precision by way of single."""
    if x.dtype != np.float16:
        return _group_norm(x, weight, bias, groups=groups, eps=eps)
    x, weight, bias = (t if t is None else astype(t, dtype=np.float32) for t in (x, weight, bias))
    return astype(_group_norm(x, weight, bias, groups=groups, eps=eps), dtype=np.float16)


def layer_norm(input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = weight (x - m) / sqrt(v + eps) + bias, m and v over the last axes, those of `normalized_shape` (Ba et al. 2016).

    weight and bias have `normalized_shape`. Raises ValueError where the input does not end in it, RuntimeError for mixed dtypes.
    """
    shape = _trailing("layer_norm", input, normalized_shape)
    check_affine("layer_norm", input, weight, bias, shape)
    size, lead = prod(shape), input.shape[: input.ndim - len(shape)]
    w, b = (t if t is None else reshape(t, (size,)) for t in (weight, bias))
    return reshape(_by_group(reshape(input, (prod(lead), size)), 1, w, b, eps), input.shape)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = weight (x - m) / sqrt(v + eps) + bias on (N, C, *spatial), m and v per image and group of C / num_groups channels.

    weight and bias are (C,) (Wu & He 2018). Raises ValueError where num_groups does not divide C, or for one value per group.
    """
    if input.ndim < 2:
        raise ValueError(f"group_norm: input must have at least 2 axes (N, C, ...), got shape {tuple(input.shape)}")
    n, channels, *spatial = input.shape
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups do not divide {channels} channels (input shape {tuple(input.shape)})")
    check_affine("group_norm", input, weight, bias, (channels,))
    if n * (channels // num_groups) * prod(spatial) == 1:
        raise ValueError(f"group_norm: needs more than one value per group, got input shape {tuple(input.shape)}")
    return _by_group(input, num_groups, weight, bias, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = weight (x - m) / sqrt(v + eps) + bias on (N, C, *spatial), m and v per image and channel (Ulyanov et al. 2016).

    Running statistics, if given, move towards the batch's average m and unbiased v; with `use_input_stats` False they are what
    normalises. Raises ValueError for a single spatial element.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.ndim < 3:
        raise ValueError(f"instance_norm: input must have at least 3 axes (N, C, spatial), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    check_affine("instance_norm", input, weight, bias, (channels,))
    if prod(input.shape[2:]) == 1:
        raise ValueError(f"instance_norm: needs more than one spatial element, got input shape {tuple(input.shape)}")
    if running_mean is not None and running_var is not None:
        v, m = var_mean(array_of(input), tuple(range(2, input.ndim)))
        move_towards(running_mean, mean(m, 0), momentum)
        move_towards(running_var, mean(v, 0), momentum)
    return _by_group(input, channels, weight, bias, eps)


# --------------------------------------------------------------------------------------------------------------- others


def rms_norm(input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """y = weight x / sqrt(mean(x²) + eps) over the last axes, those of `normalized_shape` (Zhang & Sennrich 2019).

    eps None is the dtype's machine epsilon. Raises as `layer_norm`.
    """
    shape = _trailing("rms_norm", input, normalized_shape)
    check_affine("rms_norm", input, weight, None, shape)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    y = input * rsqrt(mean(input * input, tuple(range(input.ndim - len(shape), input.ndim)), keepdim=True) + eps)
    return y if weight is None else y * weight


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """y[c] = x[c] / (k + alpha / size · sum of x² over the `size` channels around c)^beta (Krizhevsky et al. 2012).

    x is (N, C, *spatial). Raises ValueError for fewer than 3 axes or a size below 1.
    """
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: input must have at least 3 axes, got shape {tuple(input.shape)}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    channels = input.shape[1]
    padded = pad(input * input, (0, 0) * (input.ndim - 2) + (size // 2, (size - 1) // 2))
    total = builtins.sum(narrow(padded, 1, start, channels) for start in range(size))
    return input / pow(total * (alpha / size) + k, beta)


def normalize(input: Any, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖_p, eps) along `dim`."""
    return input / clamp_min(vector_norm(input, p, dim, keepdim=True), eps)


def _trailing(name: str, input: Any, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """`normalized_shape` as a tuple, which the input's shape must end in."""
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise ValueError(f"{name}: input has shape {tuple(input.shape)}, expected it to end in normalized_shape {shape}")
    return shape
