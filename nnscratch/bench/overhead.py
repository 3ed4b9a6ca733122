"""What recording an op costs: chains of ops on 4x4 tensors, forward and backward, and a training step of a tiny network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .case import Case, Subject
from .library import Library
from .steps import classifier
from .training import TOLERANCE, Training

CHAIN = 100
OPS: dict[str, Callable[[Library, Any, Any], Any]] = {
    "y * w": lambda L, y, w: y * w,
    "y * y": lambda L, y, w: y * y,
    "y + w": lambda L, y, w: y + w,
    "y - w": lambda L, y, w: y - w,
    "y / w": lambda L, y, w: y / w,
    "y * 0.5": lambda L, y, w: y * 0.5,
    "y.tanh()": lambda L, y, w: y.tanh(),
    "y.cos()": lambda L, y, w: y.cos(),
    "y.relu()": lambda L, y, w: y.relu(),
    "y.sigmoid()": lambda L, y, w: y.sigmoid(),
    "y @ w": lambda L, y, w: y @ w,
    "y.reshape(16).reshape(4, 4)": lambda L, y, w: y.reshape(16).reshape(4, 4),
    "y.t()": lambda L, y, w: y.t(),
    "y + y.mean()": lambda L, y, w: y + y.mean(),
    "linear(y, w, b)": lambda L, y, w: L.F.linear(y, w, w[0]),
}


def _op(L: Library, op: Callable, matrix: bool) -> Subject:
    w = np.random.default_rng(0).uniform(0.99, 1.01, (4, 4)).astype(np.float32)
    x = L.tensor(np.ones((4, 4), np.float32)).requires_grad_()  # what 100 of these ops leave finite
    w = L.tensor(w / 4 if matrix else w)

    def run():
        y = x
        for _ in range(CHAIN):
            y = op(L, y, w)
        y.sum().backward()
        g, x.grad = x.grad, None
        return g

    return Subject(run, lambda: {"gradient": run()})


def mlp(L: Library) -> Training:
    """32-32-32-32-10, batch 16, cross-entropy, Adam."""
    nn = L.nn
    layers = [nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
    return classifier(L, L.network(*layers), L.activations(16, 32), L.labels(16, 10))


def cases() -> list[Case]:
    cases = []
    for name, op in OPS.items():
        build = partial(_op, op=op, matrix=name in ("y @ w", "linear(y, w, b)"))
        cases.append(Case(f"op {name}", build, "a recorded op", per=CHAIN, threads=1))
    return cases + [Case("MLP training step", mlp, "a tiny network", threads=1, tolerance=TOLERANCE)]
