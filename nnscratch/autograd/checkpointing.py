"""Trade time for memory: forget a function's intermediate values and compute them again when the backward pass needs them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from .. import backend
from ..tensor import Tensor
from .graph import Leaf, Node, wrap
from .inplace import check_unchanged, written_since
from .modes import clock, enable_grad, mode, observers
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

    def cotangents(self, node: Node, edges: Any, gs: Any) -> None:
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
    parameters inside. The default random generator is rewound, so that dropout draws the same mask. Raises RuntimeError if the
    function changes an argument in place; and in the backward pass if it does not do the same operations the second time, or
    if an argument or parameter was changed in place before that.
    """
    if not mode.recording or _recomputing.now:
        return function(*args, **kwargs)
    recompute = _Recompute(function, args, kwargs)
    y, nodes = _record(function, args, kwargs)
    recompute.forget([node for node in nodes if node.op is not leaf_op])
    return y


class _Recompute:
    """A call whose values were forgotten: calling this puts them back into its nodes."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict):
        self.function, self.name = function, getattr(function, "__name__", repr(function))
        self.args = tuple([_as_it_is(a) for a in args])
        self.kwargs = {key: _as_it_is(a) for key, a in kwargs.items()}
        self.random_state = backend.default_generator.get_state()
        self.start = next(clock)

    def forget(self, nodes: list[Node]) -> None:
        self.end = next(clock)
        self.inputs = [a for a in (*self.args, *self.kwargs.values()) if isinstance(a, Tensor)]
        if any(written_since(x.data, self.start) for x in self.inputs):
            raise RuntimeError(f"checkpoint: {self.name} changes an argument in place, so it cannot be run again")
        self.leaves = {parent for node in nodes for _, parent in node.edges if isinstance(parent, Leaf)}
        self.names = [node.name for node in nodes]
        self.nodes = [weakref.ref(node) for node in nodes]  # they hold this, and should not wait for the collector
        for node in nodes:
            node.args = node.y = None
            node.note("recompute", self)
            node.extra.pop("residuals", None)  # type: ignore[union-attr]

    def __call__(self) -> None:
        for x in (*self.inputs, *[leaf.tensor() for leaf in self.leaves]):
            if x is not None and written_since(x.data, self.end):
                raise RuntimeError(
                    f"checkpoint: an argument or parameter of {self.name} (shape {tuple(x.shape)}) was changed in place since, "
                    "so its values cannot be computed again; call backward before the change"
                )
        before = next(clock)
        again = self._run()
        if [node.name for node in again] != self.names:
            raise RuntimeError(f"checkpoint: {self.name} recorded other operations when run again")
        for old, new in zip([ref() for ref in self.nodes], again):
            if old is not None:
                self._restore(old, new, before)

    def _run(self) -> list[Node]:
        now = backend.default_generator.get_state()
        backend.default_generator.set_state(self.random_state)
        _recomputing.now = True
        try:
            with enable_grad():
                return _record(self.function, self.args, self.kwargs)[1]
        finally:
            _recomputing.now = False
            backend.default_generator.set_state(now)

    def _restore(self, old: Node, new: Node, before: int) -> None:
        outside, again = [[(i, p) for i, p in node.edges if p.seq < self.start] for node in (old, new)]
        if outside != again:
            raise RuntimeError(f"checkpoint: {self.name} used other tensors when run again (changed in place since?)")
        old.args, old.y = new.args, new.y
        check_unchanged(old, before)
        old.note("saved", new.seq)
        if new.noted("residuals") is not None:
            old.note("residuals", new.noted("residuals"))


def _as_it_is(x: Any) -> Any:
    """The tensor with the history that it has now: an in-place write would give it another."""
    if type(x) is not Tensor:
        return x
    same = wrap(x.data, x._node)
    same._made = x._made
    return same
