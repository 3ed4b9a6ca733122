"""What `gpu.py` checks on a GPU: kernels, ops and layers against the CPU in float64; random numbers and Adam bit by bit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from nnscratch.kernels import ConvSpec, precision

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch import kernels
from nnscratch.gradcheck.audit import entries

Row = dict[str, Any]
Check = tuple[str, float, float]  # what, its error, the bound of that

# (name, batch, input, weight (O, C, KH, KW), stride, padding): DCGAN's at 64x64, ResNet-50's, and a VAE's and autoencoder's.
LAYERS = [
    ("DCGAN 3-64, 64x64", 128, (64, 64), (64, 3, 4, 4), 2, 1),
    ("DCGAN 64-128, 32x32", 128, (32, 32), (128, 64, 4, 4), 2, 1),
    ("DCGAN 128-256, 16x16", 128, (16, 16), (256, 128, 4, 4), 2, 1),
    ("DCGAN 256-512, 8x8", 128, (8, 8), (512, 256, 4, 4), 2, 1),
    ("ResNet-50 stem", 32, (224, 224), (64, 3, 7, 7), 2, 3),
    ("ResNet-50 3x3 64, 56x56", 32, (56, 56), (64, 64, 3, 3), 1, 1),
    ("ResNet-50 1x1 64-256, 56x56", 32, (56, 56), (256, 64, 1, 1), 1, 0),
    ("ResNet-50 3x3 128, 28x28", 32, (28, 28), (128, 128, 3, 3), 1, 1),
    ("ResNet-50 3x3 128 / 2", 32, (56, 56), (128, 128, 3, 3), 2, 1),
    ("ResNet-50 3x3 256, 14x14", 32, (14, 14), (256, 256, 3, 3), 1, 1),
    ("ResNet-50 3x3 512, 7x7", 32, (7, 7), (512, 512, 3, 3), 1, 1),
    ("autoencoder 1-16, 28x28", 128, (28, 28), (16, 1, 3, 3), 1, 1),
]
SMALL = [
    ("small 3-8", 2, (7, 6), (8, 3, 3, 3), 2, 1),
    ("small 8-20", 1, (6, 5), (20, 8, 3, 3), 1, 1),
    ("small 8-3", 1, (6, 5), (3, 8, 4, 4), 2, 1),
]


NO_POOL = "NNSCRATCH_GPU_NO_POOL"  # each array in memory of its own, so that what lies behind its end belongs to nobody
TYPES = ((np.float32, 1e-5), (np.float64, 1e-12))


def tasks(xp: Any, small: bool) -> dict[str, Callable[[], Iterator[Row]]]:
    """By what they check; each gives rows with the largest relative error, its bound, and whether it is within."""
    if os.environ.get(NO_POOL):
        xp.cuda.set_allocator(None)
    found = {f"convolution, {layer[0]}": partial(_convolution, xp, layer) for layer in (SMALL if small else LAYERS)}
    for family in (_random, _optimizer, _functions, _rows, _norms, _pools):
        for dtype, bound in TYPES:
            found[f"{family.__name__[1:]}, {np.dtype(dtype).name}"] = partial(family, xp, dtype, bound, small)
    for entry in entries("conv2d|max_pool2d|BatchNorm2d" if small else ""):
        found[entry.label] = partial(_op, xp, entry)
    return {name: partial(_rows_of, task) for name, task in found.items()}


def checks(xp: Any, small: bool = False) -> Iterator[Row]:
    """The rows of all tasks."""
    for task in tasks(xp, small).values():
        yield from task()


def _rows_of(task: Callable[[], Iterator[Check]]) -> Iterator[Row]:
    for name, error, bound in task():
        yield {"check": name, "error": error, "bound": bound, "right": bool(error <= bound)}


def _convolution(xp: Any, layer: tuple[Any, ...]) -> Iterator[Check]:
    """All directions against float64 on the CPU, of one image; and the adjoint identity between the three at the full batch."""
    name, batch, size, w_shape, stride, padding = layer
    for kind, dtype, bound in (("tf32", np.float32, 5e-3), ("f32", np.float32, 1e-4), ("f64", np.float64, 1e-11)):
        for n in (1, batch):
            spec = ConvSpec.of((n, w_shape[1], *size), w_shape, stride=stride, padding=padding)
            rng = np.random.default_rng(n)
            x, w, g = (rng.standard_normal(s).astype(dtype) for s in (spec.input_shape(n), w_shape, spec.output_shape(n)))
            a, b, c = (xp.asarray(v) for v in (x, w, g))
            with precision("fast" if kind == "tf32" else "strict"):
                y, gx, gw = (
                    kernels.conv(a, b, spec=spec),
                    kernels.conv_input(c, b, spec=spec),
                    kernels.conv_weight(a, c, spec=spec),
                )
            if n == 1:
                exact = [v.astype(np.float64) for v in (x, w, g)]
                wanted = (
                    kernels.conv(exact[0], exact[1], spec=spec),
                    kernels.conv_input(exact[2], exact[1], spec=spec),
                    kernels.conv_weight(exact[0], exact[2], spec=spec),
                )
                for direction, got, right in zip(("forward", "input", "weight"), (y, gx, gw), wanted):
                    yield f"{name}, {kind}, {direction}", _error(got, right), bound
            else:
                sums = [float((u.get().astype(np.float64) * v).sum()) for u, v in ((y, g), (gx, x), (gw, w))]
                scale = float(np.sqrt(np.square(y.get().astype(np.float64)).sum() * np.square(g.astype(np.float64)).sum()))
                yield f"{name}, {kind}, adjoints", (max(sums) - min(sums)) / scale, bound


# Functions of the other families against NumPy's, from which random numbers and Adam may not differ in a bit.


def _numbers(dtype: Any, small: bool) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(40_000 if small else 3_000_001).astype(dtype)


def _random(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:  # noqa: ARG001
    x, name = _numbers(dtype, small), np.dtype(dtype).name
    for draw in (nns.rand, nns.randn):
        own = draw(x.size, generator=nns.Generator(3), dtype=dtype, device="cuda")
        yield f"{draw.__name__}, {name}", _different(own, draw(x.size, generator=nns.Generator(3), dtype=dtype)), 0.0
    both = [F.dropout(nns.Tensor(a), 0.3, generator=nns.Generator(4)) for a in (xp.asarray(x), x)]
    yield f"dropout, {name}", _different(*both), 0.0


def _optimizer(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:  # noqa: ARG001
    yield f"Adam, {np.dtype(dtype).name}", _different(*[_stepped(m, _numbers(dtype, small)) for m in (xp, np)]), 0.0


def _functions(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:
    x = _numbers(dtype, small)
    for op in (F.relu, F.leaky_relu, F.gelu, F.silu, F.mish, F.elu, F.softplus, nns.tanh, nns.sigmoid, nns.exp):
        yield f"{op.__name__}, {np.dtype(dtype).name}", _error(*[op(nns.Tensor(m.asarray(x))) for m in (xp, np)]), bound


def _rows(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:
    x = _numbers(dtype, small)
    for columns in (10, 1000, 5000):
        rows = x[: x.size // columns * columns].reshape(-1, columns)
        labels = np.random.default_rng(1).integers(0, columns, len(rows))
        both = [F.cross_entropy(nns.Tensor(m.asarray(rows)), nns.Tensor(m.asarray(labels)), reduction="none") for m in (xp, np)]
        yield f"cross-entropy of {columns}, {np.dtype(dtype).name}", _error(*both), bound


def _norms(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:
    x = _numbers(dtype, small)
    for channels in (3, 64, 500):
        images = x[: x.size // (channels * 16) * channels * 16].reshape(-1, channels, 4, 4) + dtype(100)
        both = [F.batch_norm(nns.Tensor(m.asarray(images)), None, None, training=True) for m in (xp, np)]
        yield f"batch norm of {channels}, {np.dtype(dtype).name}", _error(*both), 30 * bound


def _pools(xp: Any, dtype: Any, bound: float, small: bool) -> Iterator[Check]:
    x = _numbers(dtype, small)
    images = x[: x.size // 3072 * 3072].reshape(-1, 3, 32, 32)
    for pool in (F.max_pool2d, F.avg_pool2d):
        both = [pool(nns.Tensor(m.asarray(images)), 3, 2, 1) for m in (xp, np)]
        yield f"{pool.__name__}, {np.dtype(dtype).name}", _error(*both), bound


def _stepped(module: Any, values: np.ndarray) -> Any:
    """A parameter after two steps of AdamW. On the CPU by NumPy's passes."""
    with kernels.use(None if module is not np else "im2col"):
        p = nns.Tensor(module.asarray(values.copy()), requires_grad=True)
        optimizer = nns.optim.AdamW([p], lr=1e-2)
        for k in (1, 2):
            p.grad = nns.Tensor(module.asarray(values[::-1].copy() * values.dtype.type(k)))
            optimizer.step()
    return p


def _op(xp: Any, entry: Any) -> Iterator[Check]:
    """An op or layer of the audit's table: values and derivatives of orders one and two against float64 on the CPU.

    Some are badly conditioned, some of float32 always: the GPU may be ten times as far away as the CPU is.
    """
    exact = _derivatives(np, entry.draw(1, np.float64))
    for dtype in (np.float32, np.float64):
        with precision("strict"):
            got, own = (_derivatives(module, entry.draw(1, dtype)) for module in (xp, np))
        bound = 2e-3 if any(t.dtype == np.float32 for t in got) else 1e-8
        yield f"{entry.label}, {np.dtype(dtype).name}", _worst(got, exact), bound + 10 * _worst(own, exact)


def _worst(got: list[Any], wanted: list[Any]) -> float:
    return max((_error(a, b) for a, b in zip(got, wanted)), default=0.0) if len(got) == len(wanted) else float("inf")


def _derivatives(module: Any, sample: Any) -> list[Any]:
    inputs = [nns.Tensor(module.asarray(x), requires_grad=x.dtype.kind == "f") for x in sample.inputs]
    leaves, results = [t for t in inputs if t.requires_grad], list(sample.function(*inputs))
    outputs = results
    for _ in range(2):
        squares = [(y * y).sum() for y in outputs if y is not None and y.requires_grad]
        if not squares:
            break
        outputs = nns.grad(squares, leaves, create_graph=True, allow_unused=True)
        results = [*results, *[t for t in outputs if t is not None]]
    return results


def _error(got: Any, wanted: Any) -> float:
    """The largest difference over the root mean square of what was wanted; infinite where other elements are NaN."""
    a, b = (np.asarray(nns.to_numpy(t), np.float64) for t in (got, wanted))
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    finite = np.isfinite(b)
    scale = float(np.sqrt(np.mean(np.square(b[finite])))) if finite.any() else 1.0
    return float(np.abs(a - b)[finite].max(initial=0.0)) / (scale or 1.0)


def _different(a: Any, b: Any) -> float:
    """The share of elements that differ."""
    return float(np.mean(nns.to_numpy(a) != nns.to_numpy(b)))
