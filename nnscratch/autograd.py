"""The engine: primitives, the graph they record, and the walk back through it.

A *primitive* is a forward on arrays and one VJP (vector-Jacobian product) per argument:

    @primitive
    def mul(a, b):
        return a * b

    defvjp(mul, lambda g, _y, a, b: g * b, lambda g, _y, a, b: g * a)

Given y = f(x1, ..., xn) and the cotangent g = dL/dy, the i-th VJP returns dL/dxi = (dy/dxi)^T g. It is called as
`vjp(g, y, x1, ..., xn, **metadata)`. An argument whose name begins with an underscore is *not kept* for the backward pass: the
VJP sees only its `shape`, `dtype` and `ndim`. That one letter is the memory plan of the library.

Every op takes tensors or arrays, and gives arrays when no argument is a tensor. So the same VJP serves twice: on plain arrays in
an ordinary backward pass, where it costs what NumPy costs, and on tensors under `create_graph=True`, where it is recorded in
turn and can be differentiated again, to any order.
"""

from __future__ import annotations

import inspect
import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from functools import partial
from sys import getrefcount
from typing import Any

import numpy as np

from . import backend
from .backend import ignore_float_errors, restore_float_errors
from .tensor import Tensor

# ---------------------------------------------------------------------------------------------------------- grad mode


class _Mode(threading.local):
    recording = True


_mode = _Mode()
_clock = itertools.count(1)  # orders nodes and in-place writes; a node is always younger than its parents
_observers: list[Callable[[Node, Any], None]] = []  # checkpoint and anomaly mode look at each recorded node


class set_grad_enabled(ContextDecorator):
    """`with set_grad_enabled(flag): ...` or `@set_grad_enabled(flag)`: record the graph or not, in this thread."""

    def __init__(self, mode: bool):
        self.mode = bool(mode)
        self._before: list[bool] = []

    def __enter__(self):
        self._before.append(_mode.recording)
        _mode.recording = self.mode

    def __exit__(self, *exc):
        _mode.recording = self._before.pop()


class _Switch(set_grad_enabled):
    """A grad mode that is used as `with mode():`, `@mode()` or bare `@mode`."""

    flag = False

    def __new__(cls, function: Callable | None = None):
        self = super().__new__(cls)
        if function is None:
            return self
        set_grad_enabled.__init__(self, cls.flag)
        return self(function)

    def __init__(self, function: Callable | None = None):  # noqa: ARG002
        super().__init__(self.flag)


class no_grad(_Switch):
    """Context manager and decorator: results inside do not require grad. Per thread, re-entrant."""


class enable_grad(_Switch):
    """Context manager and decorator: record again inside `no_grad`."""

    flag = True


class inference_mode(no_grad):
    """The same as `no_grad`: there is no further bookkeeping here that it could switch off."""


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread."""
    return _mode.recording


# -------------------------------------------------------------------------------------------------------------- graph


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

    def __init__(self, op, edges, args, kwargs, y):
        self.op = op
        self.edges = edges
        self.args = args  # None once freed
        self.kwargs = kwargs
        self.y = y
        self.seq = next(_clock)
        self.extra = None  # a dict: hooks, the recompute of a checkpoint, the call site in anomaly mode

    @property
    def name(self) -> str:
        return self.op.name

    def __repr__(self) -> str:
        return f"<{self.op.name}>"


class Leaf(Node):
    """The end of a path: accumulates into `.grad` of a tensor that was not computed by an op."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor):
        super().__init__(_leaf_op, (), (), None, None)
        self.tensor = weakref.ref(tensor)


def _wrap(array: Any, node: Node | None) -> Tensor:
    t = Tensor.__new__(Tensor)
    t.data = array if type(array) is np.ndarray or backend.is_array(array) else np.asarray(array)
    t._node = node
    return t


class Primitive:
    """The record behind an op: its forward on arrays and its VJPs. Made by `primitive`, completed by `defvjp`."""

    def __init__(self, forward: Callable, name: str):
        self.forward = forward
        self.name = name
        self.vjps: Sequence[Callable] = _NoVJP(self)
        self.keeps: tuple[bool, ...] | bool = False  # all, none, or one by one
        self.keeps_y = False
        self.residuals = False  # a fused op: forward gives (y, whatever its backward needs)

    def kept(self, args: tuple[Any, ...]) -> Sequence[Any]:
        """The arguments as the node keeps them: whole where a VJP needs the value, else only their likeness."""
        keeps = self.keeps
        if keeps is True:
            return args
        if keeps is False:
            return [Like((a.data.shape, a.data.dtype)) if isinstance(a, Tensor) else a for a in args]
        return [a if keep or not isinstance(a, Tensor) else Like((a.data.shape, a.data.dtype)) for keep, a in zip(keeps, args)]

    def pullback(self, node: Node, g: Any, tensors: bool) -> list[Any]:
        """The cotangents of the parents, in the order of node.edges; on arrays, or on tensors that record."""
        args, y = node.args, node.y
        if not tensors:
            args = [a.data if isinstance(a, Tensor) else a for a in args]
        elif self.keeps_y:
            y = _wrap(y, node) if type(y) is not tuple else tuple(_component(node, i) for i in range(len(y)))
        vjps, kwargs = self.vjps, node.kwargs
        if kwargs:
            return [vjps[i](g, y, *args, **kwargs) for i, _ in node.edges]
        return [vjps[i](g, y, *args) for i, _ in node.edges]


class _NoVJP(Sequence):
    """In the place of VJPs that nobody gave, or of one that is None: says so when it is needed."""

    def __init__(self, record: Primitive):
        self.record = record

    def __len__(self) -> int:
        return 0

    def __getitem__(self, i):
        raise RuntimeError(f"{self.record.name} has no VJP for argument {i}, which requires grad; give one with defvjp")


class _Each(_NoVJP):
    """The VJPs of an op with any number of arguments."""

    def __init__(self, each: Callable):
        self.each = each

    def __getitem__(self, i):
        return partial(self.each, i)


_leaf_op = Primitive(lambda: None, "leaf")
_component_op = Primitive(lambda: None, "output")  # one output of an op that has several: its cotangent goes into that op's slot


def _component(node: Node, i: int) -> Tensor:
    """The i-th output of a node with several, as a tensor in the graph."""
    y = node.y[i]
    if y.dtype.kind != "f":
        return _wrap(y, None)
    return _wrap(y, Node(_component_op, ((i, node),), (Like((y.shape, y.dtype)),), None, None))


def primitive(forward: Callable) -> Callable:
    """Make an op of `forward`, a function of arrays (positional) and metadata (keyword) that returns an array or a tuple of them.

    The op accepts tensors, arrays and Python numbers in any mix; it returns tensors if any argument is one, else what
    `forward` returns. Give its derivatives with `defvjp`. Raises TypeError for a tensor passed by keyword.

    >>> import nnscratch as nns
    >>> @nns.primitive
    ... def cube(x):
    ...     return x * x * x
    >>> nns.defvjp(cube, lambda g, _y, x: g * (3 * x * x))
    >>> x = nns.tensor(2.0, requires_grad=True)
    >>> slope, = nns.grad(cube(x), [x], create_graph=True)
    >>> curvature, = nns.grad(slope, [x])
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    return _op(Primitive(forward, forward.__name__.strip("_")), forward)


def _op(record: Primitive, forward: Callable) -> Callable:
    new = object.__new__

    def op(*args, **kwargs):
        values = []
        edges = []
        plain = True
        for a in args:
            if isinstance(a, Tensor):
                plain = False
                if a._node is not None:
                    edges.append((len(values), a._node))
                values.append(a.data)
            else:
                values.append(a)
        if kwargs:
            for key, value in kwargs.items():
                if isinstance(value, Tensor):
                    raise TypeError(f"{record.name}: pass the tensor {key!r} by position; keywords are metadata")
        if _stale:
            _refuse_stale_views(record.name, args)
        token = ignore_float_errors()
        try:
            y = forward(*values, **kwargs)
        finally:
            restore_float_errors(token)
        if record.residuals:
            y, saved = y
        if plain:
            return y
        if not edges or not _mode.recording:
            result = _wrap(y, None) if type(y) is not tuple else tuple([_wrap(part, None) for part in y])
            if _observers:
                for observe in _observers:
                    observe(Node(record, (), args, kwargs, None), result)
            return result
        node = new(Node)  # as Node(...), without the cost of a call
        node.op = record
        node.edges = edges
        node.args = record.kept(args)
        node.kwargs = kwargs
        node.y = node.extra = None
        node.seq = next(_clock)
        if type(y) is tuple:
            y = tuple([np.asarray(part) if isinstance(part, np.generic) else part for part in y])
            node.y = y
            result = tuple([_component(node, i) for i in range(len(y))])
            if not record.keeps_y:
                node.y = tuple([Like((part.shape, part.dtype)) for part in y])
        else:
            result = _wrap(y, node)
            if record.keeps_y:
                node.y = result.data
        if record.residuals:
            node.extra = {"residuals": saved}
        if _observers:
            for observe in _observers:
                observe(node, result)
        return result

    op.__name__ = op.__qualname__ = forward.__name__
    op.__doc__ = forward.__doc__
    op.__module__ = forward.__module__
    op.__wrapped__ = forward  # type: ignore[attr-defined]
    op.primitive = record  # type: ignore[attr-defined]
    return op


def defvjp(op: Callable, *vjps: Callable | None, each: Callable | None = None) -> None:
    """Give `op` its VJPs, one per positional argument (None where it has no derivative).

    vjp(g, y, *args, **metadata) returns the cotangent of its argument, with that argument's shape; where broadcasting made the
    output larger, the engine sums the cotangent back. Prefix with an underscore every parameter among y and args whose value the
    VJP does not read. `each(i, g, y, *args, **metadata)` serves ops with any number of arguments.
    Raises TypeError when `op` is not a primitive or a VJP cannot be called so.
    """
    record = getattr(op, "primitive", None)
    if not isinstance(record, Primitive):
        raise TypeError(f"defvjp: {op!r} is not a primitive; decorate its forward with @primitive first")
    keeps: list[bool] = [False] * len(vjps)
    for f in [*vjps, each]:
        if f is None:
            continue
        names = [
            (p.name, p.kind)
            for p in inspect.signature(f).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
        ][1 if f is each else 0 :]
        if len(names) < 2 or (len(names) < len(vjps) + 2 and names[-1][1] is not inspect.Parameter.VAR_POSITIONAL):
            raise TypeError(
                f"defvjp({record.name}): a VJP is called with (g, y, {len(vjps)} arguments), got parameters {[n for n, _ in names]}"
            )
        record.keeps_y |= not names[1][0].startswith("_")
        for i, (name, kind) in enumerate(names[2:]):
            if kind is inspect.Parameter.VAR_POSITIONAL:
                if not name.startswith("_"):
                    keeps[i:] = [True] * (len(keeps) - i)
                    if f is each:
                        record.keeps = True
            elif i < len(keeps):
                keeps[i] |= not name.startswith("_")
    if record.keeps is not True:
        record.keeps = tuple(keeps) if any(keeps) and not all(keeps) else any(keeps)
    missing = _NoVJP(record)
    record.vjps = _Each(each) if each is not None else [f or partial(lambda i, *_, **__: missing[i], i) for i, f in enumerate(vjps)]


def nondifferentiable(forward: Callable) -> Callable:
    """An op with no derivative (comparisons, argmax): tensors in, tensors that do not require grad out."""

    def op(*args, **kwargs):
        plain = True
        values = []
        for a in args:
            if isinstance(a, Tensor):
                plain = False
                a = a.data
            values.append(a)
        y = forward(*values, **kwargs)
        return y if plain else _wrap(y, None)

    op.__name__ = op.__qualname__ = forward.__name__
    op.__doc__ = forward.__doc__
    op.__module__ = forward.__module__
    op.__wrapped__ = forward  # type: ignore[attr-defined]
    return op


class Fused(Primitive):
    """A primitive with a definition: the same function written as a composition of other ops (see `fused`)."""

    def __init__(self, forward: Callable, name: str, definition: Callable):
        super().__init__(forward, name)
        self.definition = definition
        self.residuals = True
        self.keeps = True
        self.keeps_y = True
        self.backward: Callable | None = None

    def pullback(self, node: Node, g: Any, tensors: bool) -> list[Any]:
        if not tensors:
            values = [a.data if isinstance(a, Tensor) else a for a in node.args]
            needs = [False] * len(values)
            for i, _ in node.edges:
                needs[i] = True
            gs = self.backward(g, node.y, node.extra["residuals"], needs, *values, **node.kwargs)  # type: ignore[misc]
            return [gs[i] for i, _ in node.edges]
        with enable_grad():
            y = self.definition(*node.args, **node.kwargs)
            pairs = [(a, b) for a, b in zip(y, g) if b is not None] if isinstance(y, tuple) else [(y, g)]
            pairs = [(a, b) for a, b in pairs if a._node is not None]
            return list(
                grad(
                    [a for a, _ in pairs],
                    [node.args[i] for i, _ in node.edges],
                    [b for _, b in pairs],
                    create_graph=True,
                    allow_unused=True,
                )
            )


def fused(definition: Callable) -> Callable:
    """Make a fused op: `definition` composes ops; the decorated forward and its `backward` compute the same faster on arrays.

        @fused(definition)
        def softmax_ce(x, t, *, ...): return y, residuals
        @softmax_ce.backward
        def _(g, y, residuals, needs, x, t, *, ...): return gx, None

    First-order training runs the fused pair; `create_graph=True` differentiates the definition at the same arguments.
    With several outputs y and g are tuples, and a g of None means zero. `needs[i]` says whether argument i wants its cotangent.
    """

    def decorate(forward: Callable) -> Callable:
        record = Fused(forward, forward.__name__.strip("_"), definition)
        op = _op(record, forward)

        def backward(f: Callable) -> Callable:
            record.backward = f
            return f

        op.backward = backward  # type: ignore[attr-defined]
        op.definition = definition  # type: ignore[attr-defined]
        return op

    return decorate


# ----------------------------------------------------------------------------------------------------- in-place writes
#
# Nothing is counted on the hot path. A write takes a stamp from the same clock as the nodes, keyed by the memory's owner: a node
# older than the stamp has saved, or views, values that are no longer there.

_writes: dict[int, tuple[int, weakref.ref]] = {}  # every in-place write: checked against saved values in the backward
_stale: dict[int, tuple[int, weakref.ref]] = {}  # recorded writes: other tensors on that memory must not be used any more
_last_write = 0


def _owner(array: Any) -> Any:
    base = array.base
    while base is not None and hasattr(base, "base") and hasattr(base, "dtype"):
        array, base = base, base.base
    return array


def mark_written(array: Any, recorded: bool = False) -> None:
    """Say that `array`'s memory has been changed in place, so that a backward pass that needs the old values refuses."""
    global _last_write
    owner = _owner(array)
    key = id(owner)
    stamp = _last_write = next(_clock)
    for table in (_writes, _stale) if recorded else (_writes,):
        entry = table.get(key)
        ref = entry[1] if entry is not None and entry[1]() is owner else None
        if ref is None:
            ref = weakref.ref(owner, lambda _, table=table, key=key: table.pop(key, None))
        table[key] = (stamp, ref)


def _refuse_stale_views(name: str, args: Iterable[Any]) -> None:
    for a in args:
        if isinstance(a, Tensor):
            entry = _stale.get(id(_owner(a.data)))
            if entry is not None and (a._node is None or a._node.seq < entry[0]):
                raise RuntimeError(
                    f"{name}: this {tuple(a.data.shape)} tensor shares memory with one that was changed in place while recording, "
                    "so its own history is out of date; take the view again after the in-place operation, or clone() before it"
                )


def _check_unchanged(node: Node) -> None:
    kept = [(f"argument {i}", a) for i, a in enumerate(node.args) if isinstance(a, Tensor) or backend.is_array(a)]
    ys = node.y if isinstance(node.y, tuple) else (node.y,)
    kept += [("the output", y) for y in ys if backend.is_array(y)]
    for what, a in kept:
        array = a.data if isinstance(a, Tensor) else a
        entry = _writes.get(id(_owner(array)))
        if entry is not None and entry[0] > node.seq:
            raise RuntimeError(
                f"{what} of {node.name} (shape {tuple(array.shape)}) was saved for its gradient and has been changed in place since; "
                "use the out-of-place operation, or clone() the tensor before changing it"
            )


def write_in_place(x: Tensor, y: Any) -> Tensor:
    """Give tensor `x` the value (and, while recording, the history) of `y`, in x's own memory. The end of every in-place op."""
    array = y.data if isinstance(y, Tensor) else y
    recorded = _mode.recording and (x._node is not None or (isinstance(y, Tensor) and y._node is not None))
    if recorded:
        if isinstance(x._node, Leaf):
            raise RuntimeError("a leaf tensor that requires grad cannot be changed in place; do it under no_grad(), or out of place")
        view = x._node is None or x._node.op.name in _VIEW_OPS
        if view and x.data.base is not None and not _private(x.data):
            raise RuntimeError(
                "this tensor is a view of another, and changing it in place would leave the other's history wrong; "
                "assign through the base (base[index] = value) or use an out-of-place operation"
            )
    if tuple(array.shape) != tuple(x.data.shape):
        raise RuntimeError(f"an in-place result has shape {tuple(array.shape)}, the tensor has {tuple(x.data.shape)}")
    if not np.can_cast(array.dtype, x.data.dtype, "same_kind"):
        raise RuntimeError(f"an in-place result of dtype {array.dtype} cannot be stored in a tensor of dtype {x.data.dtype}")
    np.copyto(x.data, array, casting="same_kind")
    mark_written(x.data, recorded)
    if recorded:
        node = y._node if isinstance(y, Tensor) else None
        if node is not None:
            # A new node of x's own, younger than the write.
            x._node = Node(_identity, [(0, node)], (Like((x.data.shape, array.dtype)),), {}, None)
        else:
            x._node = None
    return x


_VIEW_OPS = {"getitem", "reshape", "permute", "expand", "diagonal", "split", "identity"}
_identity = Primitive(lambda x: x, "identity")
_identity.vjps = (lambda g, _y, _x: g,)


# ----------------------------------------------------------------------------------------------------------- backward


def _sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes that broadcasting added or stretched."""
    from .ops.reduce import sum_to

    return sum_to(g, shape)


def _order(roots: Iterable[Node]) -> list[Node]:
    """All ancestors, children before parents."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for _, parent in stack.pop().edges:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=operator.attrgetter("seq"), reverse=True)


def _needed(order: list[Node], targets: Iterable[Node]) -> set[Node]:
    """The nodes that lie on a path from a root to a target."""
    needed = set(targets)
    for node in reversed(order):
        for _, parent in node.edges:
            if parent in needed:
                needed.add(node)
                break
    return needed


def _apply_hooks(node: Node, g: Any, tensors: bool) -> Any:
    for hook in list(node.extra["hooks"].values()):
        given = g if tensors else _wrap(g, None)
        result = hook(given)
        if result is not None:
            if not isinstance(result, Tensor) or result.shape != given.shape:
                raise RuntimeError(
                    f"a tensor hook must return None or a tensor of shape {tuple(given.shape)}, got {getattr(result, 'shape', result)}"
                )
            g = result if tensors else result.data
    return g


def _zeros(like: Like, g: Any, tensors: bool) -> Any:
    array = backend.array_module(g.data if tensors else g).zeros(like.shape, like.dtype)
    return _wrap(array, None) if tensors else array


def _run(
    roots: Sequence[tuple[Node, Any]], targets: dict[Node, Any] | None, retain: bool | None, create_graph: bool, collect: bool
) -> None:
    before, _mode.recording = _mode.recording, create_graph
    token = ignore_float_errors()
    try:
        _walk(roots, targets, create_graph if retain is None else retain, create_graph, collect)
    finally:
        restore_float_errors(token)
        _mode.recording = before


def _walk(
    roots: Sequence[tuple[Node, Any]], targets: dict[Node, Any] | None, retain: bool, tensors: bool, collect: bool
) -> None:
    """Walk from the roots' cotangents to the leaves; `collect` fills `targets` instead of accumulating into `.grad`."""
    order = _order([node for node, _ in roots])
    needed = None if targets is None else _needed(order, targets)
    cotangents: dict[Node, Any] = {}
    owned: set[Node] = set()  # nodes whose cotangent is a sum that nobody else holds
    for node, g in roots:
        cotangents[node] = g if node not in cotangents else cotangents[node] + g
    for node in order:
        g = cotangents.pop(node, None)
        if g is None or (needed is not None and node not in needed):
            continue
        op = node.op
        if type(g) is list:
            some = next(part for part in g if part is not None)
            if not isinstance(op, Fused):
                shapes = node.y
                g = [_zeros(like, some, tensors) if part is None else part for part, like in zip(g, shapes)]
            g = tuple(g)
        elif node.extra is not None and "hooks" in node.extra:
            g = _apply_hooks(node, g, tensors)
        if targets is not None and node in targets:
            if collect:
                targets[node] = g
            elif op is _leaf_op:
                _accumulate(node, g, tensors)
        if op is _leaf_op:
            if targets is None:
                _accumulate(node, g, tensors)
            continue
        if needed is not None and not any(parent in needed for _, parent in node.edges):
            continue
        if op is _component_op:
            i, parent = node.edges[0]
            slots = cotangents.get(parent)
            if parent.y is None:
                _restore(parent)
            if slots is None:
                slots = cotangents[parent] = [None] * len(parent.y)
            slots[i] = g if slots[i] is None else slots[i] + g
            continue
        if node.args is None:
            _restore(node)
        elif node.seq < _last_write:
            _check_unchanged(node)
        gs = op.pullback(node, g, tensors)
        args = node.args
        for (i, parent), gi in zip(node.edges, gs):
            if gi is None or (needed is not None and parent not in needed):
                continue
            like = args[i].data if isinstance(args[i], Tensor) else args[i]
            if gi.shape != like.shape:
                gi = _fit(gi, like, node, i)
            if gi.dtype is not like.dtype and gi.dtype != like.dtype:
                gi = _cast(gi, like.dtype)
            before = cotangents.get(parent)
            if before is None:
                cotangents[parent] = gi
            elif parent in owned:
                before += gi
            else:
                total = cotangents[parent] = before + gi
                if not tensors and total.ndim:
                    owned.add(parent)
        if _observers:
            _check_cotangents(node, gs)
        if not retain:
            node.args = node.y = None
            if node.extra is not None:
                node.extra.pop("residuals", None)
        gs = gi = before = total = args = g = None  # a cotangent that only its leaf holds is not copied


def _fit(gi: Any, like: Any, node: Node, i: int) -> Any:
    """Undo broadcasting, or say which VJP returned a wrong shape."""
    shape, target = tuple(gi.shape), tuple(like.shape)
    extra = len(shape) - len(target)
    if extra >= 0 and all(t in (1, s) for s, t in zip(shape[extra:], target)):
        return _sum_to(gi, target)
    raise RuntimeError(f"the VJP of {node.name} for argument {i} returned shape {shape}, the argument has shape {target}")


def _cast(g: Any, dtype: np.dtype) -> Any:
    if isinstance(g, Tensor):
        return g.to(dtype)
    return g.astype(dtype)


def _references(array: Any) -> int:
    """How often the memory's owner is referred to, or a large number where that cannot be known."""
    base = array.base
    if base is None:
        return getrefcount(array)
    return getrefcount(base) if isinstance(base, np.ndarray) and base.base is None else 1 << 30


def _private(g: Any) -> bool:
    """Whether nobody but the caller, and the caller's caller, can reach the memory of `g`."""
    if not isinstance(g, np.ndarray) or not g.flags.writeable:
        return False
    return _references(g) <= (_OWN_REFERENCES if g.base is None else _VIEW_REFERENCES)


def _calibrate(array: np.ndarray) -> int:
    """The reference count of a private array when looked at from the same depth of calls as in _run > _accumulate > _private."""

    def accumulate(g):
        return private(g)

    def private(g):
        return _references(g)

    g = array
    del array
    return accumulate(g)


_OWN_REFERENCES = _calibrate(np.empty(2))
_VIEW_REFERENCES = _calibrate(np.empty((2, 2)).T)


def _accumulate(node: Node, g: Any, tensors: bool) -> None:
    tensor = node.tensor()  # type: ignore[attr-defined]
    if tensor is None:
        return
    before = tensor._grad
    if tensors:
        tensor._grad = g if before is None else before + g
    elif before is not None:
        tensor._grad = _wrap(before.data + g, None)
    else:
        tensor._grad = _wrap(g if _private(g) else np.copy(g, order="K"), None)


def _restore(node: Node) -> None:
    recompute = None if node.extra is None else node.extra.get("recompute")
    if recompute is None:
        raise RuntimeError(
            f"backward through {node.name} a second time: its saved values were freed by the first; "
            "pass retain_graph=True to the first backward (or grad) to keep them"
        )
    recompute()


def _as_list(x: Any, what: str) -> list[Tensor]:
    items = [x] if isinstance(x, Tensor) else list(x)
    for t in items:
        if not isinstance(t, Tensor):
            raise TypeError(f"{what}: expected tensors, got {type(t).__name__}")
    return items


def _roots(outputs: list[Tensor], cotangents: Any, tensors: bool, caller: str) -> list[tuple[Node, Any]]:
    if cotangents is None:
        cotangents = [None] * len(outputs)
    elif isinstance(cotangents, Tensor) or backend.is_array(cotangents) or np.isscalar(cotangents):
        cotangents = [cotangents]
    if len(cotangents) != len(outputs):
        raise RuntimeError(f"{caller}: got {len(outputs)} outputs and {len(cotangents)} cotangents")
    roots = []
    for out, g in zip(outputs, cotangents):
        if out._node is None:
            raise RuntimeError(f"{caller}: the output does not require grad: nothing it was computed from has requires_grad=True")
        if g is None:
            if out.data.size != 1:
                raise RuntimeError(
                    f"{caller}: the output has shape {tuple(out.shape)}; only a scalar has an implicit gradient of 1, "
                    "give the cotangent explicitly"
                )
            g = backend.array_module(out.data).ones(out.data.shape, out.data.dtype)
        graph = g if isinstance(g, Tensor) else None
        array = g.data if isinstance(g, Tensor) else backend.array_module(out.data).asarray(g)
        if array.shape != out.data.shape:
            raise RuntimeError(f"{caller}: the cotangent has shape {array.shape}, the output has shape {tuple(out.data.shape)}")
        if array.dtype.kind not in "fiub":
            raise RuntimeError(f"{caller}: the cotangent has dtype {array.dtype}, expected {out.data.dtype}")
        if array.dtype != out.data.dtype:
            array = array.astype(out.data.dtype)
            graph = None if graph is None else graph.to(out.data.dtype)
        roots.append((out._node, (graph if graph is not None else _wrap(array, None)) if tensors else array))
    return roots


def backward(
    outputs: Tensor | Sequence[Tensor],
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate d(sum of outputs · gradient)/d(leaf) into `.grad` of every leaf (or of `inputs` only).

    `gradient` is the cotangent of each output (1 for scalars by default). Saved values are freed as they are used unless
    `retain_graph` (default: `create_graph`). With `create_graph` the gradients are themselves part of the graph.
    Raises RuntimeError for a wrong cotangent shape, a freed graph, a changed saved value or an output without history.
    """
    outs = _as_list(outputs, "backward")
    targets = None
    if inputs is not None:
        targets = {}
        for t in _as_list(inputs, "backward: inputs"):
            if t._node is None or not isinstance(t._node, Leaf):
                raise RuntimeError("backward: inputs must be leaf tensors that require grad; use grad() for others")
            targets[t._node] = None
    _run(_roots(outs, gradient, create_graph, "backward"), targets, retain_graph, create_graph, collect=False)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """d(sum of outputs · grad_outputs)/d(input) for each input, as a tuple; `.grad` is left alone (torch.autograd.grad).

    Only paths from the outputs to the inputs are walked. An input that the outputs do not depend on is an error, or None with
    `allow_unused=True`.
    """
    outs = _as_list(outputs, "grad")
    ins = _as_list(inputs, "grad: inputs")
    for k, t in enumerate(ins):
        if t._node is None:
            raise RuntimeError(f"grad: input {k} (shape {tuple(t.shape)}) does not require grad")
    targets: dict[Node, Any] = {t._node: None for t in ins}  # type: ignore[misc]
    _run(_roots(outs, grad_outputs, create_graph, "grad"), targets, retain_graph, create_graph, collect=True)
    results: list[Tensor | None] = []
    for k, t in enumerate(ins):
        g = targets[t._node]  # type: ignore[index]
        if g is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {k} (shape {tuple(t.shape)}); allow_unused=True gives None")
        results.append(g if g is None or create_graph else _wrap(np.copy(g, order="K"), None))
    return tuple(results)


def _check_cotangents(node: Node, gs: list[Any]) -> None:
    for observe in _observers:
        check = getattr(observe, "cotangents", None)
        if check is not None:
            check(node, gs)
