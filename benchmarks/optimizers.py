"""What a step of Adam and gradient clipping cost, side by side with PyTorch.

    python benchmarks/optimizers.py [--threads 1] [--rounds 3] [--large]

Each library runs in a process of its own; the processes alternate. PyTorch's step is timed twice: its default, and fused=True.
Figures are the best milliseconds over all rounds, and for nnscratch the rate of the 28 bytes an element that Adam cannot do
without. Before timing, the parameters after some steps are compared. --large adds a VAE of 136 million parameters (2 GB).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from math import prod

import numpy as np

MODELS = {
    "perceptron, 8 tensors": [(32, 32), (32,)] * 3 + [(10, 32), (10,)],
    "LSTM 2x128, 10 tensors": [(512, 28), (512, 128), (512,), (512,), (512, 128), (512, 128), (512,), (512,), (10, 128), (10,)],
    "VAE 784-400-20, 10 tensors": [(400, 784), (400,), (20, 400), (20,), (20, 400), (20,), (400, 20), (400,), (784, 400), (784,)],
    "50 blocks, 200 tensors": [(64, 64, 3, 3), (64,), (64,), (64,)] * 50,
    "one tensor": [(8_000_000,)],
}
LARGE = {
    "VAE 12288-4096, 8 tensors": [(4096, 12288), (4096,), (4096, 4096), (4096,), (4096, 4096), (4096,), (12288, 4096), (12288,)]
}


def library(name: str, threads: int):
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
        return torch, [("PyTorch", {}), ("PyTorch fused", {"fused": True})]
    import nnscratch
    import nnscratch.nn
    import nnscratch.optim

    return nnscratch, [("nnscratch", {})]


def parameters(lib, shapes):
    rng = np.random.default_rng(0)
    ps = [lib.tensor(rng.standard_normal(s, dtype=np.float32), requires_grad=True) for s in shapes]
    for p in ps:
        p.grad = lib.tensor(rng.standard_normal(tuple(p.shape), dtype=np.float32))
    return ps


def best(run, seconds: float) -> float:
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def child(name: str, options: argparse.Namespace) -> None:
    lib, kinds = library(name, options.threads)
    results = {}
    for label, shapes in {**MODELS, **(LARGE if options.large else {})}.items():
        for kind, arguments in kinds:
            ps = parameters(lib, shapes)
            optimizer = lib.optim.Adam(ps, lr=1e-3, weight_decay=1e-2, **arguments)
            for _ in range(3):
                optimizer.step()
            check = [float(p.detach().reshape(-1)[-1]) for p in ps]
            step = best(optimizer.step, options.seconds)
            clip = best(lambda ps=ps: lib.nn.utils.clip_grad_norm_(ps, 1e-3), options.seconds)
            results[f"{label}|{kind}"] = {"check": check, "step": step, "clip": clip}
    print(json.dumps(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="how often the two processes take turns")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on each case in each round")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--child", choices=["nnscratch", "torch"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options)
        return
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]
    environment = {**os.environ, **dict.fromkeys(names, str(options.threads))}
    runs: dict[str, list[dict]] = {}
    for _ in range(options.rounds):
        for name in ("nnscratch", "torch"):
            command = [sys.executable, __file__, *sys.argv[1:], "--child", name]
            found = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
            for case, result in found.items():
                runs.setdefault(case, []).append(result)
    kinds = ["nnscratch", "PyTorch", "PyTorch fused"]
    print(f"{options.threads} thread(s), NumPy {np.__version__}, {options.rounds} alternating rounds, best milliseconds.\n")
    print(f"| parameters | elements | {' | '.join(kinds)} | nnscratch GB/s | clip: {' | clip: '.join(kinds[:2])} |")
    print("|" + "---|" * 8)
    for label, shapes in {**MODELS, **(LARGE if options.large else {})}.items():
        cases = [runs[f"{label}|{kind}"] for kind in kinds]
        if not all(np.allclose(case[0]["check"], cases[0][0]["check"], rtol=1e-5) for case in cases):
            sys.exit(f"{label}: the libraries' parameters differ: not timed")
        step, clip = ([min(r[what] for r in case) for case in cases] for what in ("step", "clip"))
        elements = sum(map(prod, shapes))
        figures = [f"{elements:,}", *(f"{ms:.3f}" for ms in step), f"{28e-6 * elements / step[0]:.1f}"]
        print(f"| {label} | {' | '.join([*figures, *(f'{ms:.3f}' for ms in clip[:2])])} |")


if __name__ == "__main__":
    main()
