"""Learning-rate schedules: the rate of each parameter group as a function of the number of `step()` calls so far.

Every schedule is a closed form lr(t) of its group's initial rate, so a schedule resumed at any t continues exactly. One
schedule owns the rate at a time; `SequentialLR` puts several one after the other (a warm-up is a `LinearLR` first).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass gives `lr_at(t, base, group)`, the rate after t steps of the group with that index and base rate.

    `last_epoch` is t; giving one that is not -1 resumes there (the groups must then have their "initial_lr").
    """

    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: 'initial_lr' is missing in group {i}; it is needed to resume at {last_epoch}"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._apply()

    def lr_at(self, t: int, base: float, group: int) -> float:
        raise NotImplementedError(f"{type(self).__name__}: define lr_at(t, base, group)")

    def get_lr(self) -> list[float]:
        """The rate of each group at the present step."""
        return [self.lr_at(self.last_epoch, base, i) for i, base in enumerate(self.base_lrs)]

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self) -> None:
        """Go one step further (an epoch or a batch: whatever the schedule is counted in) and set the rates."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """All counters and settings, JSON-serialisable; functions given by the user are left out."""
        return {key: value for key, value in self.__dict__.items() if key not in self._unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`; the rates themselves come with the optimiser's state."""
        self.__dict__.update(state_dict)


def for_group(value: Any, i: int, groups: Sequence[Any], name: str) -> Any:
    """The i-th of a list with one value for each group, or the one value for all."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != len(groups):
        raise ValueError(f"{name}: expected {len(groups)} values, one for each parameter group, got {len(value)}")
    return value[i]
