"""What the table must cover: every public function and layer, less those that have no derivative, each with its reason."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from ... import nn, ops
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
    "changes only where or in which dtype the values are": "astype to_device",
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


def uncovered(entries: Iterable[Entry]) -> list[str]:
    """Public names with neither an entry nor a reason to have none; a second name of a function is covered by the first."""
    names = public_names()
    done = {id(names[name]) for name in [e.name for e in entries] + list(EXCLUDED) if name in names}
    return sorted(name for name, f in names.items() if id(f) not in done)


def outdated(entries: Iterable[Entry]) -> list[str]:
    """Names in the table or among the exclusions that no longer exist, or that are in both."""
    names, used = public_names(), {e.name for e in entries}
    return sorted((used | set(EXCLUDED)) - set(names)) + sorted(used & set(EXCLUDED))
