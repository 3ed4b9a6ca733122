"""Faults in normalisation: statistics that are functions of x like everything else, and are taken for constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops import leaky_relu, mean, reshape, rsqrt, stop_gradient
from ...ops.batchnorm import _batch_norm
from ...ops.groupnorm import _group_norm
from ..audit.draw import normal
from ..audit.entry import Entry, case
from .catalogue import Mutation, distorted, fault
from .inject import gradient, in_backward, in_definition

BATCH = case("batch_norm", normal(4, 3, 2, 2), None, None, normal(3), normal(3), training=True)
ACTIVATED = case("ops.batchnorm._batch_norm", normal(4, 3, 2, 2), normal(3), normal(3), eps=1e-5, slope=0.2)
LAYER = case("layer_norm", normal(3, 5), (5,), normal(5), normal(5))
GROUP = case("group_norm", normal(2, 4, 3), 2, normal(4), normal(4))
INSTANCE = case("instance_norm", normal(2, 3, 4), None, None, normal(3), normal(3))


def _batch_statistics(x: Any, eps: float) -> tuple[Any, Any]:
    """xhat and 1 / sqrt(v + eps), per channel."""
    axes = (0, *range(2, x.ndim))
    inverse = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    return (x - x.mean(axes, keepdims=True)) * inverse, inverse


def _batch_backward(mean_term: float, variance_term: float, gain: bool = True) -> Callable:
    """The backward of batch-norm, without an activation, with its two statistics' terms weighted, in place of by 1."""

    def edit(right: Callable) -> Callable:
        def wrong(g, y, residuals, needs, x, w, b, *, eps, **plain):
            gx, gw, gb = right(g, y, residuals, needs, x, w, b, eps=eps, **plain)
            if gx is None:
                return gx, gw, gb
            axes = (0, *range(2, x.ndim))
            xhat, inverse = _batch_statistics(x, eps)
            g0 = g[0]
            scale = inverse if w is None or not gain else inverse * w.reshape(-1, *(1,) * (x.ndim - 2))
            centre, spread = g0.mean(axes, keepdims=True), xhat * (g0 * xhat).mean(axes, keepdims=True)
            return scale * (g0 - mean_term * centre - variance_term * spread), gw, gb

        return wrong

    return edit


def _batch_definition(mean_of: Callable, variance_of: Callable) -> Callable:
    """The definition of batch-norm, without an activation, with something done to its mean and to its variance."""

    def definition(x, w, b, *, eps, **_plain):
        axes, across = (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))
        m = mean_of(mean(x, axes, keepdim=True))
        centred = x - m
        v = variance_of(mean(centred * centred, axes, keepdim=True))
        y = centred * rsqrt(v + eps)
        y = y if w is None else y * reshape(w, across)
        return y if b is None else y + reshape(b, across), reshape(m, (-1,)), reshape(v, (-1,))

    return definition


def _group_definition(mean_of: Callable, variance_of: Callable) -> Callable:
    def definition(x, w, b, *, groups, eps):
        n, channels, *spatial = x.shape
        split = reshape(x, (n, groups, channels // groups, *spatial))
        axes, across = tuple(range(2, split.ndim)), (-1, *(1,) * len(spatial))
        centred = split - mean_of(mean(split, axes, keepdim=True))
        v = variance_of(mean(centred * centred, axes, keepdim=True))
        y = reshape(centred * rsqrt(v + eps), x.shape)
        y = y if w is None else y * reshape(w, across)
        return y if b is None else y + reshape(b, across)

    return definition


same = lambda statistic: statistic
STATISTICS = {
    "mean": (stop_gradient, same),
    "variance": (same, stop_gradient),
    "mean and variance": (stop_gradient, stop_gradient),
}


def _batch(name: str, edit: Callable, entry: Entry = BATCH) -> Mutation:
    return fault(f"batch-norm: {name}", entry, in_backward(_batch_norm, edit), "batch_norm")


def _with_slope(slope: float) -> Callable:
    """An edit of the fused backward: another activation than the forward had."""
    return lambda right: lambda *args, **options: right(*args, **{**options, "slope": slope})


def _activated(x, w, b, *, eps, slope):
    """The definition of batch-norm with an activation, its variance detached."""
    y, m, v = _batch_definition(same, stop_gradient)(x, w, b, eps=eps)
    return leaky_relu(y, slope), m, v


NORM: list[Mutation] = [
    *distorted("batch-norm", BATCH, _batch_norm, (0, 1, 2)),
    _batch("mean detached", _batch_backward(0, 1)),
    _batch("variance detached", _batch_backward(1, 0)),
    _batch("mean and variance detached", _batch_backward(0, 0)),
    _batch("n - 1 in the place of n", _batch_backward(1, 16 / 15)),
    _batch("weight forgotten", _batch_backward(1, 1, gain=False)),
    _batch("weight's gradient without the normalisation", gradient(1, lambda g: g * 2.5)),
    _batch("bias: mean instead of sum", gradient(2, lambda g: g / 16)),
    _batch("weights of two channels exchanged", gradient(1, lambda g: np.roll(g, 1))),
    *distorted("batch-norm and activation", ACTIVATED, _batch_norm, (0, 1, 2)),
    _batch("activation forgotten", _with_slope(1.0), ACTIVATED),
    _batch("slope below zero forgotten", _with_slope(0.0), ACTIVATED),
    fault("batch-norm and activation: variance detached in the definition", ACTIVATED,
          in_definition(_batch_norm, _activated), "batch_norm", order=2),
    *distorted("layer-norm", LAYER, _group_norm, (0, 1, 2)),
    *distorted("group-norm", GROUP, _group_norm, (0,)),
    *distorted("instance-norm", INSTANCE, _group_norm, (0, 1)),
    *(
        fault(f"{name}: {what} detached in the definition", entry, in_definition(op, make(*how)), op.primitive.name, order=2)
        for what, how in STATISTICS.items()
        for name, entry, op, make in (
            ("batch-norm", BATCH, _batch_norm, _batch_definition),
            ("layer-norm", LAYER, _group_norm, _group_definition),
            ("group-norm", GROUP, _group_norm, _group_definition),
        )
    ),
]  # fmt: skip
