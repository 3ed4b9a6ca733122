"""Variational autoencoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...backend import Generator
from ...data import Dataset
from ...data.dataset import gather
from ...models import VAE
from ...tensor import Tensor, as_tensor, to_numpy
from .common import Task, device_of, in_batches


class Generation(Task):
    """A variational autoencoder; the negative ELBO in nats."""

    name = "vae"
    about = "generate images"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 1e-3}
    large_set: ClassVar = {"epochs": 10, "batch_size": 128, "lr": 1e-3}
    # A sum over only 64 pixels is too weak against the KL term: the latent code would hardly be used.
    sizes: ClassVar = {"digits": 28}

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        """784-400-20 for MNIST; a smaller one for smaller images."""
        small = np.prod(image_shape) < 400
        return VAE(image_shape, hidden=256 if small else 400, latent=10 if small else 20).config

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        total, reconstruction, kl = model.loss(batch[0])
        return total, {"reconstruction": reconstruction.item(), "kl": kl.item()}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """The terms with one sample of z for each image, from a generator of its own: the same noise at every call."""
        device, generator, sums = device_of(model), Generator(0), np.zeros(3)
        with no_grad():
            for x, _ in in_batches(dataset):
                sums += [len(x) * part.item() for part in model.loss(x.to(device), generator)]
        loss, reconstruction, kl = (sums / len(dataset)).tolist()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    def epoch_pictures(self, model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:
        """Reconstructions (each below its original) and samples, under the epoch's number."""
        folder = folder / "epochs"
        folder.mkdir(exist_ok=True)
        _vae_grids(model, dataset, folder, f"-{epoch:03d}")

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        originals, samples = _vae_grids(model, dataset, folder, "")
        return {originals: "test images, each with its reconstruction below", samples: "new images, decoded from random z"}


def _vae_grids(model: Any, dataset: Dataset, folder: Path, suffix: str, columns: int = 12) -> tuple[Path, Path]:
    device = device_of(model)
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
