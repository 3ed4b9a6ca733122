"""Dropout: noise in training, the identity in evaluation. Drawn from the default generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..tensor import Tensor
from . import functional as F
from .stateless import Stateless


class _Dropout(Stateless):
    p: float = 0.5
    inplace: bool = False
    _shown = ("p", "inplace")
    function: ClassVar[Callable]

    def _setup(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"{type(self).__name__}: the dropout probability must be between 0 and 1, got {self.p}")

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.p, self.training)


class Dropout(_Dropout):
    """x m / (1 - p) in training, m Bernoulli(1 - p) for each element (Srivastava et al. 2014)."""

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L)."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W) (Tompson et al. 2015)."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout to SELU's negative saturation, rescaled so that mean and variance stay (Klambauer et al. 2017)."""

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """Alpha dropout of whole channels."""

    function = staticmethod(F.feature_alpha_dropout)
