"""Whole systems. `build(name, config)` makes one from what `model.config` held when it was saved."""

from __future__ import annotations

from typing import Any

from ..nn import Module
from .autoencoder import Autoencoder
from .cnn import CNN
from .conv_lstm import ConvLSTM
from .dcgan import DCGAN
from .gan import GAN
from .lstm import RowClassifier
from .map_vae import MapVAE
from .row_lstm import RowLSTM
from .vae import VAE
from .wgan_gp import WGANGP
from .window_vae import WindowVAE

MODELS: dict[str, type] = {
    "autoencoder": Autoencoder,
    "cnn": CNN,
    "conv-lstm": ConvLSTM,
    "dcgan": DCGAN,
    "gan": GAN,
    "lstm": RowClassifier,
    "map-vae": MapVAE,
    "row-lstm": RowLSTM,
    "vae": VAE,
    "wgan-gp": WGANGP,
    "window-vae": WindowVAE,
}

__all__ = [
    "CNN", "DCGAN", "GAN", "MODELS", "VAE", "WGANGP", "Autoencoder", "ConvLSTM", "MapVAE", "RowClassifier", "RowLSTM",
    "WindowVAE", "build",
]  # fmt: skip


def build(name: str, config: dict[str, Any]) -> Module:
    """The model `name` with the arguments in `config`. Raises ValueError for an unknown name or an argument it does not take."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    try:
        return MODELS[name](**config)
    except TypeError as fault:
        raise ValueError(f"model {name!r} cannot be built from {config}: {fault}") from fault
