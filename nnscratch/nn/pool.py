"""Pooling layers. Sizes are one number or one an axis; a stride of None is the kernel's size."""

from __future__ import annotations

from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .conv import Size, to_tuple
from .stateless import Stateless


class _Pool(Stateless):
    kernel_size: Size
    stride: Size | None = None

    def _setup(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class _MaxPool(_Pool):
    padding: Size = 0
    dilation: Size = 1
    return_indices: bool = False
    ceil_mode: bool = False
    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def _options(self) -> tuple:
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices


class MaxPool1d(_MaxPool):
    """y = the maximum of each window: (N, C, L) to (N, C, L').

    L' = (L + 2p - d(k - 1) - 1) / s + 1, rounded down, or up with ceil_mode. Padding is -inf; the first of equal maxima takes the
    gradient; `return_indices` gives (y, flat positions) for MaxUnpool1d.
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(input, *self._options())


class MaxPool2d(_MaxPool):
    """y = the maximum of each window: (N, C, H, W) to (N, C, H', W'); everything as in MaxPool1d."""

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, *self._options())


class MaxPool3d(_MaxPool):
    """y = the maximum of each window: (N, C, D, H, W) to (N, C, D', H', W'); everything as in MaxPool1d."""

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(input, *self._options())


class _MaxUnpool(_Pool):
    padding: Size = 0
    dims: ClassVar[int]

    def _setup(self) -> None:
        super()._setup()
        for name in self._fields:
            setattr(self, name, to_tuple(getattr(self, name), self.dims))


class MaxUnpool1d(_MaxUnpool):
    """Values put back where MaxPool1d (return_indices=True) took them, zeros elsewhere."""

    dims = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Values put back where MaxPool2d (return_indices=True) took them, zeros elsewhere."""

    dims = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Values put back where MaxPool3d (return_indices=True) took them, zeros elsewhere."""

    dims = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AvgPool(_Pool):
    padding: Size = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    _shown = ("kernel_size", "stride", "padding")


class AvgPool1d(_AvgPool):
    """y = the mean of each window: (N, C, L) to (N, C, L'); padding counts as zeros unless count_include_pad=False."""

    def _setup(self) -> None:
        super()._setup()
        self.kernel_size, self.stride, self.padding = (to_tuple(v, 1) for v in (self.kernel_size, self.stride, self.padding))

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """y = the mean of each window: (N, C, H, W) to (N, C, H', W'); divisor_override replaces the window's size."""

    divisor_override: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPool):
    """y = the mean of each window: (N, C, D, H, W) to (N, C, D', H', W'); divisor_override replaces the window's size."""

    divisor_override: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPool(Stateless):
    norm_type: float
    kernel_size: Size
    stride: Size | None = None
    ceil_mode: bool = False

    def _options(self) -> tuple:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode


class LPPool1d(_LPPool):
    """y = (sum of x^p)^(1/p) over each window, p = norm_type: (N, C, L) to (N, C, L')."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, *self._options())


class LPPool2d(_LPPool):
    """y = (sum of x^p)^(1/p) over each window, p = norm_type: (N, C, H, W) to (N, C, H', W')."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, *self._options())


class LPPool3d(_LPPool):
    """y = (sum of x^p)^(1/p) over each window, p = norm_type: (N, C, D, H, W) to (N, C, D', H', W')."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, *self._options())


class _Adaptive(Stateless):
    output_size: Any  # a number, or one an axis; None keeps the input's


class AdaptiveAvgPool1d(_Adaptive):
    """The mean over output_size windows: window i covers floor(i L / L') to ceil((i + 1) L / L')."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """The mean over a grid of output_size windows, cut along each axis as in AdaptiveAvgPool1d; 1 is the global mean."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """The mean over a grid of output_size windows, cut along each axis as in AdaptiveAvgPool1d; 1 is the global mean."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    return_indices: bool = False
    _shown = ("output_size",)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The maximum over output_size windows, cut as in AdaptiveAvgPool1d."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The maximum over a grid of output_size windows, cut along each axis as in AdaptiveAvgPool1d."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The maximum over a grid of output_size windows, cut along each axis as in AdaptiveAvgPool1d."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
