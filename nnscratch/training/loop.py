"""Trainer: the training loop, resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .. import backend
from ..autograd import no_grad
from ..nn.utils import clip_grad_norm_
from ..optim import Optimizer
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..tensor import Tensor
from .checkpoint import Checkpoint, CheckpointError, Run
from .phases import Phase, phases
from .progress import Progress, describe
from .signals import Interrupted, Signals


@contextmanager
def evaluation(model: Any, ema: Any = None) -> Iterator[None]:
    """Inside the block: evaluation mode, no gradients and, where there is an EMA, the averaged weights."""
    model.eval()
    try:
        with no_grad(), nullcontext() if ema is None else ema.applied():
            yield
    finally:
        model.train()


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite."""


class Trainer:
    """Trains `model` on `loader` for `epochs` epochs; `fit()` starts or continues.

    `loss(model, batch)` returns the loss of a batch, alone or with a dict of further numbers to average over the epoch.
    For alternating training `loss` and `optimizer` are dicts with the same names: in each step every loss in turn is lowered by
    its own optimiser, without gradients for the parameters of the others.
    `evaluate(model)` returns a dict of numbers after each epoch, called in evaluation mode without gradients and, with an
    `ema`, on the averaged weights. The options:

    - `every`: the phases that have a turn only at each so-many-th step, as {name: number}
    - `scheduler`: stepped after each epoch, or each batch with `schedule_batches`; ReduceLROnPlateau gets the monitored value
    - `clip_norm`: the largest norm of all gradients together
    - `run`: the directory for config, metrics and checkpoints, written after each epoch and every `save_every` steps
    - `monitor`: the number whose smallest value marks the best epoch: a key of `evaluate`'s dict, 'train_loss', or by default
      'test_loss' where `evaluate` gives one and else 'train_loss' (of several losses the first's); after `patience` epochs
      without a better one training stops
    - `generators`: named ones to save beside the default generator;  `on_epoch(trainer)`: called after each epoch

    `history` holds one dict of numbers for each epoch. A run that is interrupted and resumed gives the same numbers and weights,
    bit for bit, as one that was not. Raises NonFiniteLoss, Interrupted (after saving) on Ctrl-C or SIGTERM, CheckpointError
    when `run` holds the checkpoints of another training, and OSError when a checkpoint cannot be written.
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Any] | dict[str, Callable[[Any, Any], Any]],
        optimizer: Any,
        loader: Any,
        *,
        epochs: int,
        every: dict[str, int] | None = None,
        evaluate: Callable[[Any], dict[str, float]] | None = None,
        scheduler: Any = None,
        schedule_batches: bool = False,
        ema: Any = None,
        clip_norm: float | None = None,
        run: Run | None = None,
        save_every: int | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        generators: dict[str, Any] | None = None,
        on_epoch: Callable[[Trainer], None] | None = None,
        device: str = "cpu",
        progress: Progress | None = None,
    ):
        for name, value in (("save_every", save_every), ("patience", patience)):
            if value is not None and value < 1:
                raise ValueError(f"Trainer: {name} must be at least 1, got {value}")
        if not hasattr(loader, "__len__"):
            raise TypeError(f"Trainer: loader: expected batches with a length that can be run through again, got {loader!r}")
        phases(loss, optimizer, every)  # raises where they do not fit each other
        self.model, self.loss, self.optimizer, self.loader, self.every = model, loss, optimizer, loader, every
        self.epochs, self.evaluate, self.scheduler, self.schedule_batches = epochs, evaluate, scheduler, schedule_batches
        self.ema, self.clip_norm, self.run, self.save_every = ema, clip_norm, run, save_every
        self.monitor, self.patience, self.on_epoch, self.device = monitor, patience, on_epoch, device
        self.generators = {"default": backend.default_generator, **(generators or {})}
        self.progress = progress or Progress()
        self.epoch = self.step = 0  # completed so far
        self.history: list[dict[str, float]] = []
        self.best: float | None = None
        self.best_step: int | None = None
        self.bad_epochs = 0  # since the best
        self._sums: dict[str, list[float]] = {}  # of each number: its sum over samples of the present epoch, and their number
        self._saved_step = -1

    # -------------------------------------------------------------------------------------------------------- training

    def fit(self) -> list[dict[str, float]]:
        """Train until `epochs` epochs are done or `patience` is lost; returns the history."""
        if not len(self.loader):
            raise ValueError("Trainer: the loader has no batches")
        if self.run is not None and self._saved_step < 0 and (other := self.run.latest()) is not None:
            raise CheckpointError(
                f"{self.run.folder} already holds a training, up to step {other.step}; continue it with "
                "trainer.resume(run.latest()), or empty the folder with run.create(config)"
            )
        with Signals() as signals:
            while self.epoch < self.epochs and not self._out_of_patience():
                start = time.perf_counter()
                self._train_epoch(signals)
                self._end_epoch(time.perf_counter() - start)
                self._stop_if_asked(signals)
        if self.epoch < self.epochs:
            name = self._monitored(self.history[-1]).replace("_", " ")
            self.progress.line(f"stopped early: no {name} below {self.best:.4g} for {self.bad_epochs} epochs")
        return self.history

    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.bad_epochs >= self.patience

    def _train_epoch(self, signals: Signals) -> None:
        self.model.train()
        done = self.loader.state_dict()["position"] if hasattr(self.loader, "state_dict") else 0
        with self.progress.bar(len(self.loader), done, f"epoch {self.epoch + 1}/{self.epochs}") as bar:
            for batch in self.loader:
                self._train_step(_to(batch, self.device))
                means = self._means()
                bar.update(1, **{phase.title: means[phase.title] for phase in self.phases if phase.title in means})
                self._stop_if_asked(signals)
                if self.save_every and self.step % self.save_every == 0:
                    self.save()

    @property
    def phases(self) -> list[Phase]:
        """The losses with their optimisers, in the order of their turns."""
        return phases(self.loss, self.optimizer, self.every)

    def _train_step(self, batch: Any) -> None:
        due = [phase for phase in self.phases if phase.due(self.step)]
        for phase in due:
            with phase.alone(self.model):
                self._lower(phase, batch)
        if self.ema is not None and due and due[-1].name == self.phases[-1].name:
            self.ema.update()
        if self.scheduler is not None and self.schedule_batches:
            self.scheduler.step()
        self.step += 1

    def _lower(self, phase: Phase, batch: Any) -> None:
        """One step of one optimiser."""
        result = phase.loss(self.model, batch)
        loss, numbers = result if isinstance(result, tuple) else (result, {})
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"Trainer: loss(model, batch) must return one number as a tensor, alone or with a dict; got {given}")
        value = loss.item()
        if not math.isfinite(value):
            raise NonFiniteLoss(self._advice(phase, value))
        phase.optimizer.zero_grad()
        loss.backward()
        _step(phase, self.clip_norm)
        n = _size(batch)
        for name, number in {phase.title: value, **numbers}.items():
            entry = self._sums.setdefault(name, [0.0, 0])
            entry[0] += float(number) * n
            entry[1] += n

    def _means(self) -> dict[str, float]:
        """The averages so far of the numbers of the present epoch."""
        return {name: total / samples for name, (total, samples) in self._sums.items()}

    def _advice(self, phase: Phase, value: float) -> str:
        latest = self.run.latest() if self.run is not None else None
        title, lr = phase.title.replace("_", " "), phase.optimizer.param_groups[0]["lr"]
        return (
            f"the {title} became {value} at step {self.step + 1} (epoch {self.epoch + 1}); a learning rate below {lr:g} "
            "or clipping the gradients may help" + (f"; the checkpoint of step {latest.step} is from before" if latest else "")
        )

    def _end_epoch(self, seconds: float) -> None:
        row: dict[str, float] = {"epoch": self.epoch + 1, "step": self.step, "lr": self.phases[0].optimizer.param_groups[0]["lr"]}
        row |= {f"train_{name}": value for name, value in self._means().items()}
        row |= self.evaluated()
        watched = row[self._monitored(row)]
        self.history.append(row)
        self._sums = {}
        self.epoch += 1
        if self.best is None or watched < self.best:
            self.best, self.best_step, self.bad_epochs = watched, self.step, 0
        else:
            self.bad_epochs += 1
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(watched)
        elif self.scheduler is not None and not self.schedule_batches:
            self.scheduler.step()
        if self.run is not None:
            self.save()
            self.run.write_metrics(self.history)
        self.progress.line(describe(row, self.epochs, seconds))
        if self.on_epoch is not None:
            self.on_epoch(self)

    def _monitored(self, row: dict[str, float]) -> str:
        if self.monitor is None:
            return "test_loss" if "test_loss" in row else f"train_{self.phases[0].title}"
        if self.monitor not in row:
            raise ValueError(f"Trainer: monitor {self.monitor!r} is not among the numbers of an epoch: {', '.join(row)}")
        return self.monitor

    def evaluated(self) -> dict[str, float]:
        """The numbers of `evaluate`, in evaluation mode, on the averaged weights where there are some."""
        if self.evaluate is None:
            return {}
        with evaluation(self.model, self.ema):
            numbers = self.evaluate(self.model)
        if not isinstance(numbers, dict):
            raise TypeError(f"Trainer: evaluate(model) must return a dict of numbers by name, got {type(numbers).__name__}")
        return {name: float(value) for name, value in numbers.items()}

    def _stop_if_asked(self, signals: Signals) -> None:
        if signals.received is not None:
            if self.run is not None and self._saved_step != self.step:
                self.save()
            raise Interrupted(signals.received)

    # ----------------------------------------------------------------------------------------------------- saving state

    def save(self) -> Checkpoint | None:
        """Write a checkpoint of everything into the run directory."""
        if self.run is None:
            return None
        parts: dict[str, Any] = {"model": self.model.state_dict()}
        parts |= {_part(phase): phase.optimizer.state_dict() for phase in self.phases}
        if self.ema is not None:
            parts["ema"] = self.ema.state_dict()
        state: dict[str, Any] = {key: getattr(self, key) for key in _COUNTERS}
        state["generators"] = {name: g.get_state() for name, g in self.generators.items()}
        for name, part in (("loader", self.loader), ("scheduler", self.scheduler)):
            if hasattr(part, "state_dict"):
                state[name] = part.state_dict()
        checkpoint = self.run.save(self.step, parts, state, self.best_step)
        self._saved_step = self.step
        return checkpoint

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Continue from a checkpoint. Raises CheckpointError when it does not fit this trainer, or there is none."""
        if checkpoint is None:
            raise CheckpointError("there is no checkpoint to resume from: the run has saved none yet")
        state = checkpoint.state
        try:
            self.model.load_state_dict(checkpoint.load("model"))
            for phase in self.phases:
                phase.optimizer.load_state_dict(checkpoint.load(_part(phase)))
            if self.ema is not None:
                self.ema.load_state_dict(checkpoint.load("ema"))
            for name, part in (("loader", self.loader), ("scheduler", self.scheduler)):
                if hasattr(part, "load_state_dict"):
                    part.load_state_dict(state[name])
            for name, generator in self.generators.items():
                generator.set_state(state["generators"][name])
            for key in _COUNTERS:
                setattr(self, key, state[key])
        except (ValueError, KeyError, TypeError, RuntimeError) as fault:
            raise CheckpointError(f"{checkpoint.folder} does not fit this model and these options: {fault}") from fault
        self._saved_step = self.step
        if self.run is not None:
            self.run.write_metrics(self.history)


_COUNTERS = ("epoch", "step", "history", "best", "best_step", "bad_epochs", "_sums")


def _part(phase: Phase) -> str:
    """The file of a phase's optimiser in a checkpoint."""
    return f"{phase.name}-optimizer" if phase.name else "optimizer"


def _to(batch: Any, device: str) -> Any:
    """Every tensor of a batch on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device=device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(part, device) for key, part in batch.items()}
    return tuple(_to(part, device) for part in batch) if isinstance(batch, tuple) else batch


def _step(phase: Phase, clip_norm: float | None) -> None:
    """A step with clipped gradients: as part of it where it is the library's own, else before it."""
    own = getattr(phase.optimizer.step, "__func__", None) is Optimizer.step
    if clip_norm is None:
        phase.optimizer.step()
    elif own:
        phase.optimizer.step(max_norm=clip_norm)
    else:
        clip_grad_norm_(phase.parameters, clip_norm)
        phase.optimizer.step()


def _size(batch: Any) -> int:
    """The number of samples in a batch."""
    while isinstance(batch, (tuple, dict)):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch)
