"""Derivatives of functions: vjp, jvp, hvp, jacobian, hessian.

Forward mode needs no rules of its own: u -> J^T u is linear, so its own VJP at v is J v, whatever u is.

They nest: inside the function given to one, the results of another are recorded, whatever they depend on. At the outermost level
they are recorded when an input of vjp, jvp or hvp was, and with `create_graph=True` of jacobian or hessian.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor, as_tensor
from .engine import grad
from .graph import Like, Node, wrap
from .modes import enable_grad, mode
from .primitives import identity_op


class _Depth(threading.local):
    now = 0


_depth = _Depth()  # of functions that a transform is calling, in this thread


def vjp(f: Callable, *inputs: Any) -> tuple[Any, Callable[..., Any]]:
    """`y, pull = vjp(f, x1, x2, ...)`: the value and the function u -> (J1^T u, J2^T u, ...), J_i = dy/dx_i.

    `pull` takes one cotangent per output of f and returns one gradient per input (a single tensor for a single input). It may be
    called any number of times. Inputs may be arrays or tensors.
    """
    recorded = _recorded(inputs)
    leaves = [_input(x, recorded) for x in inputs]
    y = _call(f, leaves)
    outputs = _outputs(y, f)

    def pull(*cotangents: Any) -> Any:
        if len(cotangents) != len(outputs):
            raise RuntimeError(f"vjp: the function has {len(outputs)} outputs, got {len(cotangents)} cotangents")
        gs = _grad(outputs, leaves, cotangents, create_graph=recorded or _recorded(cotangents))
        return gs[0] if len(gs) == 1 else gs

    return y if recorded else _detached(y), pull


def jvp(f: Callable, inputs: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`y, t = jvp(f, (x1, ...), (v1, ...))`: the value and the directional derivative sum_i J_i v_i, one per output.

    Forward mode as the VJP of the VJP. Raises RuntimeError where a tangent's shape is not its input's.
    """
    inputs, tangents = _sequence(inputs, "jvp: inputs"), _sequence(tangents, "jvp: tangents")
    if len(inputs) != len(tangents):
        raise RuntimeError(f"jvp: got {len(inputs)} inputs and {len(tangents)} tangents")
    recorded = _recorded((*inputs, *tangents))
    leaves, vs = [_input(x, recorded) for x in inputs], [_tensor(v) for v in tangents]
    for x, v in zip(leaves, vs):
        if x.shape != v.shape:
            raise RuntimeError(f"jvp: a tangent has shape {tuple(v.shape)}, its input has shape {tuple(x.shape)}")
    y = _call(f, leaves)
    outputs = _outputs(y, f)
    us = [_zeros(o).requires_grad_(o.requires_grad) for o in outputs]
    gs = _grad(outputs, leaves, us, create_graph=True)
    rooted = [(g, v) for g, v in zip(gs, vs) if g.requires_grad]
    pushed = _grad([g for g, _ in rooted], us, [v for _, v in rooted], create_graph=recorded)
    return y if recorded else _detached(y), pushed if isinstance(y, (tuple, list)) else pushed[0]


def hvp(f: Callable, inputs: Any, v: Any) -> tuple[Any, Any]:
    """`y, h = hvp(f, x, v)`: the value of the scalar function f and its Hessian times v, without the Hessian.

    h = d/dx <df/dx, v> (Pearlmutter 1994). A tuple of inputs takes a tuple v and returns a tuple.
    """
    several = isinstance(inputs, (tuple, list))
    xs, vs = (list(inputs), list(v)) if several else ([inputs], [v])
    if len(xs) != len(vs):
        raise RuntimeError(f"hvp: got {len(xs)} inputs and {len(vs)} vectors")
    recorded = _recorded((*xs, *vs))
    leaves, vs = [_input(x, recorded) for x in xs], [_tensor(w) for w in vs]
    for x, w in zip(leaves, vs):
        if x.shape != w.shape:
            raise RuntimeError(f"hvp: a vector has shape {tuple(w.shape)}, its input has shape {tuple(x.shape)}")
    y = _scalar(_call(f, leaves), "hvp")
    gs = _grad([y], leaves, None, create_graph=True)
    rooted = [(g, w) for g, w in zip(gs, vs) if g.requires_grad]
    hs = _grad([g for g, _ in rooted], leaves, [w for _, w in rooted], create_graph=recorded)
    return y if recorded else y.detach(), hs if several else hs[0]


def jacobian(f: Callable, inputs: Any, create_graph: bool = False) -> Any:
    """The Jacobian dy/dx as a tensor of shape y.shape + x.shape, one backward pass per element of y.

    A tuple of inputs gives a tuple of Jacobians; several outputs give a tuple of those.
    """
    several = isinstance(inputs, (tuple, list))
    create_graph = create_graph or _recorded(())
    leaves = [_input(x, create_graph) for x in (inputs if several else [inputs])]
    y = _call(f, leaves)
    results = []
    for out in _outputs(y, f):
        rows: list[Sequence[Any]] = []
        for k in range(out.data.size):
            seed = backend.array_module(out.data).zeros(out.data.size, out.data.dtype)
            seed[k] = 1
            rows.append(_grad([out], leaves, [seed.reshape(out.data.shape)], create_graph=create_graph))
        blocks = tuple(_stacked([row[i] for row in rows], out, x, create_graph) for i, x in enumerate(leaves))
        results.append(blocks if several else blocks[0])
    return tuple(results) if isinstance(y, (tuple, list)) else results[0]


def hessian(f: Callable, inputs: Any, create_graph: bool = False) -> Any:
    """The matrix of second derivatives of a scalar function: shape x.shape + x.shape (nested tuples for several inputs)."""
    several = isinstance(inputs, (tuple, list))
    xs = list(inputs) if several else [inputs]

    def gradient(*leaves: Tensor) -> tuple[Tensor, ...]:
        y = _scalar(f(*leaves), "hessian")
        return tuple(_grad([y], leaves, None, create_graph=True))

    blocks = jacobian(gradient, xs, create_graph)
    return blocks if several else blocks[0][0]


def _recorded(inputs: Sequence[Any]) -> bool:
    """Whether what a transform computes from these is to be recorded in its turn."""
    return mode.recording and (_depth.now > 0 or any(isinstance(x, Tensor) and x.requires_grad for x in inputs))


def _call(f: Callable, leaves: Sequence[Tensor]) -> Any:
    _depth.now += 1
    try:
        with enable_grad():
            return f(*leaves)
    finally:
        _depth.now -= 1


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return as_tensor(x if backend.is_array(x) else np.asarray(x, backend.get_default_dtype()))


def _input(x: Any, recorded: bool) -> Tensor:
    """x as something to differentiate at, independent of all other inputs: a fresh leaf on the same memory, or where its
    history matters a node of its own above it."""
    x = _tensor(x)
    if not recorded or x._node is None:
        return x.detach().requires_grad_()
    return wrap(x.data, Node(identity_op, [(0, x._node)], [Like((x.shape, x.dtype))], {}, None))


def _zeros(x: Tensor) -> Tensor:
    return wrap(backend.array_module(x.data).zeros_like(x.data), None)


def _sequence(x: Any, what: str) -> list[Any]:
    if not isinstance(x, (tuple, list)):
        raise TypeError(f"{what}: expected a tuple, got {type(x).__name__}")
    return list(x)


def _outputs(y: Any, f: Callable) -> list[Tensor]:
    outputs = list(y) if isinstance(y, (tuple, list)) else [y]
    for out in outputs:
        if not isinstance(out, Tensor):
            raise TypeError(f"{getattr(f, '__name__', f)} must return a tensor or a tuple of tensors, got {type(out).__name__}")
    return outputs


def _scalar(y: Any, caller: str) -> Tensor:
    if not isinstance(y, Tensor) or y.data.size != 1:
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise RuntimeError(f"{caller}: the function must return one number, got {shape}")
    with enable_grad():
        return y.reshape(())


def _grad(outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """`grad` that gives zeros where there is no path."""
    cotangents = [None] * len(outputs) if cotangents is None else cotangents
    pairs = [(out, g) for out, g in zip(outputs, cotangents) if out.requires_grad]
    asked = [x for x in inputs if x.requires_grad]
    gs: Sequence[Any] = [None] * len(asked)
    if pairs and asked:
        gs = grad([o for o, _ in pairs], asked, [g for _, g in pairs], True, create_graph, allow_unused=True)
    known = {id(x): g for x, g in zip(asked, gs) if g is not None}
    return tuple([known[id(x)] if id(x) in known else _zeros(x) for x in inputs])


def _stacked(rows: list[Tensor], out: Tensor, x: Tensor, create_graph: bool) -> Tensor:
    shape = tuple(out.shape) + tuple(x.shape)
    if create_graph and rows:
        from ..ops import reshape, stack

        return reshape(stack(rows), shape)
    module = backend.array_module(x.data)
    return wrap(module.stack([r.data for r in rows]).reshape(shape) if rows else module.zeros(shape, x.dtype), None)


def _detached(y: Any) -> Any:
    return tuple([t.detach() for t in y]) if isinstance(y, (tuple, list)) else y.detach()
