"""Random numbers by the formulas of `kernels.philox`, bit for bit, sixteen counters at a time."""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..philox import GROUP, LOW, normal, philox, uniform
from ..polynomials import SQRT_HALF_BITS
from .launch import parallel
from .simd import I32, I64, Code, aligned, at
from .vector_math import Number

I8 = ir.IntType(8)
GROUPS = 128  # per item of work
KINDS = ("uniform", "normal")


class Words:
    """A vector of 64-bit integers in the making."""

    type = ir.VectorType(I64, GROUP)

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.b, self.value = builder, value

    def _with(self, instruction: Callable, other: Words | int) -> Words:
        other = other.value if isinstance(other, Words) else ir.Constant(self.type, [other] * GROUP)
        return Words(self.b, instruction(self.value, other))

    def __mul__(self, other: Words | int) -> Words:
        return self._with(self.b.mul, other)

    def __add__(self, other: Words | int) -> Words:
        return self._with(self.b.add, other)

    def __sub__(self, other: Words | int) -> Words:
        return self._with(self.b.sub, other)

    def __and__(self, other: Words | int) -> Words:
        return self._with(self.b.and_, other)

    def __or__(self, other: Words | int) -> Words:
        return self._with(self.b.or_, other)

    def __xor__(self, other: Words | int) -> Words:
        return self._with(self.b.xor, other)

    def __rshift__(self, other: int) -> Words:
        return self._with(self.b.lshr, other)

    def __lshift__(self, other: int) -> Words:
        return self._with(self.b.shl, other)

    def at_least(self, other: Words) -> ir.Value:
        return self.b.icmp_unsigned(">=", self.value, other.value)


class OnVectors:
    """What the formulas need beside operators, as `philox.OnArrays`."""

    def __init__(self, builder: ir.IRBuilder, element: ir.Type) -> None:
        self.b, self.double = builder, isinstance(element, ir.DoubleType)
        self.type = ir.VectorType(element, GROUP)

    def _fitting(self, word: Words) -> ir.Value:
        return word.value if self.double else self.b.trunc(word.value, ir.VectorType(I32, GROUP))

    def real(self, word: Words) -> Number:
        return Number(self.b, self.b.uitofp(self._fitting(word), self.type))

    def real_signed(self, word: Words) -> Number:
        return Number(self.b, self.b.sitofp(self._fitting(word), self.type))

    def sqrt(self, x: Number) -> Number:
        return x._call("sqrt")

    def choose(self, word: Words, a: Number, b: Number) -> Number:
        return b.or_if(self.b.icmp_unsigned("!=", word.value, ir.Constant(word.type, [0] * GROUP)), a)

    def split(self, u: Number) -> tuple[Number, Number]:
        bits, b = u.bits(), self.b
        k = b.ashr(b.sub(bits, u.integer(SQRT_HALF_BITS[u.double])), u.integer(u.mantissa))
        return u.of(b.sitofp(k, u.type)), u.from_bits(b.sub(bits, b.shl(k, u.integer(u.mantissa)))) - 1.0


def _each_group(context, builder, element, first, groups, numbers, body: Callable[[ir.Value, tuple], None]) -> None:
    """body(i, words) for the groups first + i, i < groups, of the stream with these four numbers: the key, the stream."""
    code = Code(context, builder, element)
    lane = ir.Constant(Words.type, list(range(GROUP)))

    def splat(scalar: ir.Value) -> Words:
        undefined = ir.Constant(Words.type, ir.Undefined)
        value = builder.insert_element(undefined, scalar, I32(0))
        return Words(builder, builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(I32, GROUP), [0] * GROUP)))

    left, right, c, d = (splat(n) for n in numbers)

    def step(i: ir.Value, carried: list) -> list:
        place = splat(builder.mul(builder.add(first, i), I64(GROUP))) + Words(builder, lane)
        body(i, philox((place & LOW, place >> 32, c, d), (left, right)))
        return carried

    with builder.if_then(builder.icmp_signed(">", groups, I64(0))):
        code.loop(groups, [], step)


@intrinsic
def draw_tile(typing_context, kind, y, first, groups, left, right, c, d):
    """Numbers of `groups` groups from `first` on, into y: on [0, 1) for kind 0, normal for kind 1."""

    def codegen(context, builder, signature, args):
        kind, y, first, groups, *numbers = args
        element = signature.args[1].dtype
        code = Code(context, builder, element)
        on = OnVectors(builder, code.element)

        def fill(formula: Callable) -> None:
            def body(i: ir.Value, words: tuple) -> None:
                values = formula(on, words)
                for j, value in enumerate(values):
                    place = code.at(y, builder.mul(i, I64(GROUP * len(values))), GROUP * j)
                    builder.store(value.value, builder.bitcast(place, on.type.as_pointer())).align = code.bytes

            _each_group(context, builder, element, first, groups, numbers, body)

        with builder.if_else(builder.icmp_signed("==", kind, I64(0))) as (zero, one):
            with zero:
                fill(uniform)
            with one:
                fill(normal)
        return context.get_dummy_value()

    return types.void(types.intp, y, *(types.intp,) * 6), codegen


@intrinsic
def keep_tile(typing_context, y, first, groups, left, right, c, d, threshold):
    """y = whether 24 bits of each word are at least the threshold."""

    def codegen(context, builder, signature, args):
        y, first, groups, *numbers, threshold = args
        code = Code(context, builder, types.float32)
        bytes_ = ir.VectorType(I8, GROUP)

        def body(i: ir.Value, words: tuple) -> None:
            undefined = ir.Constant(Words.type, ir.Undefined)
            least = builder.insert_element(undefined, threshold, I32(0))
            least = builder.shuffle_vector(least, undefined, ir.Constant(ir.VectorType(I32, GROUP), [0] * GROUP))
            for j, word in enumerate(words):
                kept = builder.zext((word >> 8).at_least(Words(builder, least)), bytes_)
                place = code.at(y, builder.mul(i, I64(4 * GROUP)), GROUP * j)
                builder.store(kept, builder.bitcast(place, bytes_.as_pointer())).align = 1

        _each_group(context, builder, types.float32, first, groups, numbers, body)
        return context.get_dummy_value()

    return types.void(y, *(types.intp,) * 7), codegen


@parallel
def _draw(item, y, kind, per_group, groups, left, right, c, d):
    first = item * GROUPS
    draw_tile(kind, at(y, first * per_group), first, min(GROUPS, groups - first), left, right, c, d)


@parallel
def _keep(item, y, groups, left, right, c, d, threshold):
    first = item * GROUPS
    keep_tile(at(y, first * 4 * GROUP), first, min(GROUPS, groups - first), left, right, c, d, threshold)


def draw(kind: str, size: int, dtype: np.dtype, key: tuple[int, int]) -> np.ndarray:
    """`size` numbers, flat."""
    per_group = 4 * GROUP if dtype == np.float32 else 2 * GROUP
    groups = -(-size // per_group)
    y = aligned((groups * per_group,), dtype)
    _draw(-(-groups // GROUPS), y, KINDS.index(kind), per_group, groups, *_numbers(key), nanoseconds=size)
    return y[:size]


def keep(size: int, threshold: int, key: tuple[int, int]) -> np.ndarray:
    """`size` booleans, flat: whether 24 random bits are at least the threshold."""
    groups = -(-size // (4 * GROUP))
    y = aligned((groups * 4 * GROUP,), np.dtype(np.uint8))
    _keep(-(-groups // GROUPS), y, groups, *_numbers(key), threshold, nanoseconds=0.7 * size)
    return y[:size].view(np.bool_)


def _numbers(key: tuple[int, int]) -> tuple[int, ...]:
    return key[0] & LOW, key[0] >> 32, key[1] & LOW, key[1] >> 32
