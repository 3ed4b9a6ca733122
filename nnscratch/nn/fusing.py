"""Runs of layers in a Sequential that one op computes faster: Conv2d, then ReLU or LeakyReLU, then MaxPool2d(2).

The result is the layers' own up to rounding, and so are its derivatives of any order. Layers with hooks, layers that are not
exactly of these classes, small inputs, and everything while single ops are watched (anomaly mode, checkpoints, gradient checks)
run one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import kernels
from ..autograd.modes import observers
from ..kernels import ConvSpec
from ..ops.conv_block import conv_block
from ..tensor import Tensor
from .activation import LeakyReLU, ReLU
from .conv import Conv2d
from .module import Module
from .pool import MaxPool2d

HEADS = (Conv2d,)


def fuse(modules: Sequence[Module], x: Any) -> tuple[Any, int]:
    """(y, n): the result of the first n of `modules`, the first of which is one of HEADS, on x; n is 0 where nothing fuses."""
    conv: Any = modules[0]
    if not isinstance(x, Tensor) or x.ndim != 4 or observers or not _plain(conv) or conv.padding_mode != "zeros":
        return x, 0
    slope, taken = _slope(modules[1]) if len(modules) > 1 else None, 2
    if slope is None:
        slope, taken = 1.0, 1
    pool = slope in (0.0, 1.0) and len(modules) > taken and _pools_by_two(modules[taken])
    taken += pool
    w, b = conv.weight, conv.bias
    if taken == 1 or x.dtype != w.dtype or (b is not None and b.dtype != x.dtype) or x.shape[1] != conv.in_channels:
        return x, 0
    geometry = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}
    spec = ConvSpec.of(x.shape, w.shape, **geometry)
    if not kernels.is_compiled("conv", x.data, spec) or (pool and min(spec.output) < 2):
        return x, 0
    return conv_block(x, w, b, spec=spec, slope=slope, pool=pool), taken


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
