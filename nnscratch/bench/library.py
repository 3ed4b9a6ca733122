"""torch or nnscratch under one set of names, so that a benchmark is written once; and the settings they run in."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Setting:
    """A library and how it is used. `environment` is added to that of its process, where it does not say otherwise."""

    library: str
    label: str
    expert: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


# Keep freed memory instead of giving it back to the system and faulting it in again, page by page, in the next step.
_KEEP_MEMORY = {
    "MALLOC_TOP_PAD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}
SETTINGS = {
    "nnscratch": Setting("nnscratch", "nnscratch", environment={"NNSCRATCH_QUIET": "1"}),  # no notes into a bar of progress
    "eager": Setting("torch", "PyTorch eager"),
    "expert": Setting("torch", "PyTorch expert", expert=True, environment=_KEEP_MEMORY),
}
SAMPLE = 1 << 20  # elements of a tensor that are compared at most
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment(setting: Setting, threads: int | None) -> dict[str, str]:
    """The environment of a setting's process; without `threads`, each library has the number it takes by itself."""
    pools = {} if threads is None else dict.fromkeys(_POOLS, str(threads))
    return {**setting.environment, **os.environ, **pools}


class Library:
    """torch or nnscratch. `expert`: channels-last memory and fused optimisers, where there are such.

    Data and weights are drawn by NumPy, the same for both. Noise is the library's own, or with `replay` NumPy's too.
    """

    def __init__(self, name: str, *, expert: bool = False):
        self.name, self.expert = name, expert
        self.lib = importlib.import_module(name)
        self.nn = importlib.import_module(f"{name}.nn")
        self.F = importlib.import_module(f"{name}.nn.functional")
        self.optim = importlib.import_module(f"{name}.optim")
        self.grad = importlib.import_module(f"{name}.autograd").grad
        self._noise: np.random.Generator | None = None
        self.lib.manual_seed(0)

    # ------------------------------------------------------------------------------------------------------------- data

    def tensor(self, array: np.ndarray) -> Any:
        """Four-dimensional arrays in the setting's memory order."""
        x = self.lib.from_numpy(array)
        return x.contiguous(memory_format=self.lib.channels_last) if self.expert and array.ndim == 4 else x

    def images(self, *shape: int, seed: int = 0) -> Any:
        """Uniform on [0, 1), as a user hands them over."""
        return self.tensor(np.random.default_rng(seed).random(shape, dtype=np.float32))

    def activations(self, *shape: int, seed: int = 0) -> Any:
        """Uniform with mean 0 and variance 1, in the memory order in which the library's own layers pass them on."""
        x = np.random.default_rng(seed).random(shape, dtype=np.float32)
        x = np.asarray((x - np.float32(0.5)) * np.float32(np.sqrt(12)))
        if self.name == "nnscratch" and x.ndim == 4:
            x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        return self.tensor(x)

    def labels(self, count: int, classes: int) -> Any:
        return self.lib.from_numpy(np.random.default_rng(1).integers(0, classes, count))

    def randn(self, *shape: int) -> Any:
        if self._noise is None:
            return self.lib.randn(*shape)
        return self.lib.from_numpy(self._noise.standard_normal(shape, dtype=np.float32))

    def randn_like(self, x: Any) -> Any:
        return self.lib.randn_like(x) if self._noise is None else self.randn(*x.shape)

    def replay(self, seed: int | None) -> None:
        """From now on take noise from NumPy, the same in both libraries; None: from the library again."""
        self._noise = None if seed is None else np.random.default_rng(seed)

    # ---------------------------------------------------------------------------------------------------------- networks

    def network(self, *layers: Any) -> Any:
        return self.placed(self.nn.Sequential(*layers))

    def placed(self, module: Any) -> Any:
        return module.to(memory_format=self.lib.channels_last) if self.expert else module

    def adam(self, *networks: Any, **options: Any) -> Any:
        return self.optimizer("Adam", [p for network in networks for p in network.parameters()], **options)

    def optimizer(self, name: str, parameters: list[Any], **options: Any) -> Any:
        fused = {"fused": True} if self.expert and name in ("Adam", "AdamW", "SGD") else {}
        return getattr(self.optim, name)(parameters, **options, **fused)

    def fill(self, module: Any, seed: int = 0) -> None:
        """Parameters from NumPy: uniform with variance 1/fan-in; of norms and biases near 1 and 0."""
        rng = np.random.default_rng(seed)
        with self.lib.no_grad():
            for name, p in module.named_parameters():
                values = rng.random(tuple(p.shape), dtype=np.float32) - np.float32(0.5)
                if p.ndim > 1:
                    values *= np.float32(np.sqrt(12 / np.prod(p.shape[1:])))
                else:
                    values = np.float32(0.1) * values + np.float32(name.endswith("weight"))
                p.copy_(self.lib.from_numpy(values))


def array(tensor: Any) -> np.ndarray:
    """A tensor's values, of either library, without history."""
    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def sample(tensor: Any) -> np.ndarray:
    """A tensor's elements in a row, copied; of a very large one some at random, the same in both libraries."""
    flat = array(tensor).reshape(-1)
    if flat.size <= SAMPLE:
        return flat.copy()
    return flat[np.random.default_rng(flat.size).integers(0, flat.size, SAMPLE)]
