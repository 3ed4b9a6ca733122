"""The 1cycle policy: one rise and one fall of the rate, with the momentum moving the other way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, for_group


class OneCycleLR(LRScheduler):
    """The 1cycle policy (Smith & Topin 2018): up from max_lr / div_factor to max_lr, then down to the start / final_div_factor.

    The rise takes the share `pct_start` of `total_steps` (or epochs · steps_per_epoch); with `three_phase` the fall back to the
    start mirrors it. `cycle_momentum` moves the momentum (or beta1) the other way between max_momentum and base_momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0 or int(total_steps) != total_steps:
            raise ValueError(f"OneCycleLR: total_steps must be a positive integer, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = int(total_steps), anneal_strategy, cycle_momentum
        rise = pct_start * total_steps - 1
        # (last step, rate and momentum there); each phase starts from where the one before ended.
        self.phases: list[Any] = [[0.0, "initial_lr", "max_momentum"], [rise, "max_lr", "base_momentum"]]
        if three_phase:
            self.phases.append([2 * rise, "initial_lr", "max_momentum"])
        self.phases.append([total_steps - 1, "min_lr", "max_momentum"])
        if last_epoch == -1:
            groups = optimizer.param_groups
            for i, group in enumerate(groups):
                group["max_lr"] = for_group(max_lr, i, groups, "max_lr")
                group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["max_momentum"] = for_group(max_momentum, i, groups, "max_momentum")
                    group["base_momentum"] = for_group(base_momentum, i, groups, "base_momentum")
        super().__init__(optimizer, last_epoch)

    def _value(self, t: int, group: dict[str, Any], column: int) -> float:
        """The rate (column 1) or momentum (column 2) of `group` at t."""
        k = next((k for k in range(1, len(self.phases) - 1) if t <= self.phases[k][0]), len(self.phases) - 1)
        before, after = self.phases[k - 1], self.phases[k]
        start, end = group[before[column]], group[after[column]]
        done = (t - before[0]) / (after[0] - before[0])
        if self.anneal_strategy == "linear":
            return start + (end - start) * done
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2

    def lr_at(self, t: int, base: float, group: int) -> float:  # noqa: ARG002
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: step {t} lies beyond total_steps={self.total_steps}")
        return self._value(t, self.optimizer.param_groups[group], 1)

    def _apply(self) -> None:
        super()._apply()
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            momentum = self._value(self.last_epoch, group, 2)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
