"""Learning rates that fall over a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

# The share of the first rate after the share t of all steps.
_CURVES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,  # Loshchilov & Hutter 2017, without restarts
    "steps": lambda t: 0.1 ** ((t >= 0.5) + (t >= 0.75)),  # He et al. 2016
    "exponential": lambda t: 0.01**t,
}
SCHEDULES = ("constant", *_CURVES, "plateau")


def schedule(name: str, optimizer: Any, steps: int) -> Any:
    """The scheduler called `name` (one of SCHEDULES) for a training of `steps` steps; None where the rate stays.

        linear        lr (1 - t)                          cosine   lr (1 + cos pi t) / 2
        exponential   lr 0.01^t                           steps    lr / 10 from t = 1/2, lr / 100 from t = 3/4

    with t from 0 to 1 over the whole training, to be stepped after each batch; 'plateau' is stepped after each epoch, and divides
    the rate by 5 after 3 epochs without a lower loss. For a dict of optimisers by name, all but 'plateau' move them together.
    Raises ValueError for another name.
    """
    if name == "constant":
        return None
    if isinstance(optimizer, dict):
        if name == "plateau":
            raise ValueError("the schedule 'plateau' is for systems with one loss: these losses do not fall, they are opposed")
        return _Together({part: schedule(name, one, steps) for part, one in optimizer.items()})
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.2, patience=3)
    if name not in _CURVES:
        raise ValueError(f"unknown schedule {name!r}: expected one of {', '.join(SCHEDULES)}")
    return LambdaLR(optimizer, lambda step: _CURVES[name](min(step, steps) / max(steps, 1)))


class _Together:
    """The schedulers of several optimisers as one."""

    def __init__(self, schedulers: dict[str, Any]):
        self.schedulers = schedulers

    def step(self) -> None:
        for scheduler in self.schedulers.values():
            scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return {name: scheduler.state_dict() for name, scheduler in self.schedulers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state[name])
