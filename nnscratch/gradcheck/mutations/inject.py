"""Injecting a fault: for the length of a `with` block, one VJP, fused backward or definition of the library is a wrong one.

An edit takes what is right and returns what is wrong in its place. Faults of order 1 may use NumPy, which is what an ordinary
backward runs on; faults that have to show at order 2 use only operators and ops, as the VJPs do themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from ...autograd.primitives import Plan
from ...ops import stop_gradient
from ...tensor import Tensor

Edit = Callable[[Callable], Callable]
Patch = Callable[[], AbstractContextManager]


@contextmanager
def replaced(owner: Any, **values: Any) -> Iterator[None]:
    """Inside, attributes of the owner have other values."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def in_vjp(op: Callable, argument: int, edit: Edit) -> Patch:
    """A fault in the VJP of a primitive for one argument. All arguments and the output are kept for it."""
    record = op.primitive  # type: ignore[attr-defined]

    def patch() -> AbstractContextManager:
        vjps = list(record.vjps)
        vjps[argument] = edit(vjps[argument])
        keep = Plan((), True)
        return replaced(record, vjps=vjps, plans=[keep] * len(vjps), joint=keep)

    return patch


def in_each(op: Callable, edit: Edit) -> Patch:
    """A fault in the VJP of a primitive with any number of arguments."""
    vjps = op.primitive.vjps  # type: ignore[attr-defined]
    return lambda: replaced(vjps, each=edit(vjps.each))


def in_backward(op: Callable, edit: Edit) -> Patch:
    """A fault in the backward of a fused op."""
    record = op.primitive  # type: ignore[attr-defined]
    return lambda: replaced(record, backward=edit(record.backward))


def in_definition(op: Callable, wrong: Callable) -> Patch:
    """Another definition of a fused op: what the derivatives of order two and above come from."""
    record = op.primitive  # type: ignore[attr-defined]
    return lambda: replaced(record, definition=wrong)


# --------------------------------------------------------------------------------------------------------------- edits


def after(f: Callable[[Any], Any]) -> Edit:
    """f applied to the VJP's result."""
    return lambda right: lambda *args, **kwargs: f(right(*args, **kwargs))


def before(f: Callable[[Any], Any]) -> Edit:
    """f applied to the cotangent."""
    return lambda right: lambda g, *rest, **kwargs: right(f(g), *rest, **kwargs)


def gradient(i: int, f: Callable[[Any], Any]) -> Edit:
    """f applied to the i-th of a fused backward's results."""

    def edit(right: Callable) -> Callable:
        def wrong(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
            gs = list(right(*args, **kwargs))
            gs[i] = None if gs[i] is None else f(gs[i])
            return tuple(gs)

        return wrong

    return edit


def detached(right: Callable) -> Callable:
    """The VJP with its arguments and output cut from the graph: the first derivative is right, the second is not."""
    cut = lambda a: stop_gradient(a) if isinstance(a, Tensor) else a

    def wrong(g: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        return right(g, tuple(map(cut, y)) if isinstance(y, tuple) else cut(y), *map(cut, args), **kwargs)

    return wrong


def _spot(g: Any) -> Any:
    """One element off by 0.1%: the middle one of those that are not zero."""
    array = g.data if isinstance(g, Tensor) else np.asarray(g)
    live = np.flatnonzero(array)
    factor = np.ones(array.shape, array.dtype)
    if live.size:
        factor.flat[live[live.size // 2]] = 1.001
    return g * factor


DISTORTIONS: dict[str, Callable[[Any], Any]] = {
    "times 2": lambda g: g * 2,
    "sign": lambda g: -g,
    "dropped": lambda g: g * 0,
    "0.1% off": lambda g: g * 1.001,
    "one element 0.1% off": _spot,
}
