"""The engine: primitives, the graph they record, the walk back through it, and what is built on that."""

from . import functional
from .anomaly import AnomalyError, anomaly_mode, detect_anomaly, set_detect_anomaly
from .checkpointing import checkpoint
from .engine import backward, grad
from .fusion import Fused, fused
from .graph import HookHandle, Leaf, Like, Node
from .inplace import mark_written, stamp, write_in_place
from .modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .primitives import Primitive, defvjp, nondifferentiable, primitive
from .transforms import hessian, hvp, jacobian, jvp, vjp
