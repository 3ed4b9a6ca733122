"""What is particular to each system that the command line trains: its model, its losses, its numbers and its pictures."""

from __future__ import annotations

from .classification import Classification
from .common import SMALL_SET, Option, Task
from .generation import Generation

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Generation)}

__all__ = ["SMALL_SET", "TASKS", "Option", "Task"]
