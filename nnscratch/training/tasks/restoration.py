"""Autoencoders: images from their codes, or mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...backend import Generator
from ...data import Dataset
from ...models import Autoencoder
from ...models.autoencoder import PURPOSES
from ...nn import functional as F
from ...tensor import Tensor, to_numpy
from .. import advice, metrics
from ..corruption import corrupt, plain_repair
from .common import Option, Task, device_of, in_batches, rows_of, spread

_PLAIN = {  # what `plain_repair` does
    "denoise": "they were before",
    "enhance": "a bicubic enlargement",
    "inpaint": "holes filled with one colour",
    "colourise": "they are in grey",
}


class Restoration(Task):
    """An autoencoder trained by squared error to mend one kind of damage; PSNR and SSIM before and after."""

    name = "autoencoder"
    about = "mend images: denoise, enlarge, fill in, colour; or learn a code for them"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 2e-3}
    large_set: ClassVar = {"epochs": 5, "batch_size": 64, "lr": 1e-3, "ema": 0.999}
    sizes: ClassVar = {"digits": 28}
    options: ClassVar = {
        "purpose": Option("reconstruct", "what the images are mended from", PURPOSES),
        "architecture": Option("conv", "conv: any size of image; dense: only the size of the training images", ("conv", "dense")),
        "noise": Option("gaussian", "what to denoise", ("gaussian", "salt-and-pepper")),
        "amount": Option(0.2, "largest standard deviation of the noise, or share of pixels", least=0, most=1),
        "code": Option(8, "channels of the code at a quarter of the side (conv, to reconstruct)", least=1),
        "width": Option(32, "channels of the first convolution; the second has twice as many", least=1),
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        channels, *sides = image_shape
        if self.chosen["purpose"] == "enhance" and any(side % 2 for side in sides):
            raise ValueError(f"to learn to enlarge twice, images need even sides, got {sides[0]}x{sides[1]}; choose a --size")
        width = self.chosen["width"]
        options = {name: self.chosen[name] for name in ("purpose", "architecture", "code")}
        return Autoencoder(channels, sides, widths=(width, 2 * width), **options).config

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        inputs = {"inpaint": model_config["channels"] + 1, "colourise": 1}.get(model_config["purpose"], model_config["channels"])
        return inputs, *model_config["image_size"]

    def damaged(self, x: Tensor, generator: Any = None) -> tuple[Tensor, Tensor | None]:
        """(damaged images, mask or None) as the model's `restore` takes them."""
        options = {name: self.chosen[name] for name in ("purpose", "noise", "amount")}
        return corrupt(x, **options, generator=generator)

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        x = batch[0]
        return F.mse_loss(model.restore(*self.damaged(x)), x), {}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """Squared error, PSNR and SSIM of the restored images, from damage that is the same at every call; and the PSNR of what
        needs no training, `plain_psnr`: see `plain_repair`."""
        device, generator, numbers = device_of(model), Generator(0), []
        with no_grad():
            for x, _ in in_batches(dataset):
                damaged, known = self.damaged(x, generator)
                restored = to_numpy(model.restore(damaged.to(device), None if known is None else known.to(device)))
                plain = plain_repair(damaged, known, self.chosen["purpose"])
                numbers.append((len(x), metrics.mse(restored, x), metrics.ssim(restored, x), metrics.mse(plain, x)))
        n, *columns = (np.array(column) for column in zip(*numbers))
        error, ssim, plain_error = (float((n * column).sum() / n.sum()) for column in columns)
        found = {"loss": error, "psnr": _decibels(error), "ssim": ssim}
        return found if self.chosen["purpose"] == "reconstruct" else found | {"plain_psnr": _decibels(plain_error)}

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        how = _PLAIN.get(self.chosen["purpose"])
        text = None if how is None else advice.no_better(history, "test_plain_psnr", how)
        return [*super().advice(history, epochs), *([text] if text else [])]

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Rows of originals, damaged and restored images."""
        x = spread(dataset, 24)
        damaged, known = self.damaged(x, Generator(0))
        with no_grad():
            device = device_of(model)
            restored = to_numpy(model.restore(damaged.to(device), None if known is None else known.to(device)))
        shown = np.clip(to_numpy(damaged), 0, 1)
        if self.chosen["purpose"] == "enhance":
            shown = shown.repeat(2, 2).repeat(2, 3)
        elif self.chosen["purpose"] == "colourise":
            shown = shown.repeat(3, 1)
        elif known is not None:
            shown = np.where(to_numpy(known) > 0.5, shown, 0.5).astype(shown.dtype)
        series = (x, restored) if self.chosen["purpose"] == "reconstruct" else (x, shown, restored)
        path = viz.save_grid(rows_of(12, *series), folder / "restored.png", 12)
        return {path: "test images, " + ("" if len(series) == 2 else "damaged below, ") + "then as the model restores them"}


def _decibels(error: float) -> float:
    """PSNR of images in 0..1 with this mean squared error; 120 at most."""
    return float(10 * np.log10(1 / max(error, 1e-12)))
