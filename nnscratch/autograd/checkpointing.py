"""Trade time for memory: forget a function's intermediate values and compute them again when the backward pass needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .. import backend
from .graph import Node
from .modes import enable_grad, mode, observers
from .primitives import leaf_op


class _Recomputing(threading.local):
    now = False  # the recomputation of a checkpoint restores those nested in it too


_recomputing = _Recomputing()


class _Tape:
    """Collects the nodes recorded in this thread."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._thread = threading.get_ident()

    def __call__(self, node: Node, _result: Any) -> None:
        if node.edges and threading.get_ident() == self._thread:
            self.nodes.append(node)

    def cotangents(self, node: Node, gs: Any) -> None:
        pass


def _record(function: Callable, args: tuple, kwargs: dict) -> tuple[Any, list[Node]]:
    tape = _Tape()
    observers.append(tape)
    try:
        return function(*args, **kwargs), tape.nodes
    finally:
        observers.remove(tape)


def checkpoint(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """function(*args, **kwargs), keeping only its inputs; the rest is computed again in the backward pass (Chen et al. 2016).

    Memory falls from every intermediate value to the inputs, for one more forward pass. Works to any order and with any mix of
    parameters inside. The default random generator is rewound, so that dropout draws the same mask. Raises RuntimeError in the
    backward pass if the function does not do the same operations the second time.
    """
    if not mode.recording or _recomputing.now:
        return function(*args, **kwargs)
    random_state = backend.default_generator.get_state()
    y, nodes = _record(function, args, kwargs)

    def recompute() -> None:
        now = backend.default_generator.get_state()
        backend.default_generator.set_state(random_state)
        _recomputing.now = True
        try:
            with enable_grad():
                _, again = _record(function, args, kwargs)
        finally:
            _recomputing.now = False
            backend.default_generator.set_state(now)
        if [n.name for n in again] != [n.name for n in nodes]:
            raise RuntimeError(f"checkpoint: {getattr(function, '__name__', function)} recorded other operations when run again")
        for old, new in zip(nodes, again):
            old.args, old.y = new.args, new.y
            if new.extra is not None and "residuals" in new.extra:
                old.note("residuals", new.extra["residuals"])

    for node in nodes:
        if node.op is not leaf_op:
            node.args = node.y = None
            node.note("recompute", recompute)
            node.extra.pop("residuals", None)  # type: ignore[union-attr]
    return y
