"""The logistic function and tanh of recurrent cells: in float32 two thirds of the instructions of those in vector_math.

A row's gates lie in the nearest cache, so instructions are all that they cost. What is left out are results below the least
normal number, which come out as 2e-38. A quotient is an estimate of the reciprocal and Newton's step, where the host has one.
NaN comes out as NaN. Largest error in units in the last place: sigmoid 2.5, tanh 3.0; 3.4 and 3.9 where estimates have 12 bits.
"""

import numpy as np
from llvmlite import ir

from .vector_math import LOG2_E, Number, _sigmoid, _tanh

# (2^r - 1) / r for |r| <= 1/2 in float32, the highest power first; by Remez' algorithm.
POWER_OF_2 = (0.00015383742, 0.0013387408, 0.009618307, 0.055503674, 0.24022649, 0.6931472)
SIGMOID_END, TANH_END = 87.0, 10.0  # e^87 is finite, and 2^-126 < e^-87; tanh(10) is 1 to the last digit
SHIFT = 1.5 * 2.0**23  # added to a number, it leaves the nearest integer in the last bits
HIGH = float(np.float32(LOG2_E))
ESTIMATED = ("contract", "arcp", "ninf")  # a divisor here is never infinite; NaN stays NaN


def sigmoid(x: Number) -> Number:
    """1 / (1 + e^-x)."""
    if x.double:
        return _sigmoid(x)
    x = x.at_least(-SIGMOID_END).at_most(SIGMOID_END)
    n, r = _parts(x, -HIGH)
    r = x.fma(HIGH - LOG2_E, r)
    power = r.fma(r.polynomial(POWER_OF_2), 1.0)
    return _over(x.of(1.0), x.from_bits(x.b.add(power.bits(), n)) + 1.0)


def tanh(x: Number) -> Number:
    """(1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x."""
    if x.double:
        return _tanh(x)
    n, r = _parts(x.abs().at_most(TANH_END), -2 * HIGH)
    scale = x.from_bits(x.b.add(x.of(1.0).bits(), n))
    e = scale.fma(r * r.polynomial(POWER_OF_2), scale - 1.0)
    return _over(e, e + 2.0).with_sign_of(x)


def _parts(x: Number, factor: float) -> tuple[ir.Value, Number]:
    """n and r of `factor` x = n + r, |r| <= 1/2; the integer n in the place of an exponent."""
    t = x.fma(factor, SHIFT)
    return x.b.shl(t.bits(), x.integer(x.mantissa)), x.fma(factor, -(t - SHIFT))


def _over(a: Number, b: Number) -> Number:
    return a.of(a.b.fdiv(a.value, b.value, flags=ESTIMATED))
