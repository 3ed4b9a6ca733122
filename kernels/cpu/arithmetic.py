"""Sums, differences, products and quotients of two arrays, or of an array and a number: as NumPy's, on all threads."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from .dense import empty_like, flat
from .launch import parallel
from .simd import Code, at
from .stream import Stream
from .vector_math import Number

BLOCK = 1 << 14  # elements per item of work
OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
KINDS = {name: kind for kind, name in enumerate(OPERATIONS)}


@intrinsic
def arithmetic_tile(typing_context, kind, a, b, y, count, number):
    """y[i] = a[i] op b[i], or for kinds from 4 on a[i] op number, i < count."""

    def codegen(context, builder, signature, args):
        kind, a, b, y, count, number = args
        code = Code(context, builder, signature.args[1].dtype)
        stream = Stream(code, count, [a, b], [y])
        one = Number(builder, code.splat(number))
        both = [lambda f=f: stream.run(lambda v: [f(*v)]) for f in OPERATIONS.values()]
        with_number = [lambda f=f: stream.run(lambda v: [f(v[0], one)]) for f in OPERATIONS.values()]
        stream.choose(kind, both + with_number)
        stream.close()
        return context.get_dummy_value()

    return types.void(types.intp, a, b, y, types.intp, a.dtype), codegen


@parallel
def _arithmetic(item, kind, a, b, y, number):
    start = item * BLOCK
    arithmetic_tile(kind, at(a, start), at(b, start), at(y, start), min(BLOCK, len(a) - start), number)


def arithmetic(name: str, a: np.ndarray, b: np.ndarray | float) -> np.ndarray | None:
    """a op b for arrays of one type, shape and memory order, or for an array and a number; None for others."""
    left = flat(a)
    if left is None:
        return None
    kind, number = KINDS[name], 0.0
    right: np.ndarray | None = left
    if isinstance(b, np.ndarray):
        if b.strides != a.strides or b.shape != a.shape or not b.flags.behaved:
            return None
        right = flat(b)
    else:
        kind, number = kind + len(KINDS), float(b)
    y, target = empty_like(a)
    _arithmetic(-(-a.size // BLOCK), kind, left, right, target, number, nanoseconds=0.07 * a.nbytes)
    return y
