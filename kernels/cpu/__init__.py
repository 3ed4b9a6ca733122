"""Convolutions and pools compiled by Numba for this machine's vectors and cores: float32 and float64.

Other types, and what has no kernel here, go to NumPy's. The first call compiles; the result is cached on disk.
"""

from typing import Any

import numba  # without it this implementation does not exist
import numpy as np

if numba.config.DISABLE_JIT:
    raise ModuleNotFoundError("the kernels need Numba's compiler, which NUMBA_DISABLE_JIT turns off", name="numba")

from .. import im2col
from ..arrays import Array, channels_first
from ..epilogue import finish, pool_2x2, unpool_2x2
from ..spec import ConvSpec, PoolSpec
from . import conv_dense, conv_direct, conv_pointwise, conv_winograd, pool, winograd_weight
from . import epilogue as epilogues
from .chooser import choose, explain
from .epilogue import Epilogue
from .layout import operand
from .simd import aligned

__all__ = [
    "avg_pool", "avg_pool_input", "conv", "conv_input", "conv_pool", "conv_pool_weight", "conv_weight", "explain", "gather",
    "max_pool", "scatter", "unpool",
]  # fmt: skip

TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def conv(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    return _gathered("conv", x, w, bias, spec, slope, spec.out_channels)


def conv_input(g: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    return _gathered("conv_input", g, w, bias, spec, slope, spec.in_channels)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    if not supports(x, g):
        return im2col.conv_weight(x, g, spec=spec)
    module, options = _algorithm("conv_weight", len(x), spec, x.dtype)
    return module.conv_weight(x, g, spec=spec, **options)


def conv_pool(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> tuple[Array, Array]:
    arrays = (x, w) if bias is None else (x, w, bias)
    if not supports(*arrays) or spec.rank != 2 or spec.groups != 1 or not w.size or conv_pointwise.applies(spec):
        return pool_2x2(conv(x, w, bias, spec=spec, slope=slope))
    shape = len(x), spec.output[0] // 2, spec.output[1] // 2, spec.out_channels
    y, argmax = aligned(shape, x.dtype), aligned(shape, np.dtype(np.uint8))
    if y.size:
        module, options = _algorithm("conv", len(x), spec, x.dtype)
        module.conv_pool(x, w, y, Epilogue.of(bias, slope, spec.out_channels, x.dtype, argmax), spec=spec, **options)
    return channels_first(y), channels_first(argmax)


def unpool(
    g: Array, y: Array, argmax: Array, *, spec: ConvSpec, slope: float = 1.0, bias: bool = False
) -> tuple[Array, Array | None]:
    if not supports(g, y) or spec.rank != 2:
        return unpool_2x2(g, y, argmax, spec, slope, bias)
    gx, gb = epilogues.unpool(operand(g), operand(y), operand(argmax), (spec.output[0], spec.output[1]), slope, bias)
    return channels_first(gx), gb


def conv_pool_weight(
    x: Array, g: Array, y: Array, argmax: Array, *, spec: ConvSpec, slope: float = 1.0, bias: bool = False
) -> tuple[Array, Array | None]:
    """(gradient of a convolution's weight from that of what it was pooled to, with `bias` the bias's): unpool and conv_weight."""
    direct = supports(x, g, y) and g.size and choose("conv_weight", len(x), spec, x.dtype).name == "direct"
    if direct and spec.rank == 2 and conv_direct.takes_pooled(spec, x.dtype):
        gw, gb = conv_direct.conv_pool_weight(x, g, y, argmax, spec=spec, slope=slope)
        return gw, gb if bias else None
    gx, total = unpool(g, y, argmax, spec=spec, slope=slope, bias=bias)
    return conv_weight(x, gx, spec=spec), total


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    return _of(x).max_pool(x, spec=spec)


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _of(x).gather(x, indices, spec=spec)


def scatter(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _of(g).scatter(g, indices, spec=spec)


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    return _of(x).avg_pool(x, spec=spec)


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    return _of(g).avg_pool_input(g, spec=spec)


def supports(*arrays: Array) -> bool:
    return all(isinstance(array, np.ndarray) and array.dtype in TYPES and array.dtype == arrays[0].dtype for array in arrays)


def _of(array: Array) -> Any:
    """The module whose pools take this array."""
    return pool if supports(array) else im2col


def _gathered(function: str, a: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float, channels: int) -> Array:
    if not supports(a, w) or (bias is not None and not supports(a, bias)):
        return finish(getattr(im2col, function)(a, w, spec=spec), bias, slope)
    module, options = _algorithm(function, len(a), spec, a.dtype)
    return getattr(module, function)(a, w, Epilogue.of(bias, slope, channels, a.dtype), spec=spec, **options)


def _algorithm(function: str, batch: int, spec: ConvSpec, dtype: np.dtype) -> tuple[Any, dict[str, int]]:
    name = choose(function, batch, spec, dtype).name
    if name.startswith("winograd"):
        return winograd_weight if function == "conv_weight" else conv_winograd, {"m": int(name[-1])}
    return {"direct": conv_direct, "dense": conv_dense, "pointwise": conv_pointwise}[name], {}
