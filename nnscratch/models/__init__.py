"""Whole systems. `build(name, config)` makes one from what `model.config` held when it was saved."""

from __future__ import annotations

from typing import Any

from ..nn import Module
from .cnn import CNN
from .vae import VAE

MODELS: dict[str, type] = {"cnn": CNN, "vae": VAE}

__all__ = ["CNN", "MODELS", "VAE", "build"]


def build(name: str, config: dict[str, Any]) -> Module:
    """The model `name` with the arguments in `config`. Raises ValueError for an unknown name or an argument it does not take."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    try:
        return MODELS[name](**config)
    except TypeError as fault:
        raise ValueError(f"model {name!r} cannot be built from {config}: {fault}") from fault
