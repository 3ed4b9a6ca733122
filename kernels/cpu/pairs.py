"""Losses between two arrays, element by element: their values, their sum, or their slopes, each in one pass."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from . import vector_math as vm
from .dense import empty_like, flat, flat_like
from .launch import parallel
from .simd import Code, at
from .stream import Stream
from .vector_math import Number

BLOCK = 1 << 13  # elements per item of work
TOTAL = 0


class Loss(NamedTuple):
    """value(x, t, a) and its derivatives by x and by t; a is the loss's parameter, if it has one."""

    value: Callable[[Number, Number, Number], Number]
    by_x: Callable[[Number, Number, Number], Number]
    by_t: Callable[[Number, Number, Number], Number]


def _sign(d: Number) -> Number:
    return d.of(1.0).with_sign_of(d).or_if(d.is_("==", 0.0), 0.0) + d * 0.0  # the last for NaN


def _cut(x: Number, t: Number, a: Number) -> Number:
    d = x - t
    return d.or_if(d.is_(">", a), a).or_if(d.is_("<", -a), -a)


def _huber(x: Number, t: Number, a: Number) -> Number:
    cut = _cut(x, t, a)
    return cut * (x - t - cut * 0.5)


def _bernoulli(x: Number, t: Number, _: Number) -> Number:
    yes, no = _logs(x)
    return no * (t - 1.0) - yes * t


def _logs(x: Number) -> tuple[Number, Number]:
    return vm._log(x).at_least(-100.0), vm._log1p(-x).at_least(-100.0)


def _bernoulli_by_t(x: Number, t: Number, _: Number) -> Number:
    yes, no = _logs(x)
    return no - yes


LOSSES = {
    "bernoulli_nll": Loss(_bernoulli, lambda x, t, _: (x - t) / (x * (1.0 - x)).at_least(1e-12), _bernoulli_by_t),
    "gaussian_kl": Loss(
        lambda x, t, _: (x * x + (vm._expm1(t) - t)) * 0.5, lambda x, t, _: x, lambda x, t, _: vm._expm1(t) * 0.5
    ),
    "logit_nll": Loss(
        lambda x, t, _: vm._softplus_tail(x) + x * (x.of(0.0).or_if(x.is_(">", 0.0), 1.0) - t),
        lambda x, t, _: vm._sigmoid(x) - t,
        lambda x, t, _: -x,
    ),
    "square": Loss(lambda x, t, _: (x - t) * (x - t), lambda x, t, _: (x - t) * 2.0, lambda x, t, _: (t - x) * 2.0),
    "absolute": Loss(lambda x, t, _: (x - t).abs(), lambda x, t, _: _sign(x - t), lambda x, t, _: _sign(t - x)),
    "huber": Loss(_huber, _cut, lambda x, t, a: -_cut(x, t, a)),
}
KINDS = {name: kind for kind, name in enumerate(LOSSES)}
MODES = ("total", "value", "by_x", "by_t")


@intrinsic
def total_tile(typing_context, kind, x, t, count, a):
    """The sum of a loss over `count` elements."""

    def codegen(context, builder, signature, args):
        kind, x, t, count, a = args
        code = Code(context, builder, signature.args[1].dtype)
        stream, parameter = Stream(code, count, [x, t], []), Number(builder, code.splat(a))
        formulas = [lambda v, f=f: f.value(*v, parameter) for f in LOSSES.values()]
        totals = [lambda f=f: stream.total(f) for f in formulas]
        return code.total(stream.choose(kind, totals, code.zero))

    return x.dtype(types.intp, x, t, types.intp, x.dtype), codegen


@intrinsic
def map_tile(typing_context, kind, x, t, y, count, a, factor):
    """y = factor times a loss, or one of its derivatives: kind is 3 times the loss's number, plus 0, 1 or 2."""

    def codegen(context, builder, signature, args):
        kind, x, t, y, count, a, factor = args
        code = Code(context, builder, signature.args[1].dtype)
        stream = Stream(code, count, [x, t], [y])
        parameter, scale = (Number(builder, code.splat(v)) for v in (a, factor))
        formulas = [lambda v, f=f: [f(*v, parameter) * scale] for loss in LOSSES.values() for f in loss]
        passes = [lambda f=f: stream.run(f) for f in formulas]
        stream.choose(kind, passes)
        stream.close()
        return context.get_dummy_value()

    return types.void(types.intp, x, t, y, types.intp, x.dtype, x.dtype), codegen


@parallel
def _pass(item, mode, kind, x, t, y, a, factor):
    start = item * BLOCK
    count = min(BLOCK, len(x) - start)
    if mode == TOTAL:
        y[item] = total_tile(kind, at(x, start), at(t, start), count, a)
    else:
        map_tile(3 * kind + mode - 1, at(x, start), at(t, start), at(y, start), count, a, factor)


def total(name: str, x: np.ndarray, t: np.ndarray, parameter: float) -> float | None:
    """The sum of the loss over all elements; None where x has gaps."""
    source = flat(x)
    if source is None:
        return None
    items = -(-x.size // BLOCK)
    sums = np.empty(items, x.dtype)
    _pass(items, TOTAL, KINDS[name], source, flat_like(t, x), sums, parameter, 1.0, nanoseconds=0.2 * x.nbytes)
    return float(np.add.reduce(sums, dtype=np.float64))


def each(mode: str, name: str, x: np.ndarray, t: np.ndarray, parameter: float, factor: float) -> np.ndarray | None:
    """factor times the loss ("value") or a derivative ("by_x", "by_t") of every element; None where x has gaps."""
    source = flat(x)
    if source is None:
        return None
    y, target = empty_like(x)
    modes = MODES.index(mode), KINDS[name]
    _pass(-(-x.size // BLOCK), *modes, source, flat_like(t, x), target, parameter, factor, nanoseconds=0.2 * x.nbytes)
    return y
