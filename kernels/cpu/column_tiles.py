"""Passes over the rows of a matrix whose columns are independent: sums down each column, and maps with a number for each column.

A tile is some vectors of neighbouring columns, whose sums and numbers stay in registers over all rows.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, WIDEST, Code, Value

INT = types.intp
TOGETHER = 64  # rows whose sum is formed before it is added to the sum of all: rounding errors grow with the longer of the two


class Columns(Code):
    """Emits passes over `rows` rows, `stride` elements apart, of `width` columns."""

    def __init__(self, context, builder: ir.IRBuilder, element: types.Float, rows: Value, width: Value, stride: Value) -> None:
        super().__init__(context, builder, element)
        self.rows, self.width, self.stride = rows, width, stride

    def tiles(self, body: Callable[[Callable, Callable, int], None]) -> None:
        """body(load, store, vectors) for each tile of columns: load(array, row) -> vectors, store(vectors, array, row)."""
        b = self.b
        wide = I64(WIDEST * self.lanes)
        whole = b.udiv(self.width, wide)
        with b.if_then(b.icmp_signed(">", whole, I64(0))):
            self.loop(whole, [], lambda i, carried: self._tile(body, b.mul(i, wide), WIDEST, None, carried))
        start = b.mul(whole, wide)
        self.vectors_and_tail(b.sub(self.width, start), lambda c, mask: self._tile(body, b.add(start, c), 1, mask, []))

    def _tile(self, body: Callable, column: Value, vectors: int, mask: Value | None, carried: list[Value]) -> list[Value]:
        def place(array, row, v):
            return self.at(array, column if row is None else self.b.add(column, self.b.mul(row, self.stride)), v * self.lanes)

        def load(array, row=None):
            return [self.load(place(array, row, v), mask) for v in range(vectors)]

        def store(values, array, row=None):
            for v, value in enumerate(values):
                self.store(value, place(array, row, v), mask)

        body(load, store, vectors)
        return carried

    def sums(
        self, vectors: int, terms: int, term: Callable[[Value, list[list[Value]]], Sequence[list[Value]]]
    ) -> list[list[Value]]:
        """For `terms` sums over all rows: term(row, partial sums) adds a row. Sums of some rows are formed first."""
        b, zeros = self.b, [self.zero] * (vectors * terms)

        def grouped(flat: list[Value]) -> list[list[Value]]:
            return [flat[i : i + vectors] for i in range(0, len(flat), vectors)]

        def block(i: Value, total: list[Value]) -> list[Value]:
            first = b.mul(i, I64(TOGETHER))
            left = b.sub(self.rows, first)
            count = b.select(b.icmp_signed("<", left, I64(TOGETHER)), left, I64(TOGETHER))
            rows = self.loop(count, zeros, lambda r, part: [*chain(*term(b.add(first, r), grouped(part)))])
            return [b.fadd(x, y) for x, y in zip(total, rows)]

        blocks = b.udiv(b.add(self.rows, I64(TOGETHER - 1)), I64(TOGETHER))
        return grouped(self.loop(blocks, zeros, block))

    def dots(self, vectors: int, load_x: Callable, load_g: Callable, middle: list[Value]) -> list[list[Value]]:
        """Sums over all rows of g and g (x - middle), g given as load_g(row, x - middle)."""

        def term(r: Value, parts: list[list[Value]]) -> tuple[list[Value], list[Value]]:
            away = [self.b.fsub(v, m) for v, m in zip(load_x(r), middle)]
            given = load_g(r, away)
            sums, dots = parts
            return [self.b.fadd(s, h) for s, h in zip(sums, given)], [self.fma(h, d, s) for s, h, d in zip(dots, given, away)]

        return self.sums(vectors, 2, term)

    def each_row(self, step: Callable[[Value], None]) -> None:
        def one(r: Value, carried: list[Value]) -> list[Value]:
            step(r)
            return carried

        self.loop(self.rows, [], one)


def store_all(store: Callable, values: list[list[Value]], *arrays: Value) -> None:
    for vectors, array in zip(values, arrays):
        store(vectors, array)


def _columns(context, builder, signature, args) -> tuple:
    """Columns for arguments that begin with rows, width, stride; and the arguments left."""
    element = next(a.dtype for a in signature.args if isinstance(a, types.CPointer))
    return Columns(context, builder, element, *args[:3]), args[3:]


@intrinsic
def moments_tile(typing_context, rows, width, stride, x, middle, first, second):
    """For each column: middle, a number near its mean; first = sum(x - middle), second = sum((x - middle)²). rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, middle, first, second) = _columns(context, builder, signature, args)
        b = builder
        few = b.select(b.icmp_signed("<", columns.rows, I64(TOGETHER)), columns.rows, I64(TOGETHER))
        share = columns.splat(b.fdiv(columns.element(1.0), b.sitofp(few, columns.element)))

        def tile(load, store, vectors):
            zeros = [columns.zero] * vectors
            total = columns.loop(few, zeros, lambda r, part: [b.fadd(s, v) for s, v in zip(part, load(x, r))])
            near = [b.fmul(s, share) for s in total]

            def term(r, parts):
                away = [b.fsub(v, m) for v, m in zip(load(x, r), near)]
                sums, squares = parts
                return [b.fadd(s, d) for s, d in zip(sums, away)], [columns.fma(d, d, s) for s, d in zip(squares, away)]

            sums, squares = columns.sums(vectors, 2, term)
            store_all(store, [near, sums, squares], middle, first, second)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, middle, first, second), codegen


class Activation:
    """act(v) = v where v > 0, else slope v; 0 at -inf and for a cotangent of inf where the slope is 0. Constants of a tile."""

    def __init__(self, columns: Columns, slope: Value) -> None:
        self.b, self.columns, self.slope = columns.b, columns, columns.splat(slope)
        self.flat = columns.splat_bit(self.b.fcmp_ordered("==", slope, columns.element(0.0)))

    def __call__(self, value: Value, g: Value | None = None) -> Value:
        """act(value), or with g: g act'(value)."""
        b, given = self.b, value if g is None else g
        below = b.select(self.flat, self.columns.zero, b.fmul(given, self.slope))
        return b.select(b.fcmp_unordered(">", value, self.columns.zero), given, below)


@intrinsic
def dots_tile(typing_context, rows, width, stride, x, g, middle, first, second):
    """For each column: first = sum(g), second = sum(g (x - middle)). rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, g, middle, first, second) = _columns(context, builder, signature, args)

        def tile(load, store, vectors):
            near = load(middle)
            store_all(store, columns.dots(vectors, lambda r: load(x, r), lambda r, away: load(g, r), near), first, second)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, middle, first, second), codegen


@intrinsic
def act_dots_tile(typing_context, rows, width, stride, x, g, middle, scale, shift, slope, first, second):
    """As dots_tile with g act'((x - middle) scale + shift) in the place of g."""

    def codegen(context, builder, signature, args):
        columns, (x, g, middle, scale, shift, slope, first, second) = _columns(context, builder, signature, args)
        act = Activation(columns, slope)

        def tile(load, store, vectors):
            near, factors, terms = load(middle), load(scale), load(shift)

            def cotangent(r, away):
                return [act(columns.fma(d, s, t), h) for d, s, t, h in zip(away, factors, terms, load(g, r))]

            store_all(store, columns.dots(vectors, lambda r: load(x, r), cotangent, near), first, second)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, middle, scale, shift, x.dtype, first, second), codegen


@intrinsic
def affine_tile(typing_context, rows, width, stride, x, y, middle, scale, shift, slope):
    """y = act((x - middle) scale + shift), with a number for each column. rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, y, middle, scale, shift, slope) = _columns(context, builder, signature, args)
        act = Activation(columns, slope)

        def tile(load, store, vectors):
            numbers = [load(array) for array in (middle, scale, shift)]

            def row(r):
                store([act(columns.fma(builder.fsub(v, m), s, t)) for v, m, s, t in zip(load(x, r), *numbers)], y, r)

            columns.each_row(row)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, y, middle, scale, shift, x.dtype), codegen


@intrinsic
def combine_tile(typing_context, rows, width, stride, x, g, y, middle, scale, lean, constant):
    """y = g scale + (x - middle) lean + constant, with a number for each column. rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, g, y, middle, scale, lean, constant) = _columns(context, builder, signature, args)

        def tile(load, store, vectors):
            numbers = [load(array) for array in (middle, scale, lean, constant)]

            def row(r):
                values = zip(load(x, r), load(g, r), *numbers)
                store([columns.fma(h, s, columns.fma(builder.fsub(v, m), k, c)) for v, h, m, s, k, c in values], y, r)

            columns.each_row(row)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, y, middle, scale, lean, constant), codegen


@intrinsic
def act_combine_tile(typing_context, rows, width, stride, x, g, y, middle, scale, shift, slope, lean, constant):
    """As combine_tile with g act'((x - middle) scale + shift) in the place of g."""

    def codegen(context, builder, signature, args):
        columns, (x, g, y, middle, scale, shift, slope, lean, constant) = _columns(context, builder, signature, args)
        act = Activation(columns, slope)

        def tile(load, store, vectors):
            numbers = [load(array) for array in (middle, scale, shift, lean, constant)]

            def one(v, h, m, s, t, k, c):
                d = builder.fsub(v, m)
                return columns.fma(act(columns.fma(d, s, t), h), s, columns.fma(d, k, c))

            columns.each_row(lambda r: store([one(*values) for values in zip(load(x, r), load(g, r), *numbers)], y, r))

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, y, middle, scale, shift, x.dtype, lean, constant), codegen
