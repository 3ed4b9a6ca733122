"""Normalisation layers: y = (x - mean) / sqrt(variance + eps) · weight + bias, with statistics over different axes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import autograd, ops
from ..ops.batchnorm import batch_norm_block
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import new_array, new_parameter
from .module import Module
from .stateless import Stateless


class _Norm(Module):
    """weight and bias that start at 1 and 0."""

    def _affine(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        self.register_parameter("weight", new_parameter(shape, device, dtype) if weight else None)
        self.register_parameter("bias", new_parameter(shape, device, dtype) if bias else None)

    def reset_parameters(self) -> None:
        """weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self._parameters.get("bias") is not None:
            init.zeros_(self.bias)


class _RunningNorm(_Norm):
    """Statistics per channel (dimension 1), with running averages of them as buffers."""

    ranks: ClassVar[tuple[int, ...]]  # the numbers of dimensions that are accepted

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._affine((num_features,), affine, affine and bias, device, dtype)
        track = track_running_stats
        self.register_buffer("running_mean", Tensor(new_array((num_features,), device, dtype)) if track else None)
        self.register_buffer("running_var", Tensor(new_array((num_features,), device, dtype)) if track else None)
        self.register_buffer("num_batches_tracked", Tensor(new_array((), device, np.int64)) if track else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """weight 1, bias 0, and running statistics as at the start."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{n}-d" for n in self.ranks)
            raise ValueError(f"{type(self).__name__}: expected {expected} input, got shape {tuple(input.shape)}")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        return self.activated(input, 1.0)

    def activated(self, input: Tensor, slope: float, moments: Any = None) -> Tensor:
        """The normalised input z, or slope z where z is negative; `moments` are its mean and variance, where they are known."""
        self._check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            count = self.num_batches_tracked.data
            count += 1
            autograd.mark_written(count)
            if self.momentum is None:  # the plain average of all batches so far
                momentum = 1.0 / float(count)
        mean, var = self.running_mean, self.running_var
        training = self.training or (mean is None and var is None)
        if self.training and not self.track_running_stats:
            mean = var = None
        return batch_norm_block(input, mean, var, self.weight, self.bias, training, momentum, self.eps, slope, moments)


class BatchNorm1d(_BatchNorm):
    """Statistics over the batch (and length) for each channel: (N, C) or (N, C, L) (Ioffe & Szegedy 2015).

    Training uses the batch's mean and biased variance and moves the running ones (unbiased variance) towards them:
    r = (1 - momentum) r + momentum s; momentum=None averages all batches equally. Evaluation uses the running ones.
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Statistics over N, H, W for each channel of (N, C, H, W); everything as in BatchNorm1d."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Statistics over N, D, H, W for each channel of (N, C, D, H, W); everything as in BatchNorm1d."""

    ranks = (5,)


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        unbatched = input.ndim == min(self.ranks)
        channels = input.shape[0 if unbatched else 1]
        if channels != self.num_features:
            raise ValueError(f"{type(self).__name__}: input has {channels} channels, expected num_features={self.num_features}")
        x = ops.unsqueeze(input, 0) if unbatched else input
        y = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return ops.squeeze(y, 0) if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Statistics over the length for each sample and channel: (N, C, L) or (C, L) (Ulyanov et al. 2016)."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Statistics over H, W for each sample and channel: (N, C, H, W) or (C, H, W) (Ulyanov et al. 2016)."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Statistics over D, H, W for each sample and channel: (N, C, D, H, W) or (C, D, H, W) (Ulyanov et al. 2016)."""

    ranks = (4, 5)


class LayerNorm(_Norm):
    """Statistics over the last dimensions, which have the shape `normalized_shape` (Ba et al. 2016)."""

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._affine(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        has_bias = self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={has_bias}"


class RMSNorm(_Norm):
    """x / sqrt(mean of x² + eps) · weight over the last dimensions (Zhang & Sennrich 2019); eps=None: the dtype's epsilon."""

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter("weight", new_parameter(self.normalized_shape, device, dtype) if elementwise_affine else None)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Norm):
    """Statistics over each sample's groups of channels, num_channels / num_groups at a time (Wu & He 2018): (N, C, *)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} is not divisible by num_groups={num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._affine((num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}"


class LocalResponseNorm(Stateless):
    """x_c / (k + alpha / size · sum of x² over `size` neighbouring channels)^beta (Krizhevsky et al. 2012)."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
