"""Passes along the rows of a matrix: softmax and its kin, layer normalisation, and their derivatives.

A row is gone over several times while it is in the cache. Vectors run along it; the lanes beyond its end are masked.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import vector_math as vm
from .simd import I64, Code, Value
from .stream import Stream
from .vector_math import Number

INT = types.intp


class Rows(Code):
    """Emits passes over `rows` rows of `width` contiguous elements."""

    def __init__(self, context, builder: ir.IRBuilder, element: types.Float, rows: Value, width: Value) -> None:
        super().__init__(context, builder, element)
        self.rows, self.width = rows, width
        self.whole, rest = builder.udiv(width, I64(self.lanes)), builder.urem(width, I64(self.lanes))
        self.end = builder.mul(self.whole, I64(self.lanes))
        self.mask, self.ragged = self.first(rest), builder.icmp_signed(">", rest, I64(0))
        self.share = Number(builder, builder.fdiv(self.element(1.0), builder.sitofp(width, self.element)))

    def each_row(self, body: Callable[[Value, Callable], None]) -> None:
        """body(r, at_row) for every row r; at_row(array) is the array's place where the row begins."""

        def step(r: Value, carried: list[Value]) -> list[Value]:
            start = self.b.mul(r, self.width)
            body(r, lambda array: self.at(array, start))
            return carried

        with self.b.if_then(self.b.icmp_signed(">", self.rows, I64(0))):
            self.loop(self.rows, [], step)

    def along(
        self, step: Callable[..., Sequence[Number]], arrays: Sequence[Value], targets: Sequence[Value] = (), totals: int = 0
    ) -> list[Number]:
        """Go along the row: step(*values of arrays) gives a value for each target, and then one for each of `totals` sums."""
        b = self.b

        def vector(offset: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            values = step(*[Number(b, self.load(self.at(array, offset), mask)) for array in arrays])
            for value, target in zip(values, targets):
                self.store(value.value, self.at(target, offset), mask)
            terms = [v.value for v in values[len(targets) :]]
            return [b.fadd(c, t if mask is None else b.select(mask, t, self.zero)) for c, t in zip(carried, terms)]

        return [self.spread(self.total(s)) for s in self._vectors(vector, [self.zero] * totals)]

    def largest(self, array: Value) -> Number:
        """The largest element of the row, in every lane; NaN is passed over."""
        b, lowest = self.b, ir.Constant(self.type, [float("-inf")] * self.lanes)

        def vector(offset: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            value = self.load(self.at(array, offset), mask)
            better = b.fcmp_ordered(">", value, carried[0])
            return [b.select(better if mask is None else b.and_(mask, better), value, carried[0])]

        (best,) = self._vectors(vector, [lowest])
        reduce = self._intrinsic(f"vector.reduce.fmax.{self.suffix}", self.element, [self.type])
        return self.spread(b.call(reduce, [best], fastmath=("nnan", "nsz")))  # there is none among them

    def _vectors(self, vector: Callable[[Value, Value | None, list[Value]], list[Value]], start: list[Value]) -> list[Value]:
        """carried = vector(offset, mask, carried) for the whole vectors of a row, and for what is left of it, under a mask."""
        b = self.b
        places = [cgutils.alloca_once(b, self.type) for _ in start]

        def keep(values: list[Value]) -> None:
            for value, place in zip(values, places):
                b.store(value, place)

        keep(start)
        with b.if_then(b.icmp_signed(">", self.whole, I64(0))):
            keep(self.loop(self.whole, start, lambda i, carried: vector(b.mul(i, I64(self.lanes)), None, carried)))
        with b.if_then(self.ragged):
            keep(vector(self.end, self.mask, [b.load(place) for place in places]))
        return [b.load(place) for place in places]

    def spread(self, scalar: Value) -> Number:
        return Number(self.b, self.splat(scalar))

    def scalar(self, number: Number) -> Value:
        return self.b.extract_element(number.value, ir.IntType(32)(0))

    def from_rows(self, array: Value, r: Value) -> Number:
        """Element r of an array of one number per row, in every lane."""
        return self.spread(self.b.load(self.at(array, r)))

    def to_rows(self, number: Number, array: Value, r: Value) -> None:
        self.b.store(self.scalar(number), self.at(array, r))


def _rows(context, builder, signature, args) -> tuple:
    """Rows for arguments that begin with rows, width; and the arguments left."""
    element = next(a.dtype for a in signature.args if isinstance(a, types.CPointer))
    return Rows(context, builder, element, *args[:2]), args[2:]


def _sum_of_exponentials(on: Rows, r: Value, x: Value, top: Value, total: Value) -> Number:
    """The largest element of a row, which goes to top[r]; the sum of e^(x - largest) goes to total[r]."""
    most = on.largest(x)
    (exponentials,) = on.along(lambda v: [vm._exp(v - most)], [x], totals=1)
    on.to_rows(most, top, r)
    on.to_rows(exponentials, total, r)
    return most


@intrinsic
def softmax_tile(typing_context, rows, width, x, y):
    """y = softmax(x) of each row. width >= 1, here and in what follows."""

    def codegen(context, builder, signature, args):
        on, (x, y) = _rows(context, builder, signature, args)

        def row(r, at_row):
            top = on.largest(at_row(x))

            def exponential(v):
                e = vm._exp(v - top)
                return [e, e]

            (total,) = on.along(exponential, [at_row(x)], [at_row(y)], totals=1)
            share = total.of(1.0) / total
            on.along(lambda e: [e * share], [at_row(y)], [at_row(y)])

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, x, y), codegen


@intrinsic
def log_softmax_tile(typing_context, rows, width, x, y, top, log_total):
    """y = log softmax(x) of each row; top and log_total are as nll_tile leaves them."""

    def codegen(context, builder, signature, args):
        on, (x, y, top, log_total) = _rows(context, builder, signature, args)
        on.each_row(lambda r, at_row: _sum_of_exponentials(on, r, at_row(x), top, log_total))
        logarithms = Stream(on, on.rows, [log_total], [log_total])  # of many rows at once
        logarithms.run(lambda v: [vm._log(v[0])])
        logarithms.close()

        def row(r, at_row):
            most, less = on.from_rows(top, r), on.from_rows(log_total, r)
            on.along(lambda v: [v - most - less], [at_row(x)], [at_row(y)])

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, x, y, top, log_total), codegen


@intrinsic
def softmax_vjp_tile(typing_context, rows, width, y, g, gx, logarithm):
    """gx of each row for y = softmax(x), y (g - sum(g y)); or for its logarithm, g - e^y sum(g)."""

    def codegen(context, builder, signature, args):
        on, (y, g, gx, logarithm) = _rows(context, builder, signature, args)

        def row(r, at_row):
            with builder.if_else(builder.icmp_signed("!=", logarithm, I64(0))) as (log, plain):
                with log:
                    (total,) = on.along(lambda h: [h], [at_row(g)], totals=1)
                    on.along(lambda v, h: [h - vm._exp(v) * total], [at_row(y), at_row(g)], [at_row(gx)])
                with plain:
                    (dot,) = on.along(lambda v, h: [v * h], [at_row(y), at_row(g)], totals=1)
                    on.along(lambda v, h: [v * (h - dot)], [at_row(y), at_row(g)], [at_row(gx)])

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, y, g, gx, INT), codegen


@intrinsic
def nll_tile(typing_context, rows, width, x, target, nll, top, log_total):
    """nll = -log softmax(x)[target] of each row; top, the largest element, and log_total = log sum e^(x - top) for the slope."""

    def codegen(context, builder, signature, args):
        on, (x, target, nll, top, log_total) = _rows(context, builder, signature, args)

        def row(r, at_row):
            most = _sum_of_exponentials(on, r, at_row(x), top, log_total)
            picked = on.spread(builder.load(on.at(at_row(x), builder.load(on.at(target, r)))))
            on.to_rows(picked - most, nll, r)

        on.each_row(row)
        finish = Stream(on, on.rows, [log_total, nll], [log_total, nll])  # for many rows at once

        def last(values):
            less = vm._log(values[0])
            return [less, less - values[1]]

        finish.run(last)
        finish.close()
        return context.get_dummy_value()

    return types.void(INT, INT, x, target, nll, top, log_total), codegen


@intrinsic
def nll_vjp_tile(typing_context, rows, width, x, target, g, top, log_total, gx):
    """gx = g (softmax(x) - one_hot(target)) of each row, g a number for each."""

    def codegen(context, builder, signature, args):
        on, (x, target, g, top, log_total, gx) = _rows(context, builder, signature, args)

        def row(r, at_row):
            most, less, h = (on.from_rows(array, r) for array in (top, log_total, g))
            on.along(lambda v: [vm._exp(v - most - less) * h], [at_row(x)], [at_row(gx)])
            place = on.at(at_row(gx), builder.load(on.at(target, r)))
            builder.store(builder.fsub(builder.load(place), on.scalar(h)), place)

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, x, target, g, top, log_total, gx), codegen


@intrinsic
def layer_norm_tile(typing_context, rows, width, x, y, w, b, eps, mean, inverse):
    """y = w (x - mean) inverse + b of each row, inverse = 1 / sqrt(variance + eps)."""

    def codegen(context, builder, signature, args):
        on, (x, y, w, b, eps, mean, inverse) = _rows(context, builder, signature, args)
        share = on.spread(on.share.value)

        def row(r, at_row):
            (total,) = on.along(lambda v: [v], [at_row(x)], totals=1)
            near = total * share

            def moments(v):
                d = v - near
                return [d, d * d]

            rest, squares = on.along(moments, [at_row(x)], totals=2)
            rest = rest * share  # what rounding of the first mean has left
            m = near + rest
            variance = squares * share - rest * rest
            scale = m.of(1.0) / (variance + Number(builder, on.splat(eps)))._call("sqrt")
            on.to_rows(m, mean, r)
            on.to_rows(scale, inverse, r)
            on.along(lambda v, f, t: [((v - near - rest) * scale).fma(f, t)], [at_row(x), w, b], [at_row(y)])

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, x, y, w, b, x.dtype, mean, inverse), codegen


@intrinsic
def layer_norm_vjp_tile(typing_context, rows, width, x, g, w, mean, inverse, gx, gw, gb):
    """gx = inverse (h - mean(h) - xhat mean(h xhat)), h = g w, of each row; gw += g xhat, gb += g."""

    def codegen(context, builder, signature, args):
        on, (x, g, w, mean, inverse, gx, gw, gb) = _rows(context, builder, signature, args)
        share = on.spread(on.share.value)

        def row(r, at_row):
            m, scale = on.from_rows(mean, r), on.from_rows(inverse, r)

            def sums(v, h, f, a, b):
                xhat, product = (v - m) * scale, h * f
                return [h.fma(xhat, a), b + h, product, product * xhat]

            arrays = [at_row(x), at_row(g), w, gw, gb]
            total, dot = on.along(sums, arrays, [gw, gb], totals=2)
            total, dot = total * share, dot * share
            on.along(lambda v, h, f: [(h * f - total - (v - m) * scale * dot) * scale], [at_row(x), at_row(g), w], [at_row(gx)])

        on.each_row(row)
        return context.get_dummy_value()

    return types.void(INT, INT, x, g, w, mean, inverse, gx, gw, gb), codegen
