"""EMA: an exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import backend
from ..autograd import mark_written
from ..kernels import optimizer as kernels
from ..tensor import Tensor


class EMA:
    """The average a <- decay a + (1 - decay) w of weights w, updated after each optimiser step (Polyak & Juditsky 1992).

    `model` is a Module, a dict of tensors by name, or an iterable of tensors. With `warmup` the decay of update t is
    min(decay, (1 + t) / (10 + t)), so that a short run is not dominated by its initial weights. `with ema.applied():` runs the
    block on the averaged weights. Raises ValueError for a decay outside [0, 1).
    """

    def __init__(self, model: Any, decay: float = 0.999, warmup: bool = False):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be in [0, 1), got {decay}")
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.parameters = _named(model)
        self.averages = {name: np.copy(p.data, order="K") for name, p in self.parameters.items()}

    def update(self) -> None:
        """Move the averages towards the present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        weights, averages = [p.data for p in self.parameters.values()], list(self.averages.values())
        runs = [run for run in (kernels.prepare(average, ()) for average in averages) if run is not None]
        if len(runs) == len(averages) and kernels.step("average", runs, weights, [(1, 1, 0, (decay,))] * len(runs)):
            return
        for w, average in zip(weights, averages):
            t = np.subtract(w, average, out=np.empty_like(average))
            np.multiply(t, 1 - decay, out=t)
            np.add(average, t, out=average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights; afterwards its own again, also after an exception."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, p in self.parameters.items():
            held = np.copy(p.data, order="K")
            p.data[...] = self.averages[name]
            self.averages[name][...] = held
            mark_written(p.data)

    def state_dict(self) -> dict[str, Any]:
        """{"decay", "warmup", "updates", "averages": {name: Tensor}}; shares memory."""
        averages = {name: Tensor(a) for name, a in self.averages.items()}
        return {"decay": self.decay, "warmup": self.warmup, "updates": self.updates, "averages": averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a copy of `state`. Raises ValueError when its names or shapes are not those of this model."""
        given = state["averages"]
        wrong = sorted(given.keys() ^ self.averages.keys())
        wrong += [k for k in given.keys() & self.averages.keys() if tuple(given[k].shape) != tuple(self.averages[k].shape)]
        if wrong:
            raise ValueError(f"EMA: the state does not fit this model: {', '.join(wrong)}")
        self.decay, self.warmup, self.updates = state["decay"], state["warmup"], state["updates"]
        for name, average in self.averages.items():
            value = given[name].data if isinstance(given[name], Tensor) else given[name]
            average[...] = backend.to_device(value, backend.device_of(average))


def _named(model: Any) -> dict[str, Tensor]:
    if hasattr(model, "named_parameters"):
        return dict(model.named_parameters())
    if isinstance(model, Mapping):
        return dict(model)
    if not isinstance(model, Iterable):
        raise TypeError(f"EMA: expected a Module or tensors, got {type(model).__name__}")
    return {str(i): p for i, p in enumerate(model)}
