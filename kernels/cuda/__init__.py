"""Convolutions and pools by CUDA kernels, for CuPy arrays of float32 and float64 on a GPU with NVRTC.

Kernels are compiled for the device when first asked for, and kept on disk (`loader`). Other types and what has no kernel here go
to CuPy's own functions. Importing this imports no CuPy. No GPU has run these kernels yet: see `tests/cuda_shim`.
"""

from __future__ import annotations

from .. import epilogue, im2col
from ..arrays import Array
from ..channels import channel_sum
from ..spec import ConvSpec, PoolSpec
from . import convolution as _conv
from . import pool as _pool
from .loader import usable

__all__ = [
    "avg_pool", "avg_pool_input", "conv", "conv_input", "conv_pool", "conv_weight", "gather", "max_pool", "scatter",
    "scatter_windows", "unpool", "usable",
]  # fmt: skip


def conv(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    if not _conv.takes(spec, x, w):
        return epilogue.finish(im2col.conv(x, w, spec=spec), bias, slope)
    return _conv.conv(x, w, bias, spec, slope)


def conv_input(g: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    if not _conv.takes(spec, g, w):
        return epilogue.finish(im2col.conv_input(g, w, spec=spec), bias, slope)
    return _conv.conv_input(g, w, bias, spec, slope)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    return _conv.conv_weight(x, g, spec) if _conv.takes(spec, x, g) else im2col.conv_weight(x, g, spec=spec)


def conv_pool(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> tuple[Array, Array]:
    y = conv(x, w, bias, spec=spec, slope=slope)
    return _pool.pool_2x2(y) if _floats(y) else epilogue.pool_2x2(y)


def unpool(
    g: Array, y: Array, argmax: Array, *, spec: ConvSpec, slope: float = 1.0, bias: bool = False
) -> tuple[Array, Array | None]:
    if not _floats(g):
        return epilogue.unpool_2x2(g, y, argmax, spec, slope, bias)
    gx = _pool.unpool_2x2(g, y, argmax, spec.output, slope)
    return gx, channel_sum(gx) if bias else None


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    return _pool.max_pool(x, spec) if _pool.takes(x, spec) else im2col.max_pool(x, spec=spec)


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _pool.gather(x, indices, spec) if _pool.takes(x, spec) and indices.size else im2col.gather(x, indices, spec=spec)


def scatter(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return im2col.scatter(g, indices, spec=spec)


def scatter_windows(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _pool.unpool(g, indices, spec) if _pool.takes(g, spec) else im2col.scatter(g, indices, spec=spec)


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    return _pool.avg_pool(x, spec) if _pool.takes(x, spec) else im2col.avg_pool(x, spec=spec)


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    return _pool.avg_pool_input(g, spec) if _pool.takes(g, spec) else im2col.avg_pool_input(g, spec=spec)


def _floats(x: Array) -> bool:
    return x.dtype in _pool.TYPES and x.size > 0
