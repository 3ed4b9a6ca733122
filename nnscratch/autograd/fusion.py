"""Fused ops: a definition composed of other ops, plus a faster way to compute it and its first derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .engine import grad
from .graph import Like, Node, wrap
from .primitives import Plan, Primitive, identity_op, make_op
from .signatures import positional


class Fused(Primitive):
    """A primitive with a definition: the same function written as a composition of other ops (see `fused`)."""

    residuals = True
    backward: Callable

    def __init__(self, forward: Callable, name: str, definition: Callable):
        super().__init__(forward, name)
        self.definition = definition
        self.joint = Plan((), True)  # the definition needs every argument

    def pullback(self, node: Node, g: Any, tensors: bool, edges: Sequence[tuple[int, Node]]) -> Sequence[Any]:
        wanted = [i for i, _ in edges]
        if not tensors:
            needs = [i in wanted for i in range(len(node.args))]
            gs = self.backward(g, node.y, node.noted("residuals"), needs, *node.args, **node.kwargs)
            return [gs[i] for i in wanted]
        # Each argument as a node of its own: one may be computed from another, or be the same.
        args = self.arguments(node)
        for i in wanted:
            args[i] = wrap(
                args[i].data, Node(identity_op, [(0, args[i]._node)], [Like((args[i].shape, args[i].dtype))], {}, None)
            )
        y = self.definition(*args, **node.kwargs)
        pairs = list(zip(y, g)) if isinstance(y, tuple) else [(y, g)]
        pairs = [(part, h) for part, h in pairs if h is not None and part.requires_grad]
        ys, hs = [part for part, _ in pairs], [h for _, h in pairs]
        return grad(ys, [args[i] for i in wanted], hs, create_graph=True, allow_unused=True)


def fused(definition: Callable) -> Callable:
    """Make a fused op: `definition` composes ops; the decorated forward and its `backward` compute the same faster on arrays.

        @fused(definition)
        def softmax_ce(x, t, *, ...): return y, residuals
        @softmax_ce.backward
        def _(g, y, residuals, needs, x, t, *, ...): return gx, None

    First-order training runs the fused pair; `create_graph=True` differentiates the definition at the same arguments.
    With several outputs y and g are tuples, and a g of None means zero. `needs[i]` says whether argument i wants its cotangent.
    A backward that calls its second parameter `_y` does not have the output kept for it.
    """

    def decorate(forward: Callable) -> Callable:
        record = Fused(forward, forward.__name__.strip("_"), definition)
        op = make_op(record, forward)

        def backward(f: Callable) -> Callable:
            record.backward = f
            record.joint = Plan((), not positional(f)[1][0].startswith("_"))
            return f

        op.backward = backward  # type: ignore[attr-defined]
        op.definition = definition  # type: ignore[attr-defined]
        return op

    return decorate
