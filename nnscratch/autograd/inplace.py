"""In-place writes: made right, or refused.

Nothing is counted on the hot path. A write takes a stamp from the same clock as the nodes, keyed by the owner of the memory: a
node older than the stamp has saved, or is a view of, values that are no longer there.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from functools import partial
from sys import getrefcount
from typing import Any

import numpy as np

from .. import backend
from ..backend import ignore_float_errors, restore_float_errors
from ..kernels.memory import pooled
from ..tensor import Tensor
from .graph import Leaf, Like, Node
from .modes import clock, mode

Stamps = dict[int, tuple[int, weakref.ref]]
writes: Stamps = {}  # every in-place write: checked against saved values in the backward pass
stale: Stamps = {}  # recorded writes: other tensors on that memory must not be used any more
VIEWS = {"getitem", "reshape", "permute", "expand", "diagonal", "output", "identity"}  # "output": a piece of split or unbind


class _Latest:
    write = 0


latest = _Latest()


def owner(array: Any) -> Any:
    """The array that owns the memory a view looks at."""
    base = array.base
    while backend.is_array(base):
        array, base = base, base.base
    return array


def _base(array: Any) -> Any:
    """What the memory of `array` belongs to: None where it is its own, also as the root of a block of the kernels' pool."""
    return None if pooled(array) else array.base


def mark_written(array: Any, recorded: bool = False) -> None:
    """Say that `array`'s memory has been changed in place, so that a backward pass that needs the old values refuses."""
    memory = owner(array)
    key = id(memory)
    stamp = latest.write = next(clock)
    for table in (writes, stale) if recorded else (writes,):
        entry = table.get(key)
        ref = entry[1] if entry is not None and entry[1]() is memory else None
        if ref is None:
            ref = weakref.ref(memory, partial(table.pop, key))  # called with the reference: pop's default
        table[key] = (stamp, ref)


def stamp(made: Any) -> None:
    """Note when constants were made, while there are recorded writes: after the last one they are up to date."""
    if stale:
        for t in made if isinstance(made, tuple) else (made,):
            t._made = next(clock)


def refuse_stale(name: str, args: Iterable[Any]) -> None:
    """Raise if a tensor shares memory with one that has been rewritten, with history, since the tensor was made."""
    for a in args:
        if isinstance(a, Tensor):
            entry = stale.get(id(owner(a.data)))
            if entry is not None and (a._made if a._node is None else a._node.seq) < entry[0]:
                raise RuntimeError(
                    f"{name}: this tensor of shape {tuple(a.data.shape)} shares memory with one that was changed in place while "
                    "recording, so its own history is out of date; take the view again after the change, or clone() before it"
                )


def written_since(array: Any, start: int, end: float = math.inf) -> bool:
    """Whether the memory of `array` was changed in place, last, between two stamps of the clock."""
    entry = writes.get(id(owner(array)))
    return entry is not None and start < entry[0] < end


def check_unchanged(node: Node, end: float = math.inf) -> None:
    """Raise if a value that the node saved has been written to since (before `end`)."""
    since = node.noted("saved") or node.seq
    results = node.y if isinstance(node.y, tuple) else (node.y,)
    for i, array in enumerate((*node.args, *results)):
        if (type(array) is np.ndarray or backend.is_array(array)) and written_since(array, since, end):
            what = f"argument {i}" if i < len(node.args) else "the output"
            raise RuntimeError(
                f"{what} of {node.name} (shape {tuple(array.shape)}) was saved for its gradient and was changed in place since; "
                "use the out-of-place operation, or clone() the tensor before changing it"
            )


def write_in_place(x: Tensor, y: Any) -> Tensor:
    """Give `x` the value and, while recording, the history of `y`, in x's own memory: the end of every in-place op.

    Refused (RuntimeError) on a leaf that requires grad, on a view whose base others still use, and where shape or dtype change.
    """
    array = y.data if isinstance(y, Tensor) else y
    node = y._node if isinstance(y, Tensor) else None
    recorded = mode.recording and (x._node is not None or node is not None)
    if recorded:
        _refuse_shared(x)
    if tuple(array.shape) != tuple(x.data.shape):
        raise RuntimeError(f"an in-place result has shape {tuple(array.shape)}, the tensor has {tuple(x.data.shape)}")
    if not np.can_cast(array.dtype, x.data.dtype, "same_kind"):
        raise RuntimeError(f"an in-place result of dtype {array.dtype} cannot be stored in a tensor of dtype {x.data.dtype}")
    token = ignore_float_errors()
    try:
        np.copyto(x.data, array, casting="same_kind")
    finally:
        restore_float_errors(token)
    mark_written(x.data, recorded)
    if recorded:
        from .primitives import identity_op

        # A node of x's own, younger than the write; without it x would look out of date to refuse_stale.
        before = x._node
        x._node = Node(identity_op, [] if node is None else [(0, node)], [Like((array.shape, array.dtype))], {}, None)
        if before is not None and before.noted("retain") is not None:
            x._node.note("retain", before.extra.pop("retain"))  # type: ignore[union-attr]
    return x


def _refuse_shared(x: Tensor) -> None:
    """Raise unless x alone, and no leaf, would change with its memory, as far as the graph shows."""
    node, base = x._node, _base(x.data)
    view = base is not None and (node is None or node.op.name in VIEWS or isinstance(base, np.ndarray))
    if view and not isinstance(node, Leaf) and not _sole_view(x.data):
        raise RuntimeError(
            "this tensor is a view of another, and changing it in place would leave the other's history wrong; "
            "assign through the base (base[i] = base[i] + value, not base[i] += value) or use the out-of-place operation"
        )
    leaves = () if node is None else (node, *[parent for _, parent in node.edges])  # an op may have returned its argument
    for tensor in [leaf.tensor() for leaf in leaves if isinstance(leaf, Leaf)]:
        if tensor is not None and owner(tensor.data) is owner(x.data):
            raise RuntimeError(
                "a leaf tensor that requires grad cannot be changed in place; do it under no_grad(), or out of place"
            )


# ------------------------------------------------------------------------------------------------- who else holds an array


def _references(array: Any) -> int:
    """How often the array is referred to."""
    return getrefcount(array)


def _sole_view(array: Any) -> bool:
    """Whether no other array shows the memory that `array` is a view of."""
    base = array.base
    return isinstance(base, np.ndarray) and not backend.is_array(base.base) and getrefcount(base) <= _VIEWED


def private(array: Any) -> bool:
    """Whether nobody but the caller, and the caller's caller, can reach the memory of `array`."""
    if not isinstance(array, np.ndarray) or not array.flags.writeable or _references(array) > _OWN:
        return False
    return _base(array) is None or (_sole_view(array) and _base(array.base) is None)


def _calibrate(array: np.ndarray) -> int:
    """The count of a private array when looked at from the depth of calls of accumulate > private > _references."""

    def accumulate(g):
        return look(g)

    def look(array):
        return _references(array)

    g = array
    del array
    return accumulate(g)


def _calibrate_view(array: np.ndarray) -> int:
    """The count of a base with one view, when looked at as _sole_view does."""
    base = array.base
    return getrefcount(base)


_OWN = _calibrate(np.empty(2))
_VIEWED = _calibrate_view(np.empty((2, 2)).T)
