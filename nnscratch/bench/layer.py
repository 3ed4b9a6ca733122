"""A single layer as benchmarks of its forward pass and its gradients, through the public face of both libraries.

A gradient is that of one output, in everything that has one, of a graph that is kept; the forward pass records it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from .case import Case, Subject
from .library import Library
from .training import products_of

# A gradient of a few thousand terms that cancel is less exact than they are.
TOLERANCE = {"": 1e-4, "kept": 1e-2}
BOTH_GRADIENTS = ("forward", "input gradient", "weight gradient")


@dataclass(frozen=True)
class Layer:
    """`make(L)` returns a module or a function of one tensor; `shape` is that of its input."""

    name: str
    make: Callable[[Library], Any]
    shape: tuple[int, ...]
    group: str
    images: bool = False  # given as a user gives images, not as a layer passes on its output
    parts: tuple[str, ...] = ("forward", "backward")

    def cases(self) -> list[Case]:
        build = {part: partial(self._build, part=part) for part in self.parts}
        return [Case(f"{self.name}: {part}", build[part], self.group, tolerance=TOLERANCE) for part in self.parts]

    def _build(self, L: Library, part: str) -> Subject:
        layer, x = self.make(L), (L.images if self.images else L.activations)(*self.shape)
        parameters = []
        if hasattr(layer, "parameters"):
            L.placed(layer)
            L.fill(layer)
            parameters = list(layer.parameters())
        wanted = ([] if part == "weight gradient" else [x]) + ([] if part == "input gradient" else parameters)
        for tensor in [x, *parameters]:
            tensor.requires_grad_(any(tensor is one for one in wanted))
        forward = lambda: first(layer(x))
        y = forward()
        products = sum(count for count, _ in products_of(layer, x, y))
        given = bytes_of([x, *parameters])
        if part == "forward":
            return Subject(forward, lambda: {"output": forward()}, products, given + bytes_of([y]))
        g = L.activations(*y.shape, seed=2)
        backward = lambda: L.grad(y, wanted, g, retain_graph=True)
        outputs = lambda: {f"gradient {i}": t for i, t in enumerate(backward())}
        return Subject(backward, outputs, products * (1 if "gradient" in part else 2), given + bytes_of([y, *wanted]))


def module_layer(
    name: str,
    shape: tuple[int, ...],
    group: str,
    kind: str,
    *args: Any,
    images: bool = False,
    parts: tuple[str, ...] = ("forward", "backward"),
    **options: Any,
) -> Layer:
    """The module `nn.KIND(*args, **options)` as a Layer."""

    def make(L: Library) -> Any:
        return getattr(L.nn, kind)(*args, **options)

    return Layer(name, make, shape, group, images, parts)


def first(output: Any) -> Any:
    """The output of a layer that also returns its state."""
    return output[0] if isinstance(output, tuple) else output


def bytes_of(tensors: Iterable[Any]) -> int:
    return sum(4 * prod(t.shape) for t in tensors)
