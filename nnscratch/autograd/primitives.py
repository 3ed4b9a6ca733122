"""Primitives: a forward on arrays and one VJP (vector-Jacobian product) per argument.

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
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..backend import ignore_float_errors, is_array, restore_float_errors
from ..tensor import Tensor
from .graph import Like, Node, as_array, wrap
from .inplace import refuse_stale, stale, stamp
from .modes import clock, mode, observers
from .signatures import defaults_asked_for, names_of, placed, positional


class Plan(NamedTuple):
    """What a node need not keep: the arguments that no VJP reads (None for all of them), and whether the output is read."""

    drops: tuple[int, ...] | None
    keeps_y: bool


class Primitive:
    """The record behind an op: its forward on arrays and its VJPs. Made by `primitive`, completed by `defvjp`."""

    residuals = False  # a fused op's forward gives (y, whatever its backward needs)
    names: Sequence[str] = ()  # of the arguments that are array data, which can also be given by these names

    def __init__(self, forward: Callable, name: str):
        self.forward = forward
        self.name = name
        self.vjps: Sequence[Callable] = _Missing(self)
        self.plans: Sequence[Plan] = ()  # for each VJP alone
        self.joint = Plan(None, False)  # for all of them together
        self.metadata: dict[str, Any] = {}  # the forward's defaults of keywords that a VJP has no default for

    def plan(self, edges: Sequence[tuple[int, Node]]) -> Plan:
        """What a node with these edges keeps: only those VJPs will be called."""
        if not self.plans:
            return self.joint
        return _together([self.plans[i] for i, _ in edges])

    def defaults(self, given: int) -> list[Any]:
        """The forward's defaults for the positional arguments that were left out."""
        left_out = list(inspect.signature(self.forward).parameters.values())[given : len(self.plans)]
        return [p.default for p in left_out]

    def misplaced(self, keyword: str) -> str:
        """Why a tensor cannot be given for this keyword."""
        if keyword in self.names:
            return f"{self.name}: got two values for {keyword!r}"
        names = f" or as {', '.join(self.names)}" if self.names else ""
        return f"{self.name}: {keyword!r} cannot be a tensor; tensors are passed by position{names}"

    @staticmethod
    def arguments(node: Node) -> list[Any]:
        """The node's arguments as tensors in the graph; those without history stay arrays."""
        args = list(node.args)
        for i, parent in node.edges:
            if type(args[i]) is not Like:
                args[i] = wrap(args[i], parent)
        return args

    def pullback(self, node: Node, g: Any, tensors: bool, edges: Sequence[tuple[int, Node]]) -> Sequence[Any]:
        """The cotangents of the parents that are wanted, node.edges or some of them; on arrays, or on tensors that record."""
        args, y = node.args, node.y
        if tensors:
            args = self.arguments(node)
            if type(y) is tuple:
                y = tuple([part if isinstance(part, Like) else component(node, i) for i, part in enumerate(y)])
            elif y is not None:
                y = wrap(y, node)
            gs = [self.vjps[i](g, y, *args, **node.kwargs) for i, _ in edges]
            for (i, _), gi in zip(edges, gs):
                if gi is not None and not isinstance(gi, Tensor):
                    raise TypeError(
                        f"the VJP of {self.name} for argument {i} returned a {type(gi).__name__} under create_graph=True; "
                        "it is given tensors then, and must be composed of nnscratch's ops"
                    )
            return gs
        vjps, kwargs = self.vjps, node.kwargs
        if len(edges) == 1:  # most ops, most of the time: no loop
            return (vjps[edges[0][0]](g, y, *args, **kwargs) if kwargs else vjps[edges[0][0]](g, y, *args),)
        return [vjps[i](g, y, *args, **kwargs) for i, _ in edges]


class _Missing(Sequence):
    """In the place of VJPs that nobody gave: says so when one is needed."""

    def __init__(self, record: Primitive):
        self.record = record

    def __len__(self) -> int:
        return 0

    def __getitem__(self, i: Any) -> Any:
        raise RuntimeError(f"{self.record.name} has no VJP for argument {i}, which requires grad; give one with defvjp")


class _Each(_Missing):
    """The VJPs of an op with any number of arguments: each(i, g, y, *args)."""

    def __init__(self, each: Callable):
        self.each = each

    def __getitem__(self, i: Any) -> Any:
        return partial(self.each, i)


leaf_op = Primitive(lambda: None, "leaf")
component_op = Primitive(lambda: None, "output")  # one output of an op that has several: its cotangent goes into that op's slot
identity_op = Primitive(lambda x: x, "identity")  # another node for the same values
identity_op.vjps = (lambda g, _y, _x: g,)


def component(node: Node, i: int) -> Tensor:
    """The i-th output of a node with several, as a tensor in the graph; integer outputs have no history."""
    y = node.y[i]
    if y.dtype.kind != "f":
        return wrap(y, None)
    return wrap(y, Node(component_op, ((i, node),), (Like((y.shape, y.dtype)),), None, None))


def primitive(forward: Callable) -> Callable:
    """Make an op of `forward`, a function of arrays (positional) and metadata (keyword) that returns an array or a tuple of them.

    The op accepts tensors, arrays and Python numbers in any mix; it returns tensors if any argument is one, else what
    `forward` returns. Give its derivatives with `defvjp`. Raises TypeError for a tensor passed as metadata.

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
    return make_op(Primitive(forward, forward.__name__.strip("_")), forward)


def make_op(record: Primitive, forward: Callable) -> Callable:
    """The function that users call: unwraps, computes, wraps, and records when an argument requires grad."""
    record.names = names_of(forward)
    new = object.__new__

    def op(*args, **kwargs):
        if kwargs and len(args) < len(record.names):
            args = placed(forward, record.names, args, kwargs)
        values: Any = args
        edges = []
        for i, a in enumerate(args):
            if isinstance(a, Tensor):
                if values is args:
                    values = list(args)
                if a._node is not None:
                    edges.append((i, a._node))
                values[i] = a.data
        if kwargs:
            for key, value in kwargs.items():
                if isinstance(value, Tensor):
                    raise TypeError(record.misplaced(key))
        if stale:
            refuse_stale(record.name, args)
        token = ignore_float_errors()
        try:
            y = forward(*values, **kwargs)
        finally:
            restore_float_errors(token)
        if record.residuals:
            y, residuals = y
        if values is args:
            return y  # arrays in, array out
        if not edges or not mode.recording:
            result = wrap(y, None) if type(y) is not tuple else tuple([wrap(part, None) for part in y])
            if stale:
                stamp(result)
            if observers:
                for observe in tuple(observers):
                    observe(Node(record, (), values, kwargs, None), result)
            return result
        node = new(Node)  # as Node(...), without the cost of a call
        node.op = record
        node.edges = edges
        plans = record.plans
        if len(values) < len(plans):
            values += record.defaults(len(values))
        if record.metadata:
            kwargs = record.metadata | kwargs
        if len(edges) == len(plans):
            drops, keeps_y = record.joint
        elif len(edges) == 1 and plans:
            drops, keeps_y = plans[edges[0][0]]
        else:
            drops, keeps_y = record.plan(edges)
        node.args = values
        node.kwargs = kwargs
        node.y = node.extra = None
        node.seq = next(clock)
        if type(y) is tuple:
            y = node.y = tuple([as_array(part, record.name) for part in y])
            result = tuple([component(node, i) for i in range(len(y))])
            if not keeps_y:
                node.y = tuple([Like((part.shape, part.dtype)) for part in y])
        else:
            result = new(Tensor)
            result.data = y = y if type(y) is np.ndarray else as_array(y, record.name)
            if y.dtype.kind == "f":
                result._node = node
            if keeps_y:
                node.y = y
        if record.residuals:
            node.note("residuals", residuals)
        if observers:
            for observe in tuple(observers):
                observe(node, result)
        for i in drops if drops is not None else range(len(values)):
            v = values[i]
            if type(v) is np.ndarray or is_array(v):
                values[i] = Like((v.shape, v.dtype))
        return result

    op.primitive = record  # type: ignore[attr-defined]
    return _named(op, forward)


def _named(op: Callable, forward: Callable) -> Callable:
    op.__name__ = op.__qualname__ = forward.__name__
    op.__doc__ = forward.__doc__
    op.__module__ = forward.__module__
    op.__wrapped__ = forward  # type: ignore[attr-defined]
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
    record.metadata = defaults_asked_for(record.forward, [f for f in (*vjps, each) if f is not None])
    record.names = names_of(record.forward)[: len(vjps)]
    if each is not None:
        _, _, (y, _), *rest = positional(each)
        record.vjps = _Each(each)
        record.joint = Plan(() if any(not name.startswith("_") for name, _ in rest) else None, not y.startswith("_"))
        return
    plans = []
    for f in vjps:
        if f is None:
            plans.append(Plan(tuple(range(len(vjps))), False))
            continue
        names = positional(f)
        variadic = bool(names) and names[-1][1]
        if len(names) < 2 or (len(names) != len(vjps) + 2 and not variadic):
            raise TypeError(
                f"defvjp({record.name}): {len(vjps)} VJPs were given, so each is called with (g, y, {len(vjps)} arguments); "
                f"this one takes {[name for name, _ in names]}"
            )
        drops = tuple(i for i in range(len(vjps)) if names[min(i + 2, len(names) - 1)][0].startswith("_"))
        plans.append(Plan(drops, not names[1][0].startswith("_")))
    record.plans, record.joint = plans, _together(plans)
    missing = _Missing(record)
    record.vjps = [f or partial(lambda i, *_, **__: missing[i], i) for i, f in enumerate(vjps)]


def _together(plans: Sequence[Plan]) -> Plan:
    """Drop what none of several VJPs reads."""
    drops = set.intersection(*[set(plan.drops or ()) for plan in plans])
    return Plan(tuple(sorted(drops)), any(plan.keeps_y for plan in plans))


def nondifferentiable(forward: Callable) -> Callable:
    """An op with no derivative (comparisons, argmax): tensors in, tensors that do not require grad out."""
    names = names_of(forward)

    def op(*args, **kwargs):
        if kwargs and len(args) < len(names):
            args = placed(forward, names, args, kwargs)
        plain = True
        values = []
        for a in args:
            if isinstance(a, Tensor):
                plain = False
                a = a.data
            values.append(a)
        y = forward(*values, **kwargs)
        if plain:
            return y
        return wrap(y, None) if type(y) is not tuple else tuple([wrap(part, None) for part in y])

    return _named(op, forward)
