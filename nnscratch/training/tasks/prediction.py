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
    """A convolutional LSTM that foresees the next pictures of a film, by cross-entropy in nats a pixel.

    With `feedback` it is trained as it is used (Shi et al. 2015, section 3.2): it reads the first half of a film and goes on from
    its own pictures, with gradients through all of them. They come in from the end of the film, more of them with each step, so
    that one step ahead is learned first.
    """

    name = "conv-lstm"
    about = "continue films of moving things, picture by picture"
    small_set: ClassVar = {"epochs": 20, "batch_size": 8, "lr": 4e-3, "clip_norm": 1.0, "schedule": "cosine"}
    large_set: ClassVar = {"epochs": 5, "batch_size": 16, "lr": 4e-3, "clip_norm": 1.0, "schedule": "cosine"}
    axes: ClassVar = ("T", "C", "H", "W")
    options: ClassVar = {
        "hidden": Option(32, "channels of each layer", least=1),
        "layers": Option(2, "layers", least=1),
        "kernel_size": Option(3, "side of the kernels, an odd number", least=1),
        "patch": Option(4, "side of the blocks of pixels that are one place to the layers", least=1),
        "reach": Option(
            3, "pixels that things move from one picture to the next at most; 0: nothing is moved by itself", least=0
        ),
        "feedback": Option(True, "in the second half of a film, give the model its own pictures to go on from"),
        "feedback_steps": Option(1200, "training steps until that is all of the second half; before, a part", least=1),
        "truncate": Option(0, "pictures that gradients go back at most; 0: all of them", least=0),
    }

    def __init__(self, **options: Any):
        super().__init__(**options)
        if self.chosen["kernel_size"] % 2 == 0:
            raise ValueError(f"the side of the kernels must be odd, got {self.chosen['kernel_size']}")

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        """Raises ValueError for films of a single picture, and for sides that cannot be cut into patches."""
        frames, channels, *sides = image_shape
        patch, hidden = self.chosen["patch"], [self.chosen["hidden"]] * self.chosen["layers"]
        if frames < 2 or any(side % patch for side in sides):
            raise ValueError(
                f"expected films of at least 2 pictures with sides that are multiples of {patch} (--size, --patch), "
                f"got {frames} of {sides[0]}x{sides[1]}"
            )
        return ConvLSTM(channels, hidden, self.chosen["kernel_size"], patch, self.chosen["reach"]).config

    @staticmethod
    def input_shape(model_config: dict[str, Any]) -> tuple[int, ...]:
        return 1, model_config["channels"], 32, 32  # a film of one picture, so that a summary counts the cost of one

    def seen(self, frames: int, step: int) -> int | None:
        """How many of a film's pictures the model is given in a training step, of the `frames` - 1 that are followed by one."""
        if not self.chosen["feedback"]:
            return None
        own = (frames - 1 - frames // 2) * min(1.0, step / self.chosen["feedback_steps"])
        return frames - 1 - int(own)

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        film = batch[0]
        logits = model(film[:, :-1], self.chosen["truncate"] or None, self.seen(film.shape[1], step))
        return F.binary_cross_entropy_with_logits(logits, film[:, 1:]), {}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """For the second half of each film: the PSNR of the next picture, seen all before, and that of standing still; and of all
        its pictures foreseen from the first half alone, `continued`, beside the last picture of that shown on and on. The loss is
        the cross-entropy of these, and without `feedback` that of the next picture."""
        sums, n = np.zeros(5), 0
        with no_grad():
            for film in _films(dataset, device_of(model)):
                half = film.shape[1] // 2
                after, before = film[:, half:], film[:, half - 1 : -1]
                following, continued = (model(film[:, :-1], seen=seen)[:, half - 1 :] for seen in (None, half))
                loss = F.binary_cross_entropy_with_logits(continued if self.chosen["feedback"] else following, after).item()
                stopped = before[:, :1].expand(*after.shape)
                errors = [metrics.mse(x, after) for x in (following.sigmoid(), before, continued.sigmoid(), stopped)]
                sums += np.array([loss, *errors]) * len(film)
                n += len(film)
        loss, *errors = (sums / n).tolist()
        names = ("psnr", "still_psnr", "continued_psnr", "continued_still_psnr")
        return {"loss": loss} | {name: float(-10 * np.log10(max(error, 1e-12))) for name, error in zip(names, errors)}

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        """The loss may rise, and does, while more and more of the pictures are the model's own: it is judged after that."""
        text = advice.no_better(history, "test_still_psnr", "the last picture shown again")
        settled = [row for row in history if not self.chosen["feedback"] or row["step"] > self.chosen["feedback_steps"]]
        return [*super().advice(settled, epochs), *([text] if text else [])]

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
