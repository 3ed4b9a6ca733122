"""Variational autoencoders that draw an image again with another label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import viz
from ...autograd import no_grad
from ...data import Dataset
from ...data.dataset import gather
from ...models import MapVAE, WindowVAE
from ...tensor import as_tensor, to_numpy
from .common import Option, device_of
from .generation import Generation

_SHARED = {name: option for name, option in Generation.options.items() if name not in ("architecture", "latent", "hidden")}


class Relabelling(Generation):
    """A VAE with a code map whose decoder is told the label: what an edit changes. Otherwise as `Generation`.

    By default the KL term has its whole weight for some hundred steps, until the code leaves to the label what the label says,
    and then a twentieth of it, for sharp outlines. What `evaluate` gives as the loss has that weight too. It
    suits attributes that show in each patch, such as colour: outlines stay where they are.
    """

    name = "map-vae"
    about = "change an attribute of images, their label, and keep the rest"
    small_set: ClassVar = {"epochs": 40, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"}
    large_set: ClassVar = {"epochs": 16, "batch_size": 64, "lr": 2e-3, "schedule": "cosine"}
    options: ClassVar = {
        "code": Option(4, "numbers in the code for each patch of 4x4 pixels", least=1),
        **_SHARED,
        "conditional": replace(
            _SHARED["conditional"], default=True, help="tell the decoder the label, so that it can be changed"
        ),
        "beta": replace(_SHARED["beta"], default=0.05),
        "annealing": replace(_SHARED["annealing"], default="drop"),
        "anneal_steps": replace(_SHARED["anneal_steps"], default=400),
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        chosen = {name: self.chosen[name] for name in ("code", "likelihood", "sigma")}
        return MapVAE(image_shape, classes=self._told(classes), reader=self.chosen["fader"] > 0, **chosen).config

    @property
    def kl_price(self) -> float:
        """`beta`, in the loss of `evaluate` too: the ELBO itself is best while all is blurred, and would choose that."""
        return self.chosen["beta"]

    def pictures(self, model: Any, dataset: Dataset, folder: Path) -> dict[Path, str]:
        """Also test images as each of the classes, or of the first dozen."""
        drawn = super().pictures(model, dataset, folder)
        if not model.classes:
            return drawn
        images, labels = gather(dataset, np.linspace(0, len(dataset) - 1, min(8, len(dataset))).astype(int))
        names = [str(name) for name in dataset.classes[:12]]
        with no_grad():
            codes, _ = model.encode(as_tensor(images).to(device_of(model)), labels)
            changed = [to_numpy(model.means(codes, np.full(len(images), k))) for k in range(len(names))]
        sheet = np.stack([images, *changed], 1).reshape(-1, *images.shape[1:])
        path = viz.save_grid(sheet, folder / "edits.png", 1 + len(names))
        return drawn | {path: f"test images, and each as {', '.join(names)}"}


class Replacement(Relabelling):
    """A VAE with a window on the one thing in an image, whose decoder is told what that is: what an edit changes.

    By default the code is free at first, and is then pressed from both sides: by the KL term, and by a reader that is not to find
    the label in it. It suits attributes that change the outlines, and leaves place, size and colour.
    """

    name = "window-vae"
    about = "change what the one thing in an image is, its label, and keep the rest"
    small_set: ClassVar = {"epochs": 200, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"}
    large_set: ClassVar = {"epochs": 80, "batch_size": 64, "lr": 2e-3, "schedule": "cosine"}
    options: ClassVar = {
        "latent": Option(11, "numbers in the code, three of them for the place and size of the window", least=4),
        "window": Option(20, "cells of the window's side", least=2),
        "hidden": Option(256, "width of the dense layers", least=1),
        **{name: option for name, option in Relabelling.options.items() if name != "code"},
        "beta": replace(_SHARED["beta"], default=2.0),
        "annealing": replace(_SHARED["annealing"], default="late"),
        "anneal_steps": replace(_SHARED["anneal_steps"], default=8000),
        "fader": replace(_SHARED["fader"], default=20.0),
    }

    def model_config(self, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        chosen = {name: self.chosen[name] for name in ("latent", "window", "hidden", "likelihood", "sigma")}
        return WindowVAE(image_shape, classes=self._told(classes), reader=self.chosen["fader"] > 0, **chosen).config
