"""Ops on single elements whose large arrays are computed by one compiled pass, forward and back.

    @primitive
    @pointwise
    def tanh(input):
        return np.tanh(input)

    defvjp(tanh, pointwise_vjp("tanh", lambda g, y, _x: g - g * y * y))

What stands there is the truth, which small arrays, other types, other devices and `create_graph` use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..autograd import fused
from ..autograd.signatures import positional
from ..kernels import compiled
from ..kernels import pointwise as kernels
from ..tensor import array_of


def pointwise(forward: Callable) -> Callable:
    """Decorator of a primitive's forward: a large array goes to the kernel of the same name."""
    name = forward.__name__.strip("_")

    @wraps(forward)
    def faster(x, **parameters):
        if type(x) is not np.ndarray or x.size >= compiled.LARGE:
            y = kernels.forward(name, x, **parameters)
            if y is not None:
                return y
        return forward(x, **parameters)

    return faster


def pointwise_vjp(name: str, vjp: Callable) -> Callable:
    """A VJP whose large arrays go to the kernel `name`, together with the output, or the argument, that the VJP reads."""
    reads_output = not positional(vjp)[1][0].startswith("_")

    @wraps(vjp)
    def faster(g, y, x, **parameters):
        if type(g) is not np.ndarray or g.size >= compiled.LARGE:
            gx = kernels.backward(name, g, y if reads_output else x, **parameters)
            if gx is not None:
                return gx
        return vjp(g, y, x, **parameters)

    return faster


def pointwise_composite(definition: Callable) -> Callable:
    """Decorator: a composition of ops, whose large arrays go to the kernel of the same name as a fused op."""
    name = definition.__name__.strip("_")

    def forward(x):
        return kernels.forward(name, x), None

    def backward(g, _y, _residuals, _needs, x):
        return (kernels.backward(name, g, x),)

    forward.__name__ = name
    op = fused(definition)(forward)
    op.backward(backward)

    @wraps(definition)
    def choose(x: Any) -> Any:
        return op(x) if kernels.takes(array_of(x)) else definition(x)

    choose.fused = op  # type: ignore[attr-defined]
    return choose
