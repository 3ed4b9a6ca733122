"""Variational autoencoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import optim, viz
from ...autograd import no_grad
from ...backend import Generator
from ...data import Dataset
from ...data.dataset import gather
from ...models import VAE
from ...nn import functional as F
from ...tensor import Tensor, as_tensor, to_numpy
from .. import advice, annealing
from ..bounds import importance_bound
from .common import Option, Task, binarized, device_of, film_of_training, in_batches, rows_of

ACTIVE = 0.01  # a latent is active when its mean varies by more than this over the images (Burda et al. 2016, section 5.2)


class Generation(Task):
    """A variational autoencoder; the negative ELBO in nats, its terms, and how many of the latents are in use."""

    name = "vae"
    about = "generate images"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 1e-3}
    large_set: ClassVar = {"epochs": 10, "batch_size": 128, "lr": 1e-3}
    # A sum over only 64 pixels is too weak against the KL term: the latent code would hardly be used.
    sizes: ClassVar = {"digits": 28}
    options: ClassVar = {
        "architecture": Option("dense", "dense layers, two of them, or two convolutions before one", ("dense", "deep", "conv")),
        "latent": Option(0, "numbers in the code; 0: by the size of the images", least=0),
        "hidden": Option(0, "width of the dense layers; 0: by the size of the images", least=0),
        "likelihood": Option(
            "bernoulli", "of the pixels: bernoulli (grey: probability of white) or gaussian", ("bernoulli", "gaussian")
        ),
        "sigma": Option(0.1, "standard deviation of the gaussian likelihood", least=1e-3),
        "binarize": Option(
            "none", "draw zeros and ones from the grey values anew each time, or cut at 1/2", ("none", "dynamic", "threshold")
        ),
        "conditional": Option(False, "condition on the label, so that a class can be asked for"),
        "beta": Option(1.0, "weight of the KL term (beta-VAE)", least=0),
        "annealing": Option(
            "none", "of the KL term over the first steps: it comes in, late or not, or drops from 1 to beta", annealing.SHAPES
        ),
        "anneal_steps": Option(5000, "training steps until the KL term has the weight beta", least=1),
        "cycles": Option(4, "of cyclic annealing", least=1),
        "free_bits": Option(0.0, "nats of each latent that cost nothing", least=0),
        "fader": Option(
            0.0, "weight of taking the label out of the code, against a network that reads it; annealed like beta", least=0
        ),
        "importance": Option(1, "samples of z for the importance-weighted bound as loss; 1: the ELBO", least=1),
    }

    def __init__(self, **options: Any):
        super().__init__(**options)
        chosen = self.chosen
        if chosen["importance"] > 1 and (chosen["beta"] != 1 or chosen["free_bits"] or chosen["annealing"] != "none"):
            raise ValueError(
                "the importance-weighted bound has no KL term: --importance needs --beta 1, --annealing none and no free bits"
            )
        if chosen["fader"] and (chosen["importance"] > 1 or not chosen["conditional"]):
            raise ValueError(
                "--fader takes the label out of a code beside which it is told: it needs --conditional, --importance 1"
            )
        if chosen["binarize"] != "none" and chosen["likelihood"] != "bernoulli":
            raise ValueError("zeros and ones need the bernoulli likelihood: leave out --binarize or --likelihood")

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """784-400-20 for MNIST; a smaller one for smaller images; 4096-4096 'deep' for 64x64 in colour, 512-512 below."""
        pixels = int(np.prod(image_shape))
        width = self.chosen["hidden"] or (256 if pixels < 400 else 400)
        deep = self.chosen["hidden"] or (4096 if pixels >= 12288 else 512)
        hidden = {"dense": (width,), "deep": (deep, deep), "conv": (self.chosen["hidden"] or 256,)}
        return VAE(
            image_shape,
            hidden=hidden[self.chosen["architecture"]],
            latent=self.chosen["latent"] or (10 if pixels < 400 else 20),
            architecture="conv" if self.chosen["architecture"] == "conv" else "dense",
            likelihood=self.chosen["likelihood"],
            sigma=self.chosen["sigma"],
            classes=self._told(classes),
            reader=self.chosen["fader"] > 0,
        ).config

    def _told(self, classes: int) -> int:
        """The number of classes that the model is told."""
        if not self.chosen["conditional"]:
            return 0
        if classes < 2:
            raise ValueError(f"--conditional needs labels; the number of classes in this data set is {classes}")
        return classes

    @classmethod
    def parts(cls, model: Any) -> list[tuple[Any, tuple[int, ...], dict[str, Any]]]:
        """A conditional model sees its image as one of class 0."""
        return [(model, (1, *model.image_shape), {"labels": [0]} if model.classes else {})]

    # --------------------------------------------------------------------------------------------------------- numbers

    def optimizer(self, model: Any, lr: float) -> Any:
        """With a reader of labels, one for it and one for all else."""
        if model.reader is None:
            return super().optimizer(model, lr)
        reader = list(model.reader.parameters())
        others = [p for p in model.parameters() if not any(p is q for q in reader)]
        return {"reader": optim.Adam(reader, lr=lr), "vae": optim.Adam(others, lr=lr)}

    def losses(self) -> Any:
        return {"reader": self.reader_loss, "vae": self.loss} if self.chosen["fader"] else self.loss

    def reader_loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        """What the label costs the network that reads it from the code, in nats; the logarithm of the classes is a guess."""
        return model.reader_loss(binarized(batch[0], self.chosen["binarize"]), batch[1]), {}

    def _labels(self, labels: Any) -> Any:
        return labels if self.chosen["conditional"] else None

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        x, labels = binarized(batch[0], self.chosen["binarize"]), self._labels(batch[1])
        if self.chosen["importance"] > 1:
            return model.importance_loss(x, self.chosen["importance"], labels=labels), {}
        kind, pace = self.chosen["annealing"], {"steps": self.chosen["anneal_steps"], "cycles": self.chosen["cycles"]}
        beta, fader = (annealing.kl_weight(step, kind, beta=self.chosen[name], **pace) for name in ("beta", "fader"))
        fader = fader if self.chosen["fader"] else 0.0  # whatever the course
        total, reconstruction, kl = model.loss(x, labels=labels, beta=beta, free_bits=self.chosen["free_bits"], fader=fader)
        return total, {"reconstruction": reconstruction.item(), "kl": kl.item()}

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """The negative ELBO and its terms, with one sample of z for each image, from a generator of its own: the same noise at
        every call; and the number of active latents. Beta, annealing and free bits have no part in it."""
        terms, means, _ = self._posterior(model, dataset)
        reconstruction, kl = terms.mean(0).tolist()
        active = float((means.var(0) > ACTIVE).sum())
        return {"loss": reconstruction + self.kl_price * kl, "reconstruction": reconstruction, "kl": kl, "active": active}

    def _posterior(self, model: Any, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(reconstruction and KL (N, 2), means of q (N, latent), KL of each latent (latent,)) of a dataset."""
        device, generator, parts = device_of(model), Generator(0), []
        with no_grad():
            for x, y in in_batches(dataset):
                x, labels = binarized(x, self.chosen["binarize"], generator).to(device), self._labels(y)
                mu, logvar = model.encode(x, labels)
                f = model.decode(model.reparameterize(mu, logvar, generator), labels)
                kl = to_numpy(F.gaussian_kl(mu, logvar, reduction="none"))
                parts.append((np.stack([-to_numpy(model.log_likelihood(f, x)), kl.sum(1)], 1), to_numpy(mu), kl))
        terms, means, kls = (np.concatenate(column) for column in zip(*parts))
        return terms.astype(np.float64), means, kls.mean(0)

    def likelihood_bound(self, model: Any, dataset: Dataset, k: int) -> tuple[float, float]:
        """(-L_k, its standard error) in nats over a dataset: the importance bound of `bounds`, its noise always the same."""
        device, generator, values = device_of(model), Generator(0), []
        for x, y in in_batches(dataset):
            x = binarized(x, self.chosen["binarize"], generator).to(device)
            values.append(importance_bound(model, x, k, labels=self._labels(y), generator=generator))
        nats = -np.concatenate(values)
        return float(nats.mean()), float(nats.std() / np.sqrt(len(nats)))

    @property
    def kl_price(self) -> float:
        """What a nat of the KL term weighs in the loss that `evaluate` gives."""
        return 1.0

    def comparable(self, history: Sequence[dict[str, float]]) -> Sequence[dict[str, float]]:
        """Beside a reader of labels the loss of training, 'train_vae_loss', has the reader's in it: here without that."""
        if not self.chosen["fader"]:
            return history
        rows = [row for row in history if "train_reconstruction" in row and "train_kl" in row]
        return [row | {"train_loss": row["train_reconstruction"] + self.kl_price * row["train_kl"]} for row in rows]

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        found = super().advice(history, epochs)
        text = advice.collapse(history[-1]["test_active"], history[-1]["test_kl"])
        return [*found, text] if text and len(history) >= 5 else found  # a code is often taken up only after some epochs

    # -------------------------------------------------------------------------------------------------------- pictures

    def epoch_pictures(self, model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:
        """Reconstructions (each below its original) and samples, under the epoch's number."""
        folder = folder / "epochs"
        folder.mkdir(exist_ok=True)
        self._grids(model, dataset, folder, f"-{epoch:03d}")

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        originals, samples = self._grids(model, dataset, folder, "")
        kls = np.sort(self._posterior(model, dataset)[2])[::-1]
        bars = viz.save_bars(kls, folder / "latents.png", "latents, largest first", "KL in nats")
        shows = "a column for each class" if self.chosen["conditional"] else "decoded from random z"
        return {
            originals: "test images, each with its reconstruction below",
            samples: f"new images, {shows}",
            bars: "what each number of the code carries",
        } | film_of_training(folder)

    def _grids(self, model: Any, dataset: Dataset, folder: Path, suffix: str, columns: int = 12) -> tuple[Path, Path]:
        device = device_of(model)
        picks = np.linspace(0, len(dataset) - 1, min(columns * 3, len(dataset))).astype(int)
        images, labels = gather(dataset, picks)
        wide, asked = columns, None
        if self.chosen["conditional"]:
            wide = model.classes
            asked = np.tile(np.arange(wide), 6)
        with no_grad():
            restored = model.reconstruct(as_tensor(images).to(device), self._labels(labels))
            sampled = to_numpy(model.sample(wide * 6, Generator(0), asked))
        return (
            viz.save_grid(rows_of(columns, images, restored), folder / f"reconstructions{suffix}.png", columns),
            viz.save_grid(sampled, folder / f"samples{suffix}.png", wide),
        )
