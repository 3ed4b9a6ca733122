"""Passes over the rows of a matrix whose columns are independent: sums down each column, and maps with a number for each column.

A tile is some vectors of neighbouring columns, whose sums and numbers stay in registers over all rows.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable
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

    def sums(self, vectors: int, terms: int, term: Callable[[Value, list[list[Value]]], list[list[Value]]]) -> list[list[Value]]:
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

    def each_row(self, step: Callable[[Value], None]) -> None:
        def one(r: Value, carried: list[Value]) -> list[Value]:
            step(r)
            return carried

        self.loop(self.rows, [], one)


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
            store(near, middle)
            store(sums, first)
            store(squares, second)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, middle, first, second), codegen


@intrinsic
def dots_tile(typing_context, rows, width, stride, x, g, middle, first, second):
    """For each column: first = sum(g), second = sum(g (x - middle)). rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, g, middle, first, second) = _columns(context, builder, signature, args)
        b = builder

        def tile(load, store, vectors):
            near = load(middle)

            def term(r, parts):
                given = load(g, r)
                away = [b.fsub(v, m) for v, m in zip(load(x, r), near)]
                sums, dots = parts
                return [b.fadd(s, h) for s, h in zip(sums, given)], [columns.fma(h, d, s) for s, h, d in zip(dots, given, away)]

            sums, dots = columns.sums(vectors, 2, term)
            store(sums, first)
            store(dots, second)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, middle, first, second), codegen


@intrinsic
def affine_tile(typing_context, rows, width, stride, x, y, middle, scale, shift):
    """y = (x - middle) scale + shift, with a number for each column. rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, y, middle, scale, shift) = _columns(context, builder, signature, args)

        def tile(load, store, vectors):
            numbers = [load(array) for array in (middle, scale, shift)]

            def row(r):
                store([columns.fma(builder.fsub(v, m), s, t) for v, m, s, t in zip(load(x, r), *numbers)], y, r)

            columns.each_row(row)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, y, middle, scale, shift), codegen


@intrinsic
def combine_tile(typing_context, rows, width, stride, x, g, y, middle, scale, slope, constant):
    """y = g scale + (x - middle) slope + constant, with a number for each column. rows >= 1."""

    def codegen(context, builder, signature, args):
        columns, (x, g, y, middle, scale, slope, constant) = _columns(context, builder, signature, args)

        def tile(load, store, vectors):
            numbers = [load(array) for array in (middle, scale, slope, constant)]

            def row(r):
                values = zip(load(x, r), load(g, r), *numbers)
                store([columns.fma(h, s, columns.fma(builder.fsub(v, m), k, c)) for v, h, m, s, k, c in values], y, r)

            columns.each_row(row)

        columns.tiles(tile)
        return context.get_dummy_value()

    return types.void(INT, INT, INT, x, g, y, middle, scale, slope, constant), codegen
