"""What is particular to each system that the command line trains: its model, its loss, its numbers and its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .. import viz
from ..autograd import no_grad
from ..backend import Generator
from ..data import Dataset
from ..data.dataset import gather
from ..models import CNN, VAE
from ..nn import functional as F
from ..tensor import Tensor, as_tensor, to_numpy
from . import metrics


def in_batches(dataset: Dataset, size: int = 250) -> Iterator[tuple[Tensor, np.ndarray]]:
    """(images, labels) of the whole dataset in order."""
    for start in range(0, len(dataset), size):
        images, labels = gather(dataset, np.arange(start, min(start + size, len(dataset))))
        yield as_tensor(images), labels


def _device(model: Any) -> str:
    return next(iter(model.parameters())).device


class Classification:
    """A CNN with cross-entropy; accuracy, macro precision, recall and F1."""

    name = "cnn"
    small_set: ClassVar = {"epochs": 15, "batch_size": 32, "lr": 2e-3}
    large_set: ClassVar = {"epochs": 5, "batch_size": 128, "lr": 1e-3, "ema": 0.999}
    sizes: ClassVar[dict[str, int]] = {}

    @staticmethod
    def model_config(image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """The preset by the size of the images. Raises ValueError for fewer than two classes."""
        if classes < 2:
            raise ValueError(f"a classifier needs at least two classes; the number of classes in this data set is {classes}")
        side = min(image_shape[1:])
        preset = "small" if side <= 28 else "large" if side < 48 else "medium"
        return CNN(image_shape[0], image_shape[1:], classes, preset).config

    @staticmethod
    def loss(model: Any, batch: Any) -> tuple[Tensor, dict[str, float]]:
        x, labels = batch
        logits = model(x)
        return F.cross_entropy(logits, labels), {"accuracy": metrics.accuracy(logits, labels)}

    @staticmethod
    def scores(model: Any, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, classes) and labels (N,) of a whole dataset."""
        device = _device(model)
        with no_grad():
            pairs = [(to_numpy(model(x.to(device))), labels) for x, labels in in_batches(dataset)]
        return np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs])

    @classmethod
    def evaluate(cls, model: Any, dataset: Dataset) -> dict[str, float]:
        logits, labels = cls.scores(model, dataset)
        precision, recall, f1 = metrics.precision_recall_f1(logits, labels, classes=logits.shape[1])
        loss = float(F.cross_entropy(as_tensor(logits), as_tensor(labels)).item())
        accuracy = metrics.accuracy(logits, labels)
        return {"loss": loss, "accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}

    @staticmethod
    def epoch_pictures(model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:
        """None: the pictures of a classifier are made once, at the end."""

    @classmethod
    def pictures(cls, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Test images with their predictions, mistakes first, and the confusion matrix."""
        logits, labels = cls.scores(model, dataset)
        predicted = logits.argmax(1)
        names = [str(name) for name in dataset.classes] or [str(k) for k in range(logits.shape[1])]
        wrong = predicted != labels
        chosen = np.argsort(~wrong, kind="stable")[:24]
        chosen = np.concatenate([chosen[wrong[chosen]][:16], np.flatnonzero(~wrong)])[:24]
        images = gather(dataset, chosen)[0]
        gap = "\n" if max(map(len, names)) > 3 else " "
        pairs = [(names[p], names[t]) for p, t in zip(predicted[chosen], labels[chosen])]
        captions = [p if p == t else f"{p}{gap}(true: {t})" for p, t in pairs]
        marks = [viz.RED if w else viz.GREEN for w in wrong[chosen]]
        title = f"{wrong.sum()} of {len(labels)} test images are wrong ({1 - wrong.mean():.2%} right)"
        counts = metrics.confusion_matrix(predicted, labels, len(names))
        predictions = viz.save_captioned(images, captions, folder / "predictions.png", marks=marks, title=title)
        confusion = viz.save_confusion(counts, names, folder / "confusion.png")
        return {
            predictions: "test images with their predicted classes, mistakes first",
            confusion: "true against predicted classes",
        }


class Generation:
    """A variational autoencoder; the negative ELBO in nats."""

    name = "vae"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 1e-3}
    large_set: ClassVar = {"epochs": 10, "batch_size": 128, "lr": 1e-3}
    # A sum over only 64 pixels is too weak against the KL term: the latent code would hardly be used.
    sizes: ClassVar[dict[str, int]] = {"digits": 28}

    @staticmethod
    def model_config(image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG004
        """784-400-20 for MNIST; a smaller one for smaller images."""
        small = np.prod(image_shape) < 400
        return VAE(image_shape, hidden=256 if small else 400, latent=10 if small else 20).config

    @staticmethod
    def loss(model: Any, batch: Any) -> tuple[Tensor, dict[str, float]]:
        total, reconstruction, kl = model.loss(batch[0])
        return total, {"reconstruction": reconstruction.item(), "kl": kl.item()}

    @staticmethod
    def evaluate(model: Any, dataset: Dataset) -> dict[str, float]:
        """The terms with one sample of z for each image, from a generator of its own: the same noise at every call."""
        device, generator, sums = _device(model), Generator(0), np.zeros(3)
        with no_grad():
            for x, _ in in_batches(dataset):
                sums += [len(x) * part.item() for part in model.loss(x.to(device), generator)]
        loss, reconstruction, kl = (sums / len(dataset)).tolist()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    @staticmethod
    def epoch_pictures(model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:
        """Reconstructions (each below its original) and samples, under the epoch's number."""
        folder = folder / "epochs"
        folder.mkdir(exist_ok=True)
        _vae_grids(model, dataset, folder, f"-{epoch:03d}")

    @staticmethod
    def pictures(model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        originals, samples = _vae_grids(model, dataset, folder, "")
        return {originals: "test images, each with its reconstruction below", samples: "new images, decoded from random z"}


def _vae_grids(model: Any, dataset: Dataset, folder: Path, suffix: str, columns: int = 12) -> tuple[Path, Path]:
    device = _device(model)
    rows = 3
    picks = np.linspace(0, len(dataset) - 1, min(columns * rows, len(dataset))).astype(int)
    images = gather(dataset, picks)[0]
    with no_grad():
        restored = to_numpy(model.reconstruct(as_tensor(images).to(device)))
        sampled = to_numpy(model.sample(columns * 6, Generator(0)))
    pairs = [part[k : k + columns] for k in range(0, len(images), columns) for part in (images, restored)]
    pairs = [np.concatenate([p, np.ones_like(p, shape=(columns - len(p), *p.shape[1:]))]) for p in pairs]
    return (
        viz.save_grid(np.concatenate(pairs), folder / f"reconstructions{suffix}.png", columns),
        viz.save_grid(sampled, folder / f"samples{suffix}.png", columns),
    )


TASKS: dict[str, Any] = {task.name: task for task in (Classification, Generation)}
