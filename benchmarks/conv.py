"""Convolutions and pools, forward and both gradients, side by side with PyTorch.

    python benchmarks/conv.py [--rounds 5] [--threads 2] [--only TEXT] [--output results/conv.md]

Each library runs in a process of its own; the processes alternate. PyTorch runs in two settings: "eager", with contiguous
NCHW tensors, and "channels_last". Ratio = PyTorch / nnscratch of medians and of bests over all rounds: above 1 we are faster.
GFLOP/s count the multiply-adds of the definition, whatever the algorithm. Before timing, each library's result is compared
with the others' on random checksums. nnscratch's first calls are timed too: in its first process with an empty cache on
disk, and in its second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Layer(NamedTuple):
    name: str
    batch: int
    channels: int
    outputs: int
    size: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    transposed: bool = False  # channels -> outputs of a transposed convolution
    groups: int = 1


LAYERS = [
    Layer("CNN 3-64 @32", 128, 3, 64, 32),
    Layer("CNN 64-128 @16", 128, 64, 128, 16),
    Layer("CNN 128-256 @8", 128, 128, 256, 8),
    Layer("valid 3-32 @64", 32, 3, 32, 64, padding=0),
    Layer("valid 32-64 @31", 32, 32, 64, 31, padding=0),
    Layer("valid 64-128 @14", 32, 64, 128, 14, padding=0),
    Layer("autoencoder 1-16 @28", 128, 1, 16, 28),
    Layer("ResNet 64-64 @56", 8, 64, 64, 56),
    Layer("ResNet 128-128 @28", 8, 128, 128, 28),
    Layer("ResNet 256-256 @14", 8, 256, 256, 14),
    Layer("ResNet 256-64 1x1 @56", 8, 256, 64, 56, kernel=1, padding=0),
    Layer("ResNet 128-256 1x1 /2 @28", 8, 128, 256, 28, kernel=1, stride=2, padding=0),
    Layer("DCGAN 3-64 4x4 /2 @32", 64, 3, 64, 32, kernel=4, stride=2),
    Layer("DCGAN 64-128 4x4 /2 @16", 64, 64, 128, 16, kernel=4, stride=2),
    Layer("DCGAN 256-128 transposed @4", 64, 256, 128, 4, kernel=4, stride=2, transposed=True),
    Layer("DCGAN 128-64 transposed @8", 64, 128, 64, 8, kernel=4, stride=2, transposed=True),
    Layer("DCGAN 64-3 transposed @16", 64, 64, 3, 16, kernel=4, stride=2, transposed=True),
    Layer("odd 20-50 @27", 50, 20, 50, 27),
    Layer("depthwise 64 @28", 32, 64, 64, 28, groups=64),
]
POOLS = [
    ("max-pool 2 64 @32", 128, 64, 32, {"kernel_size": 2}),
    ("max-pool 3/2 64 @56", 8, 64, 56, {"kernel_size": 3, "stride": 2, "padding": 1}),
]
SETTINGS = {"nnscratch": "nnscratch", "eager": "torch", "channels_last": "torch"}


def arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(x, w, g, multiply-adds) of a layer as torch shapes them; memory is NCHW."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((layer.batch, layer.channels, layer.size, layer.size), dtype=np.float32)
    ends = (layer.channels, layer.outputs) if layer.transposed else (layer.outputs, layer.channels)
    w = rng.standard_normal((ends[0], ends[1] // layer.groups, layer.kernel, layer.kernel), dtype=np.float32)
    grow, reach = layer.size - 1, layer.kernel - 2 * layer.padding
    out = grow * layer.stride + reach if layer.transposed else (grow + 1 - reach) // layer.stride + 1
    g = rng.standard_normal((layer.batch, layer.outputs, out, out), dtype=np.float32)
    return x, w, g, layer.batch * (layer.size if layer.transposed else out) ** 2 * prod(w.shape)


def checksum(y) -> float:
    """A random projection, the same for every memory layout."""
    y = np.asarray(y)
    return float((y * np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)).sum(dtype=np.float64)) / np.sqrt(
        y.size
    )


def ours(threads: int):
    import numba

    numba.set_num_threads(threads)
    from nnscratch.kernels import cpu

    from nnscratch import kernels

    def last(x):  # as every layer's output reaches the next
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)

    def convolution(layer: Layer, x, w, g):
        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        x, g = last(x), last(g)
        if layer.transposed:
            spec = kernels.ConvSpec.transposed(x.shape, w.shape, **options)
            forward, gx = (lambda: cpu.conv_input(x, w, spec=spec)), (lambda: cpu.conv(g, w, spec=spec))
            return forward, gx, (lambda: cpu.conv_weight(g, x, spec=spec))
        spec = kernels.ConvSpec.of(x.shape, w.shape, **options)
        forward, gx = (lambda: cpu.conv(x, w, spec=spec)), (lambda: cpu.conv_input(g, w, spec=spec))
        return forward, gx, (lambda: cpu.conv_weight(x, g, spec=spec))

    def pool(x, options):
        x = last(x)
        spec = kernels.PoolSpec.of(x.shape, **options)
        y, indices = cpu.max_pool(x, spec=spec)
        return (lambda: cpu.max_pool(x, spec=spec)[0]), (lambda: cpu.scatter(y, indices, spec=spec))

    return convolution, pool


def theirs(threads: int, setting: str):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    memory = torch.channels_last if setting == "channels_last" else torch.contiguous_format

    def tensor(array):
        return torch.from_numpy(array).contiguous(memory_format=memory)

    def convolution(layer: Layer, x, w, g):
        x, w, g = tensor(x), tensor(w), tensor(g)
        both, none = [layer.stride] * 2, [0, 0]
        function = F.conv_transpose2d if layer.transposed else F.conv2d

        def gradient(mask):
            geometry = (both, [layer.padding] * 2, [1, 1], layer.transposed, none, layer.groups)
            return torch.ops.aten.convolution_backward(g, x, w, None, *geometry, mask)

        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        forward, gx = (lambda: function(x, w, **options)), (lambda: gradient([True, False, False])[0])
        return forward, gx, (lambda: gradient([False, True, False])[1])

    def pool(x, options):
        x = tensor(x).requires_grad_()
        y = F.max_pool2d(x, **options)
        g = y.detach()
        backward = lambda: torch.autograd.grad(y, x, g, retain_graph=True)[0]
        return (lambda: F.max_pool2d(x.detach(), return_indices=True, **options)[0]), backward

    return convolution, pool


def child(setting: str, threads: int, seconds: float, only: str) -> None:
    convolution, pool = ours(threads) if setting == "nnscratch" else theirs(threads, setting)
    cases = {}
    for layer in LAYERS:
        x, w, g, products = arrays(layer)
        functions = (
            zip(("forward", "input gradient", "weight gradient"), convolution(layer, x, w, g)) if only in layer.name else ()
        )
        cases |= {f"{layer.name}: {what}": (function, products) for what, function in functions}
    for name, batch, channels, size, options in POOLS:
        x = np.random.default_rng(0).standard_normal((batch, channels, size, size), dtype=np.float32)
        functions = zip(("forward", "gradient"), pool(x, options)) if only in name else ()
        cases |= {f"{name}: {what}": (function, 0) for what, function in functions}
    results, first = {}, 0.0
    for label, (function, products) in cases.items():
        start = time.perf_counter()
        value = function()
        first += time.perf_counter() - start
        check, times = checksum(value), []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            function()
            times.append((time.perf_counter() - start) * 1e3)
        results[label] = {"check": check, "best": min(times), "median": statistics.median(times), "products": products}
    print(json.dumps({"cases": results, "first": first}))


def measure(options: argparse.Namespace) -> dict[str, list[dict]]:
    runs: dict[str, list[dict]] = {setting: [] for setting in SETTINGS}
    with tempfile.TemporaryDirectory() as cache:
        names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]
        environment = {**os.environ, **dict.fromkeys(names, str(options.threads)), "NUMBA_CACHE_DIR": cache}
        for _ in range(options.rounds):
            for setting, results in runs.items():
                command = [sys.executable, __file__, "--child", setting, "--threads", str(options.threads)]
                command += ["--seconds", str(options.seconds), "--only", options.only]
                results.append(json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout))
    return runs


def table(runs: dict[str, list[dict]], options: argparse.Namespace) -> str:
    lines = [
        f"Convolutions on {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, {options.threads} threads, "
        f"{options.rounds} alternating rounds. Ratio above 1: nnscratch is faster.",
        "",
        "| case | nnscratch ms | GFLOP/s | eager ms | channels_last ms "
        "| eager: medians | bests | channels_last: medians | bests |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios = []
    for label, case in runs["nnscratch"][0]["cases"].items():
        sides = {setting: [run["cases"][label] for run in results] for setting, results in runs.items()}
        for setting, results in sides.items():
            if not np.isclose(results[0]["check"], case["check"], rtol=1e-2, atol=1e-2):
                sys.exit(f"{label}: nnscratch computes {case['check']}, {setting} {results[0]['check']}: not timed")
        median = {setting: statistics.median(r["median"] for r in results) for setting, results in sides.items()}
        best = {setting: min(r["best"] for r in results) for setting, results in sides.items()}
        row = [t[other] / t["nnscratch"] for other in ("eager", "channels_last") for t in (median, best)]
        ratios.append(row)
        rate = f"{2e-6 * case['products'] / best['nnscratch']:.0f}" if case["products"] else ""
        times = f"{median['nnscratch']:.2f} | {rate} | {median['eager']:.2f} | {median['channels_last']:.2f}"
        lines.append(f"| {label} | {times} | " + " | ".join(f"{ratio:.2f}" for ratio in row) + " |")
    means = [statistics.geometric_mean(column) for column in zip(*ratios)]
    lines.append("| geometric mean | | | | | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    firsts = [run["first"] for run in runs["nnscratch"]]
    lines += [
        "",
        f"First calls of all cases: {firsts[0]:.1f} s with an empty cache, {min(firsts[1:], default=firsts[0]):.1f} s cached.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often the processes take turns")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=0.1, help="time spent on each case in each round")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.threads, options.seconds, options.only)
        return
    text = table(measure(options), options)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)


if __name__ == "__main__":
    main()
