"""Functions of single elements, and their derivatives, in one compiled pass; or None, where NumPy is to do it.

`cpu.elementwise.FORMULAS` names them with their parameters. An array may have any memory order, and the result has the same.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .compiled import compiled, memory_order


def takes(x: Array) -> bool:
    """Whether `forward` of x will not be None."""
    module = compiled("elementwise", x)
    return module is not None and (type(x) is not np.ndarray or x.flags.behaved) and memory_order(x) is not None


def forward(name: str, x: Array, **parameters: float) -> Array | None:
    """y = f(x), element by element."""
    cpu = compiled("elementwise", x)
    return None if cpu is None else cpu.forward(name, x, **parameters)


def backward(name: str, g: Array, v: Array, **parameters: float) -> Array | None:
    """g f'(x), element by element; v is f(x) or x, as the formula asks."""
    cpu = compiled("elementwise", v, g)
    return None if cpu is None else cpu.backward(name, g, v, **parameters)


def arithmetic(name: str, a: Array, b: Array | float) -> Array | None:
    """a op b, element by element, op "add", "sub", "mul" or "div", b an array or a Python number. Bit for bit NumPy's."""
    if type(b) is np.ndarray:
        cpu = compiled("arithmetic", a, b)
    else:
        cpu = compiled("arithmetic", a) if type(b) in (float, int, bool) else None
    return None if cpu is None else cpu.arithmetic(name, a, b)


def masked(x: Array, keep: Array, scale: float) -> Array | None:
    """scale x where the boolean array `keep` of its shape holds, else 0."""
    cpu = compiled("elementwise", x) if keep.shape == x.shape else None
    return None if cpu is None or type(keep) is not type(x) else cpu.masked(x, keep, scale)
