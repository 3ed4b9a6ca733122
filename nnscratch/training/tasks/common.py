"""Task: what the recipe asks of a system, and the options it takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import optim, viz
from ...data import Dataset
from ...data.dataset import gather
from ...ops import bernoulli
from ...tensor import Tensor, as_tensor, to_numpy
from .. import advice

SMALL_SET = 5_000  # up to so many training images a system uses its defaults for small sets


@dataclass(frozen=True)
class Option:
    """One option of a system. Its values have the type of the default: a name among `choices`, True or False, or a number."""

    default: Any
    help: str
    choices: tuple[str, ...] = ()
    least: float = 0  # the smallest number allowed
    most: float = float("inf")

    def check(self, name: str, value: Any) -> Any:
        """The value. Raises ValueError for one that is not among the choices, of another type or out of range."""
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"option {name}: expected {_NAMES[kind]}, got {value!r}")
        if self.choices and value not in self.choices:
            raise ValueError(f"option {name}: expected one of {', '.join(self.choices)}, got {value!r}")
        if kind in (int, float) and not self.least <= value <= self.most:
            bound = f"at least {self.least:g}" if self.most == float("inf") else f"from {self.least:g} to {self.most:g}"
            raise ValueError(f"option {name}: expected a number {bound}, got {value!r}")
        return value


_NAMES = {str: "a name", bool: "true or false", int: "a whole number", float: "a number"}


class Task(ABC):
    """A system as the recipe trains it. `Task(**options)` takes those of `options` that differ from their defaults.

    `small_set` and `large_set` are the defaults of training on up to `SMALL_SET` images and on more; `sizes` has the image size
    for data sets whose own does not suit the system. `chosen` holds the value of every option. Raises ValueError for an
    unknown option or value.
    """

    name: ClassVar[str]
    about: ClassVar[str]  # one line for the help
    small_set: ClassVar[dict[str, Any]]
    large_set: ClassVar[dict[str, Any]]
    sizes: ClassVar[dict[str, int]] = {}
    axes: ClassVar[tuple[str, ...]] = ("C", "H", "W")  # of one sample
    options: ClassVar[dict[str, Option]] = {}
    every: dict[str, int] | None = None  # of several losses those that have a turn at each so-many-th step

    def __init__(self, **options: Any):
        if unknown := options.keys() - self.options.keys():
            expected = ", ".join(self.options) or "none"
            raise ValueError(f"{self.name} has no option {', '.join(sorted(unknown))}; its options: {expected}")
        self.chosen: dict[str, Any] = {
            name: option.check(name, options.get(name, option.default)) for name, option in self.options.items()
        }

    def check_sample(self, data_name: str, sample: Any) -> None:
        """Raise ValueError where a sample of the data is not of the form that the system takes."""
        if not isinstance(sample, tuple) or np.ndim(sample[0]) != len(self.axes):
            wanted = "labelled images" if len(self.axes) == 3 else "films"
            form = tuple(map(np.shape, sample)) if isinstance(sample, tuple) else np.shape(sample)
            raise ValueError(
                f"data set {data_name!r} does not hold {wanted} ({', '.join(self.axes)}) but samples of shape {form}"
            )

    @abstractmethod
    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """The arguments of the model for images of this shape. Raises ValueError for data that the system cannot use."""

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        """The shape (C, H, W) of the images that a model of this configuration takes."""
        return tuple(model_config["image_shape"])

    @classmethod
    def parts(cls, model: Any) -> list[tuple[Any, tuple[int, ...], dict[str, Any]]]:
        """(network, shape of its input for one image, what else it is called with) of each network that a summary shows."""
        return [(model, (1, *cls.input_shape(model.config)), {})]

    @property
    def monitor(self) -> str:
        """The number of `evaluate` whose smallest value marks the best epoch."""
        return "loss"

    def begin(self, data: dict[str, Any], train: Dataset, folder: Path) -> None:  # noqa: B027
        """What a system has to know before it trains or evaluates: the data's name and options, the training set, the run."""

    def optimizer(self, model: Any, lr: float) -> Any:
        """The optimiser of a new run, or a dict of them by the names of `losses`."""
        return optim.Adam(model.parameters(), lr=lr)

    def averaged(self, model: Any) -> Any:
        """What an EMA averages: the model, or a dict of tensors by their names in it."""
        return model

    def losses(self) -> Any:
        """`loss`, or for alternating training a dict of such functions in the order of their turns."""
        return self.loss

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and numbers to average over the epoch; `step` training steps are done."""
        raise NotImplementedError(f"{self.name} has its losses in losses()")

    @abstractmethod
    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """Numbers on a whole dataset, `monitor` among them; the same at every call."""

    def report(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """What `nnscratch evaluate` prints: more than `evaluate`, where that has to be quick."""
        return self.evaluate(model, dataset)

    def judged_by(self, classifier: Any) -> None:  # noqa: ARG002
        """Let a trained CNN judge what `report` compares. Raises ValueError for a system that generates nothing."""
        raise ValueError(f"a judge is for systems that generate images by themselves, not for {self.name}")

    def epoch_pictures(self, model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:  # noqa: B027
        """Pictures to draw after each epoch; none by default."""

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:  # noqa: ARG002
        """What goes wrong, judged by the numbers of all epochs so far: sentences for a reader new to the system.

        What is before the colon names the trouble, and each is said once.
        """
        dropout, augment = ["--dropout"] * ("dropout" in self.options), ["--augment"] * (len(self.axes) == 3)
        remedies = ("--patience", *dropout, "--weight-decay", *augment)
        overfitting = advice.overfitting(self.comparable(history), remedies=remedies)
        return [text for text in (advice.rising(history), overfitting) if text]

    def comparable(self, history: Sequence[dict[str, float]]) -> Sequence[dict[str, float]]:
        """The history with a 'train_loss' that is made as the 'test_loss' is, where that of training is not."""
        return history

    def likelihood_bound(self, model: Any, dataset: Dataset, k: int) -> tuple[float, float]:  # noqa: ARG002
        """(Negative log-likelihood in nats an image, its standard error), bounded with k samples of a latent code.

        Raises ValueError for a system without one.
        """
        raise ValueError(f"a {self.name} has no latent code to draw samples of: --iwae is for a vae")

    @abstractmethod
    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Draw what the trained system can do; {path: what it shows}."""


def in_batches(dataset: Dataset, size: int = 250) -> Iterator[tuple[Tensor, np.ndarray]]:
    """(images, labels) of the whole dataset in order."""
    for start in range(0, len(dataset), size):
        images, labels = gather(dataset, np.arange(start, min(start + size, len(dataset))))
        yield as_tensor(images), labels


def device_of(model: Any) -> str:
    """Where the parameters are."""
    return next(iter(model.parameters())).device


def binarized(x: Tensor, how: str, generator: Any = None) -> Tensor:
    """Images of zeros and ones: 'dynamic' draws them anew from the grey values as probabilities, 'threshold' cuts at 1/2.

    'none' leaves the grey values. Likelihoods under different binarisations are not comparable.
    """
    if how == "dynamic":
        return bernoulli(x, generator=generator)
    return (x > 0.5).to(dtype=x.dtype) if how == "threshold" else x


def spread(dataset: Dataset, n: int) -> Tensor:
    """n images, or as many as there are, evenly spread over the dataset."""
    return as_tensor(gather(dataset, np.linspace(0, len(dataset) - 1, min(n, len(dataset))).astype(int))[0])


def film_of_training(folder: Path) -> dict[Path, str]:
    """training.gif of the samples that `epoch_pictures` has drawn from the same codes; nothing for fewer than two epochs."""
    frames = sorted((folder / "epochs").glob("samples-*.png"), key=lambda path: (len(path.name), path.name))
    if len(frames) < 2:
        return {}
    film = viz.save_gif(np.stack([viz.read_image(frame) for frame in frames]), folder / "training.gif", 4)
    return {film: "the same z after each epoch"}


def rows_of(columns: int, *series: Any) -> np.ndarray:
    """Series of images (N, C, H, W) as rows of a grid, one series below the other, `columns` images at a time; white fills up."""
    parts = [part[k : k + columns] for k in range(0, len(series[0]), columns) for part in map(to_numpy, series)]
    return np.concatenate([np.concatenate([p, np.ones_like(p, shape=(columns - len(p), *p.shape[1:]))]) for p in parts])
