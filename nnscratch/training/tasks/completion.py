"""Row LSTMs: images completed and drawn row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...backend import Generator
from ...data import Dataset
from ...models import RowLSTM
from ...tensor import Tensor, as_tensor, to_numpy
from .common import Option, Task, binarized, device_of, in_batches, rows_of, spread


class Completion(Task):
    """An LSTM over rows as a model of images of zeros and ones; the exact negative log-likelihood in nats an image."""

    name = "row-lstm"
    about = "complete and draw images row by row, with their likelihood"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 2e-3}
    large_set: ClassVar = {"epochs": 5, "batch_size": 64, "lr": 2e-3, "ema": 0.999}
    options: ClassVar = {
        "binarize": Option(
            "dynamic", "draw zeros and ones from the grey values anew each time, or cut at 1/2", ("dynamic", "threshold")
        ),
        "hidden": Option(256, "units of each LSTM layer", least=1),
        "layers": Option(1, "LSTM layers", least=1),
        "row_hidden": Option(512, "hidden units of the network within a row", least=1),
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        sizes = {name: self.chosen[name] for name in ("hidden", "layers", "row_hidden")}
        return RowLSTM(image_shape, **sizes).config

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        return -model.log_prob(binarized(batch[0], self.chosen["binarize"])).mean(), {}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """-log p(x) in nats, averaged over the images, their zeros and ones the same at every call."""
        device, generator, total = device_of(model), Generator(0), 0.0
        with no_grad():
            for x, _ in in_batches(dataset):
                total -= model.log_prob(binarized(x, self.chosen["binarize"], generator).to(device)).sum().item()
        return {"loss": total / len(dataset)}

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Images drawn from nothing, and test images of which the lower half is made up twice."""
        generator, device = Generator(0), device_of(model)
        x = binarized(spread(dataset, 24), "threshold").to(device)
        height = x.shape[2]
        known = np.ones((1, 1, *x.shape[2:]), np.float32)
        known[:, :, height // 2 :] = 0
        mask = as_tensor(known).to(device)
        completed = [to_numpy(model.complete(x, mask, generator)) for _ in range(2)]
        shown = np.where(known > 0.5, to_numpy(x), 0.5).astype(completed[0].dtype)
        completions = viz.save_grid(rows_of(12, x, shown, *completed), folder / "completions.png", 12)
        samples = viz.save_grid(to_numpy(model.sample(72, generator)), folder / "samples.png", 12)
        return {
            completions: "test images, without their lower half, and completed twice",
            samples: "new images, drawn pixel by pixel",
        }
