"""Loops over flat memory, vector by vector: some arrays in, some out, and sums on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from .simd import I64, Code
from .vector_math import Number


class Stream:
    """`count` elements of each source, in whole vectors, and what is made of them into the targets.

    The last vector may be short: its elements are then in a block of their own, so that one loop without masks does for all.
    What a formula makes of the rest of that block (zeros) is thrown away.
    """

    def __init__(self, code: Code, count: ir.Value, sources: Sequence[ir.Value], targets: Sequence[ir.Value]) -> None:
        self.code, b = code, code.b
        self.count, self.sources, self.targets = count, sources, targets
        self.whole, self.rest = b.udiv(count, I64(code.lanes)), b.urem(count, I64(code.lanes))
        self.vectors = b.add(self.whole, b.zext(b.icmp_signed(">", self.rest, I64(0)), I64))
        self.blocks = [self._block() for _ in (*sources, *targets)]
        for block, source in zip(self.blocks, sources):
            b.store(code.zero, block)
            self._copy(self._element(block), self._end(source))

    def _block(self) -> ir.Value:
        block = cgutils.alloca_once(self.code.b, self.code.type)
        block.align = self.code.bytes * self.code.lanes
        return block

    def _element(self, block: ir.Value) -> ir.Value:
        return self.code.b.bitcast(block, self.code.element.as_pointer())

    def _end(self, array: ir.Value) -> ir.Value:
        return self.code.at(array, self.code.b.mul(self.whole, I64(self.code.lanes)))

    def _copy(self, target: ir.Value, source: ir.Value) -> None:
        cgutils.raw_memcpy(self.code.b, target, source, self.rest, self.code.bytes)

    def run(self, formula: Callable[[list[Number]], Sequence[Number]]) -> None:
        """A loop of targets = formula(sources)."""
        code, b = self.code, self.code.b

        def step(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            inside, offset = b.icmp_signed("<", i, self.whole), b.mul(i, I64(code.lanes))
            places = [
                b.select(inside, code.at(array, offset), self._element(block))
                for array, block in zip((*self.sources, *self.targets), self.blocks)
            ]
            values = formula([Number(b, code.load(place)) for place in places[: len(self.sources)]])
            for value, place in zip(values, places[len(self.sources) :]):
                code.store(value.value, place)
            return carried

        with b.if_then(b.icmp_signed(">", self.vectors, I64(0))):
            code.loop(self.vectors, [], step)

    def total(self, formula: Callable[[list[Number]], Number]) -> ir.Value:
        """A vector whose lanes add up to the sum of formula(sources)."""
        code, b = self.code, self.code.b
        sums = cgutils.alloca_once_value(b, code.zero)

        def step(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            inside, offset = b.icmp_signed("<", i, self.whole), b.mul(i, I64(code.lanes))
            places = [
                b.select(inside, code.at(array, offset), self._element(block)) for array, block in zip(self.sources, self.blocks)
            ]
            value = formula([Number(b, code.load(place)) for place in places]).value
            return [b.fadd(carried[0], b.select(code.first(b.sub(self.count, offset)), value, code.zero))]

        with b.if_then(b.icmp_signed(">", self.vectors, I64(0))):
            b.store(code.loop(self.vectors, [code.zero], step)[0], sums)
        return b.load(sums)

    def choose(self, kind: ir.Value, emitters: Sequence[Callable[[], ir.Value | None]], default: ir.Value | None = None):
        """What the emitter with the number `kind` emits: its value, where a `default` is given."""
        b = self.code.b
        place = None if default is None else cgutils.alloca_once_value(b, default)
        end = b.append_basic_block("end")
        switch = b.switch(kind, end)
        for number, emit in enumerate(emitters):
            block = b.append_basic_block("case")
            switch.add_case(I64(number), block)
            b.position_at_end(block)
            value = emit()
            if place is not None:
                b.store(value, place)
            b.branch(end)
        b.position_at_end(end)
        return None if place is None else b.load(place)

    def close(self) -> None:
        """Write the short last vectors."""
        for block, target in zip(self.blocks[len(self.sources) :], self.targets):
            self._copy(self._end(target), self._element(block))
