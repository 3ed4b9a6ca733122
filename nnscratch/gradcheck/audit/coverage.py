"""What the table must cover: every public function and layer, less those that have no derivative, each with its reason; and every
primitive and fused op, public or not, that the library is made of."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterable
from functools import cache
from typing import Any

from ... import nn, ops
from ...autograd import grad
from ...autograd.graph import Node
from ...autograd.modes import observers
from ...autograd.primitives import Primitive
from ...tensor import Tensor
from .entry import Entry

_REASONS: dict[str, str] = {
    "gives integers or booleans": (
        "all any allclose argmax argmin argsort argwhere bitwise_and bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor count_nonzero eq equal ge gt isclose isfinite isinf isnan isneginf isposinf le "
        "logical_and logical_not logical_or logical_xor lt multinomial ne nonzero one_hot"
    ),
    "makes a tensor that depends on no other tensor's values": (
        "arange empty empty_like eye full full_like linspace logspace normal ones ones_like rand rand_like randint "
        "randint_like randn randn_like randperm uniform zeros zeros_like"
    ),
    "cuts the graph on purpose": "stop_gradient bernoulli unique",
    "changes only where or in which dtype the values are": "astype to_device ops.arithmetic._move",
    "gives a dtype": "result_type",
    "holds modules or tensors, computes nothing": "nn.Module nn.ModuleDict nn.ModuleList nn.ParameterDict nn.ParameterList",
    "is the abstract base of other layers": "nn.RNNBase nn.RNNCellBase",
}
EXCLUDED = {name: reason for reason, names in _REASONS.items() for name in names.split()}


def public_names() -> dict[str, Any]:
    """Every public op (of nnscratch.ops and nn.functional), and every layer as "nn.<name>"."""
    functions = {**vars(nn.functional), **vars(ops)}
    found = {n: f for n, f in functions.items() if not n.startswith("_") and callable(f) and not isinstance(f, types.ModuleType)}
    layers = {f"nn.{n}": c for n, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module)}
    return {**found, **layers}


@cache
def primitives() -> dict[str, Any]:
    """Every op with derivatives of its own that nnscratch.ops and nnscratch.nn define, fused ones too, by "<module>.<name>".

    "<module>.<name>.fused" is the op that takes a function's large arrays.
    """
    found: dict[int, tuple[str, Any]] = {}  # by the op's record, so that a second name is not a second op
    for package in (ops, nn):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            place = info.name.partition(".")[2]
            for name, f in vars(importlib.import_module(info.name)).items():
                for path, op in ((f"{place}.{name}", f), (f"{place}.{name}.fused", getattr(f, "fused", None))):
                    record = getattr(op, "primitive", None)
                    if isinstance(record, Primitive) and (f.__module__ == info.name or path.endswith(".fused")):
                        found.setdefault(id(record), (path, op))
    return dict(found.values())


def uncovered(entries: Iterable[Entry]) -> list[str]:
    """Public names with neither an entry nor a reason to have none; a second name of a function is covered by the first."""
    names = public_names()
    done = {id(names[name]) for name in [e.name for e in entries] + list(EXCLUDED) if name in names}
    return sorted(name for name, f in names.items() if id(f) not in done)


def outdated(entries: Iterable[Entry]) -> list[str]:
    """Names in the table or among the exclusions that no longer exist, or that are in both."""
    names, used = {*public_names(), *primitives()}, {e.name for e in entries}
    return sorted((used | set(EXCLUDED)) - names) + sorted(used & set(EXCLUDED))


class _Watch:
    """An observer that remembers which ops ran."""

    def __init__(self) -> None:
        self.ran: set[int] = set()

    def __call__(self, node: Node, _result: Any) -> None:
        self.ran.add(id(node.op))

    def cotangents(self, node: Node, edges: Any, gs: Any) -> None:
        pass


def unreached(entries: Iterable[Entry]) -> list[str]:
    """Primitives and fused ops that no entry runs, be it in its second derivative; without those that have a reason."""
    watch = _Watch()
    observers.append(watch)
    try:
        for entry in entries:
            _differentiate(entry)
    finally:
        observers.remove(watch)
    return sorted(name for name, op in primitives().items() if id(op.primitive) not in watch.ran and name not in EXCLUDED)


def _differentiate(entry: Entry) -> None:
    """Run an entry and its derivatives of orders 1 and 2."""
    sample = entry.draw()
    xs = [Tensor(x, requires_grad=True) for x in sample.inputs]
    ys = sample.function(*xs)
    for _ in range(2):
        squares = [(y * y).sum() for y in ys if y is not None and y.requires_grad]
        if not squares:
            return
        ys = grad(squares, xs, create_graph=True, allow_unused=True)
