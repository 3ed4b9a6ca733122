"""The training loop, checkpoints and metrics."""

from . import metrics
from .checkpoint import Checkpoint, CheckpointError, Run
from .loop import NonFiniteLoss, Trainer
from .progress import Progress
from .signals import Interrupted

__all__ = ["Checkpoint", "CheckpointError", "Interrupted", "NonFiniteLoss", "Progress", "Run", "Trainer", "metrics"]
