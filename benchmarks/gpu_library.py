"""A benchmark's library with everything on the GPU, and how a call is timed there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nnscratch.bench.library import Library

DEVICE = "cuda"


class OnGPU(Library):
    """nnscratch or torch. `graph`: its optimisers can be captured in a CUDA graph."""

    def __init__(self, name: str, *, expert: bool = False, graph: bool = False):
        super().__init__(name, expert=expert)
        self.graph, self.plain = graph, self.lib
        self.lib, self.nn = _Lib(self.lib), _Layers(self.nn)

    def tensor(self, array: np.ndarray) -> Any:
        x = self.plain.from_numpy(array).to(DEVICE)
        return x.contiguous(memory_format=self.plain.channels_last) if self.expert and array.ndim == 4 else x

    def labels(self, count: int, classes: int) -> Any:
        return self.tensor(np.random.default_rng(1).integers(0, classes, count))

    def randn(self, *shape: int) -> Any:
        return self.plain.randn(*shape, device=DEVICE)

    def placed(self, module: Any) -> Any:
        return super().placed(module).to(DEVICE)

    def optimizer(self, name: str, parameters: list[Any], **options: Any) -> Any:
        return super().optimizer(name, parameters, **options, **({"capturable": True} if self.graph else {}))


class _Lib:
    """A library whose new tensors are on the GPU."""

    def __init__(self, lib: Any):
        self._lib = lib

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._lib, name)
        return (lambda *a, **k: value(*a, **{"device": DEVICE, **k})) if name in ("ones", "zeros") else value


class _Layers:
    """A library's layers, which are made on the GPU."""

    def __init__(self, nn: Any):
        self._nn = nn

    def __getattr__(self, name: str) -> Any:
        return lambda *a, **k: getattr(self._nn, name)(*a, **k).to(DEVICE)


def milliseconds(run: Callable[[], Any], wait: Callable[[], Any], seconds: float = 0.5) -> float:
    """The median time of a call, the GPU's work included."""
    for _ in range(5):
        run()
    wait()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        for _ in range(5):
            run()
        wait()
        times.append((time.perf_counter() - start) / 5)
    return 1e3 * statistics.median(times)


def torch_or_none() -> Any:
    """PyTorch, where it is installed and computes on this GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if DEVICE == "cpu" or torch.cuda.is_available() else None


def waiting(torch: Any) -> Callable[[], Any]:
    """PyTorch's function that waits for the GPU."""
    return torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
