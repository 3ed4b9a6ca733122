"""nnscratch: deep learning from scratch on NumPy and CuPy arrays, small enough to read, exact enough to test gradients."""

# isort: off
from importlib import import_module
from typing import TYPE_CHECKING

try:
    import_module(".kernels", __name__)
except ModuleNotFoundError as fault:
    if fault.name != "nnscratch.kernels":
        raise
    raise ImportError("nnscratch.kernels is missing: a checkout is first installed, with `pip install -e .` in it") from None

from .tensor import (
    Tensor,
    as_tensor,
    from_dlpack,
    from_numpy,
    is_floating_point,
    is_tensor,
    numel,
    tensor,
    to_numpy,
)  # first: the engine builds on it

# isort: on
import numpy as _np

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
    default_generator,
    device,
    float16,
    float32,
    float64,
    get_default_dtype,
    get_rng_state,
    initial_seed,
    int8,
    int16,
    int32,
    int64,
    manual_seed,
    set_default_dtype,
    set_rng_state,
    uint8,
)
from .kernels.malloc import tune_malloc
from .kernels.memory import empty_cache, memory_stats, reset_peak_memory_stats, set_memory_limit
from .kernels.precision import precision
from .methods import DTYPES as _DTYPES
from .ops import *
from .serialization import load, save

__version__ = "0.1.0"

_SUBMODULES = (
    "cuda",
    "data",
    "editing",
    "explain",
    "gradcheck",
    "kernels",
    "metrics",
    "models",
    "nn",
    "optim",
    "training",
    "utils",
    "viz",
)
# torch's other names for dtypes and the like, out of the way of the builtins and of what NumPy calls so.
_ALIASES = {**_DTYPES, "Size": tuple, "dtype": _np.dtype, "finfo": _np.finfo, "iinfo": _np.iinfo}

if TYPE_CHECKING:
    from numpy import dtype, finfo, iinfo

    from . import cuda, data, editing, explain, gradcheck, kernels, metrics, models, nn, optim, training, utils, viz

    Size = tuple
    bool = bool_
    half, float, double = float16, float32, float64
    char, short, int, long, byte = int8, int16, int32, int64, uint8
else:

    def __getattr__(name: str) -> object:
        """`nnscratch.nn` and the like, imported when first used; `nnscratch.long` and other aliases."""
        if name in _SUBMODULES:
            return import_module(f".{name}", __name__)
        if name in _ALIASES:
            return _ALIASES[name]
        raise AttributeError(f"module 'nnscratch' has no attribute {name!r}")
