"""Activations as layers. Each formula is elementwise unless it says otherwise; kinks are decided where the op is defined."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import new_parameter
from .module import Module
from .stateless import Stateless


class ReLU(Stateless):
    """max(x, 0)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class ReLU6(Stateless):
    """min(max(x, 0), 6)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input)


class LeakyReLU(Stateless):
    """x where x >= 0, negative_slope x elsewhere."""

    negative_slope: float = 0.01
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)


class RReLU(Stateless):
    """x where x >= 0, a x elsewhere: a uniform on [lower, upper] in training, (lower + upper) / 2 in evaluation."""

    lower: float = 1.0 / 8
    upper: float = 1.0 / 3
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training)


class PReLU(Module):
    """x where x >= 0, a x elsewhere: a is learned, one number or one per channel (dimension 1) (He et al. 2015)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = new_parameter((num_parameters,), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again from the constructor's `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Stateless):
    """x where x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016)."""

    alpha: float = 1.0
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha)


class SELU(Stateless):
    """scale · ELU(x; alpha) with the constants of Klambauer et al. 2017, which keep mean 0 and variance 1."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input)


class CELU(Stateless):
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1)) (Barron 2017)."""

    alpha: float = 1.0
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha)


class GELU(Stateless):
    """x Φ(x) with the normal distribution function, or its tanh approximation (Hendrycks & Gimpel 2016)."""

    approximate: str = "none"

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)


class SiLU(Stateless):
    """x sigmoid(x), also called swish."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input)


class Mish(Stateless):
    """x tanh(softplus(x)) (Misra 2019)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input)


class Sigmoid(Stateless):
    """1 / (1 + e^-x)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Stateless):
    """tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Softplus(Stateless):
    """log(1 + e^(beta x)) / beta; x itself where beta x > threshold."""

    beta: float = 1.0
    threshold: float = 20.0

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class Softsign(Stateless):
    """x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Stateless):
    """x - tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Hardtanh(Stateless):
    """x clamped to [min_val, max_val]."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False

    def _setup(self) -> None:
        if self.max_val <= self.min_val:
            raise ValueError(f"Hardtanh: expected min_val < max_val, got {self.min_val} and {self.max_val}")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val)


class Hardsigmoid(Stateless):
    """x / 6 + 1/2 clamped to [0, 1]."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input)


class Hardswish(Stateless):
    """x hardsigmoid(x) (Howard et al. 2019)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input)


class Hardshrink(Stateless):
    """x where |x| > lambd, 0 elsewhere."""

    lambd: float = 0.5

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Stateless):
    """sign(x) max(|x| - lambd, 0)."""

    lambd: float = 0.5

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class LogSigmoid(Stateless):
    """log(1 / (1 + e^-x))."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Threshold(Stateless):
    """x where x > threshold, `value` elsewhere."""

    threshold: float
    value: float
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value)


class GLU(Stateless):
    """a · sigmoid(b), where a and b are the halves of x along `dim` (Dauphin et al. 2017)."""

    dim: int = -1

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class Softmax(Stateless):
    """e^x_i / sum_j e^x_j along `dim`."""

    dim: Any = None  # an int; TypeError without one

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class LogSoftmax(Stateless):
    """log softmax(x) along `dim`."""

    dim: Any = None  # an int; TypeError without one

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Softmin(Stateless):
    """softmax(-x) along `dim`."""

    dim: Any = None  # an int; TypeError without one

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class Softmax2d(Stateless):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected a 3-d or 4-d input, got shape {tuple(input.shape)}")
        return F.softmax(input, -3)
