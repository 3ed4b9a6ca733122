"""What recording an op costs, side by side with PyTorch on one thread.

    python benchmarks/overhead.py [--rounds 7] [--output results/overhead.md]

Each library runs in a process of its own; the processes alternate. The same code serves both, since the names are the same.
Figures are microseconds per recorded op (forward and backward, 4x4 tensors, chains of 100) and per training step of an MLP
32-32-32-32-10 with batch 16, cross-entropy and Adam. Ratio = PyTorch / nnscratch of medians and of bests over all rounds:
above 1 we are faster. Before timing, both libraries' gradients and losses are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CHAIN = 100
OPS = {
    "y * w": lambda lib, y, w: y * w,
    "y * y": lambda lib, y, w: y * y,
    "y + w": lambda lib, y, w: y + w,
    "y - w": lambda lib, y, w: y - w,
    "y / w": lambda lib, y, w: y / w,
    "y * 0.5": lambda lib, y, w: y * 0.5,
    "y.tanh()": lambda lib, y, w: y.tanh(),
    "y.exp()": lambda lib, y, w: y.exp(),
    "y.relu()": lambda lib, y, w: y.relu(),
    "y.sigmoid()": lambda lib, y, w: y.sigmoid(),
    "y @ w": lambda lib, y, w: y @ w,
    "y.reshape(16).reshape(4, 4)": lambda lib, y, w: y.reshape(16).reshape(4, 4),
    "y.t()": lambda lib, y, w: y.t(),
    "y + y.sum()": lambda lib, y, w: y + y.sum(),
    "linear(y, w, b)": lambda lib, y, w: lib.nn.functional.linear(y, w, w[0]),
}


def library(name: str):
    if name == "torch":
        import torch

        torch.set_num_threads(1)
        return torch, torch.from_numpy
    import nnscratch
    import nnscratch.nn.functional
    import nnscratch.optim

    return nnscratch, nnscratch.from_numpy


def chain(lib, as_tensor, op):
    rng = np.random.default_rng(0)
    x = as_tensor(rng.uniform(0.5, 1.5, (4, 4)).astype(np.float32)).requires_grad_()
    w = as_tensor((np.eye(4) + rng.uniform(0, 0.01, (4, 4))).astype(np.float32))

    def run():
        y = x
        for _ in range(CHAIN):
            y = op(lib, y, w)
        y.sum().backward()
        g, x.grad = x.grad, None
        return float(g.sum())

    return run


def mlp(lib, as_tensor):
    rng = np.random.default_rng(0)
    nn = lib.nn
    layers = [nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
    net = nn.Sequential(*layers)
    with lib.no_grad():
        for p in net.parameters():
            p.copy_(as_tensor((rng.standard_normal(tuple(p.shape)) * 0.2).astype(np.float32)))
    optimizer = lib.optim.Adam(net.parameters())
    x, t = as_tensor(rng.standard_normal((16, 32)).astype(np.float32)), as_tensor(rng.integers(0, 10, 16))

    def run():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), t)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def child(name: str, seconds: float) -> None:
    lib, as_tensor = library(name)
    cases = {f"op {label}": (chain(lib, as_tensor, op), CHAIN) for label, op in OPS.items()}
    cases["MLP training step"] = (mlp(lib, as_tensor), 1)
    results = {}
    for label, (run, per) in cases.items():
        checks = [run() for _ in range(10)]
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 20:
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) / per * 1e6)
        results[label] = {"check": checks[-1], "best": min(times), "median": statistics.median(times)}
    print(json.dumps(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often the two processes take turns")
    parser.add_argument("--seconds", type=float, default=0.15, help="time spent on each case in each round")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--child", choices=["nnscratch", "torch"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.seconds)
        return
    environment = {**os.environ, **dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")}
    runs: dict[str, list[dict]] = {"nnscratch": [], "torch": []}
    for _ in range(options.rounds):
        for name in runs:
            command = [sys.executable, __file__, "--child", name, "--seconds", str(options.seconds)]
            runs[name].append(json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout))
    lines = [
        f"Overhead on {platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"one thread, {options.rounds} alternating rounds. Microseconds; ratio above 1: nnscratch is faster.",
        "",
        "| case | nnscratch median | PyTorch median | ratio of medians | ratio of bests |",
        "|---|---|---|---|---|",
    ]
    ratios = []
    for label in runs["torch"][0]:
        ours, theirs = ([r[label] for r in runs[name]] for name in runs)
        if not np.isclose(ours[0]["check"], theirs[0]["check"], rtol=1e-4):
            sys.exit(f"{label}: nnscratch computes {ours[0]['check']}, PyTorch {theirs[0]['check']}: not timed")
        a, b = (statistics.median(r["median"] for r in side) for side in (ours, theirs))
        best = min(r["best"] for r in theirs) / min(r["best"] for r in ours)
        ratios.append((b / a, best))
        lines.append(f"| {label} | {a:.2f} | {b:.2f} | {b / a:.2f} | {best:.2f} |")
    means = [statistics.geometric_mean(r[i] for r in ratios[:-1]) for i in (0, 1)]
    lines.append(f"| geometric mean of the ops | | | {means[0]:.2f} | {means[1]:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)


if __name__ == "__main__":
    main()
