"""The walk back through the graph: `backward` and `grad`."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import ignore_float_errors, restore_float_errors
from ..tensor import Tensor
from .graph import Leaf, Node, wrap
from .inplace import check_unchanged, latest, owner, private
from .modes import enable_grad, mode, observers
from .primitives import component_op, leaf_op

Roots = Sequence[tuple[Node, Any]]  # nodes to start from, with their cotangents
Targets = dict[Node, Any]  # the nodes whose gradients are asked for
_accumulating = threading.Lock()  # several threads may walk back to one leaf


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
    targets: Targets | None = None
    if inputs is not None:
        targets = {}
        for t in _some(inputs, "backward: inputs"):
            if not isinstance(t._node, Leaf):
                raise RuntimeError("backward: inputs must be leaf tensors that require grad; use grad() for others")
            targets[t._node] = None
    _run(
        _roots(_tensors(outputs, "backward"), gradient, create_graph, "backward"),
        targets,
        retain_graph,
        create_graph,
        False,
    )


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
    ins = _some(inputs, "grad: inputs")
    for k, t in enumerate(ins):
        if t._node is None:
            raise RuntimeError(f"grad: input {k} (shape {tuple(t.shape)}) does not require grad")
    targets: Targets = {t._node: None for t in ins}
    roots = _roots(_tensors(outputs, "grad"), grad_outputs, create_graph, "grad")
    _run(roots, targets, retain_graph, create_graph, True)
    for k, t in enumerate(ins):
        if targets[t._node] is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {k} (shape {tuple(t.shape)}); allow_unused=True gives None"
            )
    if create_graph:
        return _apart([targets[t._node] for t in ins], [*ins, *[g for _, g in roots]])
    gs: list[Any] = []
    last = {t._node: k for k, t in enumerate(ins)}
    for k, t in enumerate(ins):
        # Out of the dict at its last use, so that an array which nothing else holds need not be copied.
        g = targets.pop(t._node) if last[t._node] == k else targets[t._node]
        gs.append(g if g is None else _own(g))
        g = None
    return tuple(gs)


def _own(g: Any) -> Tensor:
    """A cotangent that nobody else can reach."""
    return wrap(g, None) if private(g) else _copy(g, False)


def _apart(gs: list[Tensor | None], others: list[Tensor]) -> tuple[Tensor | None, ...]:
    """Recorded gradients, copied where two of them, or one and a tensor that the caller has already, are on the same memory."""
    seen = {id(owner(t.data)) for t in others}
    for k, g in enumerate(gs):
        if g is not None:
            if id(owner(g.data)) in seen:
                with enable_grad():
                    g = gs[k] = _copy(g, True)
            seen.add(id(owner(g.data)))
    return tuple(gs)


def _run(roots: Roots, targets: Targets | None, retain: bool | None, create_graph: bool, collect: bool) -> None:
    before, mode.recording = mode.recording, create_graph
    token = ignore_float_errors()
    try:
        _walk(roots, targets, create_graph if retain is None else retain, create_graph, collect)
    finally:
        restore_float_errors(token)
        mode.recording = before


def _walk(roots: Roots, targets: Targets | None, retain: bool, tensors: bool, collect: bool) -> None:
    """From the roots' cotangents to the leaves, children before parents.

    Cotangents are arrays, or tensors that record when `tensors`. With `collect` the targets' cotangents are written into
    `targets`; otherwise leaves (all, or the targets) accumulate theirs into `.grad`.
    """
    order = _order((node for node, _ in roots), 0 if targets is None else min(node.seq for node in targets))
    needed = None if targets is None else _needed(order, targets)
    cotangents: dict[Node, Any] = {}
    sums: set[Node] = set()  # nodes whose cotangent is a sum made here, which can be added to in place
    for node, g in roots:
        cotangents[node] = g if node not in cotangents else cotangents[node] + g
    for node in order:
        g = cotangents.pop(node, None)
        if g is None or (needed is not None and node not in needed):
            continue
        op = node.op
        if type(g) is list:
            g = _filled(node, g, tensors)
        elif node.extra is not None:
            g = _hooked(node, g, tensors)
        if targets is not None and node in targets and collect:
            targets[node] = g
        if op is leaf_op:
            if not collect and (targets is None or node in targets):
                _accumulate(node.tensor(), g, tensors)  # type: ignore[attr-defined]
            continue
        if node.args is None or (type(g) is tuple and node.y is None):
            _restore(node)
        if op is component_op:
            i, parent = node.edges[0]
            if parent.y is None:
                _restore(parent)
            slots = cotangents.setdefault(parent, [None] * len(parent.y))
            slots[i] = g if slots[i] is None else slots[i] + g
            continue
        edges = node.edges
        if needed is not None:
            edges = [edge for edge in edges if edge[1] in needed]
            if not edges:
                continue
        if node.seq < latest.write:
            check_unchanged(node)
        gs: Any = op.pullback(node, g, tensors, edges)
        args = node.args
        for (i, parent), gi in zip(edges, gs):
            if gi is None:
                continue
            like = args[i]
            try:
                shape = gi.shape
            except AttributeError:
                found = type(gi).__name__
                raise TypeError(f"the VJP of {node.name} for argument {i} returned a {found}, expected an array") from None
            if shape != like.shape:
                gi = _fit(gi, like.shape, node, i)
            if gi.dtype is not like.dtype and gi.dtype != like.dtype:
                gi = gi.to(like.dtype) if tensors else gi.astype(like.dtype)
            total = cotangents.get(parent)
            if total is None:
                cotangents[parent] = gi
            elif parent in sums:
                total += gi
            else:
                total = cotangents[parent] = total + gi
                if not tensors and total.ndim:
                    sums.add(parent)
        if observers:
            for observe in tuple(observers):
                observe.cotangents(node, edges, gs)
        if not retain:
            node.args = node.y = None
            if node.extra is not None:
                node.extra.pop("residuals", None)
        gs = gi = total = args = like = g = None  # so that a cotangent which only its leaf holds need not be copied


def _order(roots: Iterable[Node], oldest: int) -> list[Node]:
    """All ancestors of the roots back to the time `oldest`, children before parents."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for _, parent in stack.pop().edges:
            if parent not in seen and parent.seq >= oldest:
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


def _filled(node: Node, slots: list[Any], tensors: bool) -> tuple[Any, ...]:
    """The cotangents of an op with several outputs: zeros where nothing arrived (a fused op takes None)."""
    if not node.op.residuals and node.y is not None:
        some = next(g for g in slots if g is not None)
        module = backend.array_module(some.data if tensors else some)
        for i, like in enumerate(node.y):
            if slots[i] is None:
                zeros = module.zeros(like.shape, like.dtype)
                slots[i] = wrap(zeros, None) if tensors else zeros
    return tuple(slots)


def _hooked(node: Node, g: Any, tensors: bool) -> Any:
    """The cotangent after the node's hooks; what they leave is also what `retain_grad` keeps."""
    hooks = node.noted("hooks")
    if hooks:
        given = _copy(g, tensors)  # its own: what a hook writes into it reaches this node and no other
        for hook in list(hooks.values()):
            result = hook(given)
            if result is None:
                continue
            if not isinstance(result, Tensor) or result.shape != given.shape:
                found = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
                raise RuntimeError(f"a tensor hook must return None or a tensor of shape {tuple(given.shape)}, got {found}")
            given = result.to(given.dtype)
        g = given if tensors else given.data
    retain = node.noted("retain")
    if retain is not None:
        _accumulate(retain(), g, tensors)
    return g


def _copy(g: Any, tensors: bool) -> Tensor:
    """A cotangent as a tensor on memory of its own."""
    if not tensors:
        return wrap(np.copy(g, order="K"), None)
    from ..ops import clone

    return clone(g)


def _fit(g: Any, target: tuple[int, ...], node: Node, i: int) -> Any:
    """Sum a cotangent over the axes that broadcasting added or stretched, or say which VJP returned a wrong shape."""
    shape, target = tuple(g.shape), tuple(target)
    added = len(shape) - len(target)
    stretched = [k for k, (s, t) in enumerate(zip(shape[added:], target), added) if s != t]
    if added >= 0 and all(target[k - added] == 1 for k in stretched):
        if isinstance(g, Tensor):
            from ..ops.reduce import sum_to

            return sum_to(g, target)
        return np.add.reduce(g, axis=(*range(added), *stretched)).reshape(target)
    raise RuntimeError(f"the VJP of {node.name} for argument {i} returned shape {shape}, the argument has shape {target}")


def _accumulate(tensor: Tensor | None, g: Any, tensors: bool) -> None:
    if tensor is None:
        return
    with _accumulating:
        before = tensor._grad
        if before is not None and tensors:
            tensor._grad = before + g
        elif before is not None:
            tensor._grad = wrap(np.add(before.data, g, out=g) if private(g) else before.data + g, None)
        else:
            tensor._grad = wrap(g, None) if not tensors and private(g) else _copy(g, tensors)


def _restore(node: Node) -> None:
    recompute = node.noted("recompute")
    if recompute is None:
        raise RuntimeError(
            f"backward through {node.name} a second time: its saved values were freed by the first; "
            "pass retain_graph=True to the first backward (or grad) to keep them"
        )
    recompute()


def _tensors(x: Any, what: str) -> list[Tensor]:
    items = [x] if isinstance(x, Tensor) else list(x)
    for t in items:
        if not isinstance(t, Tensor):
            raise TypeError(f"{what}: expected tensors, got {type(t).__name__}")
    return items


def _some(x: Any, what: str) -> list[Tensor]:
    items = _tensors(x, what)
    if not items:
        raise ValueError(f"{what}: expected at least one tensor")
    return items


def _roots(outputs: list[Tensor], cotangents: Any, tensors: bool, caller: str) -> Roots:
    if cotangents is None:
        cotangents = [None] * len(outputs)
    elif isinstance(cotangents, (Tensor, float, int, np.generic)) or backend.is_array(cotangents):
        cotangents = [cotangents]
    if len(cotangents) != len(outputs):
        raise RuntimeError(f"{caller}: got {len(outputs)} outputs and {len(cotangents)} cotangents")
    roots = []
    for out, g in zip(outputs, cotangents):
        if out._node is None:
            raise RuntimeError(f"{caller}: the output does not require grad: nothing it was computed from has requires_grad=True")
        module = backend.array_module(out.data)
        if g is None:
            if out.data.size != 1:
                raise RuntimeError(
                    f"{caller}: the output has shape {tuple(out.shape)}; only a scalar has an implicit gradient of 1, "
                    "give the cotangent explicitly"
                )
            g = module.ones(out.data.shape, out.data.dtype)
        g = g if isinstance(g, Tensor) else wrap(module.asarray(g), None)
        if g.shape != out.data.shape:
            raise RuntimeError(
                f"{caller}: the cotangent has shape {tuple(g.shape)}, the output has shape {tuple(out.data.shape)}"
            )
        if g.dtype.kind not in "fiub":
            raise RuntimeError(f"{caller}: the cotangent has dtype {g.dtype}, expected {out.data.dtype}")
        if g.dtype != out.data.dtype:
            g = g.to(out.data.dtype)
        roots.append((out._node, g if tensors else g.data))
    return roots
