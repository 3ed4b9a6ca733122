"""Generative adversarial networks: two losses that take turns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ... import optim, viz
from ...autograd import no_grad
from ...backend import Generator
from ...data import Dataset
from ...data.dataset import gather
from ...metrics import (
    density_coverage,
    frechet_distance,
    inception_score,
    kid,
    mode_coverage,
    precision_recall_of_generator,
)
from ...metrics.judge import Judge, cnn_judge, judge_name, judge_of
from ...models import DCGAN, GAN, WGANGP
from ...nn import functional as F
from ...tensor import Tensor, to_numpy
from ..diffaugment import diff_augment
from ..monitors import adversarial_advice, numbers_of_scores, setup_advice
from ..penalties import gradient_penalty, mixes_images, r1_penalty
from .common import Option, Task, film_of_training

_AUGMENT = ("none", "color", "translation", "cutout", "translation+cutout", "color+translation", "color+translation+cutout")


def _options(loss: str, gp: float, n_critic: int) -> dict[str, Option]:
    kinds = ("non-saturating", "hinge", "wasserstein", "least-squares")
    return {
        "loss": Option(loss, "what discriminator and generator minimise", choices=kinds),
        "r1": Option(0.0, "weight of R1, the squared gradient of D at real images; 1 to 10 is usual"),
        "gp": Option(gp, "weight of the gradient penalty, which pulls the norm of D's gradient to 1; 10 is usual"),
        "n_critic": Option(n_critic, "steps of the discriminator for one of the generator", least=1),
        "diffaugment": Option("none", "what D sees is augmented by these, for few images", choices=_AUGMENT),
        "latent": Option(100, "numbers in a latent vector z", least=1),
    }


class Real(NamedTuple):
    """Test images and what the judge makes of them."""

    dataset: Dataset  # kept, so that its id stays its own
    images: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    spread: float


class AdversarialTask(Task):
    """Alternating training of a discriminator and a generator; a judge compares samples with test images after each epoch."""

    options: ClassVar = _options("non-saturating", 0.0, 1)
    betas: ClassVar = (0.5, 0.999)
    model: ClassVar[type]
    samples: ClassVar = 1000  # judged after each epoch; `report` takes ten times as many
    judge_kind = "judge"

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.every = {"generator": self.chosen["n_critic"]}
        self._make_judge: Callable[[], Judge] | None = None
        self._judge: Judge | None = None
        self._real: dict[int, Real] = {}  # by the ids of data sets

    # ------------------------------------------------------------------------------------------------------- training

    def begin(self, data: dict[str, Any], train: Dataset, folder: Path) -> None:
        """Which judge belongs to the data; it is made when it is first asked for."""
        shape, classes = train[0][0].shape, len(train.classes)
        self.judge_kind = judge_name(data["name"], shape, classes)
        self._make_judge = lambda: judge_of(data["name"], shape, classes, train, folder / "judge.safetensors")

    @classmethod
    def parts(cls, model: Any) -> list[tuple[Any, tuple[int, ...], dict[str, Any]]]:
        """The generator and the discriminator."""
        return [(model.generator, (1, model.latent), {}), (model.discriminator, (1, *model.image_shape), {})]

    @property
    def monitor(self) -> str:
        """The Fréchet distance over the judge's features."""
        return f"{self.judge_kind}_fid"

    def optimizer(self, model: Any, lr: float) -> dict[str, Any]:
        """An Adam for each network. Warns where the losses chosen do not suit the discriminator."""
        chosen = self.chosen
        mixing = mixes_images(model.discriminator)
        for text in setup_advice(chosen["loss"], chosen["gp"], chosen["r1"], chosen.get("spectral_norm", False), mixing):
            warnings.warn(text, stacklevel=2)
        parts = {"discriminator": model.discriminator, "generator": model.generator}
        return {name: optim.Adam(part.parameters(), lr=lr, betas=self.betas) for name, part in parts.items()}

    def losses(self) -> dict[str, Callable]:
        """First the discriminator, on a batch of real images and as many generated ones; then the generator."""
        return {"discriminator": self.discriminator_loss, "generator": self.generator_loss}

    def _augmented(self, model: Any, x: Tensor) -> Tensor:
        policy = self.chosen["diffaugment"]
        return x if policy == "none" else diff_augment(x, policy.split("+"), span=1 - model.low)

    def discriminator_loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        """The loss of the scores, plus the penalties."""
        chosen = self.chosen
        real = model.to_scale(batch[0])
        with no_grad():
            fake = model.generator(model.noise(len(real)))
        real, fake = self._augmented(model, real), self._augmented(model, fake)
        r, f = model(real), model(fake)
        loss = F.discriminator_loss(r, f, chosen["loss"])
        if chosen["r1"]:
            loss = loss + chosen["r1"] * r1_penalty(model, real)
        if chosen["gp"]:
            loss = loss + chosen["gp"] * gradient_penalty(model, real, fake)
        return loss, numbers_of_scores(chosen["loss"], to_numpy(r), to_numpy(f))

    def generator_loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:  # noqa: ARG002
        """The generator's loss on new samples, seen through the same augmentation as the discriminator's images."""
        fake = model.generator(model.noise(len(batch[0])))
        return F.generator_loss(model(self._augmented(model, fake)), self.chosen["loss"]), {}

    def averaged(self, model: Any) -> dict[str, Tensor]:
        """The generator's weights, and the running statistics of its batch norms, which belong to them."""
        named = {**dict(model.generator.named_parameters()), **dict(model.generator.named_buffers())}
        return {f"generator.{name}": t for name, t in named.items() if t.is_floating_point()}

    # ------------------------------------------------------------------------------------------------------- judgement

    @property
    def judge(self) -> Judge:
        """The judge for the data. Raises RuntimeError before `begin`."""
        if self._judge is None:
            if self._make_judge is None:
                raise RuntimeError(f"{self.name}: begin(data, train, folder) says what judges the samples; it was not called")
            self._judge = self._make_judge()
        return self._judge

    @judge.setter
    def judge(self, judge: Judge) -> None:
        self._judge, self._real = judge, {}

    def _samples(self, model: Any, n: int) -> np.ndarray:
        """n samples, the same at every call with the same weights."""
        generator = Generator(0)
        return np.concatenate([to_numpy(model.sample(min(250, n - k), generator)) for k in range(0, n, 250)])

    def _test(self, dataset: Dataset) -> Real:
        """The test images, looked at once."""
        if id(dataset) not in self._real:
            images, labels = gather(dataset, np.arange(min(10 * self.samples, len(dataset))))
            self._real[id(dataset)] = Real(dataset, images, np.asarray(labels), self.judge.features(images), _spread(images))
        return self._real[id(dataset)]

    def evaluate(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """The distance to the test images, variety, and with a judge that has classes how many occur and how clearly."""
        fake, real = self._samples(model, self.samples), self._test(dataset)
        features, probabilities = self.judge.look(fake)
        numbers = {self.monitor: frechet_distance(real.features, features), "diversity": _spread(fake) / real.spread}
        if probabilities is not None:
            covered, _ = mode_coverage(probabilities.argmax(1), self.judge.classes)
            numbers |= {"classes_covered": covered, "recognised": float((probabilities.max(1) > 0.9).mean())}
        return numbers

    def report(self, model: Any, dataset: Dataset) -> dict[str, float]:
        """Everything that is known about ten times as many samples; precision to coverage for as many as there are real ones."""
        fake, real = self._samples(model, 10 * self.samples), self._test(dataset)
        features, probabilities = self.judge.look(fake)
        name, equal = self.judge.name, features[: len(real.features)]
        numbers = {"samples": len(fake), f"{name}_fid": frechet_distance(real.features, features)}
        numbers[f"{name}_kid"], numbers[f"{name}_kid_error"] = kid(real.features, features)
        if len(equal) > 5:  # the number of neighbours that they look at
            numbers["precision"], numbers["recall"] = precision_recall_of_generator(real.features, equal)
            numbers["density"], numbers["coverage"] = density_coverage(real.features, equal)
        numbers["diversity"] = _spread(fake) / real.spread
        if probabilities is not None:
            numbers[f"{name}_is"] = inception_score(probabilities, splits=min(10, len(fake)))[0]
            seen = probabilities.argmax(1)
            covered, divergence = mode_coverage(seen, self.judge.classes)
            numbers |= {"classes_covered": covered, "class_divergence": divergence}
            numbers["recognised"] = float((probabilities.max(1) > 0.9).mean())
            of_real = self.judge.probabilities(real.images)
            numbers["recognised_real"] = float((of_real.max(1) > 0.9).mean())
            numbers["judge_accuracy"] = float((of_real.argmax(1) == real.labels).mean())
        return numbers

    def judged_by(self, classifier: Any) -> None:
        """Let a trained CNN judge the samples."""
        self.judge = cnn_judge(classifier)

    def advice(self, history: Sequence[dict[str, float]], epochs: int) -> list[str]:
        classes = 0 if self._judge is None else self._judge.classes
        return adversarial_advice(history[-1], classes, int(history[-1]["epoch"]), epochs, self.chosen)

    # ------------------------------------------------------------------------------------------------------- pictures

    def epoch_pictures(self, model: Any, dataset: Dataset, folder: Path, epoch: int) -> None:  # noqa: ARG002
        """The images of the same 64 latent vectors after each epoch."""
        folder = folder / "epochs"
        folder.mkdir(exist_ok=True)
        viz.save_grid(self._samples(model, 64), folder / f"samples-{epoch:03d}.png", 8)

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:  # noqa: ARG002
        """Samples, and how they came to be."""
        samples = viz.save_grid(self._samples(model, 144), folder / "samples.png", 12)
        return {samples: "new images from random z"} | film_of_training(folder)


def _spread(images: np.ndarray) -> float:
    """The standard deviation over the images, of all pixels together."""
    return float(np.sqrt(images.astype(np.float64).var(0).sum()))


class DenseGAN(AdversarialTask):
    """The first GAN, of dense layers."""

    name = "gan"
    about = "draw images with a generative adversarial network of dense layers"
    small_set: ClassVar = {"epochs": 100, "batch_size": 32, "lr": 1e-3, "ema": 0.99}
    large_set: ClassVar = {"epochs": 50, "batch_size": 128, "lr": 2e-4, "ema": 0.999}

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        return GAN(image_shape, self.chosen["latent"]).config


class ConvolutionalGAN(AdversarialTask):
    """DCGAN with any of the losses and penalties."""

    name = "dcgan"
    about = "draw images with a deep convolutional GAN"
    small_set: ClassVar = {"epochs": 60, "batch_size": 32, "lr": 2e-4, "ema": 0.99}
    large_set: ClassVar = {"epochs": 15, "batch_size": 64, "lr": 2e-4, "ema": 0.999}
    sizes: ClassVar = {"digits": 16}
    options: ClassVar = {
        **AdversarialTask.options,
        "width": Option(64, "channels next to the image, doubled with each halving", least=1),
        "spectral_norm": Option(False, "divide D's weights by their largest singular values, without batch norm"),
    }
    model: ClassVar[type] = DCGAN

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:  # noqa: ARG002
        if image_shape[1] != image_shape[2]:
            height, width = image_shape[1:]
            raise ValueError(f"{self.name} draws square images, and these are {height}x{width}: --size 32 scales them to 32x32")
        chosen = self.chosen
        return self.model(image_shape, chosen["latent"], chosen["width"], None, chosen["spectral_norm"]).config


class WassersteinGAN(ConvolutionalGAN):
    """WGAN-GP: a critic with layer norm and gradient penalty, five steps for one of the generator."""

    name = "wgan-gp"
    about = "draw images with a Wasserstein GAN with gradient penalty"
    small_set: ClassVar = {"epochs": 100, "batch_size": 32, "lr": 2e-4, "ema": 0.99}
    large_set: ClassVar = {"epochs": 20, "batch_size": 64, "lr": 2e-4, "ema": 0.999}
    options: ClassVar = {**ConvolutionalGAN.options, **_options("wasserstein", 10.0, 5)}
    betas: ClassVar = (0.0, 0.9)
    model: ClassVar[type] = WGANGP
