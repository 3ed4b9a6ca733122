"""Classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...data import Dataset
from ...data.dataset import gather
from ...models import CNN
from ...nn import functional as F
from ...tensor import Tensor, as_tensor, to_numpy
from .. import metrics
from .common import Task, device_of, in_batches


class Classification(Task):
    """A CNN with cross-entropy; accuracy, macro precision, recall and F1."""

    name = "cnn"
    about = "classify images"
    small_set: ClassVar = {"epochs": 15, "batch_size": 32, "lr": 2e-3}
    large_set: ClassVar = {"epochs": 5, "batch_size": 128, "lr": 1e-3, "ema": 0.999}

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """The preset by the size of the images. Raises ValueError for fewer than two classes."""
        if classes < 2:
            raise ValueError(f"a classifier needs at least two classes; the number of classes in this data set is {classes}")
        side = min(image_shape[1:])
        preset = "small" if side <= 28 else "large" if side < 48 else "medium"
        return CNN(image_shape[0], image_shape[1:], classes, preset).config

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        return model_config["in_channels"], *model_config["image_size"]

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        x, labels = batch
        logits = model(x)
        return F.cross_entropy(logits, labels), {"accuracy": metrics.accuracy(logits, labels)}

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
        loss = float(F.cross_entropy(as_tensor(logits), as_tensor(labels)).item())
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
