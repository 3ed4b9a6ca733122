"""Faults in arithmetic, broadcasting, reductions, matrix products and indexing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ops import add, cosh, cumsum, div, exp, leaky_relu, log, maximum, mul, pow, sigmoid, sin, stop_gradient, sum, tanh, where
from ...ops.activation import _elu, _relu
from ...ops.arrange import _cumsum
from ...ops.channels import channel_affine
from ...ops.linalg import _linear, _matmul, linear_act, linear_block
from ...ops.noise import _dropped, _masked
from ...ops.random import kept_by
from ...ops.reduce import _amax, _logsumexp, _mean, _root, _var
from ...ops.shape import _cat, _stack
from ...ops.views import _expand, _getitem, _permute, _put, _setitem, _sum
from ..audit.draw import apart, coins, given, nonzero, normal, positive
from ..audit.entry import SEEDED, case
from .catalogue import Mutation, distorted, edited, fault, undifferentiated
from .inject import after, gradient, in_backward, in_definition, in_each

BROADCAST = case("mul", normal(4, 3), normal(3))
ADD = case("add", normal(4, 3), normal(3))
DIV = case("div", normal(4, 3), nonzero(4, 3))
POW = case("pow", positive(4, 3), normal(4, 3))
SQUARES = case("matmul", normal(3, 3), normal(3, 3))
STACKS = case("matmul", normal(2, 3, 3), normal(3, 3))
LINEAR = case("linear", normal(4, 3), normal(3, 3), normal(3))
LINEAR_BLOCK = case("ops.linalg.linear_block", normal(4, 3), normal(3, 3), normal(3))
LINEAR_ACT = case("ops.linalg.linear_act", normal(4, 3), normal(3, 3), normal(3), slope=0.2)
DROPOUT = case("dropout", normal(4, 3), 0.4, generator=SEEDED)
DROPPED = case("ops.noise._dropped", normal(4, 3), p=0.4, scale=1.7, key=(3, 5))
WHERE = case("where", coins(4, 3), normal(4, 3), normal(4, 3))
LARGER = case("maximum", normal(4, 3), normal(4, 3))
BATCH_EVAL = case("batch_norm", normal(3, 2, 4), normal(2).fixed, positive(2).fixed, normal(2), normal(2))


# A broadcast argument's cotangent from the first row alone, as where the sum is forgotten.
_first_row = after(lambda g: g * (np.arange(len(g)) == 0)[:, None])


ARITHMETIC: list[Mutation] = [
    *distorted("broadcasting, add", ADD, add, (0, 1)),
    edited("broadcasting, add: sum over the batch forgotten", ADD, add, 1, _first_row),
    edited("broadcasting, add: mean instead of sum", ADD, add, 1, after(lambda g: g / 4)),
    *distorted("broadcasting, mul", BROADCAST, mul, (1,)),
    edited("broadcasting, mul: sum over the batch forgotten", BROADCAST, mul, 1, _first_row),
    edited("broadcasting, mul: the other factor forgotten", BROADCAST, mul, 0, lambda right: lambda g, y, a, b: g),
    edited("broadcasting, mul: its own factor", case("mul", normal(4, 3), normal(4, 3)), mul, 0,
           lambda right: lambda g, y, a, b: g * a),
    *undifferentiated("arithmetic, mul", BROADCAST, mul, 0, 1),
    edited("arithmetic, div: denominator not squared", DIV, div, 1, lambda right: lambda g, y, a, b, **k: -g * a / b),
    edited("arithmetic, div: sign of the denominator", DIV, div, 1, after(lambda g: -g)),
    *undifferentiated("arithmetic, div", DIV, div, 0, 1),
    edited("arithmetic, pow: exponent not lowered", POW, pow, 0, lambda right: lambda g, y, a, b: g * b * y),
    edited("arithmetic, pow: logarithm forgotten", POW, pow, 1, lambda right: lambda g, y, a, b: g * y),
    *undifferentiated("arithmetic, pow", POW, pow, 0, 1),
    edited("arithmetic, exp: derivative at the output", case("exp", normal(4, 3)), exp, 0,
           lambda right: lambda g, y, x: g * exp(y)),
    *undifferentiated("arithmetic, exp", case("exp", normal(4, 3)), exp, 0),
    edited("arithmetic, log: not inverted", case("log", positive(4, 3)), log, 0, lambda right: lambda g, y, x: g * x),
    *undifferentiated("arithmetic, log", case("log", positive(4, 3)), log, 0),
    edited("arithmetic, sin: its own derivative", case("sin", normal(4, 3)), sin, 0, lambda right: lambda g, y, x: g * y),
    edited("arithmetic, cosh: sign as of cos", case("cosh", normal(4, 3)), cosh, 0, after(lambda g: -g)),
    *distorted("activation, tanh", case("tanh", normal(4, 3)), tanh, (0,)),
    edited("activation, tanh: derivative at the output", case("tanh", normal(4, 3)), tanh, 0,
           lambda right: lambda g, y, x: g * (1 - tanh(y) * tanh(y))),
    *undifferentiated("activation, tanh", case("tanh", normal(4, 3)), tanh, 0),
    *undifferentiated("activation, sigmoid", case("sigmoid", normal(4, 3)), sigmoid, 0),
    edited("activation, sigmoid: forgotten", case("sigmoid", normal(4, 3)), sigmoid, 0, lambda right: lambda g, y, x: g),
    *distorted("activation, relu", case("relu", normal(4, 3)), _relu, (0,)),
    edited("activation, relu: passes what is below zero", case("relu", normal(4, 3)), _relu, 0,
           lambda right: lambda g, y, x: where(y > 0, 0, g)),
    edited("activation, relu: passes everything", case("relu", normal(4, 3)), _relu, 0, lambda right: lambda g, y, x: g),
    *undifferentiated("activation, elu", case("elu", normal(4, 3)), _elu, 0),
    edited("choice, where: mask inverted", WHERE, where, 1, lambda right: lambda g, y, c, a, b: where(c, 0, g)),
    edited("choice, where: mask forgotten", WHERE, where, 2, lambda right: lambda g, y, c, a, b: g),
    edited("choice, maximum: smaller one gets it", LARGER, maximum, 0, lambda right: lambda g, y, a, b: where(a < b, g, 0)),
    edited("choice, maximum: both get it", LARGER, maximum, 1, lambda right: lambda g, y, a, b: g),
]  # fmt: skip

REDUCTION: list[Mutation] = [
    *distorted("reduction, sum", case("sum", normal(4, 3), 0), _sum, (0,)),
    edited("reduction, expand: mean instead of sum", case("expand", normal(1, 3), (4, 3)), _expand, 0, after(lambda g: g / 4)),
    edited("reduction, mean: missing 1/n", case("mean", normal(4, 3), 0), _mean, 0, after(lambda g: g * 4)),
    edited("reduction, mean: n of the wrong axis", case("mean", normal(4, 3), 0), _mean, 0, after(lambda g: g * 4 / 3)),
    edited("reduction, var: factor 2 forgotten", case("var", normal(4, 3), 0), _var, 0, after(lambda g: g / 2)),
    edited("reduction, var: n in the place of n - 1", case("var", normal(4, 3), 0), _var, 0, after(lambda g: g * 3 / 4)),
    edited("reduction, var: mean detached", case("var", normal(4, 3), 0), _var, 0,
           lambda right: lambda g, y, x, *, axis, shape, free: g * 2 / free * (x - stop_gradient(sum(x, 0, True) / 4)), order=2),
    *undifferentiated("reduction, var", case("var", normal(4, 3), 0), _var, 0),
    edited("reduction, norm: factor 2 forgotten", case("vector_norm", nonzero(4, 3)), _root, 0, after(lambda g: g * 2)),
    *undifferentiated("reduction, norm", case("vector_norm", nonzero(4, 3)), _root, 0),
    *distorted("reduction, logsumexp", case("logsumexp", normal(4, 3), 1), _logsumexp, (0,)),
    edited("reduction, logsumexp: not normalised", case("logsumexp", normal(4, 3), 1), _logsumexp, 0,
           lambda right: lambda g, y, x, *, axis, shape: g.reshape(4, 1) * np.exp(x)),
    *undifferentiated("reduction, logsumexp", case("logsumexp", normal(4, 3), 1), _logsumexp, 0),
    edited("reduction, amax: everything gets it", case("amax", apart(4, 3), 1), _amax, 0,
           lambda right: lambda g, y, x, *, axis, shape: np.broadcast_to(g.reshape(4, 1), (4, 3)).copy()),
    edited("reduction, amax: shared among all", case("amax", apart(4, 3), 1), _amax, 0,
           lambda right: lambda g, y, x, *, axis, shape: np.broadcast_to(g.reshape(4, 1), (4, 3)) / 3),
    edited("reduction, cumsum: not reversed", case("cumsum", normal(4, 3), 0), _cumsum, 0,
           lambda right: lambda g, y, x, *, axis, reverse: cumsum(g, axis)),
]  # fmt: skip

LINALG: list[Mutation] = [
    *distorted("matmul", SQUARES, _matmul, (0, 1)),
    edited("matmul: right factor not transposed", SQUARES, _matmul, 0, lambda right: lambda g, y, a, b: g @ b),
    edited("matmul: left factor not transposed", SQUARES, _matmul, 1, lambda right: lambda g, y, a, b: a @ g),
    edited("matmul: result transposed", SQUARES, _matmul, 1, after(lambda g: g.T)),
    edited("matmul: sum over the stack forgotten", STACKS, _matmul, 1,
           after(lambda g: g * (np.arange(len(g)) == 0)[:, None, None] if g.ndim == 3 else g * [[1.0], [0.0], [1.0]])),
    *undifferentiated("matmul", SQUARES, _matmul, 0, 1),
    *distorted("linear", LINEAR, _linear, (0, 1, 2)),
    edited("linear, weight: missing batch sum", LINEAR, _linear, 1,
           lambda right: lambda g, y, x, w, b: g[:1].T @ x[:1]),
    edited("linear, weight: transposed", LINEAR, _linear, 1, after(lambda g: g.T)),
    edited("linear, bias: missing batch sum", LINEAR, _linear, 2, lambda right: lambda g, y, x, w, b: g[0]),
    edited("linear, bias: mean instead of sum", LINEAR, _linear, 2, after(lambda g: g / 4)),
    *undifferentiated("linear", LINEAR, _linear, 0, 1),
    *distorted("channel affine", BATCH_EVAL, channel_affine, (0, 1, 2)),
    *undifferentiated("channel affine", BATCH_EVAL, channel_affine, 0, 1),
]  # fmt: skip


def _first_sample(right: Callable) -> Callable:
    """The sums over the batch taken over its first row only; the input's gradient left right."""

    def wrong(g, *rest):
        return (right(g, *rest)[0], *right(g * (np.arange(len(g)) == 0)[:, None], *rest)[1:])

    return wrong


def _every_unit_on(right: Callable) -> Callable:
    return lambda g, y, *rest, slope: right(g, np.ones_like(y), *rest, slope=slope)


LINALG += [
    *distorted("linear block", LINEAR_BLOCK, linear_block, (0, 1, 2)),
    fault("linear block: missing batch sum in weight and bias", LINEAR_BLOCK, in_backward(linear_block, _first_sample),
          "linear_block"),
    fault("linear block, weight: transposed", LINEAR_BLOCK, in_backward(linear_block, gradient(1, lambda g: g.T)),
          "linear_block"),
    fault("linear block: weight detached in the definition", LINEAR_BLOCK,
          in_definition(linear_block, lambda x, w, b: _linear(x, stop_gradient(w), b)), "linear_block", order=2),
    *distorted("linear and activation", LINEAR_ACT, linear_act, (0, 1, 2)),
    fault("linear and activation: slope forgotten", LINEAR_ACT, in_backward(linear_act, _every_unit_on), "linear_act"),
    fault("linear and activation: input detached in the definition", LINEAR_ACT,
          in_definition(linear_act, lambda x, w, b, *, slope: leaky_relu(_linear(stop_gradient(x), w, b), slope)),
          "linear_act", order=2),
]  # fmt: skip

NOISE: list[Mutation] = [
    *distorted("dropout", DROPOUT, _masked, (0,)),
    fault("dropout: mask forgotten", DROPOUT,
          in_backward(_masked, lambda right: lambda g, *_, keep, scale: (g * scale,)), "masked"),
    fault("dropout: scale forgotten", DROPOUT,
          in_backward(_masked, lambda right: lambda g, *_, keep, scale: (g * keep,)), "masked"),
    fault("dropout: mask inverted", DROPOUT,
          in_backward(_masked, lambda right: lambda *rest, keep, scale: right(*rest, keep=~keep, scale=scale)), "masked"),
    fault("dropout: scale forgotten in the definition", DROPOUT,
          in_definition(_masked, lambda x, *, keep, scale: where(keep, x, 0)), "masked", order=2),
    *distorted("dropout, by a key", DROPPED, _dropped, (0,)),
    fault("dropout, by a key: mask forgotten", DROPPED,
          in_backward(_dropped, lambda right: lambda g, *_, p, scale, key: (g * scale,)), "dropped"),
    fault("dropout, by a key: scale forgotten", DROPPED,
          in_backward(_dropped, lambda right: lambda *rest, p, scale, key: right(*rest, p=p, scale=1.0, key=key)), "dropped"),
    fault("dropout, by a key: another mask", DROPPED,
          in_backward(_dropped, lambda right: lambda *rest, key, **numbers: right(*rest, key=(3, 6), **numbers)), "dropped"),
    fault("dropout, by a key: scale forgotten in the definition", DROPPED,
          in_definition(_dropped, lambda x, *, p, scale, key: where(kept_by(x, p, key), x, 0)), "dropped", order=2),
]  # fmt: skip

TWICE = case("getitem", normal(5, 3), given([0, 2, 2, -1]))
SLICE = case("getitem", normal(5, 3), (slice(1, 4), slice(None, None, 2)))
INTO = case("setitem", normal(5, 3), (slice(1, 3),), normal(3))


def _overwritten(_right: Callable) -> Callable:
    """Duplicate indices overwrite each other."""

    def wrong(g, _y, x, *, index):
        z = np.zeros(x.shape)
        z[index] = g
        return z

    return wrong


def _shifted(each: Callable) -> Callable:
    """Every part's cotangent is the next part's."""
    return lambda i, g, y, *xs, **kwargs: each((i + 1) % len(xs), g, y, *xs, **kwargs)


INDEXING: list[Mutation] = [
    *distorted("indexing", TWICE, _getitem, (0,)),
    edited("indexing: duplicates overwritten, not added", TWICE, _getitem, 0, _overwritten),
    edited("indexing: off by one", SLICE, _getitem, 0, after(lambda g: np.roll(g, 1, 0))),
    *distorted("indexing, VJP of its VJP", TWICE, _put, (0,), order=2, blame=["getitem"]),
    edited("indexing, setitem: overwritten elements keep their gradient", INTO, _setitem, 0,
           lambda right: lambda g, y, x, v, *, index: g),
    edited("indexing, setitem: value's sum forgotten", INTO, _setitem, 1, after(lambda g: g / 2)),
    *distorted("indexing, setitem", INTO, _setitem, (0, 1)),
    edited("indexing, permute: not inverted", case("permute", normal(3, 3, 3), (1, 2, 0)), _permute, 0,
           lambda right: lambda g, y, x, *, axes: g.transpose(axes)),
    fault("indexing, cat: parts exchanged", case("cat", (normal(2, 3), normal(2, 3))), in_each(_cat, _shifted), "cat"),
    fault("indexing, stack: parts exchanged", case("stack", (normal(2, 3), normal(2, 3)), 1), in_each(_stack, _shifted), "stack"),
    *distorted("embedding", case("embedding", given([[0, 2, 2], [3, 0, 1]]), normal(4, 3)), _getitem, (0,)),
    edited("embedding: duplicates overwritten, not added",
           case("embedding", given([[0, 2, 2], [3, 0, 1]]), normal(4, 3)), _getitem, 0, _overwritten),
    edited("gather: duplicates overwritten, not added",
           case("gather", normal(3, 4), 1, given([[0, 0, 1], [2, 2, 2], [3, 0, 1]])), _getitem, 0, _overwritten),
]  # fmt: skip
