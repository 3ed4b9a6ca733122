"""How the advantage moves with batch, image size, depth and threads."""

from __future__ import annotations

import os
from functools import partial
from itertools import chain

from .case import Case
from .library import Library
from .steps import classifier, cnn, lstm, vae
from .training import TOLERANCE, Training


def deep(L: Library, depth: int, batch: int = 32, channels: int = 64, size: int = 16) -> Training:
    """`depth` 3x3 convolutions of equal width with batch-norm and ReLU, and a linear layer; square images."""
    nn = L.nn
    ends = [(3, channels), *[(channels, channels)] * (depth - 1)]
    layers = [(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()) for a, b in ends]
    net = L.network(*chain(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    return classifier(L, net, L.images(batch, 3, size, size), L.labels(batch, 10))


def cases() -> list[Case]:
    cases = [_case(f"CNN, batch {n}", partial(cnn, batch=n), "batch") for n in (1, 4, 16, 64, 256)]
    cases += [_case(f"VAE, batch {n}", partial(vae, batch=n), "batch") for n in (1, 16, 256)]
    cases += [_case(f"LSTM, batch {n}", partial(lstm, batch=n), "batch") for n in (1, 16, 256)]
    cases += [_case(f"CNN @{n}, batch 16", partial(cnn, batch=16, size=n), "image size") for n in (16, 32, 64)]
    cases += [_case(f"{n} convolution{'s' if n > 1 else ''}, batch 32", partial(deep, depth=n), "depth") for n in (1, 4, 16)]
    few, many = 1, min(2, os.cpu_count() or 1)
    for name, workload in {"CNN": cnn, "VAE": vae, "LSTM": lstm}.items():
        for n in sorted({few, many}):
            label = f"{name}, batch 32, {n} thread{'s' if n > 1 else ''}"
            cases.append(_case(label, partial(workload, batch=32), "threads", n))
    return cases


def _case(name: str, build: partial, group: str, threads: int | None = None) -> Case:
    # Through more layers there are more places in which rounding decides.
    return Case(name, build, group, threads=threads, tolerance={**TOLERANCE, "loss": 1e-4, "gradient": 3e-2, "update": 0.4})
