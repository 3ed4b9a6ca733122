"""Data sets by name, as the command line knows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cifar import CIFAR10
from .digits import Digits
from .folder import ImageFolder
from .mnist import KMNIST, MNIST, FashionMNIST
from .moving import MovingShapes
from .shapes import Shapes
from .split import random_split


def _shapes(train: bool, **options: Any) -> Shapes:
    return Shapes(**{"n": 10_000 if train else 2_000, "seed": 0 if train else 1} | options)


def _moving(kind: str) -> Callable[..., MovingShapes]:
    def make(train: bool, **options: Any) -> MovingShapes:
        return MovingShapes(**{"n": 1_000 if train else 200, "seed": 0 if train else 1, "kind": kind} | options)

    return make


_SETS: dict[str, Callable[..., Any]] = {
    "digits": Digits,
    "shapes": _shapes,
    "moving-shapes": _moving("shapes"),
    "moving-digits": _moving("digits"),
    "mnist": MNIST,
    "fashion-mnist": FashionMNIST,
    "kmnist": KMNIST,
    "cifar10": CIFAR10,
}
NAMES = (*_SETS, "folder:PATH")


def load(name: str, train: bool = True, **options: Any) -> Any:
    """The training or test part of the data set called `name` (one of NAMES); `options` are its class's arguments.

    `folder:PATH` is PATH/train or PATH/test (or PATH/val) where PATH has these subfolders; otherwise a fixed tenth of
    the pictures in PATH, stratified by class, is for testing and the rest for training. Raises ValueError for an
    unknown name, and for a `label` asked of another set than shapes.
    """
    if "label" in options and name != "shapes":
        raise ValueError(f"label: only shapes have several attributes that can be the label, not {name}")
    if name.startswith("folder:"):
        return _folder(Path(name.removeprefix("folder:")), train, options)
    if name not in _SETS:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(NAMES)}")
    return _SETS[name](train=train, **options)


def _folder(root: Path, train: bool, options: dict[str, Any]) -> Any:
    held_out = next((root / part for part in ("test", "val") if (root / part).is_dir()), None)
    if held_out is not None and (root / "train").is_dir():
        return ImageFolder(root / "train" if train else held_out, **options)
    pictures = ImageFolder(root, **options)
    parts = random_split(pictures, [0.9, 0.1], seed=0, stratify=pictures.labels)
    return parts[0] if train else parts[1]
