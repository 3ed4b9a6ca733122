"""What is particular to each system that the command line trains: its model, its losses, its numbers and its pictures."""

from __future__ import annotations

from .adversarial import AdversarialTask, ConvolutionalGAN, DenseGAN, WassersteinGAN
from .classification import Classification, RowClassification
from .common import SMALL_SET, Option, Task
from .completion import Completion
from .generation import Generation
from .prediction import Prediction
from .relabelling import Relabelling, Replacement
from .restoration import Restoration

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Classification,
        RowClassification,
        Restoration,
        Generation,
        Relabelling,
        Replacement,
        DenseGAN,
        ConvolutionalGAN,
        WassersteinGAN,
        Completion,
        Prediction,
    )
}

__all__ = ["SMALL_SET", "TASKS", "Option", "Task"]
