"""Convolutions and transposed convolutions in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .linear import new_parameter, reset_weight_and_bias
from .module import Module

Size = int | tuple[int, ...]


def to_tuple(value: Any, n: int) -> tuple:
    """An int for every axis, or one value an axis, as a tuple of n."""
    value = (value,) * n if isinstance(value, int) else tuple(value)
    if len(value) != n:
        raise ValueError(f"expected an int or {n} values, got {value}")
    return value


class _Conv(Module):
    """What both families share: checked sizes, the weight, the bias and the repr."""

    dims: int
    transposed = False

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
    ):
        super().__init__()
        n = self.dims
        name = f"{type(self).__name__}({in_channels}, {out_channels})"
        if groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: both channel counts must be divisible by groups={groups}")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(f"{name}: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = (to_tuple(v, n) for v in (kernel_size, stride, dilation))
        self.padding = padding if isinstance(padding, str) else to_tuple(padding, n)
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = new_parameter((first, second // groups, *self.kernel_size), device, dtype)
        self.register_parameter("bias", new_parameter((out_channels,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again: uniform on ±1/sqrt(fan_in), fan_in = weight.shape[1] · kernel positions."""
        reset_weight_and_bias(self)

    def extra_repr(self) -> str:
        n = self.dims
        parts = [f"{self.in_channels}", f"{self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        defaults = {"padding": (0,) * n, "dilation": (1,) * n, "output_padding": (0,) * n, "groups": 1}
        for name, default in defaults.items():
            value = getattr(self, name, default)
            if value != default:
                parts.append(f"{name}={value!r}" if name != "padding" else f"{name}={value}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _ConvNd(_Conv):
    function: Callable

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._pad(input), 0
        return type(self).function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _pad(self, input: Tensor) -> Tensor:
        """The input with the mode's border; F.pad counts axes from the last."""
        if self.padding == "valid":
            return input
        if self.padding == "same":
            pads = []
            for size, k, s, d in zip(input.shape[-self.dims :], self.kernel_size, self.stride, self.dilation):
                total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
                pads.append((total // 2, total - total // 2))
        else:
            pads = [(p, p) if isinstance(p, int) else tuple(p) for p in self.padding]
        return F.pad(input, [p for pair in reversed(pads) for p in pair], mode=self.padding_mode)


class Conv1d(_ConvNd):
    """y[n, o] = b[o] + sum_c w[o, c] ⋆ x[n, c] (cross-correlation): (N, C, L) to (N, O, L').

    L' = (L + 2p - d(k - 1) - 1) // s + 1. weight (O, C / groups, k). padding: a number, 'valid', 'same' (any stride, TensorFlow's
    meaning), or one (before, after) pair an axis. padding_mode: 'zeros', 'reflect', 'replicate', 'circular'.
    """

    dims, function = 1, staticmethod(F.conv1d)


class Conv2d(_ConvNd):
    """y[n, o] = b[o] + sum_c w[o, c] ⋆ x[n, c] (cross-correlation): (N, C, H, W) to (N, O, H', W'), sizes as in Conv1d.

    weight (O, C / groups, kh, kw). Arguments as in Conv1d, each one number or one an axis.
    """

    dims, function = 2, staticmethod(F.conv2d)


class Conv3d(_ConvNd):
    """y[n, o] = b[o] + sum_c w[o, c] ⋆ x[n, c] (cross-correlation): (N, C, D, H, W) to (N, O, D', H', W'), sizes as in Conv1d.

    weight (O, C / groups, kd, kh, kw). Arguments as in Conv1d, each one number or one an axis.
    """

    dims, function = 3, staticmethod(F.conv3d)


class _ConvTransposeNd(_Conv):
    transposed = True
    function: Callable

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f'{type(self).__name__}: only "zeros" padding mode is supported, got {padding_mode!r}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = to_tuple(output_padding, self.dims)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return type(self).function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
            output_size=output_size,
        )


class ConvTranspose1d(_ConvTransposeNd):
    """The adjoint of Conv1d in its input: (N, C, L) to (N, O, L'), L' = (L - 1) s - 2p + d(k - 1) + output_padding + 1.

    weight (C, O / groups, k). `forward(x, output_size=...)` chooses among the sizes that the convolution maps to x's.
    """

    dims, function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """The adjoint of Conv2d in its input: (N, C, H, W) to (N, O, H', W'), sizes as in ConvTranspose1d.

    weight (C, O / groups, kh, kw). Arguments as in ConvTranspose1d, each one number or one an axis.
    """

    dims, function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """The adjoint of Conv3d in its input: (N, C, D, H, W) to (N, O, D', H', W'), sizes as in ConvTranspose1d.

    weight (C, O / groups, kd, kh, kw). Arguments as in ConvTranspose1d, each one number or one an axis.
    """

    dims, function = 3, staticmethod(F.conv_transpose3d)
