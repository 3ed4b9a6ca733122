"""Pools. A max-pool is its argmax indices; taking from planes at indices, and adding there, are each other's VJP.

An average pool is linear: its VJP is its adjoint, whose VJP is the average pool again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import backend, kernels
from ..autograd import defvjp, nondifferentiable, primitive
from ..kernels import PoolSpec
from .arithmetic import astype
from .compare import where
from .powers import pow
from .views import reshape

__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
    "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- primitives


@primitive
def _max_pool(x, *, spec):
    """(largest element of each window, its flat index in the spatial plane)."""
    return kernels.max_pool(x, spec=spec)


@primitive
def take_plane(x, indices, *, spec):
    """x (N, C, *spec.input) at flat spatial indices (N, C, *any)."""
    return kernels.gather(x, indices, spec=spec)


@primitive
def put_plane(g, indices, *, spec, windows=False):
    """Zeros (N, C, *spec.input) with g added at flat spatial indices (N, C, *any); `windows`: each in the window of its place."""
    return kernels.scatter(g, indices, spec=spec, windows=windows)


defvjp(_max_pool, lambda g, y, _x, *, spec: put_plane(g[0], y[1], spec=spec, windows=True))
defvjp(take_plane, lambda g, _y, _x, indices, *, spec: put_plane(g, indices, spec=spec), None)
defvjp(put_plane, lambda h, _y, _g, indices, *, spec, windows=False: take_plane(h, indices, spec=spec), None)


@primitive
def _avg_pool(x, *, spec):
    return kernels.avg_pool(x, spec=spec)


@primitive
def _avg_pool_input(g, *, spec):
    return kernels.avg_pool_input(g, spec=spec)


defvjp(_avg_pool, lambda g, _y, _x, *, spec: _avg_pool_input(g, spec=spec))
defvjp(_avg_pool_input, lambda h, _y, _g, *, spec: _avg_pool(h, spec=spec))


def batched(name: str, rank: int, input: Any) -> Any:
    """`input` itself, or with a batch axis of one in front if it has none."""
    if input.ndim == rank + 2:
        return input
    if input.ndim == rank + 1:
        return reshape(input, (1, *input.shape))
    raise ValueError(f"{name}: input must have {rank + 2} axes (or {rank + 1} without a batch), got shape {tuple(input.shape)}")


def unbatched(y: Any, like: Any) -> Any:
    """`y` without its batch axis if `like`, the op's input, had none."""
    return y if y.ndim == like.ndim else reshape(y, y.shape[1:])


def pool_spec(name: str, x: Any, **geometry: Any) -> PoolSpec:
    """The spec of a pool over x; its errors begin with the op's name."""
    try:
        return PoolSpec.of(x.shape, **geometry)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).partition(': ')[2]}") from None


def floating(x: Any) -> Any:
    """`x`, or integers and booleans as the default dtype."""
    return x if x.dtype.kind == "f" else astype(x, dtype=backend.get_default_dtype())


# ------------------------------------------------------------------------------------------------------------- max-pool


def max_pool1d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window of (N, C, L) or (C, L); see `max_pool2d`."""
    return _max_pool_face(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window: (N, C, H, W) or (C, H, W) -> (N, C, OH, OW), OH = (H + 2 padding - extent) // stride + 1.

    Padding is -inf. The gradient goes to the first maximum in the window; a NaN wins. `stride` None means `kernel_size`;
    `ceil_mode` rounds OH up where the last window starts inside the input or its padding. With `return_indices` gives
    (values, int64 positions in the flattened H W plane). Raises ValueError for padding above half the kernel.
    """
    return _max_pool_face(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window of (N, C, D, H, W) or (C, D, H, W); see `max_pool2d`."""
    return _max_pool_face(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool_face(rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    name = f"max_pool{rank}d"
    x = batched(name, rank, input)
    spec = pool_spec(name, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    y, indices = _max_pool(x, spec=spec)
    return (unbatched(y, input), unbatched(indices, input)) if return_indices else unbatched(y, input)


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Put the (N, C, L) maxima back where max_pool1d found them; see `max_unpool2d`."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Zeros with `input` (N, C, H, W) put at `indices` of the flattened output plane, as `max_pool2d` returned them.

    OH = (H - 1) stride - 2 padding + kernel, or `output_size`, which lies within one stride of that. Where an index occurs
    twice, the last one stays and alone gets the gradient. Raises ValueError for sizes, IndexError for indices outside.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Put the (N, C, D, H, W) maxima back where max_pool3d found them; see `max_unpool2d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(rank, input, indices, kernel_size, stride, padding, output_size):
    name = f"max_unpool{rank}d"
    if tuple(input.shape) != tuple(indices.shape):
        raise ValueError(f"{name}: input has shape {tuple(input.shape)}, indices {tuple(indices.shape)}; they must be equal")
    x, places = batched(name, rank, input), batched(name, rank, indices)
    kernel = per_axis(f"{name}: kernel_size", kernel_size, rank)
    strides = kernel if stride is None else per_axis(f"{name}: stride", stride, rank)
    sides = per_axis(f"{name}: padding", padding, rank)
    size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], strides, sides, kernel))
    if output_size is not None:
        wanted = tuple(output_size)[-rank:]
        if len(wanted) != rank or not all(d - s < w < d + s for w, d, s in zip(wanted, size, strides)):
            raise ValueError(f"{name}: output_size {tuple(output_size)} is not within one stride {strides} of {size}")
        size = wanted
    keep = _last_of_its_index(places, limit=prod(size), name=name)
    spec = PoolSpec.of((*x.shape[:2], *size), kernel_size=1)
    return unbatched(put_plane(where(keep, x, 0), places, spec=spec), input)


@nondifferentiable
def _last_of_its_index(indices, *, limit, name):
    """Whether no later element of the same plane has the same index; checks that all are in 0 .. limit - 1."""
    if indices.size and not 0 <= indices.min() <= indices.max() < limit:
        found = f"{indices.min()} .. {indices.max()}"
        raise IndexError(f"{name}: indices {found} are not all in the output's plane of {limit} elements")
    xp = backend.array_module(indices)
    flat = indices.reshape(-1, prod(indices.shape[2:])) if indices.size else indices.reshape(0, 1)
    order = xp.broadcast_to(xp.arange(flat.shape[1]), flat.shape)
    last = xp.zeros((len(flat), limit), np.int64)
    last[xp.arange(len(flat))[:, None], flat] = order  # of equal indices the last is the one that stays
    return (np.take_along_axis(last, flat, 1) == order).reshape(indices.shape)


# ---------------------------------------------------------------------------------------------------------- average pool


def avg_pool1d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean of each window of (N, C, L) or (C, L); see `avg_pool2d`."""
    return _avg_pool_face(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window: (N, C, H, W) or (C, H, W) -> (N, C, OH, OW); sizes as in `max_pool2d`.

    The sum is divided by the window's elements inside the padded input (inside the input with `count_include_pad` False), or by
    `divisor_override`. Raises ValueError for padding above half the kernel or a zero divisor.
    """
    return _avg_pool_face(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of (N, C, D, H, W) or (C, D, H, W); see `avg_pool2d`."""
    return _avg_pool_face(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool_face(rank, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    name = f"avg_pool{rank}d"
    x = floating(batched(name, rank, input))
    spec = pool_spec(
        name,
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return unbatched(_avg_pool(x, spec=spec), input)


def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(sum of x^p over each window)^(1/p) of (N, C, L) or (C, L); see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(sum of x^p over each window)^(1/p), p = norm_type, of (N, C, H, W) or (C, H, W). At a sum of zero the gradient is zero."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(sum of x^p over each window)^(1/p) of (N, C, D, H, W) or (C, D, H, W); see `lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(rank, input, norm_type, kernel_size, stride, ceil_mode):
    elements = prod(per_axis(f"lp_pool{rank}d: kernel_size", kernel_size, rank))
    means = _avg_pool_face(rank, pow(input, norm_type), kernel_size, stride, 0, ceil_mode, True, None)
    nothing = means == 0  # the root has no finite slope there
    return where(nothing, 0, pow(where(nothing, 1, means * elements), 1.0 / norm_type))


def per_axis(what: str, value: Any, rank: int) -> tuple[int, ...]:
    """`value` as one int per spatial axis."""
    sizes = (int(value),) * rank if isinstance(value, (int, np.integer)) else tuple(value)
    sizes = sizes * rank if len(sizes) == 1 else sizes
    if len(sizes) != rank:
        raise ValueError(f"{what} must be one int or {rank} ints, got {value!r}")
    return sizes
