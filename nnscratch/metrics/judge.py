"""Judges of generated images: a fixed network's features, and the classes it recognises.

On MNIST's digits the judge is the LeNet of the package, the same everywhere. For other labelled images a LeNet is trained on
them, quickly and always in the same way, and kept in the run directory; its numbers compare the epochs of a run and runs on
the same data, nothing else. Images without classes are compared by coarse pixels.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import enable_grad, no_grad
from ..backend import default_generator, manual_seed
from ..data import Dataset
from ..data.dataset import gather
from ..models import CNN
from ..nn import functional as F
from ..optim import Adam
from ..serialization import load, save
from ..tensor import Tensor, as_tensor, to_numpy
from .lenet import LeNet, pretrained_lenet

STEPS, BATCH = 800, 64  # of training a judge: enough for 98% on digits and 88% on clothes, in some twenty seconds


class Judge:
    """`features(images)` (N, D) and, where it has classes, `probabilities(images)` (N, classes); images (N, C, H, W) in 0..1.

    `describe` gives the features of a batch and `classify` its logits, `classes` many or none. `name` goes before the names of
    the numbers: 'lenet' is the package's.
    """

    def __init__(self, describe: Callable, classify: Callable, name: str, classes: int):
        self.describe, self.classify, self.name, self.classes = describe, classify, name, classes

    def features(self, images: Any) -> np.ndarray:
        """Features (N, D)."""
        return self._in_parts(self.describe, images)

    def probabilities(self, images: Any) -> np.ndarray:
        """The probabilities of the classes (N, classes)."""
        return self._in_parts(lambda x: F.softmax(self.classify(x), -1), images)

    def look(self, images: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """(features, probabilities) of images; the latter None for a judge without classes."""
        return self.features(images), self.probabilities(images) if self.classes else None

    @staticmethod
    def _in_parts(f: Any, images: Any, size: int = 500) -> np.ndarray:
        images = to_numpy(images).astype(np.float32, copy=False)
        with no_grad():
            return np.concatenate([to_numpy(f(as_tensor(images[k : k + size]))) for k in range(0, len(images), size)])


def lenet_judge(network: LeNet, name: str) -> Judge:
    """A LeNet as a judge: the 84 numbers before its last layer."""
    network.eval()
    return Judge(network.features, network, name, network.head.out_features)


def cnn_judge(network: CNN) -> Judge:
    """A trained CNN as a judge: its hidden layer, after the ReLU."""
    network.eval()
    return Judge(lambda x: network.classifier[:-1](network.features(x)), network, "cnn", network.config["classes"])


def coarse_pixels(x: Tensor) -> Tensor:
    """No network: images in at most 8x8 averaged pixels, (N, C 8 8). They show layout and colour, not form."""
    return F.adaptive_avg_pool2d(x, tuple(min(8, side) for side in x.shape[2:])).flatten(1)


def judge_of(data_name: str, image_shape: Sequence[int], classes: int, train: Dataset, file: Path) -> Judge:
    """The judge for a data set; one that has to be trained is kept in `file`, and read from there the next time.

    Raises ValueError where that file does not fit the images.
    """
    name = judge_name(data_name, image_shape, classes)
    if name == "pixel":
        return Judge(coarse_pixels, coarse_pixels, name, 0)
    with _own_randomness():  # a training that is continued makes its judge at another moment
        if name == "lenet":
            return lenet_judge(pretrained_lenet(), name)
        if file.exists():
            network = LeNet(image_shape[0], image_shape[1], classes)
            network.load_state_dict(load(file))
        else:
            if sys.stderr.isatty() and not os.environ.get("NNSCRATCH_QUIET"):
                print("nnscratch: a judge of the samples is trained first, once for this run ...", file=sys.stderr, flush=True)
            network = train_judge(train, image_shape, classes)
            save(network, file)
    return lenet_judge(network, name)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The default generator is seeded with 0 inside the block, and afterwards as it was before."""
    before = default_generator.get_state()
    manual_seed(0)
    try:
        yield
    finally:
        default_generator.set_state(before)


def judge_name(data_name: str, image_shape: Sequence[int], classes: int) -> str:
    """The name of the judge that `judge_of` gives, without making it."""
    if data_name == "mnist" and tuple(image_shape) == (1, 28, 28):
        return "lenet"
    return "pixel" if classes < 2 or min(image_shape[1:]) < 8 or image_shape[1] != image_shape[2] else "judge"


def train_judge(train: Dataset, image_shape: Sequence[int], classes: int, steps: int | None = None) -> LeNet:
    """A LeNet trained on images with labels; the same weights at every call. The default generator is left as it was."""
    steps, rng = STEPS if steps is None else steps, np.random.default_rng(0)
    with _own_randomness():
        network = LeNet(image_shape[0], image_shape[1], classes)
    optimizer = Adam(network.parameters(), lr=1e-3)
    with enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
            images, labels = gather(train, np.sort(rng.choice(len(train), min(BATCH, len(train)), replace=False)))
            loss = F.cross_entropy(network(as_tensor(images)), as_tensor(labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    return network
