"""The parts of a training step that take turns: one loss and one optimiser, or several of them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class Phase(NamedTuple):
    """A loss and the optimiser that lowers it, at every `every`-th step; `name` is '' where it is the only one."""

    name: str
    loss: Callable
    optimizer: Any
    every: int

    @property
    def title(self) -> str:
        """'loss', or 'generator_loss'."""
        return f"{self.name}_loss" if self.name else "loss"

    @property
    def parameters(self) -> list[Any]:
        """What its optimiser changes."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def due(self, step: int) -> bool:
        """Whether it has a turn in the step after `step` completed ones."""
        return (step + 1) % self.every == 0

    @contextmanager
    def alone(self, model: Any) -> Iterator[None]:
        """Inside the block no other parameter of the model takes part in the gradient: its cost is saved, and no grad is left."""
        if not self.name:
            yield
            return
        mine = {id(p) for p in self.parameters}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in mine]
        for p in others:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in others:
                p.requires_grad_(True)


def phases(loss: Any, optimizer: Any, every: Mapping[str, int] | None = None) -> list[Phase]:
    """The phases in their order. `loss` and `optimizer` are single, or dicts with the same names.

    Raises ValueError where names differ, where `every` names another, or where it is not a whole number of at least 1.
    """
    every = every or {}
    if not isinstance(loss, Mapping):
        if isinstance(optimizer, Mapping) or every:
            raise ValueError("Trainer: several optimisers and `every` need a dict of losses with the same names")
        return [Phase("", loss, optimizer, 1)]
    if not loss:
        raise ValueError("Trainer: the dict of losses is empty")
    if not isinstance(optimizer, Mapping) or optimizer.keys() != loss.keys():
        given = ", ".join(optimizer) if isinstance(optimizer, Mapping) else type(optimizer).__name__
        raise ValueError(f"Trainer: expected a dict of optimisers for the losses {', '.join(loss)}, got {given}")
    if not every.keys() <= loss.keys() or any(not isinstance(n, int) or n < 1 for n in every.values()):
        raise ValueError(f"Trainer: every: expected whole numbers of at least 1 for some of {', '.join(loss)}, got {dict(every)}")
    return [Phase(name, loss[name], optimizer[name], every.get(name, 1)) for name in loss]
