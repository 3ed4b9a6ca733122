"""Functions of single elements and their derivatives, each in one pass over flat memory.

A formula is written once, on `vector_math.Number`; one kernel holds them all and switches between them outside its loop.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

import math
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
SQRT_HALF, SQRT_2_PI, CUBIC = math.sqrt(0.5), math.sqrt(2 / math.pi), 0.044715


class Formula(NamedTuple):
    """forward(x, *parameters) -> y and backward(g, v, *parameters) -> gx, where v is y or x, whichever it `reads`."""

    forward: Callable[..., Number]
    backward: Callable[..., Number]
    reads: str = "y"
    parameters: tuple[str, ...] = ()


def _elu(x, alpha, scale, rate):
    return (vm._expm1(x.at_most(0.0) * rate) * alpha * scale).or_if(x.is_(">", 0.0), x * scale)


def _softplus(x, beta, threshold):
    z = x * beta
    return (vm._softplus(z) / beta).or_if(z.is_(">", threshold), x)


def _silu_vjp(g, x):
    s = vm._sigmoid(x)
    return g * (s + x * s * (1.0 - s))


def _mish(x):
    e = vm._exp(x.at_most(40.0 if x.double else 20.0))
    n = e * (e + 2.0)  # tanh(log(1 + e)) = n / (n + 2)
    return x * (n / (n + 2.0))


def _mish_vjp(g, x):
    e = vm._exp(x.at_most(40.0 if x.double else 20.0))
    n = e * (e + 2.0)
    d = e.of(1.0) / (n + 2.0)
    return g * (n * d + x * (4.0 * e * (e + 1.0) * d * d))


def _gelu(x):
    return x * (vm._erf(x * SQRT_HALF) * 0.5 + 0.5)


def _gelu_vjp(g, x):
    density = vm._exp(x * x * -0.5, negative=True) * (0.5 * SQRT_2_PI)
    return g * (vm._erf(x * SQRT_HALF) * 0.5 + 0.5 + x * density)


def _gelu_tanh(x):
    return x * (vm._tanh(x * (x * x * CUBIC + 1.0) * SQRT_2_PI) * 0.5 + 0.5)


def _gelu_tanh_vjp(g, x):
    z = x * x
    t = vm._tanh(x * (z * CUBIC + 1.0) * SQRT_2_PI)
    slope = (z * (3.0 * CUBIC) + 1.0) * SQRT_2_PI
    return g * (t * 0.5 + 0.5 + x * slope * (1.0 - t * t) * 0.5)


FORMULAS = {
    "relu": Formula(lambda x: x.or_if(x.is_("<", 0.0), 0.0), lambda g, y: g.or_if(y.is_("==", 0.0), 0.0)),
    "leaky_relu": Formula(
        lambda x, slope: (x * slope).or_if(x.is_(">", 0.0), x),
        lambda g, y, slope: (g * slope).or_if(y.is_(">", 0.0), g),
        parameters=("slope",),
    ),
    "hardtanh": Formula(
        lambda x, low, high: x.at_least(low).at_most(high),
        lambda g, y, low, high: g.or_if(y.is_("==", low), 0.0).or_if(y.is_("==", high), 0.0),
        parameters=("low", "high"),
    ),
    "exp": Formula(vm._exp, lambda g, y: g * y),
    "log": Formula(vm._log, lambda g, x: g / x, "x"),
    "tanh": Formula(vm._tanh, lambda g, y: g - g * y * y),
    "sigmoid": Formula(vm._sigmoid, lambda g, y: g * (y * (1.0 - y))),
    "elu": Formula(
        _elu,
        lambda g, y, alpha, scale, rate: g * ((y + scale * alpha) * rate).or_if(y.is_(">", 0.0), scale),
        parameters=("alpha", "scale", "rate"),
    ),
    "softplus": Formula(
        _softplus,
        lambda g, x, beta, threshold: (g * vm._sigmoid(x * beta)).or_if((x * beta).is_(">", threshold), g),
        "x",
        ("beta", "threshold"),
    ),
    "silu": Formula(lambda x: x * vm._sigmoid(x), _silu_vjp, "x"),
    "mish": Formula(_mish, _mish_vjp, "x"),
    "gelu": Formula(_gelu, _gelu_vjp, "x"),
    "gelu_tanh": Formula(_gelu_tanh, _gelu_tanh_vjp, "x"),
}
KINDS = {name: kind for kind, name in enumerate(FORMULAS)}
PARAMETERS = 3
PLAIN: dict[str, tuple[float, ...]] = {name: (kind, *(0.0,) * PARAMETERS) for name, kind in KINDS.items()}


def _for_each(builder, code, kind, count, sources, target, parameters, formulas):
    """Emit target[i] = formulas[kind](*sources[i], *parameters) for i < count."""
    stream = Stream(code, count, sources, [target])
    numbers = [Number(builder, code.splat(p)) for p in parameters]
    loops = [
        lambda formula=formula, arity=arity: stream.run(lambda values: [formula(*values, *numbers[:arity])])
        for formula, arity in formulas
    ]
    stream.choose(kind, loops)
    stream.close()


@intrinsic
def forward_tile(typing_context, kind, x, y, count, a, b, c):
    """y[i] = forward of x[i], i < count, by the formula with the number `kind`."""

    def codegen(context, builder, signature, args):
        kind, x, y, count, *parameters = args
        formulas = [(f.forward, len(f.parameters)) for f in FORMULAS.values()]
        _for_each(builder, Code(context, builder, signature.args[1].dtype), kind, count, [x], y, parameters, formulas)
        return context.get_dummy_value()

    return types.void(types.intp, x, y, types.intp, *(x.dtype,) * PARAMETERS), codegen


@intrinsic
def backward_tile(typing_context, kind, g, v, gx, count, a, b, c):
    """gx[i] = backward of g[i] and v[i], i < count, by the formula with the number `kind`."""

    def codegen(context, builder, signature, args):
        kind, g, v, gx, count, *parameters = args
        formulas = [(f.backward, len(f.parameters)) for f in FORMULAS.values()]
        _for_each(builder, Code(context, builder, signature.args[1].dtype), kind, count, [g, v], gx, parameters, formulas)
        return context.get_dummy_value()

    return types.void(types.intp, g, v, gx, types.intp, *(g.dtype,) * PARAMETERS), codegen


@parallel
def _forward(item, x, y, kind, a, b, c):
    start = item * BLOCK
    forward_tile(kind, at(x, start), at(y, start), min(BLOCK, len(x) - start), a, b, c)


@parallel
def _backward(item, g, v, gx, kind, a, b, c):
    start = item * BLOCK
    backward_tile(kind, at(g, start), at(v, start), at(gx, start), min(BLOCK, len(g) - start), a, b, c)


def forward(name: str, x: np.ndarray, **parameters: float) -> np.ndarray | None:
    """y = f(x) in x's memory order; None where x has gaps."""
    source = flat(x)
    if source is None:
        return None
    y, target = empty_like(x)
    _forward(-(-x.size // BLOCK), source, target, *_settings(name, parameters), nanoseconds=_cost(x))
    return y


def backward(name: str, g: np.ndarray, v: np.ndarray, **parameters: float) -> np.ndarray | None:
    """g f'(x) in v's memory order, where v is f(x) or x; None where v has gaps. g of another order is copied."""
    source = flat(v)
    if source is None or g.shape != v.shape:
        return None
    gx, target = empty_like(v)
    _backward(-(-v.size // BLOCK), flat_like(g, v), source, target, *_settings(name, parameters), nanoseconds=_cost(v))
    return gx


def masked(x: np.ndarray, keep: np.ndarray, scale: float) -> np.ndarray | None:
    """scale x where `keep` holds, else 0, in x's memory order; None where x has gaps."""
    source = flat(x)
    if source is None:
        return None
    y, target = empty_like(x)
    _masked(-(-x.size // BLOCK), source, flat_like(keep, x), target, scale, nanoseconds=_cost(x))
    return y


def _settings(name: str, parameters: dict[str, float]) -> tuple[float, ...]:
    if not parameters:
        return PLAIN[name]
    values = [float(parameters[p]) for p in FORMULAS[name].parameters]
    return KINDS[name], *values, *PLAIN[name][len(values) + 1 :]


def _cost(x: np.ndarray) -> float:
    return 0.1 * x.nbytes


@parallel
def _masked(item, x, keep, y, scale):
    start, end = item * BLOCK, min((item + 1) * BLOCK, len(x))
    values, kept, results = x[start:end], keep[start:end], y[start:end]
    factor = x.dtype.type(scale)
    for i in range(len(results)):
        value = values[i] * factor
        results[i] = value if kept[i] else 0
