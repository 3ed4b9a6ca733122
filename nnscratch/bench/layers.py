"""Layers, losses and optimisers one by one, in sizes that networks have."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from . import convolutions
from .case import Case, Subject
from .layer import BOTH_GRADIENTS, TOLERANCE, Layer, bytes_of, module_layer
from .library import Library, array


def _normalisations() -> Iterable[Layer]:
    group = "normalisation"
    for batch, channels, size in ((64, 64, 32), (8, 256, 56), (128, 16, 28)):
        yield module_layer(f"BatchNorm2d {channels} @{size}", (batch, channels, size, size), group, "BatchNorm2d", channels)
    yield module_layer("BatchNorm1d 1000", (128, 1000), group, "BatchNorm1d", 1000)
    yield module_layer("GroupNorm 8, 64 @32", (64, 64, 32, 32), group, "GroupNorm", 8, 64)
    yield module_layer("LayerNorm 768", (1024, 768), group, "LayerNorm", 768)


def _pools() -> Iterable[Layer]:
    group = "pooling"
    yield module_layer("MaxPool2d 2, 64 @32", (128, 64, 32, 32), group, "MaxPool2d", 2)
    yield module_layer("MaxPool2d 3/2, 64 @112", (8, 64, 112, 112), group, "MaxPool2d", 3, 2, 1)
    yield module_layer("AvgPool2d 2, 64 @32", (128, 64, 32, 32), group, "AvgPool2d", 2)
    yield module_layer("AdaptiveAvgPool2d 1, 2048 @7", (8, 2048, 7, 7), group, "AdaptiveAvgPool2d", 1)


def _dense() -> Iterable[Layer]:
    for batch, ins, outs in ((128, 784, 400), (128, 4096, 1000), (32, 4096, 4096), (1024, 256, 256)):
        name = f"Linear {ins}-{outs}, batch {batch}"
        yield module_layer(name, (batch, ins), "dense", "Linear", ins, outs, parts=BOTH_GRADIENTS)


def _recurrent() -> Iterable[Layer]:
    for kind in ("LSTM", "GRU"):
        for batch, steps, size, hidden in ((128, 28, 28, 128), (32, 64, 256, 256), (1, 100, 64, 64)):
            name = f"{kind} {size}-{hidden}, {steps} steps, batch {batch}"
            yield module_layer(name, (batch, steps, size), "recurrent", kind, size, hidden, batch_first=True)


def _elementwise() -> Iterable[Layer]:
    for kind in ("ReLU", "LeakyReLU", "GELU", "Tanh", "Sigmoid", "SiLU"):
        yield module_layer(f"{kind}, 2M", (32, 64, 32, 32), "elementwise", kind)


def _losses() -> Iterable[Layer]:
    def cross_entropy(L: Library, rows: int, classes: int) -> Any:
        return partial(L.F.cross_entropy, target=L.labels(rows, classes))

    def regression(L: Library, name: str) -> Any:
        return partial(getattr(L.F, name), target=L.images(64, 12288, seed=3))

    for rows, classes in ((128, 10), (1024, 1000)):
        make = partial(cross_entropy, rows=rows, classes=classes)
        yield Layer(f"cross_entropy {rows}x{classes}", make, (rows, classes), "losses")
    for name in ("binary_cross_entropy_with_logits", "mse_loss"):
        yield Layer(f"{name} 64x12288", partial(regression, name=name), (64, 12288), "losses")


def _dropout(L: Library) -> Subject:
    """Masks differ, so what is compared is what every mask fulfils: 0 or x / (1 - p), as many as p says; and gradients, too."""
    x = (L.images(1024, 2048) + 1).requires_grad_()
    run = lambda: L.F.dropout(x, 0.3)

    def outputs():
        y = run()
        (g,) = L.grad(y.sum(), [x])
        kept = array(y) != 0
        wrong = (kept & (abs(0.7 * array(y) - array(x)) > 1e-5)) | (abs(0.7 * array(g) - kept) > 1e-5)
        return {"wrong elements": wrong.sum(), "kept share": kept.mean()}

    return Subject(run, outputs, traffic=2 * bytes_of([x]))


def _randn(L: Library) -> Subject:
    """Samples differ; their moments and tails may not by more than chance."""
    run = lambda: L.lib.randn(1024, 2048)

    def outputs():
        y = array(run()).astype("d")
        kept = {"square": y**2, "fourth power": y**4, "beyond 2": abs(y) > 2, "above 0": y > 0}
        return {f"kept {name}": values.mean() for name, values in kept.items()}

    return Subject(run, outputs, traffic=4 * 1024 * 2048)


def _optimizer(L: Library, name: str, **options: Any) -> Subject:
    """A step on 5 million parameters in tensors of the sizes that networks have; three steps are compared."""
    shapes = [(1000, 4096), (512, 256, 3, 3), (128, 64, 3, 3), *[(256,)] * 20]
    parameters = [L.images(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    for i, p in enumerate(parameters):
        p.grad = L.images(*p.shape, seed=100 + i) - 0.5
    optimizer = L.optimizer(name, parameters, lr=1e-3, **options)

    def outputs():
        before = [array(p).copy() for p in parameters]
        for _ in range(3):
            optimizer.step()
        return {f"change {i}": array(p) - old for i, (p, old) in enumerate(zip(parameters, before))}

    touched = {"Adam": 7, "AdamW": 7, "SGD": 5, "RMSprop": 5}[name]  # parameter, gradient and state: read, and written
    return Subject(optimizer.step, outputs, traffic=touched * bytes_of(parameters))


def cases() -> list[Case]:
    layers = [*convolutions.layers(), *_dense(), *_pools(), *_normalisations(), *_recurrent(), *_elementwise(), *_losses()]
    cases = [case for layer in layers for case in layer.cases()]
    cases += [Case("dropout 0.3, 2M: forward", _dropout, "elementwise", tolerance=TOLERANCE)]
    cases += [Case("randn, 2M", _randn, "elementwise", tolerance=TOLERANCE)]
    optimizers: dict[str, dict[str, Any]] = {"SGD": {"momentum": 0.9}, "Adam": {}, "AdamW": {}, "RMSprop": {}}
    for name, options in optimizers.items():
        cases.append(Case(f"{name}, 5M parameters", partial(_optimizer, name=name, **options), "optimisers"))
    return cases
