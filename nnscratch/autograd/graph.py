"""The graph: one node a recorded call, with edges to the nodes that computed its arguments."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from .modes import clock

if TYPE_CHECKING:
    from .primitives import Primitive


class Like(tuple):
    """What remains of a value that no VJP needs: its shape and dtype."""

    __slots__ = ()
    shape = property(operator.itemgetter(0))
    dtype = property(operator.itemgetter(1))

    @property
    def ndim(self) -> int:
        return len(self[0])

    def __repr__(self) -> str:
        return f"<not kept: shape {self[0]}, {self[1]}>"


class Node:
    """One recorded call: its op, the values its VJPs need, and its parents (as pairs of argument index and node)."""

    __slots__ = ("__weakref__", "args", "edges", "extra", "kwargs", "op", "seq", "y")

    def __init__(self, op: Primitive, edges: Any, args: Any, kwargs: Any, y: Any):
        self.op = op
        self.edges = edges
        self.args = args  # arrays, or the Likes of what no VJP reads; None once freed
        self.kwargs = kwargs
        self.y = y
        self.seq = next(clock)
        self.extra: dict[str, Any] | None = None  # hooks, residuals, a checkpoint's recompute, the call site

    def note(self, key: str, value: Any) -> None:
        """Attach something that only few nodes have."""
        if self.extra is None:
            self.extra = {}
        self.extra[key] = value

    def noted(self, key: str) -> Any:
        return None if self.extra is None else self.extra.get(key)

    @property
    def name(self) -> str:
        return self.op.name

    def __repr__(self) -> str:
        return f"<{self.op.name}>"


class Leaf(Node):
    """The end of a path: accumulates into `.grad` of a tensor that was not computed by an op."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor):
        from .primitives import leaf_op

        super().__init__(leaf_op, (), (), None, None)
        self.tensor = weakref.ref(tensor)


def wrap(array: Any, node: Node | None) -> Tensor:
    """A tensor on `array`, computed by `node`."""
    t = Tensor.__new__(Tensor)
    t.data = array if type(array) is np.ndarray else as_array(array)
    t._node = node
    return t


def as_array(y: Any, name: str = "an op") -> Any:
    """What a forward returned, as an array. Raises TypeError for a list, None, ..."""
    if backend.is_array(y):
        return y
    if isinstance(y, (np.generic, float, int)):
        return np.asarray(y)
    raise TypeError(f"{name} returned a {type(y).__name__}; expected an array, a number or a (plain) tuple of those")


class HookHandle:
    """Returned by `register_hook`; `remove()` takes the hook away again. Also a context manager."""

    def __init__(self, node: Node, hook: Callable):
        hooks = node.noted("hooks")
        if hooks is None:
            node.note("hooks", hooks := {})
        self._hooks = hooks
        self._key = next(clock)  # not id(self): the hook outlives a handle that nobody keeps
        hooks[self._key] = hook

    def remove(self) -> None:
        self._hooks.pop(self._key, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
