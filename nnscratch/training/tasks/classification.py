"""Classifiers: a convolutional network, and a recurrent one that reads row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...data import Dataset
from ...data.dataset import gather
from ...models import CNN, RowClassifier
from ...models.cnn import PRESETS
from ...nn import functional as F
from ...ops import softmax
from ...tensor import Tensor, as_tensor, to_numpy
from .. import advice, metrics
from .common import Option, Task, device_of, in_batches


class Classification(Task):
    """A CNN with cross-entropy (or squared error); accuracy, macro precision, recall and F1."""

    name = "cnn"
    about = "classify images"
    small_set: ClassVar = {"epochs": 15, "batch_size": 32, "lr": 2e-3}
    large_set: ClassVar = {"epochs": 5, "batch_size": 128, "lr": 1e-3, "ema": 0.999}
    options: ClassVar = {
        "preset": Option("auto", "channels of the convolutions; auto: by the size of the images", ("auto", *PRESETS)),
        "dropout": Option(0.5, "share of the hidden layer that is left out in training", most=0.99),
        "loss": Option("cross-entropy", "what is lowered; mse: squared error of the probabilities", ("cross-entropy", "mse")),
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """The preset by the size of the images, unless chosen. Raises ValueError for fewer than two classes."""
        _check_classes(classes)
        side, preset = min(image_shape[1:]), self.chosen["preset"]
        if preset == "auto":
            preset = "small" if side <= 28 else "large" if side < 48 else "medium"
        return CNN(image_shape[0], image_shape[1:], classes, preset, dropout=self.chosen["dropout"]).config

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        return model_config["in_channels"], *model_config["image_size"]

    classes = 0  # as `begin` found them

    def begin(self, data: dict[str, Any], train: Dataset, folder: Path) -> None:  # noqa: ARG002
        """The number of classes, for `advice`."""
        self.classes = len(train.classes)

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        text = advice.guessing(history, self.classes)
        return [*super().advice(history, epochs), *([text] if text else [])]

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, or the squared error between probabilities and one-hot labels, summed over the classes (Brier 1950)."""
        if self.chosen["loss"] == "cross-entropy":
            return F.cross_entropy(logits, labels)
        target = F.one_hot(labels, logits.shape[1]).to(dtype=logits.dtype)
        return F.mse_loss(softmax(logits, 1), target, reduction="sum") * (1 / len(logits))

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        x, labels = batch
        logits = model(x)
        return self.criterion(logits, labels), {"accuracy": metrics.accuracy(logits, labels)}

    @staticmethod
    def scores(model: Any, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, classes) and labels (N,) of a whole dataset."""
        device = device_of(model)
        with no_grad():
            pairs = [(to_numpy(model(x.to(device))), labels) for x, labels in in_batches(dataset)]
        return np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs])

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        logits, labels = self.scores(model, dataset)
        precision, recall, f1 = metrics.precision_recall_f1(logits, labels, classes=logits.shape[1])
        loss = float(self.criterion(as_tensor(logits), as_tensor(labels)).item())
        accuracy = metrics.accuracy(logits, labels)
        return {"loss": loss, "accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Test images with their predictions, mistakes first, and the confusion matrix."""
        logits, labels = self.scores(model, dataset)
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


class RowClassification(Classification):
    """An LSTM that reads an image row by row, with the same losses and numbers."""

    name = "lstm"
    about = "classify images, read row by row by a recurrent network"
    small_set: ClassVar = {"epochs": 25, "batch_size": 32, "lr": 3e-3}
    large_set: ClassVar = {"epochs": 10, "batch_size": 128, "lr": 1e-3, "ema": 0.999}
    options: ClassVar = {
        "hidden": Option(128, "units of each LSTM layer", least=1),
        "layers": Option(2, "LSTM layers", least=1),
        "dropout": Option(0.2, "share of each layer's output that is left out in training", most=0.99),
        "loss": Classification.options["loss"],
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """Raises ValueError for fewer than two classes."""
        _check_classes(classes)
        size = {name: self.chosen[name] for name in ("hidden", "layers", "dropout")}
        return RowClassifier(image_shape[0], image_shape[1:], classes, **size).config


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise ValueError(f"a classifier needs at least two classes; the number of classes in this data set is {classes}")
