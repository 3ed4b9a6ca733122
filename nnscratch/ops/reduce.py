"""Reductions."""

import numpy as np

from ..autograd import defvjp, primitive


@primitive
def sum(x):
    return np.add.reduce(x, axis=None)


defvjp(sum, lambda g, _y, _x: np.broadcast_to(g, _x.shape))


@primitive
def sum_to(x, *, shape):
    """Sum over the axes that broadcasting `shape` to x's shape added or stretched."""
    extra = x.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)
    return np.add.reduce(x, axis=axes).reshape(shape)
