"""Convolutions. T(x, w, g) = sum of g w x over a geometry is linear in each of its three arguments, and its derivatives in them,

    conv(x, w) = dT/dg          conv_input(g, w) = dT/dx          conv_weight(x, g) = dT/dw,

are each other's VJPs: six lines below give convolution and transposed convolution every order of derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import kernels
from ..autograd import defvjp, primitive
from ..kernels import ConvSpec
from .channels import channel_sum
from .views import reshape

__all__ = [
    "conv", "conv1d", "conv2d", "conv3d", "conv_input", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "conv_weight", "fold", "unfold",
]  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- primitives


@primitive
def conv(x, w, b, *, spec):
    """Cross-correlation, y[n, o, p] = b[o] + sum over c, k of x[n, c, p * stride + k * dilation - padding] * w[o, c, k].

    x (N, C, *spec.input), w spec.weight_shape, b (O,) or None -> (N, O, *spec.output); spec is a kernels.ConvSpec.
    """
    return kernels.conv(x, w, b, spec=spec)


@primitive
def conv_input(g, w, b, *, spec):
    """Transposed convolution: the adjoint of `conv` in x, (N, O, *spec.output), w -> (N, C, *spec.input), plus b (C,) or None."""
    return kernels.conv_input(g, w, b, spec=spec)


@primitive
def conv_weight(x, g, *, spec):
    """The adjoint of `conv` in w: (N, C, *spec.input), (N, O, *spec.output) -> spec.weight_shape."""
    return kernels.conv_weight(x, g, spec=spec)


defvjp(
    conv,
    lambda g, _y, _x, w, _b, *, spec: conv_input(g, w, None, spec=spec),
    lambda g, _y, x, _w, _b, *, spec: conv_weight(x, g, spec=spec),
    lambda g, _y, _x, _w, _b, *, spec: channel_sum(g),
)
defvjp(
    conv_input,
    lambda h, _y, _g, w, _b, *, spec: conv(h, w, None, spec=spec),
    lambda h, _y, g, _w, _b, *, spec: conv_weight(h, g, spec=spec),
    lambda h, _y, _g, _w, _b, *, spec: channel_sum(h),
)
defvjp(
    conv_weight,
    lambda h, _y, _x, g, *, spec: conv_input(g, h, None, spec=spec),
    lambda h, _y, x, _g, *, spec: conv(x, h, None, spec=spec),
)


@primitive
def _unfold(x, *, spec):
    return kernels.unfold(x, spec=spec)


@primitive
def _fold(cols, *, spec):
    return kernels.fold(cols, spec=spec)


defvjp(_unfold, lambda g, _y, _x, *, spec: _fold(g, spec=spec))
defvjp(_fold, lambda g, _y, _cols, *, spec: _unfold(g, spec=spec))

# ---------------------------------------------------------------------------------------------------------- convolution


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """1-d cross-correlation: (N, C, L) or (C, L), weight (O, C / groups, K) -> (N, O, L') or (O, L'); see `conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """2-d cross-correlation: (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O,) -> (N, O, OH, OW).

    OH = (H + low + high - dilation (KH - 1) - 1) // stride + 1. `padding` is an int, one int per axis, one (low, high) pair per
    axis, 'valid' or 'same': OH = ceil(H / stride) for every stride, an odd element on the high side.
    Raises ValueError for shapes, sizes or groups that do not fit, RuntimeError for mixed dtypes.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """3-d cross-correlation: (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH, KW); see `conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv(rank, input, weight, bias, stride, padding, dilation, groups):
    name = f"conv{rank}d"
    x = _batched(name, rank, input, weight)
    spec = ConvSpec.of(x.shape, weight.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    _check_bias(name, bias, weight, spec.out_channels)
    y = conv(x, weight, bias, spec=spec)
    return y if x is input else reshape(y, y.shape[1:])


# ----------------------------------------------------------------------------------------------- transposed convolution


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    output_size: Sequence[int] | None = None,
) -> Any:
    """1-d transposed convolution: (N, C, L) or (C, L), weight (C, O / groups, K) -> (N, O, L'); see `conv_transpose2d`."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    output_size: Sequence[int] | None = None,
) -> Any:
    """The adjoint of conv2d in its input: (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW) -> (N, O, OH, OW).

    OH = (H - 1) stride - low - high + dilation (KH - 1) + 1 + output_padding; `output_size`, the sizes wanted, replaces
    `output_padding`. Raises ValueError for sizes that do not fit (output_padding must be smaller than stride or dilation).
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    output_size: Sequence[int] | None = None,
) -> Any:
    """3-d transposed convolution: (N, C, D, H, W), weight (C, O / groups, KD, KH, KW); see `conv_transpose2d`."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size)


def _conv_transpose(rank, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size):
    name = f"conv_transpose{rank}d"
    x = _batched(name, rank, input, weight)
    spec = ConvSpec.transposed(
        x.shape,
        weight.shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        output_size=output_size,
        dilation=dilation,
        groups=groups,
    )
    _check_bias(name, bias, weight, spec.in_channels)
    y = conv_input(x, weight, bias, spec=spec)
    return y if x is input else reshape(y, y.shape[1:])


def _batched(name: str, rank: int, input: Any, weight: Any) -> Any:
    """`input` itself, or with a batch axis of one in front if it has none; checks axes and dtypes."""
    if weight.ndim != rank + 2:
        raise ValueError(f"{name}: weight must have {rank + 2} axes, got shape {tuple(weight.shape)}")
    if input.dtype != weight.dtype:
        raise RuntimeError(f"{name}: input is {input.dtype}, weight is {weight.dtype}; convert one with to(dtype)")
    if input.ndim == rank + 2:
        return input
    if input.ndim == rank + 1:
        return reshape(input, (1, *input.shape))
    raise ValueError(
        f"{name}: input must have {rank + 2} axes (or {rank + 1} without a batch), got shape {tuple(input.shape)} "
        f"for weight shape {tuple(weight.shape)}"
    )


def _check_bias(name: str, bias: Any, weight: Any, channels: int) -> None:
    if bias is None:
        return
    if tuple(bias.shape) != (channels,):
        weight_shape = f"(weight shape {tuple(weight.shape)})"
        raise ValueError(f"{name}: bias has shape {tuple(bias.shape)}, expected ({channels},) {weight_shape}")
    if bias.dtype != weight.dtype:
        raise RuntimeError(f"{name}: bias is {bias.dtype}, weight is {weight.dtype}; convert one with to(dtype)")


# ------------------------------------------------------------------------------------------------------- unfold and fold


def unfold(
    input: Any,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: Any = 0,
    stride: int | Sequence[int] = 1,
) -> Any:
    """Sliding windows as columns: (N, C, H, W) or (C, H, W) -> (N, C KH KW, OH OW) or (C KH KW, OH OW); sizes as in `conv2d`."""
    if input.ndim not in (3, 4):
        raise ValueError(f"unfold: input must have 4 axes (or 3 without a batch), got shape {tuple(input.shape)}")
    x = reshape(input, (1, *input.shape)) if input.ndim == 3 else input
    y = _unfold(x, spec=_window_spec("unfold", x.shape, kernel_size, dilation, padding, stride))
    return y if x is input else reshape(y, y.shape[1:])


def fold(
    input: Any,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: Any = 0,
    stride: int | Sequence[int] = 1,
) -> Any:
    """The adjoint of `unfold`: columns added into their windows' places, (N, C KH KW, L) or (C KH KW, L) -> (N, C, *output_size).

    Raises ValueError where the columns' number or length does not fit `output_size` and `kernel_size`.
    """
    if input.ndim not in (2, 3):
        raise ValueError(f"fold: input must have 3 axes (or 2 without a batch), got shape {tuple(input.shape)}")
    cols = reshape(input, (1, *input.shape)) if input.ndim == 2 else input
    kernel, output = _pair("fold: kernel_size", kernel_size), _pair("fold: output_size", output_size)
    given = f"fold: input of shape {tuple(input.shape)}"
    if cols.shape[1] % prod(kernel):
        raise ValueError(f"{given}: {cols.shape[1]} is not a multiple of the kernel's {prod(kernel)} elements")
    channels = cols.shape[1] // prod(kernel)
    spec = _window_spec("fold", (cols.shape[0], channels, *output), kernel, dilation, padding, stride)
    if cols.shape[2] != prod(spec.output):
        raise ValueError(f"{given} has {cols.shape[2]} columns, output_size {output} has {spec.output} windows")
    y = _fold(cols, spec=spec)
    return y if cols is input else reshape(y, y.shape[1:])


def _window_spec(name, shape, kernel_size, dilation, padding, stride) -> ConvSpec:
    kernel = _pair(f"{name}: kernel_size", kernel_size)
    try:
        return ConvSpec.of(shape, (1, shape[1], *kernel), stride=stride, padding=padding, dilation=dilation)
    except ValueError as error:
        raise ValueError(str(error).replace("conv2d", name)) from None


def _pair(what: str, value: Any) -> tuple[int, int]:
    sizes = (value, value) if isinstance(value, int) else tuple(value)
    if len(sizes) != 2 or any(size < 1 for size in sizes):
        raise ValueError(f"{what} must be one or two positive ints, got {value!r}")
    return sizes
