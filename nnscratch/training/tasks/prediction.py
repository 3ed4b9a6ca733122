"""Convolutional LSTMs: films continued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...data import Dataset
from ...data.dataset import gather
from ...models import ConvLSTM
from ...nn import functional as F
from ...tensor import Tensor, as_tensor, to_numpy
from .. import advice, metrics
from .common import Option, Task, device_of


class Prediction(Task):
    """A convolutional LSTM that foresees the next picture of a film, by cross-entropy in nats a pixel."""

    name = "conv-lstm"
    about = "continue films of moving things, picture by picture"
    small_set: ClassVar = {"epochs": 8, "batch_size": 16, "lr": 2e-3, "clip_norm": 1.0}
    large_set: ClassVar = {"epochs": 5, "batch_size": 32, "lr": 1e-3, "clip_norm": 1.0}
    axes: ClassVar = ("T", "C", "H", "W")
    options: ClassVar = {
        "hidden": Option(32, "channels of each layer", least=1),
        "layers": Option(2, "layers", least=1),
        "kernel_size": Option(3, "side of the kernels, an odd number", least=1),
        "feedback": Option(False, "in the second half of a film, give the model its own pictures to go on from"),
        "truncate": Option(0, "pictures that gradients go back at most; 0: all of them", least=0),
    }

    def __init__(self, **options: Any):
        super().__init__(**options)
        if self.chosen["kernel_size"] % 2 == 0:
            raise ValueError(f"the side of the kernels must be odd, got {self.chosen['kernel_size']}")

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        """Raises ValueError for films of a single picture, and for sides that cannot be halved."""
        frames, channels, *sides = image_shape
        if frames < 2 or any(side % 2 for side in sides):
            raise ValueError(f"expected films of at least 2 pictures with even sides, got {frames} of {sides[0]}x{sides[1]}")
        return ConvLSTM(channels, [self.chosen["hidden"]] * self.chosen["layers"], self.chosen["kernel_size"]).config

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        return 1, model_config["channels"], 32, 32  # a film of one picture, so that a summary counts the cost of one

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        film = batch[0]
        seen = film.shape[1] // 2 if self.chosen["feedback"] else None
        logits = model(film[:, :-1], self.chosen["truncate"] or None, seen)
        return F.binary_cross_entropy_with_logits(logits, film[:, 1:]), {}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """For the second half of each film: of the next picture cross-entropy and PSNR, and the PSNR of standing still;
        and the PSNR of all its pictures foreseen from the first half alone, `continued`."""
        sums, n = np.zeros(4), 0
        with no_grad():
            for film in _films(dataset, device_of(model)):
                half = film.shape[1] // 2
                logits, after, before = model(film[:, :-1])[:, half - 1 :], film[:, half:], film[:, half - 1 : -1]
                loss = F.binary_cross_entropy_with_logits(logits, after).item()
                continued = model.predict(film[:, :half], film.shape[1] - half)
                errors = [metrics.mse(x, after) for x in (logits.sigmoid(), before, continued)]
                sums += np.array([loss, *errors]) * len(film)
                n += len(film)
        loss, *errors = (sums / n).tolist()
        psnr, still, continued_psnr = (float(10 * np.log10(1 / max(error, 1e-12))) for error in errors)
        return {"loss": loss, "psnr": psnr, "still_psnr": still, "continued_psnr": continued_psnr}

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        text = advice.no_better(history, "test_still_psnr", "the last picture shown again")
        return [*super().advice(history, epochs), *([text] if text else [])]

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Films of which the model saw the first half and made up the second, as an animation and as strips."""
        true = to_numpy(next(_films(dataset, device_of(model), 6)))
        films = continued(model, true)
        half = true.shape[1] // 2
        strips = [part for pair in zip(true[:3, half:], films[:3, half:]) for part in pair]
        return {
            save_films(true, films, folder / "films.gif"): "films above; below, seen to the middle and then continued",
            viz.save_grid(
                np.concatenate(strips), folder / "continued.png", true.shape[1] - half
            ): "the second halves: true, and continued below",
        }


def continued(model: Any, films: np.ndarray) -> np.ndarray:
    """Films (N, T, C, H, W) of which the second half is what the model makes of the first."""
    half = films.shape[1] // 2
    with no_grad():
        after = model.predict(as_tensor(films[:, :half]).to(device_of(model)), films.shape[1] - half)
    return np.concatenate([films[:, :half], to_numpy(after)], 1)


def save_films(true: np.ndarray, films: np.ndarray, path: Path) -> Path:
    """An animation of films (N, T, C, H, W) side by side, at most six in a row, each row of true ones above that of `films`."""
    rows = range(0, len(true), 6)
    blank = np.ones_like(true[:1]).repeat(-len(true) % min(6, len(true)), 0)  # fills up the last row
    true, films = (np.concatenate([part, blank]) for part in (true, films))
    pairs = np.concatenate([part[k : k + 6] for k in rows for part in (true, films)])
    frames = [viz.grid(pairs[:, t], min(6, len(true)), zoom=2) for t in range(true.shape[1])]
    return viz.save_gif(np.stack(frames), path, fps=6)


def _films(dataset: Dataset, device: str, size: int = 50) -> Iterator[Tensor]:
    for start in range(0, len(dataset), size):
        yield as_tensor(gather(dataset, np.arange(start, min(start + size, len(dataset))))[0]).to(device)
