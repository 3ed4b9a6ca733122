"""The seven training steps in milliseconds, beside PyTorch's in three settings: eager as it comes; channels-last, cuDNN's search
for its best algorithm and fused optimisers; and the same captured in a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gpu_library
from gpu_library import OnGPU, milliseconds, torch_or_none, waiting

import nnscratch as nns
from nnscratch.bench.steps import WORKLOADS

Row = dict[str, Any]


def tasks(xp: Any, small: bool) -> dict[str, Any]:  # noqa: ARG001 - the library has the arrays
    return {name: partial(_step, name, {"batch": 2, "scale": 0.07} if small else {}) for name in WORKLOADS}


def _step(name: str, sizes: dict[str, Any]) -> Iterator[Row]:
    seconds = 0.01 if sizes else 0.5
    make = lambda library: WORKLOADS[name](library, **sizes).run
    row: Row = {"step": name, "nnscratch": milliseconds(make(OnGPU("nnscratch")), nns.cuda.synchronize, seconds)}
    torch = torch_or_none()
    if torch is None:
        yield row
        return
    torch.backends.cuda.matmul.allow_tf32 = False  # PyTorch's default; convolutions take TF32 in both libraries
    notes = []
    for setting, options in {"eager": {}, "tuned": {"expert": True}, "graph": {"expert": True, "graph": True}}.items():
        torch.backends.cudnn.benchmark = setting != "eager"
        try:
            run = make(OnGPU("torch", **options))
            row[setting] = milliseconds(_captured(torch, run) if setting == "graph" else run, waiting(torch), seconds)
        except Exception as fault:  # what PyTorch cannot do says nothing about us
            notes.append(f"PyTorch, {setting}: {type(fault).__name__}: {str(fault).splitlines()[0] if str(fault) else ''}")
    others = [row[k] for k in ("eager", "tuned", "graph") if k in row]
    if "eager" in row:
        row["times eager"] = row["eager"] / row["nnscratch"]
    if others:
        row["times the best"] = min(others) / row["nnscratch"]
    yield row | ({"notes": "; ".join(notes)} if notes else {})


def _captured(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    """The step recorded into a CUDA graph after a few warm ones, and its replay."""
    if gpu_library.DEVICE != "cuda":
        raise RuntimeError("no CUDA graphs on the CPU")
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
