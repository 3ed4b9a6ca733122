"""On a machine with an NVIDIA GPU, in one command: is everything right, and how fast is it beside PyTorch?

    python benchmarks/gpu.py                  checks, compute-sanitizer, timings; writes benchmarks/results/gpu.md and gpu.json
    python benchmarks/gpu.py --only checks    or: sanitizer, layers, steps

Needs numpy, cupy and pytest, and for the timings torch; compute-sanitizer (of the CUDA toolkit) where it is installed.

NO GPU HAS RUN THIS YET. What it calls has been tested on the CPU: the kernels through tests/cuda_shim, this script's checks by
tests/kernels/test_cuda_script.py on small sizes, everything else not at all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gpu_checks import LAYERS, Row, checks
from nnscratch.kernels import ConvSpec

import nnscratch as nns
from nnscratch import kernels
from nnscratch.bench import steps as workloads
from nnscratch.bench.library import Library

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("checks", "sanitizer", "layers", "steps")


# ---------------------------------------------------------------------------------------------------------------- sanitizer


def sanitizer() -> Iterator[Row]:
    """This script's checks on small sizes under memcheck and racecheck."""
    tool = shutil.which("compute-sanitizer")
    for check in ("memcheck", "racecheck"):
        if tool is None:
            yield {"tool": check, "outcome": "not run: compute-sanitizer is not installed"}
            continue
        command = [
            tool,
            "--tool",
            check,
            "--error-exitcode",
            "9",
            sys.executable,
            __file__,
            "--only",
            "checks",
            "--small",
            "--no-write",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        yield {"tool": check, "outcome": "no errors" if done.returncode == 0 else (done.stdout + done.stderr)[-2000:]}


# ------------------------------------------------------------------------------------------------------------------ timings


class OnGPU(Library):
    """A benchmark's library with everything on the GPU. `graph`: PyTorch's step is captured and replayed."""

    def __init__(self, name: str, *, expert: bool = False, graph: bool = False):
        super().__init__(name, expert=expert)
        self.graph, self.plain = graph, self.lib
        self.lib, self.nn = _Lib(self.lib), _Layers(self.nn)

    def tensor(self, array: np.ndarray) -> Any:
        x = self.plain.from_numpy(array).to("cuda")
        return x.contiguous(memory_format=self.plain.channels_last) if self.expert and array.ndim == 4 else x

    def labels(self, count: int, classes: int) -> Any:
        return self.tensor(np.random.default_rng(1).integers(0, classes, count))

    def randn(self, *shape: int) -> Any:
        return self.plain.randn(*shape, device="cuda")

    def placed(self, module: Any) -> Any:
        return super().placed(module).to("cuda")

    def optimizer(self, name: str, parameters: list[Any], **options: Any) -> Any:
        return super().optimizer(name, parameters, **options, **({"capturable": True} if self.graph else {}))


class _Lib:
    """A library whose new tensors are on the GPU."""

    def __init__(self, lib: Any):
        self._lib = lib

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._lib, name)
        return (lambda *a, **k: value(*a, **{"device": "cuda", **k})) if name in ("ones", "zeros") else value


class _Layers:
    """A library's layers, which are made on the GPU."""

    def __init__(self, nn: Any):
        self._nn = nn

    def __getattr__(self, name: str) -> Any:
        return lambda *a, **k: getattr(self._nn, name)(*a, **k).to("cuda")


def _milliseconds(run: Callable[[], Any], wait: Callable[[], Any], seconds: float = 0.5) -> float:
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


def layers(xp: Any) -> Iterator[Row]:
    """Each direction of each convolution beside cuDNN's, both in TF32, and as a share of the measured ceiling."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    square = torch.randn(4096, 4096, device="cuda")
    ceiling = 2 * 4096**3 / _milliseconds(lambda: square @ square, torch.cuda.synchronize) / 1e9
    for name, batch, size, w_shape, stride, padding in LAYERS:
        spec = ConvSpec.of((batch, w_shape[1], *size), w_shape, stride=stride, padding=padding)
        flops = 2 * batch * float(np.prod(spec.output) * np.prod(w_shape))
        for direction, (mine, other) in _directions(xp, torch, spec, batch).items():
            a, b = _milliseconds(mine, nns.cuda.synchronize), _milliseconds(other, torch.cuda.synchronize)
            speed = flops / a / 1e9
            row = {"layer": name, "direction": direction, "ms": a, "cuDNN ms": b, "times cuDNN": b / a}
            yield {**row, "TFLOP/s": speed, "of the ceiling": speed / ceiling}


def _directions(xp: Any, torch: Any, spec: ConvSpec, batch: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """(ours, PyTorch's) for each direction of a convolution, on channels-last arrays."""
    shapes = spec.input_shape(batch), spec.weight_shape, spec.output_shape(batch)
    x, w, g = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in shapes)
    a, c = (np.moveaxis(xp.asarray(np.ascontiguousarray(np.moveaxis(v, 1, -1))), -1, 1) for v in (x, g))
    b = xp.asarray(w)
    t_x, t_w, t_g = (torch.tensor(v, device="cuda").contiguous(memory_format=torch.channels_last) for v in (x, w, g))
    stride, padding = list(spec.stride), [low for low, _ in spec.padding]

    def backward(which: list[bool]) -> Any:
        return torch.ops.aten.convolution_backward(t_g, t_x, t_w, [0], stride, padding, [1, 1], False, [0, 0], 1, which)

    return {
        "forward": (
            lambda: kernels.conv(a, b, spec=spec),
            lambda: torch.nn.functional.conv2d(t_x, t_w, None, stride, padding),
        ),
        "input": (lambda: kernels.conv_input(c, b, spec=spec), lambda: backward([True, False, False])),
        "weight": (lambda: kernels.conv_weight(a, c, spec=spec), lambda: backward([False, True, False])),
    }


def steps() -> Iterator[Row]:
    """The seven training steps, beside PyTorch's in three settings, in milliseconds."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False  # PyTorch's default; convolutions take TF32 in both libraries
    for name, workload in workloads.WORKLOADS.items():
        row: Row = {"step": name, "nnscratch": _milliseconds(workload(OnGPU("nnscratch")).run, nns.cuda.synchronize)}
        torch.backends.cudnn.benchmark = False
        row["eager"] = _milliseconds(workload(OnGPU("torch")).run, torch.cuda.synchronize)
        torch.backends.cudnn.benchmark = True
        row["tuned"] = _milliseconds(workload(OnGPU("torch", expert=True)).run, torch.cuda.synchronize)
        try:
            row["graph"] = _milliseconds(
                _captured(torch, workload(OnGPU("torch", expert=True, graph=True)).run), torch.cuda.synchronize
            )
        except RuntimeError as fault:
            row["graph"] = float("nan")
            print(f"{name}: PyTorch could not capture it: {fault}", file=sys.stderr)
        row["times eager"] = row["eager"] / row["nnscratch"]
        row["times the best"] = float(np.nanmin([row[k] for k in ("eager", "tuned", "graph")])) / row["nnscratch"]
        yield row


def _captured(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    """The step recorded into a CUDA graph after a few warm ones, and its replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


# ------------------------------------------------------------------------------------------------------------------- report


def machine(cupy: Any) -> Row:
    """What it ran on."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    versions = {name: importlib.metadata.version(name) for name in ("numpy",)}
    try:
        versions["torch"] = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        versions["torch"] = "not installed"
    return {
        "gpu": properties["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "CUDA": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "system": platform.platform(),
        **versions,
    }


def table(rows: list[Row]) -> str:
    """Rows as a table in Markdown."""
    if not rows:
        return "nothing\n"
    text = lambda v: f"{v:.3g}" if isinstance(v, float) else str(v).replace("\n", " ")
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([text(row[k]) for k in rows[0]] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given several times")
    parser.add_argument("--small", action="store_true", help="small sizes, for compute-sanitizer, under which all is slow")
    parser.add_argument("--no-write", action="store_true", help="print the results, write no files")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR", help="of gpu.md and gpu.json"
    )
    options = parser.parse_args(arguments)
    try:
        import cupy
    except ImportError:
        print("not run: this needs CuPy (pip install cupy-cuda13x) and an NVIDIA GPU", file=sys.stderr)
        return 2
    if not cupy.is_available() or "cuda" not in kernels.available():
        print("not run: CuPy finds no usable GPU, or there is no NVRTC", file=sys.stderr)
        return 2
    results: Row = {"machine": machine(cupy)}
    print(json.dumps(results["machine"], indent=1))
    for part in options.only or PARTS:
        made = {
            "checks": lambda: checks(cupy, options.small),
            "sanitizer": sanitizer,
            "layers": lambda: layers(cupy),
            "steps": steps,
        }
        results[part] = list(made[part]())
        print(f"\n## {part}\n\n{table(results[part])}")
    wrong = [row for row in results.get("checks", []) if not row["right"]]
    wrong += [
        row for row in results.get("sanitizer", []) if row["outcome"][:9] != "no errors" and "not run" not in row["outcome"]
    ]
    print(f"{len(wrong)} checks failed" if wrong else "all checks passed")
    if not options.no_write:
        options.output.mkdir(parents=True, exist_ok=True)
        body = "".join(f"\n## {part}\n\n{table(results[part])}" for part in PARTS if part in results)
        facts = "".join(f"- {key}: {value}\n" for key, value in results["machine"].items())
        (options.output / "gpu.json").write_text(json.dumps(results, indent=1))
        (options.output / "gpu.md").write_text(f"# On a GPU\n\n`python benchmarks/gpu.py` on\n\n{facts}{body}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
