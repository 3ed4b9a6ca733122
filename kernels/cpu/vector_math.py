"""exp, log, tanh and their kin for kernels, in plain loops that vectorise.

    for i in range(len(y)):
        y[i] = tanh(x[i])                # x and y are slices of contiguous arrays

Each takes a float32 or float64 and emits straight-line LLVM code (polynomials, exponents through integer bits, selects where
others branch), which LLVM widens to the vectors of the host. NaN, infinities, zeros and denormals come out as in NumPy.
The fast-math flags of a kernel do not reach this code, so terms that cancel are left as they are written.

Largest error in units in the last place, over every fifth float32 and some 10^7 float64, where the host has fused multiply-add:

    exp, log 1.0    log1p 1.4    expm1 1.8    sigmoid 2.4    tanh 2.6    softplus 2.8    erf 5.5 (float32), 1.0 (float64)

The polynomials are minimax, found by Remez' algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ..polynomials import LOG, LOG_2, SQRT_HALF_BITS
from .simd import I32, I64, VECTOR_BYTES

# An instruction with a flag of its own is passed over when Numba hands out the kernel's flags. These mean nothing there.
KEEP, KEEP_DIVISION = ("arcp",), ("contract",)
WIDEST = f'"prefer-vector-width"="{8 * VECTOR_BYTES}"'  # LLVM would take half of AVX-512, a quarter slower on this code


class Number:
    """A float32 or float64, or a vector of them, in the making: arithmetic on it emits LLVM instructions."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.b, self.value, self.type = builder, value, value.type
        self.lanes = self.type.count if isinstance(self.type, ir.VectorType) else 0
        self.double = isinstance(self.type.element if self.lanes else self.type, ir.DoubleType)
        self.mantissa, self.bias = (52, 1023) if self.double else (23, 127)
        self.integers = ir.VectorType(I64 if self.double else I32, self.lanes) if self.lanes else I64 if self.double else I32
        set.add(builder.function.attributes, WIDEST)  # llvmlite's own method takes attributes without a value only

    def constant(self, x: float, kind: ir.Type | None = None) -> ir.Constant:
        """x, in every lane, in this type or another."""
        return ir.Constant(kind or self.type, [x] * self.lanes if self.lanes else x)

    def integer(self, n: int) -> ir.Constant:
        return self.constant(n, self.integers)

    def of(self, x: Number | ir.Value | float) -> Number:
        """x as a Number of this type."""
        if isinstance(x, Number):
            return x
        return Number(self.b, self.constant(float(x)) if isinstance(x, (int, float)) else x)

    def __add__(self, other: Number | float) -> Number:
        return self.of(self.b.fadd(self.value, self.of(other).value, flags=KEEP))

    def __sub__(self, other: Number | float) -> Number:
        return self.of(self.b.fsub(self.value, self.of(other).value, flags=KEEP))

    def __mul__(self, other: Number | float) -> Number:
        return self.of(self.b.fmul(self.value, self.of(other).value, flags=KEEP))

    def __rsub__(self, other: float) -> Number:
        return self.of(other) - self

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Number | float) -> Number:
        return self.of(self.b.fdiv(self.value, self.of(other).value, flags=KEEP_DIVISION))

    def __neg__(self) -> Number:
        return self.of(self.b.fneg(self.value))

    def is_(self, relation: str, other: Number | float) -> ir.Value:
        """Whether '<', '>' or '==' holds; no for NaN."""
        return self.b.fcmp_ordered(relation, self.value, self.of(other).value, flags=KEEP)

    def or_if(self, condition: ir.Value, other: Number | float) -> Number:
        """`other` where the condition holds, else this."""
        return self.of(self.b.select(condition, self.of(other).value, self.value))

    def at_most(self, limit: float) -> Number:
        return self.or_if(self.is_(">", limit), limit)

    def at_least(self, limit: float) -> Number:
        return self.or_if(self.is_("<", limit), limit)

    def _call(self, name: str, *others: Number | float) -> Number:
        values = [self.value, *(self.of(x).value for x in others)]
        name = f"llvm.{name}.{f'v{self.lanes}' if self.lanes else ''}f{64 if self.double else 32}"
        kind = ir.FunctionType(self.type, [self.type] * len(values))
        return self.of(self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), values))

    def fma(self, factor: Number | float, term: Number | float) -> Number:
        """this * factor + term, rounded once where the host can."""
        return self._call("fmuladd", factor, term)

    def abs(self) -> Number:
        return self._call("fabs")

    def with_sign_of(self, other: Number) -> Number:
        return self._call("copysign", other)

    def bits(self) -> ir.Value:
        return self.b.bitcast(self.value, self.integers)

    def from_bits(self, bits: ir.Value) -> Number:
        return self.of(self.b.bitcast(bits, self.type))

    def polynomial(self, coefficients: Sequence[float]) -> Number:
        """Horner's rule, the highest power first."""
        y = self.of(coefficients[0])
        for c in coefficients[1:]:
            y = y.fma(self, c)
        return y


# Coefficients by `Number.double`, the highest power first.
LOG2_E = 1.4426950408889634
EXP = {  # (e^r - 1 - r) / r² for |r| <= log(2) / 2
    False: (0.000199133494, 0.0013939961, 0.00833327472, 0.0416663718, 0.166666668, 0.500000004),
    True: (
        *(2.09239812843466961e-9, 2.51084785883486062e-8, 2.75572444683518399e-7, 2.75572459158781265e-6),
        *(2.4801587358209114e-5, 1.98412698842996373e-4, 1.38888888888682911e-3, 8.33333333332242182e-3),
        *(4.16666666666666975e-2, 1.66666666666666755e-1, 0.5),
    ),
}
EXP_ENDS = {False: (-104.0, 89.0), True: (-746.0, 710.0)}  # beyond, e^x is 0 or infinite
ARTANH = {  # (2 artanh(s) / s - 2) / s² in s² for |s| <= 1/3
    False: (0.242649071, 0.2143838245, 0.2861576129, 0.3999892577, 0.6666667494),
    True: (
        *(0.169565622090559364, 0.0837619801499318369, 0.120971186405249794, 0.133022134537640187, 0.153864556613032848),
        *(0.181817493945481017, 0.222222237933612321, 0.285714285511547742, 0.400000000001257091, 0.666666666666664151),
    ),
}
ERF_32 = (  # erf(x) / x = P(x²) / Q(x²) for |x| < 3.95, where erf becomes 1
    (2.0507321e-06, 0.000284887017, 0.00376446138, 0.052745285, 0.190375562, 1.12837915),
    (3.80985915e-05, 0.00116231097, 0.0149668876, 0.114096926, 0.502048692, 1.0),
)
ERF_64 = (  # erf(x) / x in x² for |x| < 1; -log(1 - erf(x)) for 1 <= x <= 6
    (
        *(-7.77947140695741451e-10, 1.37109821084824519e-8, -1.62063141963099471e-7, 1.64471316356804841e-6),
        *(-1.49247123080297185e-5, 1.20552935772728779e-4, -8.54832592932979012e-4, 5.22397760611887992e-3),
        *(-2.68661706431115323e-2, 1.12837916709441853e-1, -3.76126389031835196e-1, 1.12837916709551257),
    ),
    (
        *(-1.03909678049354096e-12, 4.75191634498293389e-11, -1.01708993766327205e-9, 1.35227599541441415e-8),
        *(-1.24835379794398665e-7, 8.45220920496265593e-7, -4.3019102404170862e-6, 1.64219459965532278e-5),
        *(-4.47712017134180158e-5, 6.97532376631450179e-5, 4.59511154017522758e-5, -6.42827028673082834e-4),
        *(1.77091807694960874e-3, -2.82222247120512312e-4, -1.90769596858169832e-2, 1.02746644808156725e-1),
        *(6.36628702949378385e-1, 1.12837728256758883, 1.84367986884518223e-7),
    ),
)


def _reduced(x: Number) -> tuple[ir.Value, Number]:
    """n in the place of an exponent, and e^r - 1, of x = n log 2 + r with an integer n and |r| <= log(2) / 2."""
    shift = 1.5 * 2.0**x.mantissa  # added to a number, it leaves the nearest integer in the last bits
    t = x.fma(LOG2_E, shift)
    whole, (high, low) = t - shift, LOG_2[x.double]
    r = whole.fma(-low, whole.fma(-high, x))
    return x.b.shl(t.bits(), x.integer(x.mantissa)), (r * r).fma(r.polynomial(EXP[x.double]), r)


def _exp(x: Number, negative: bool = False) -> Number:
    low, high = EXP_ENDS[x.double]
    x = x if negative else x.at_most(high)
    n, rest = _reduced(x.at_least(low))
    # 2^n in two factors, for results that are denormal or above the largest power of two.
    deep, up = x.is_("<", 0.5 * low), 2.0 ** (x.mantissa + 8)
    one, other = x.of(0.5).or_if(deep, up), x.of(2.0).or_if(deep, 1 / up)
    return (rest + 1.0) * x.from_bits(x.b.add(n, one.bits())) * other


def _expm1(x: Number, negative: bool = False) -> Number:
    y = x if negative else x.at_most(EXP_ENDS[x.double][1])
    n, rest = _reduced(y.at_least(-40.0))
    half = x.from_bits(x.b.add(n, x.of(0.5).bits()))  # 2^n itself may be too large
    y = half.fma(rest, half - 0.5)
    return y + y if negative else (y + y).or_if(x.is_("==", 0.0), x)


def _log_of_sum(u: Number, lost: Number | None = None) -> Number:
    """log(u + lost) for a normal u > 0 and a `lost` below its last digit."""
    b, integer = u.b, u.integer
    bits = u.bits()
    k = b.ashr(b.sub(bits, integer(SQRT_HALF_BITS[u.double])), integer(u.mantissa))
    shifted = b.shl(k, integer(u.mantissa))
    f = u.from_bits(b.sub(bits, shifted)) - 1.0  # u = 2^k (1 + f)
    if lost is not None:
        scale = u.from_bits(b.sub(u.of(1.0).bits(), shifted))
        f = f + (lost * scale).or_if(u.is_(">", 2.0**u.mantissa), 0.0)
    k = u.of(b.sitofp(k, u.type))
    high, low = LOG_2[u.double]
    half = f * f * 0.5
    if u.double:
        s = f / (f + 2.0)
        z = s * s
        rest = s.fma(half + z * z.polynomial(LOG[True]), k * low)
    else:
        rest = (f * f * f).fma(f.polynomial(LOG[False]), k * low)
    return k.fma(high, f - (half - rest))


def _log(x: Number) -> Number:
    tiny, up = 2.0 ** (1 - x.bias), float(x.mantissa)
    small = x.is_("<", tiny)  # zero, denormal or negative
    y = _log_of_sum(x.or_if(small, x * 2.0**up))
    y = y.or_if(small, y - up * 0.6931471805599453)
    return _at_ends(x, y, x)


def _at_ends(u: Number, y: Number, x: Number) -> Number:
    """y = log(u) put right where u is 0, infinite, negative or NaN; x is infinite or NaN with u."""
    infinity = float("inf")
    y = y.or_if(x.b.not_(u.is_("<", infinity)), x)
    return y.or_if(u.is_("==", 0.0), -infinity).or_if(u.is_("<", 0.0), float("nan"))


def _log1p(x: Number) -> Number:
    u = x + 1.0
    lost = (x - (u - 1.0)).or_if(x.is_(">", 1.0), 1.0 - (u - x))
    return _at_ends(u, _log_of_sum(u, lost), x).or_if(x.is_("==", 0.0), x)


def _tanh(x: Number) -> Number:
    e = _expm1(x.abs() * -2.0, negative=True)
    return (e / (e + 2.0)).with_sign_of(x)


def _sigmoid(x: Number) -> Number:
    e = _exp(-x.abs(), negative=True)
    return x.of(1.0).or_if(x.is_("<", 0.0), e) / (e + 1.0)


def _softplus(x: Number) -> Number:
    """log(1 + e^x)."""
    return x.at_least(0.0) + _softplus_tail(x)


def _softplus_tail(x: Number) -> Number:
    """log(1 + e^-|x|)."""
    e = _exp(-x.abs(), negative=True)
    s = e / (e + 2.0)  # log(1 + e) = 2 artanh(s), s <= 1/3
    z = s * s
    return (s * z).fma(z.polynomial(ARTANH[x.double]), s + s)


def _erf(x: Number) -> Number:
    a = x.abs()
    if not x.double:
        a = a.at_most(3.95)
        p, q = ((a * a).polynomial(c) for c in ERF_32)
        return (a * p / q).at_most(1.0).with_sign_of(x)
    small, large = ERF_64
    near = a * (a * a).polynomial(small)
    far = 1.0 - _exp(-a.at_most(6.0).polynomial(large), negative=True)
    return near.or_if(a.is_(">", 1.0), far).with_sign_of(x)


def _function(formula: Callable[[Number], Number]) -> Callable:
    def function(typing_context, x):  # noqa: ARG001 (as Numba calls it)
        if not isinstance(x, types.Float):
            raise TypingError(f"vector_math: expected float32 or float64, got {x}")

        def codegen(context, builder, signature, args):  # noqa: ARG001
            return formula(Number(builder, args[0])).value

        return x(x), codegen

    function.__name__ = function.__qualname__ = formula.__name__.strip("_")
    return intrinsic(function)


exp, expm1, log, log1p = (_function(f) for f in (_exp, _expm1, _log, _log1p))
tanh, sigmoid, softplus, erf = (_function(f) for f in (_tanh, _sigmoid, _softplus, _erf))
