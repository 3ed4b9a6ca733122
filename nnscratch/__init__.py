"""nnscratch: deep learning from scratch on NumPy arrays."""

from .autograd import (
    backward,
    defvjp,
    enable_grad,
    fused,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    nondifferentiable,
    primitive,
    set_grad_enabled,
)
from .backend import *  # noqa: F403
from .backend import Generator, get_default_dtype, manual_seed, set_default_dtype
from .ops import *  # noqa: F403
from .tensor import Tensor, as_tensor, from_dlpack, from_numpy, is_tensor, tensor, to_numpy
