"""From a configuration to a trainer: what `nnscratch train` does, callable from a program."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, models, optim, viz
from ..data import DataLoader, Dataset, MapDataset, Subset, load, random_split, transforms
from ..tensor import Tensor, as_tensor
from .checkpoint import Checkpoint, CheckpointError, Run
from .loop import Trainer, evaluation
from .privacy import PoissonSampler, PrivateLoss, epsilon
from .progress import Progress
from .schedule import schedule
from .tasks import SMALL_SET, TASKS, Task


def load_data(
    name: str, size: int | None = None, limit: int | None = None, skip_bad: bool = False, label: str | None = None
) -> tuple[Dataset, Dataset]:
    """Training and test part of a set by name; `limit` takes the first so many of each.

    `skip_bad` leaves out the pictures of a folder that cannot be read, with a warning that counts them. `label` is the attribute
    of shapes that is their label.
    """
    options: dict[str, Any] = _without_none({"size": size, "label": label})
    if skip_bad:
        options["on_error"] = "skip"
    parts = []
    for train in (True, False):
        part = load(name, train=train, **options)
        if limit is not None:
            part = Subset(part, np.arange(min(limit, len(part))))
        parts.append(part)
    return parts[0], parts[1]


def configure(
    task_name: str, data: dict[str, Any], given: dict[str, Any], options: dict[str, Any] | None = None
) -> tuple[dict[str, Any], tuple[Dataset, Dataset]]:
    """The complete configuration of a run (what was given, and the task's defaults for a set of that size), and its data.

    `data` has the arguments of `load_data`; `given` may have any of the training options and `options` any of the system's
    own, None standing for the default.
    """
    task = TASKS[task_name](**_without_none(options or {}))
    if data["size"] is None:
        data = {**data, "size": task.sizes.get(data["name"])}
    train, test = load_data(**data)
    sample = train[0]
    task.check_sample(data["name"], sample)
    defaults = task.small_set if len(train) <= SMALL_SET else task.large_set
    config = {
        "task": task_name,
        "options": task.chosen,
        "data": data,
        "model": task.model_config(sample[0].shape, len(train.classes)),
        "classes": _names(train),
        "training": {**DEFAULTS, **defaults, **_without_none(given)},
    }
    return config, (train, test)


def _names(data: Dataset) -> list[str]:
    return [str(name) for name in data.classes]


def check_classes(config: dict[str, Any], data: Dataset) -> None:
    """Raise ValueError where the classes of the data are no longer those that the run was trained on: its labels would lie."""
    was, now = config.get("classes", _names(data)), _names(data)  # a run may be older than their being noted
    if was != now and not len(was) == len(now) == 1:  # pictures without classes are one of their folder's name, whatever that is
        raise ValueError(f"{config['data']['name']} has the classes {', '.join(now)}; the run was trained on {', '.join(was)}")


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "augment": False,
    "save_every": None,
    "patience": None,
    "clip_norm": None,
    "ema": None,
    "schedule": "constant",
    "weight_decay": 0.0,
    "l1": 0.0,
    "private_noise": None,
    "private_clip": 1.0,
}


DELTA = 1e-5  # of the (epsilon, delta) that a private training reports


class Session:
    """One run of a task in a run directory: `trainer.fit()`, then `pictures()`.

    `config` as `configure` makes it, `data` (training set, test set) if they are loaded already. With `patience`, or the schedule
    'plateau', a tenth of the training images is set apart to decide when to stop or to slow down. With `private_noise` the
    training is DP-SGD's; its epsilon at DELTA is among the numbers of each epoch, and does not cover images that are set apart.
    """

    def __init__(self, config: dict[str, Any], run: Run, data: Any = None, *, device: str = "cpu", quiet: bool = False):
        train: Any
        self.test: Any
        self.run, self.task = run, task_of(config)
        self._said: set[str] = set()  # troubles that were advised on
        self.options = options = config["training"]
        backend.manual_seed(options["seed"])
        train, self.test = data or load_data(**config["data"])
        check_classes(config, train)
        self.task.begin(config["data"], train, run.folder)
        self.validation = None
        if options["patience"] is not None or options["schedule"] == "plateau":
            train, self.validation = random_split(train, [0.9, 0.1], seed=options["seed"])
            if not len(self.validation):
                raise ValueError(f"--patience and --schedule plateau hold out a tenth: {len(train)} training images are too few")
        self.model = models.build(config["task"], config["model"]).to(device=device)
        self.ema = None if options["ema"] is None else optim.EMA(self.task.averaged(self.model), options["ema"], warmup=True)
        loader = self._loader(train, pin_memory=not str(device).startswith("cpu"))
        optimizer = self.task.optimizer(self.model, options["lr"])
        if options["weight_decay"]:
            for one in optimizer.values() if isinstance(optimizer, dict) else [optimizer]:
                for group in one.param_groups:
                    group["weight_decay"] = options["weight_decay"]
        self.trainer = Trainer(
            self.model,
            self._private or self._losses(),
            optimizer,
            loader,
            epochs=options["epochs"],
            every=self.task.every,
            evaluate=self._evaluate,
            scheduler=schedule(options["schedule"], optimizer, options["epochs"] * len(loader)),
            schedule_batches=options["schedule"] != "plateau",
            ema=self.ema,
            clip_norm=options["clip_norm"],
            run=run,
            save_every=options["save_every"],
            monitor=f"{'test' if self.validation is None else 'validation'}_{self.task.monitor}",
            patience=options["patience"],
            on_epoch=self._after_epoch,
            device=device,
            progress=Progress(quiet),
        )

    def _loader(self, train: Any, pin_memory: bool) -> DataLoader:
        """Shuffled batches, or those of Poisson sampling where the training is private."""
        options = self.options
        size, seed, augment = options["batch_size"], options["seed"], options["augment"]
        self._private: PrivateLoss | None = None
        self._sampler: PoissonSampler | None = None
        dataset = _augmented(train) if augment else train
        if options["private_noise"] is None:
            return DataLoader(dataset, size, shuffle=True, seed=seed, prefetch=2 if augment else 0, pin_memory=pin_memory)
        losses = self._losses()
        if isinstance(losses, dict):
            raise ValueError(f"--private-noise is for systems with one loss; {self.task.name} has {' and '.join(losses)}")
        self._private = PrivateLoss(self.model, losses, options["private_clip"], options["private_noise"], size)
        self._sampler = PoissonSampler(len(train), size)
        return DataLoader(dataset, batch_sampler=self._sampler, seed=seed, pin_memory=pin_memory)

    def _losses(self) -> Any:
        """The task's loss or losses as the trainer calls them."""
        losses = self.task.losses()
        if isinstance(losses, dict):
            return {name: partial(self._loss, loss) for name, loss in losses.items()}
        return partial(self._loss, losses)

    def _loss(self, of_task: Any, model: Any, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """A loss of the system, and with `l1` that times the sum of the magnitudes of the weights that it trains."""
        loss, numbers = of_task(model, batch, self.trainer.step)
        if self.options["l1"]:
            weights = [p for p in model.parameters() if p.ndim > 1 and p.requires_grad]
            loss = loss + sum((p.abs().sum() for p in weights), as_tensor(0.0)) * self.options["l1"]
        return loss, numbers

    def _evaluate(self, model: Any) -> dict[str, float]:
        numbers: dict[str, float] = {}
        if self._sampler is not None:
            spent = epsilon(self._sampler.rate, self.options["private_noise"], self.trainer.step, DELTA)
            numbers["epsilon"] = spent
        for part, dataset in (("validation", self.validation), ("test", self.test)):
            if dataset is not None:
                numbers |= {f"{part}_{name}": value for name, value in self.task.evaluate(model, dataset).items()}
        return numbers

    def _after_epoch(self, trainer: Trainer) -> None:
        with evaluation(self.model, self.ema):
            self.task.epoch_pictures(self.model, self.test, self.run.folder, trainer.epoch)
        for text in self.task.advice(trainer.history, trainer.epochs):
            if (trouble := text.partition(":")[0]) not in self._said:
                self._said.add(trouble)
                trainer.progress.warning(text)

    def pictures(self) -> dict[Path, str]:
        """Draw the pictures of the run as it stands; {path: what it shows}."""
        drawn = {}
        if self.trainer.history:
            drawn[viz.save_curves(self.trainer.history, self.run.folder / "curves.png")] = "learning curves"
        with evaluation(self.model, self.ema):
            return drawn | self.task.pictures(self.model, self.test, self.run.folder)


def _augmented(dataset: Dataset) -> Dataset:
    """Random shifts by up to a twelfth of the side; colour pictures are mirrored as well. Raises ValueError for films."""
    if np.ndim(dataset[0][0]) != 3:
        raise ValueError("--augment is for images, not for films")
    channels, height, width = dataset[0][0].shape
    steps: list[Any] = [transforms.RandomCrop((height, width), padding=max(1, height // 12))]
    if channels == 3:
        steps.append(transforms.RandomHorizontalFlip())
    return MapDataset(dataset, transforms.Compose(steps))


def saved_config(run: Run) -> dict[str, Any]:
    """The configuration of a run as `configure` made it. Raises CheckpointError where something is missing from it."""
    config, path = run.config, run.folder / "config.json"
    parts = config if isinstance(config, dict) else {}
    if parts.get("task") not in TASKS:
        raise CheckpointError(f"{path}: the task is {parts.get('task')!r}, expected one of {', '.join(TASKS)}")
    wanted = {"model": (), "data": ("name", "size", "limit"), "training": ("epochs", "batch_size", "lr")}
    for part, keys in wanted.items():
        if not isinstance(parts.get(part), dict) or not parts[part].keys() >= set(keys):
            expected = f"an object with {', '.join(keys) or 'the arguments of the model'}"
            raise CheckpointError(f"{path}: {part!r} is missing or incomplete: expected {expected}")
    counts = {"data": ("size", "limit"), "training": ("epochs", "batch_size")}
    for part, key in ((part, key) for part, keys in counts.items() for key in keys):
        value = config[part][key]
        if not ((isinstance(value, int) and value >= 1) or (value is None and part == "data")):
            raise CheckpointError(f"{path}: {key!r} of {part!r} is {value!r}, expected a whole number of at least 1")
    config["training"] = {**DEFAULTS, **config["training"]}  # a run may be older than an option
    options = config.setdefault("options", {})
    try:
        config["options"] = TASKS[config["task"]](**options).chosen
    except (TypeError, ValueError) as fault:
        raise CheckpointError(f"{path}: 'options': {fault}") from fault
    return config


def task_of(config: dict[str, Any]) -> Task:
    """The system of a configuration, with its options."""
    return TASKS[config["task"]](**config["options"])


def newest(run: Run) -> Checkpoint | None:
    """The newest complete checkpoint of a run, with a warning where a newer one is damaged; None where there is none at all.

    Raises CheckpointError when all that there are are damaged.
    """
    latest, faults = run.latest(), run.damaged()
    if faults and latest is None:
        raise CheckpointError(f"{run.folder}: this run has no whole checkpoint: {faults[-1]}")
    if faults and latest is not None:
        warnings.warn(f"{faults[-1]}; the last whole one, {latest.folder}, is used instead", stacklevel=2)
    return latest


def restore(run: Run, best: bool = False, device: str = "cpu") -> tuple[Any, Checkpoint]:
    """The model of a run, in evaluation mode, with the weights of its latest (or best) checkpoint; averaged ones if it has them.

    Warns where another one is taken, as that is damaged or gone. Raises CheckpointError when the directory holds no run or no
    checkpoint.
    """
    config = saved_config(run)
    chosen = newest(run)
    if chosen is None:
        raise CheckpointError(f"{run.folder}: this run has no checkpoint")
    if best and (step := chosen.state.get("best_step")) is not None:
        latest, chosen = chosen, next((c for c in reversed(run.checkpoints()) if c.step == step), None)
        if chosen is None:
            chosen = latest
            warnings.warn(
                f"{run.folder}: the best checkpoint, that of step {step}, is damaged or gone; {chosen.folder} is used instead",
                stacklevel=2,
            )
    model = models.build(config["task"], config["model"])
    try:
        model.load_state_dict(chosen.load("model"))
    except (KeyError, RuntimeError) as fault:
        raise CheckpointError(
            f"{chosen.folder}: these weights do not fit the {config['task']} that {run.folder / 'config.json'} describes: "
            f"{str(fault)[:200]} ..."
        ) from fault
    if "ema" in chosen.parts:
        model.load_state_dict(chosen.load("ema")["averages"], strict=False)
    return model.to(device=device).eval(), chosen
