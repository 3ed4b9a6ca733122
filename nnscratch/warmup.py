"""`nnscratch warmup`: compiles the CPU kernels before they are needed, by running small instances of typical layers.

Numba keeps what it compiles on disk. A kernel is compiled for the types of its arguments, not for their sizes, so that a few
small shapes stand for all: small, but large enough that kernels are chosen at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from . import backend, float32, float64, kernels, nn, no_grad, optim, rand, randn, tensor
from .nn import functional as F

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution 3x3": (lambda: nn.Conv2d(16, 32, 3, padding=1), (4, 16, 32, 32)),
    "convolution 3x3, deep": (lambda: nn.Conv2d(64, 64, 3, padding=1), (4, 64, 16, 16)),
    "convolution 3x3, odd": (lambda: nn.Conv2d(5, 7, 3), (5, 5, 41, 43)),
    "convolution 3x3, of a colour image": (lambda: nn.Conv2d(3, 32, 3, padding=1), (8, 3, 32, 32)),
    "convolution 3x3, of a grey image": (lambda: nn.Conv2d(1, 16, 3, padding=1), (8, 1, 32, 32)),
    "convolution 3x3, to a colour image": (lambda: nn.Conv2d(16, 3, 3, padding=1), (8, 16, 32, 32)),
    "convolution 3x3 / 2": (lambda: nn.Conv2d(16, 32, 3, stride=2, padding=1), (4, 16, 32, 32)),
    "convolution 5x5": (lambda: nn.Conv2d(8, 16, 5, padding=2), (4, 8, 32, 32)),
    "convolution 7x7 / 2": (lambda: nn.Conv2d(3, 16, 7, stride=2, padding=3), (4, 3, 64, 64)),
    "convolution 4x4 / 2": (lambda: nn.Conv2d(16, 32, 4, stride=2, padding=1), (8, 16, 32, 32)),
    "convolution 4x4 / 2, of a colour image": (lambda: nn.Conv2d(3, 32, 4, stride=2, padding=1), (8, 3, 32, 32)),
    "convolution 1x1": (lambda: nn.Conv2d(32, 16, 1), (4, 32, 32, 32)),
    "convolution 1x1 / 2": (lambda: nn.Conv2d(32, 16, 1, stride=2), (4, 32, 32, 32)),
    "convolution to one value": (lambda: nn.Conv2d(128, 1, 4, bias=False), (64, 128, 4, 4)),
    "depthwise convolution": (lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32), (4, 32, 32, 32)),
    "grouped convolution": (lambda: nn.Conv2d(16, 16, 3, padding=1, groups=4), (4, 16, 32, 32)),
    "convolution in one dimension": (lambda: nn.Conv1d(16, 32, 3), (16, 16, 200)),
    "convolution in three dimensions": (lambda: nn.Conv3d(4, 8, 3), (2, 4, 12, 24, 24)),
    "transposed convolution from one value": (lambda: nn.ConvTranspose2d(100, 64, 4, bias=False), (32, 100, 1, 1)),
    "transposed convolution 4x4 / 2": (lambda: nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), (8, 32, 16, 16)),
    "transposed convolution 4x4 / 2, to a colour image": (
        lambda: nn.Sequential(nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh()),
        (8, 32, 32, 32),
    ),
    "transposed convolution 2x2 / 2, to a grey image": (
        lambda: nn.Sequential(nn.ConvTranspose2d(16, 1, 2, 2), nn.Sigmoid()),
        (32, 16, 16, 16),
    ),
    "max-pool 2": (lambda: nn.MaxPool2d(2), (8, 16, 32, 32)),
    "max-pool 3 / 2": (lambda: nn.MaxPool2d(3, 2, 1), (8, 16, 33, 33)),
    "average pool 2": (lambda: nn.AvgPool2d(2), (8, 16, 32, 32)),
    "average over the image": (lambda: nn.AdaptiveAvgPool2d(1), (8, 256, 7, 7)),
    "batch-norm": (lambda: nn.BatchNorm2d(16), (8, 16, 32, 32)),
    "batch-norm of vectors": (lambda: nn.BatchNorm1d(300), (256, 300)),
    "group-norm": (lambda: nn.GroupNorm(4, 16), (8, 16, 32, 32)),
    "layer-norm": (lambda: nn.LayerNorm(256), (256, 256)),
    "linear": (lambda: nn.Linear(256, 512), (128, 256)),
    "linear, of a sequence, and dropout": (lambda: nn.Sequential(nn.Linear(64, 128), nn.Dropout(0.5)), (16, 20, 64)),
    "LSTM": (lambda: nn.LSTM(28, 128, num_layers=2, batch_first=True), (64, 8, 28)),
    "GRU": (lambda: nn.GRU(28, 128, batch_first=True), (64, 8, 28)),
    "convolution, batch-norm, ReLU, pool": (
        lambda: nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        (8, 16, 32, 32),
    ),
    "convolution, ReLU, pool": (
        lambda: nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        (8, 16, 32, 32),
    ),
    "convolution of an image, leaky ReLU": (
        lambda: nn.Sequential(nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2)),
        (8, 3, 64, 64),
    ),
    "convolution of an image, ReLU, pool": (
        lambda: nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        (8, 3, 32, 32),
    ),
    **{name: (getattr(nn, name), (8, 16, 32, 32)) for name in ("ReLU", "LeakyReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "ELU")},
}
OPTIMIZERS: dict[str, dict[str, Any]] = {"SGD": {"momentum": 0.9}, "Adam": {}, "AdamW": {}, "RMSprop": {}}


def jobs() -> Iterator[tuple[str, Callable[[], None]]]:
    """What is run: a name and a function, in both types where that compiles another kernel."""
    for dtype in (float32, float64):
        for name, (make, shape) in LAYERS.items():
            yield f"{name}, {dtype}", partial(_layer, make, shape, dtype)
        yield f"losses, {dtype}", partial(_losses, dtype)
        yield f"random numbers, {dtype}", partial(_random, dtype)
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
    x = tensor(rng.standard_normal((256, 512)).astype(dtype)).requires_grad_()
    target = tensor(rng.random((256, 512)).astype(dtype))
    F.cross_entropy(x, tensor(rng.integers(0, 512, 256))).backward()
    for loss in (F.binary_cross_entropy_with_logits, F.mse_loss, F.l1_loss, F.smooth_l1_loss):
        loss(x, target).backward()
    F.binary_cross_entropy(F.sigmoid(x), target).backward()
    (F.softmax(x, 1) + F.log_softmax(x, 1)).sum().backward()


def _optimizer(name: str, options: dict[str, Any], dtype: np.dtype) -> None:
    parameters = [nn.Parameter(tensor(np.ones(shape, dtype))) for shape in ((64, 128, 3, 3), (64,))]
    optimizer = getattr(optim, name)(parameters, lr=1e-3, **options)
    for _ in range(2):  # the first step makes the state
        for p in parameters:
            p.grad = tensor(np.ones(p.shape, dtype))
        optimizer.step()


def _random(dtype: np.dtype) -> None:
    randn(256, 512, dtype=dtype)
    rand(256, 512, dtype=dtype)


def run(quiet: bool = False) -> int:
    """Compile, showing a bar on a terminal; say how long it took and where the results are. 0."""
    if find_spec("numba") is None:
        if not quiet:
            print("nothing to compile: Numba is not installed, and everything runs on NumPy")
        return 0
    start = time.perf_counter()
    for _, job in _shown(list(jobs()), quiet):
        job()
    if not quiet:
        print(_told(time.perf_counter() - start, *_outcome()))
    return 0


def run_cuda(architecture: str = "", quiet: bool = False) -> int:
    """Compile the CUDA kernels for an architecture such as "sm_90a", "" for this machine's GPU's. 0, or 1 with what is missing.

    With an architecture no GPU is needed, only NVRTC.
    """
    from .kernels.cuda import loader, nvrtc

    start = time.perf_counter()
    try:
        architecture = architecture or loader.architecture(_gpu())
        found = [loader.cubin(family, architecture) for family in loader.FAMILIES]
    except (nvrtc.CompilationError, RuntimeError, OSError) as fault:
        print(f"nnscratch warmup: {fault}", file=sys.stderr)
        return 1
    if not quiet:
        compiled, seconds = sum(new for _, new in found), time.perf_counter() - start
        all_there = f"all {len(found)} families of CUDA kernels were there for {architecture}"
        did = f"{compiled} families of CUDA kernels compiled for {architecture} in {seconds:.1f} s" if compiled else all_there
        print(f"{did}; they are in {loader.folder()}")
    return 0


def _gpu() -> Any:
    backend.to_device(np.zeros(1, np.float32), "cuda")  # whose errors say what is missing
    import cupy

    return cupy.cuda.Device()


def _told(seconds: float, compiled: int, found: int, folders: list[Path]) -> str:
    if not compiled and not found:
        return "nothing to compile: the kernels that are chosen are not compiled ones"
    did = f"{compiled} kernels compiled in {seconds:.1f} s" if compiled else f"all {found} kernels were there ({seconds:.1f} s)"
    return f"{did}; the cache is in {', '.join(map(str, folders))}"


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
    entries = [getattr(value, "entry", value) for m in modules for value in vars(m).values()]
    for dispatcher in {
        id(entry): entry for entry in entries if hasattr(entry, "stats") and hasattr(entry, "signatures")
    }.values():
        stats = dispatcher.stats
        if stats.cache_path and (stats.cache_hits or stats.cache_misses):
            compiled += sum(stats.cache_misses.values())
            found += sum(stats.cache_hits.values())
            folders[Path(stats.cache_path)] = None
    return compiled, found, list(folders)
