"""nnscratch: deep learning from scratch on NumPy and CuPy arrays, small enough to read, exact enough to test gradients."""

# isort: off
from importlib import import_module
from typing import TYPE_CHECKING

from .tensor import (
    Tensor,
    as_tensor,
    from_dlpack,
    from_numpy,
    is_tensor,
    tensor,
    to_numpy,
)  # first: the engine builds on it

# isort: on
from .autograd import (
    AnomalyError,
    anomaly_mode,
    backward,
    checkpoint,
    defvjp,
    enable_grad,
    fused,
    grad,
    hessian,
    hvp,
    inference_mode,
    is_grad_enabled,
    jacobian,
    jvp,
    no_grad,
    nondifferentiable,
    primitive,
    set_grad_enabled,
    vjp,
)
from .backend import (
    Generator,
    bool_,
    default_dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    manual_seed,
    set_default_dtype,
    uint8,
)
from .ops import *
from .serialization import load, save

__version__ = "0.1.0"

_SUBMODULES = ("data", "gradcheck", "kernels", "metrics", "models", "nn", "optim", "training", "viz")

if TYPE_CHECKING:
    from . import data, gradcheck, kernels, metrics, models, nn, optim, training, viz
else:

    def __getattr__(name: str) -> object:
        """`nnscratch.nn` and the like, imported when first used."""
        if name in _SUBMODULES:
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module 'nnscratch' has no attribute {name!r}")
