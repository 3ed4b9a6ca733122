"""Runs of layers in a Sequential that one op computes faster.

A convolution, then ReLU or LeakyReLU, then MaxPool2d(2); a dense layer, or batch norm in training, then ReLU or LeakyReLU; on a
GPU a convolution before batch norm in training.

The result is the layers' own up to rounding, and so are its derivatives of any order. Layers with hooks, layers that are not
exactly of these classes, small inputs, and everything while single ops are watched (anomaly mode, checkpoints, gradient checks)
run one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import kernels
from ..autograd.modes import observers
from ..kernels import ConvSpec, products
from ..kernels.compiled import compiled
from ..kernels.moments import Moments
from ..ops.conv_block import conv_block, conv_transpose_block
from ..ops.linalg import linear_act
from ..tensor import Tensor
from .activation import LeakyReLU, ReLU
from .conv import Conv2d, ConvTranspose2d
from .linear import Linear
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .pool import MaxPool2d


def fuse(modules: Sequence[Module], x: Any) -> tuple[Any, int]:
    """(y, n): the result of the first n of `modules`, the first of which is one of HEADS, on x; n is 0 where nothing fuses."""
    head = modules[0]
    if not isinstance(x, Tensor) or observers or not _plain(head):
        return x, 0
    return HEADS[type(head)](head, modules[1:], x)


def _conv(conv: Conv2d, following: Sequence[Module], x: Tensor) -> tuple[Any, int]:
    if following and kernels.on_gpu(x.data) and _normalises(following[0]):
        return _conv_norm(conv, following, x)
    slope, taken = _activation(following)
    pool = slope in (0.0, 1.0) and len(following) > taken and _pools_by_two(following[taken])
    taken += pool
    if not taken or conv.padding_mode != "zeros" or not _fits(conv, x):
        return x, 0
    geometry = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}
    spec = ConvSpec.of(x.shape, conv.weight.shape, **geometry)
    if not kernels.is_compiled("conv", x.data, spec) or (pool and min(spec.output) < 2):
        return x, 0
    return conv_block(x, conv.weight, conv.bias, spec=spec, slope=slope, pool=pool), 1 + taken


def _conv_norm(conv: Conv2d | ConvTranspose2d, following: Sequence[Module], x: Tensor) -> tuple[Any, int]:
    """On a GPU: the convolution's kernel finds the mean and variance for the batch norm behind it."""
    norm: Any = following[0]
    slope, taken = _activation(following[1:])
    with Moments() as moments:
        y = conv(x)
    if y.ndim not in norm.ranks:
        return y, 1
    return norm.activated(y, slope, moments.of(y.data)), 2 + taken


def _normalises(module: Module) -> bool:
    return type(module) is BatchNorm2d and module.training and _plain(module)


def _conv_transpose(conv: ConvTranspose2d, following: Sequence[Module], x: Tensor) -> tuple[Any, int]:
    if following and kernels.on_gpu(x.data) and _normalises(following[0]):
        return _conv_norm(conv, following, x)
    slope, taken = _activation(following)
    if not taken or not _fits(conv, x):
        return x, 0
    geometry: dict[str, Any] = {"stride": conv.stride, "padding": conv.padding, "output_padding": conv.output_padding}
    spec = ConvSpec.transposed(x.shape, conv.weight.shape, **geometry, dilation=conv.dilation, groups=conv.groups)
    if not kernels.is_compiled("conv_input", x.data, spec):
        return x, 0
    return conv_transpose_block(x, conv.weight, conv.bias, spec=spec, slope=slope), 1 + taken


def _linear(linear: Linear, following: Sequence[Module], x: Tensor) -> tuple[Any, int]:
    slope, taken = _activation(following)
    w, b = linear.weight, linear.bias
    if not taken or b is None or x.ndim != 2 or x.shape[1] != linear.in_features or not x.dtype == w.dtype == b.dtype:
        return x, 0
    if x.numel() * linear.out_features < products.LARGE or products.takes(x.data, w.data) is None:
        return x, 0
    return linear_act(x, w, b, slope=slope), 1 + taken


def _batch_norm(norm: Any, following: Sequence[Module], x: Tensor) -> tuple[Any, int]:
    slope, taken = _activation(following)
    if not taken or not norm.training or x.ndim not in norm.ranks or compiled("columns", x.data) is None:
        return x, 0
    return norm.activated(x, slope), 1 + taken


HEADS: dict[type, Callable[[Any, Sequence[Module], Tensor], tuple[Any, int]]] = {
    Conv2d: _conv,
    ConvTranspose2d: _conv_transpose,
    Linear: _linear,
    BatchNorm1d: _batch_norm,
    BatchNorm2d: _batch_norm,
    BatchNorm3d: _batch_norm,
}


def _fits(conv: Any, x: Tensor) -> bool:
    """Whether nothing is wrong that the layer itself would say better."""
    w, b = conv.weight, conv.bias
    return x.ndim == 4 and x.dtype == w.dtype and (b is None or b.dtype == x.dtype) and x.shape[1] == conv.in_channels


def _activation(following: Sequence[Module]) -> tuple[float, int]:
    """(slope, 1) of a ReLU or LeakyReLU that comes first, (1.0, 0) where none does."""
    slope = _slope(following[0]) if following else None
    return (1.0, 0) if slope is None else (slope, 1)


def _plain(module: Module) -> bool:
    """No hooks, and no forward of its own."""
    hooks = module._forward_pre_hooks or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks
    return not hooks and "forward" not in module.__dict__


def _slope(module: Module) -> float | None:
    if type(module) is ReLU and _plain(module):
        return 0.0
    if type(module) is LeakyReLU and _plain(module) and 0 < module.negative_slope < 1:
        return float(module.negative_slope)
    return None


def _pools_by_two(module: Module) -> bool:
    return (
        type(module) is MaxPool2d
        and _plain(module)
        and module.kernel_size in (2, (2, 2))
        and module.stride in (2, (2, 2), None)
        and module.padding in (0, (0, 0))
        and module.dilation in (1, (1, 1))
        and not module.return_indices
        and not module.ceil_mode
    )
