"""Derivatives of functions with the arguments of torch.autograd.functional; the work is done in transforms.py.

`inputs` and `v` are one tensor or a tuple of them, and so is what comes back. It is part of the graph only with `create_graph`.
Raises RuntimeError where shapes and numbers do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import transforms
from .modes import is_grad_enabled, set_grad_enabled


def _recording(create_graph: bool) -> set_grad_enabled:
    return set_grad_enabled(create_graph and is_grad_enabled())


def jacobian(func: Callable, inputs: Any, create_graph: bool = False, *, vectorize: bool = False) -> Any:  # noqa: ARG001
    """dy/dx of shape y.shape + x.shape; (nested) tuples for several outputs or inputs. `vectorize` makes no difference."""
    with _recording(create_graph):
        return transforms.jacobian(func, inputs, create_graph)


def hessian(func: Callable, inputs: Any, create_graph: bool = False, *, vectorize: bool = False) -> Any:  # noqa: ARG001
    """The second derivatives of a scalar function: shape x.shape + x.shape, or nested tuples. `vectorize` makes no difference."""
    with _recording(create_graph):
        return transforms.hessian(func, inputs, create_graph)


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """func(*inputs) and Jᵀ v, where v is like the output; where that is one number v may be left out, for 1."""
    with _recording(create_graph):
        y, pull = transforms.vjp(func, *_some(inputs))
        if v is None:
            if isinstance(y, (tuple, list)) or y.numel() != 1:
                raise RuntimeError("vjp: v can be left out only where the function returns one number")
            v = y.detach() * 0 + 1
        g = pull(*_some(v))
    return y, (g,) if isinstance(inputs, (tuple, list)) and not isinstance(g, tuple) else g


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """func(*inputs) and J v, where v is like the inputs; where these are one number v may be left out, for 1."""
    xs = _some(inputs)
    if v is None:
        if len(xs) != 1 or xs[0].numel() != 1:
            raise RuntimeError("jvp: v can be left out only where the input is one number")
        v = xs[0].detach() * 0 + 1
    with _recording(create_graph):
        return transforms.jvp(func, xs, _some(v))


def hvp(func: Callable, inputs: Any, v: Any, create_graph: bool = False) -> tuple[Any, Any]:
    """func(*inputs), which is one number, and its second derivatives times v, where v is like the inputs."""
    with _recording(create_graph):
        return transforms.hvp(func, inputs, v)


vhp = hvp  # second derivatives are symmetric


def _some(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]
