"""`nnscratch warmup`: compiles the CPU kernels before they are needed, by running small instances of typical layers.

Numba keeps what it compiles on disk. A kernel is compiled for the types of its arguments, not for their sizes, so that a few
small shapes stand for all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from . import float32, float64, kernels, nn, no_grad, optim, tensor
from .nn import functional as F

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution 3x3": (lambda: nn.Conv2d(16, 32, 3, padding=1), (2, 16, 12, 12)),
    "convolution 3x3, large": (lambda: nn.Conv2d(64, 64, 3, padding=1), (4, 64, 16, 16)),
    "convolution 3x3, odd": (lambda: nn.Conv2d(5, 7, 3), (3, 5, 9, 11)),
    "convolution 3x3, of a colour image": (lambda: nn.Conv2d(3, 32, 3, padding=1), (2, 3, 16, 16)),
    "convolution 3x3, of a grey image": (lambda: nn.Conv2d(1, 16, 3, padding=1), (2, 1, 16, 16)),
    "convolution 5x5": (lambda: nn.Conv2d(8, 16, 5, padding=2), (2, 8, 12, 12)),
    "convolution 7x7 / 2": (lambda: nn.Conv2d(3, 16, 7, stride=2, padding=3), (2, 3, 20, 20)),
    "convolution 4x4 / 2": (lambda: nn.Conv2d(16, 32, 4, stride=2, padding=1), (2, 16, 16, 16)),
    "convolution 4x4 / 2, of a colour image": (lambda: nn.Conv2d(3, 32, 4, stride=2, padding=1), (2, 3, 16, 16)),
    "convolution 1x1": (lambda: nn.Conv2d(32, 16, 1), (2, 32, 8, 8)),
    "convolution 1x1 / 2": (lambda: nn.Conv2d(32, 16, 1, stride=2), (2, 32, 8, 8)),
    "convolution to one value": (lambda: nn.Conv2d(32, 1, 4, bias=False), (2, 32, 4, 4)),
    "depthwise convolution": (lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32), (2, 32, 10, 10)),
    "grouped convolution": (lambda: nn.Conv2d(16, 16, 3, padding=1, groups=4), (2, 16, 10, 10)),
    "convolution in one dimension": (lambda: nn.Conv1d(8, 16, 3), (2, 8, 20)),
    "transposed convolution 4x4": (lambda: nn.ConvTranspose2d(32, 16, 4, bias=False), (2, 32, 1, 1)),
    "transposed convolution 4x4 / 2": (lambda: nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), (2, 32, 8, 8)),
    "transposed convolution 4x4 / 2, to a colour image": (lambda: nn.ConvTranspose2d(32, 3, 4, 2, 1), (2, 32, 8, 8)),
    "transposed convolution 2x2 / 2, to a grey image": (lambda: nn.ConvTranspose2d(16, 1, 2, 2), (2, 16, 7, 7)),
    "max-pool 2": (lambda: nn.MaxPool2d(2), (2, 16, 8, 8)),
    "max-pool 3 / 2": (lambda: nn.MaxPool2d(3, 2, 1), (2, 16, 9, 9)),
    "average pool 2": (lambda: nn.AvgPool2d(2), (2, 16, 8, 8)),
    "average over the image": (lambda: nn.AdaptiveAvgPool2d(1), (2, 16, 7, 7)),
    "batch-norm": (lambda: nn.BatchNorm2d(16), (4, 16, 8, 8)),
    "batch-norm of vectors": (lambda: nn.BatchNorm1d(32), (8, 32)),
    "group-norm": (lambda: nn.GroupNorm(4, 16), (2, 16, 8, 8)),
    "layer-norm": (lambda: nn.LayerNorm(32), (8, 32)),
    "linear": (lambda: nn.Linear(32, 16), (8, 32)),
    "linear, of a sequence, and dropout": (lambda: nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)), (2, 5, 8)),
    "LSTM": (lambda: nn.LSTM(16, 32, num_layers=2, batch_first=True), (4, 6, 16)),
    "GRU": (lambda: nn.GRU(16, 32, batch_first=True), (4, 6, 16)),
    "convolution, batch-norm, ReLU, pool": (
        lambda: nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        (2, 16, 12, 12),
    ),
    "convolution, ReLU, pool": (
        lambda: nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        (2, 3, 16, 16),
    ),
    **{
        name: (getattr(nn, name), (4, 16, 8, 8)) for name in ("ReLU", "LeakyReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softmax2d")
    },
}
OPTIMIZERS: dict[str, dict[str, Any]] = {"SGD": {"momentum": 0.9}, "Adam": {}, "AdamW": {}, "RMSprop": {}}


def jobs() -> Iterator[tuple[str, Callable[[], None]]]:
    """What is run: a name and a function, in both types where that compiles another kernel."""
    for dtype in (float32, float64):
        for name, (make, shape) in LAYERS.items():
            yield f"{name}, {dtype}", partial(_layer, make, shape, dtype)
        yield f"losses, {dtype}", partial(_losses, dtype)
        for name, options in OPTIMIZERS.items():
            yield f"{name}, {dtype}", partial(_optimizer, name, options, dtype)


def _layer(make: Callable[[], nn.Module], shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Forward and backward, once for a fresh array and once for the output of another layer, whose memory may lie differently."""
    module = make().to(dtype)
    x = tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype))
    for inner in (x, F.avg_pool2d(x, 1) if x.ndim == 4 else x):
        y = module(inner.detach().requires_grad_())
        (y[0] if isinstance(y, tuple) else y).sum().backward()
    with no_grad():  # what is fused then may be compiled on its own
        module.eval()(x)


def _losses(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    x = tensor(rng.standard_normal((8, 10)).astype(dtype)).requires_grad_()
    target = tensor(rng.random((8, 10)).astype(dtype))
    F.cross_entropy(x, tensor(rng.integers(0, 10, 8))).backward()
    for loss in (F.binary_cross_entropy_with_logits, F.mse_loss, F.l1_loss, F.smooth_l1_loss):
        loss(x, target).backward()


def _optimizer(name: str, options: dict[str, Any], dtype: np.dtype) -> None:
    parameters = [nn.Parameter(tensor(np.ones(shape, dtype))) for shape in ((16, 8, 3, 3), (16,))]
    optimizer = getattr(optim, name)(parameters, lr=1e-3, **options)
    for _ in range(2):  # the first step makes the state
        for p in parameters:
            p.grad = tensor(np.ones(p.shape, dtype))
        optimizer.step()


def run(quiet: bool = False) -> int:
    """Compile, showing a bar on a terminal; say how long it took and where the results are. 0."""
    if find_spec("numba") is None:
        if not quiet:
            print("nothing to compile: Numba is not installed, and everything runs on NumPy")
        return 0
    start = time.perf_counter()
    with _compiled():
        for _, job in _shown(list(jobs()), quiet):
            job()
    if not quiet:
        compiled, found, folders = _outcome()
        seconds = f"{time.perf_counter() - start:.1f} s"
        did = (
            f"{compiled} functions compiled in {seconds}" if compiled else f"all {found} kernels were there, and work ({seconds})"
        )
        print(f"{did}; the cache is in {', '.join(map(str, folders)) or 'no folder that Numba tells'}")
    return 0


def _compiled() -> Any:
    """The compiled kernels, in whichever way they are not yet the default."""
    return kernels.use("cpu") if "cpu" in kernels.available() else nullcontext()


def _shown(work: list, quiet: bool) -> Iterator:
    if quiet or not sys.stderr.isatty():
        yield from work
        return
    from tqdm import tqdm

    with tqdm(work, unit="layer", dynamic_ncols=True, leave=False) as bar:
        for name, job in bar:
            bar.set_postfix_str(name)
            yield name, job


def _outcome() -> tuple[int, int, list[Path]]:
    """(compiled, loaded from disk, folders of the cache) over the kernels, as Numba counts them."""
    compiled, found = 0, 0
    folders: dict[Path, None] = {}
    modules = [m for name, m in sys.modules.items() if name.startswith(f"{kernels.__name__}.")]
    dispatchers = {id(d): d for m in modules for d in vars(m).values() if hasattr(d, "stats") and hasattr(d, "signatures")}
    for dispatcher in dispatchers.values():
        stats = dispatcher.stats
        compiled += sum(stats.cache_misses.values())
        found += sum(stats.cache_hits.values())
        if stats.cache_path and (stats.cache_hits or stats.cache_misses):
            folders[Path(stats.cache_path)] = None
    return compiled, found, list(folders)
