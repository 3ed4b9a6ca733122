"""Vector code for Numba kernels: a handful of intrinsics that emit LLVM for whole register tiles.

Numba compiles scalar loops and hopes that LLVM vectorises them. These intrinsics emit the vectors themselves, with as many
lanes as the host has (512, 256 or 128 bits) in float32 or float64. Tile sizes are literals at the call, so that every
accumulator is a register; run-time counts take care of tails.

Memory is addressed by a base pointer and tables of element offsets (int64). A negative offset stands for padding: it reads
from a block of zeros, or writes to a block that nobody reads.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import DTypeLike

from ..memory import aligned as aligned  # beside the vectors that want it

TRIPLE, _, FEATURES = cpu_target.target_context.codegen().magic_tuple()
VECTOR_BYTES = 64 if "+avx512f" in FEATURES else 32 if "+avx" in FEATURES else 16
MASKS_ARE_FREE = VECTOR_BYTES == 64
MANY_REGISTERS = VECTOR_BYTES == 64 or TRIPLE.startswith(("aarch64", "arm64"))  # 32 vector registers, else 16

# Rows of a tile of 1, 2 or 4 vectors: the accumulators, a row of vectors and a broadcast fill the register file.
ROWS_1, ROWS_2, ROWS_4 = (12, 8, 6) if MANY_REGISTERS else (12, 6, 2)
WIDEST = 4 if MANY_REGISTERS else 2
# Of a weight gradient's tile: channels of one tap, or taps of one channel.
WEIGHT_VECTORS, WEIGHT_ROWS, WEIGHT_TAPS = (2, 12, 9) if MANY_REGISTERS else (1, 12, 9)

LOOSE = {"contract", "nsz", "arcp", "reassoc"}  # never nnan or ninf: NaN and Inf must pass through
SOURCES = sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
Value: TypeAlias = ir.Value


def kernel(function: Callable) -> Callable:
    """Decorator: njit as all kernels want it. `launch.parallel` ones are cached on disk, with everything they call."""
    return njit(nogil=True, error_model="numpy", fastmath=LOOSE)(function)


def inlined(function: Callable) -> Callable:
    """Decorator for the parts of a kernel. A part compiled on its own would be optimised again in each caller."""
    return njit(nogil=True, error_model="numpy", fastmath=LOOSE, inline="always")(function)


def plain(array: np.ndarray) -> np.ndarray:
    """The array, or a copy, contiguous, aligned and writeable: for a read-only one Numba would compile anew."""
    return array if array.flags.carray else np.require(array, requirements=["C", "A", "W"])


def lanes(dtype: DTypeLike) -> int:
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class Code:
    """Emits vectors of one element type at the builder's place, as wide as the host's unless `lanes` are given."""

    def __init__(self, context, builder: ir.IRBuilder, element: types.Float, lanes: int | None = None) -> None:
        self.b = builder
        self.element = context.get_value_type(element)
        self.bytes = element.bitwidth // 8
        self.lanes = lanes or VECTOR_BYTES // self.bytes
        self.type = ir.VectorType(self.element, self.lanes)
        self.suffix = f"v{self.lanes}f{element.bitwidth}"
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def _intrinsic(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        return cgutils.get_or_insert_function(self.b.module, ir.FunctionType(result, arguments), f"llvm.{name}")

    def at(self, pointer: Value, *offsets: Value | int) -> Value:
        """pointer + offsets, in elements."""
        for offset in offsets:
            if not isinstance(offset, int):
                pointer = self.b.gep(pointer, [offset])
            elif offset:
                pointer = self.b.gep(pointer, [I64(offset)])
        return pointer

    def places(self, base: Value, table: Value, count: int, padding: Value) -> list[Value]:
        """`count` pointers: base + table[i], or `padding` where that is negative."""
        offsets = [self.b.load(self.at(table, i)) for i in range(count)]
        return [self.b.select(self.b.icmp_signed("<", o, I64(0)), padding, self.at(base, o)) for o in offsets]

    def splat(self, scalar: Value) -> Value:
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.b.insert_element(undefined, scalar, I32(0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes))

    def splat_bit(self, bit: Value) -> Value:
        """A mask of lanes that all have this bit."""
        undefined = ir.Constant(ir.VectorType(I1, self.lanes), ir.Undefined)
        first = self.b.insert_element(undefined, self.b.trunc(bit, I1) if bit.type != I1 else bit, I32(0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.b.call(self._intrinsic(f"fmuladd.{self.suffix}", self.type, [self.type] * 3), [a, b, c])

    def larger(self, value: Value, best: Value) -> Value:
        """Where `value` is the new maximum: the first of equals stays, a NaN wins over everything before it."""
        unordered = self.b.fcmp_unordered(">", value, best)  # or either is NaN
        known = self.b.or_(self.b.fcmp_ordered("ord", best, best), self.b.fcmp_unordered("uno", value, value))
        return self.b.and_(unordered, known)

    def total(self, vector: Value) -> Value:
        """Sum of the lanes, in any order."""
        function = self._intrinsic(f"vector.reduce.fadd.{self.suffix}", self.element, [self.element, self.type])
        return self.b.call(function, [ir.Constant(self.element, -0.0), vector], fastmath=("reassoc",))

    def first(self, count: Value) -> Value:
        """Mask of the lanes below `count`."""
        wide = ir.VectorType(I64, self.lanes)
        counts = self.b.insert_element(ir.Constant(wide, ir.Undefined), count, I32(0))
        same = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        counts = self.b.shuffle_vector(counts, ir.Constant(wide, ir.Undefined), same)
        return self.b.icmp_signed("<", ir.Constant(wide, list(range(self.lanes))), counts)

    def only_if(self, condition: Value, mask: Value | None = None) -> Value:
        """The mask, or all lanes, where the condition holds; else none."""
        kind = ir.VectorType(I1, self.lanes)
        whole = ir.Constant(kind, [True] * self.lanes) if mask is None else mask
        return self.b.select(condition, whole, ir.Constant(kind, [False] * self.lanes))

    def load(self, pointer: Value, mask: Value | None = None) -> Value:
        address = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            value = self.b.load(address)
            value.align = self.bytes
            return value
        arguments = [address.type, I32, mask.type, self.type]
        function = self._intrinsic(f"masked.load.{self.suffix}.p0", self.type, arguments)
        return self.b.call(function, [address, I32(self.bytes), mask, self.zero])

    def store(self, value: Value, pointer: Value, mask: Value | None = None) -> None:
        address = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            self.b.store(value, address).align = self.bytes
            return
        arguments = [self.type, address.type, I32, mask.type]
        function = self._intrinsic(f"masked.store.{self.suffix}.p0", ir.VoidType(), arguments)
        self.b.call(function, [value, address, I32(self.bytes), mask])

    def prefetch(self, pointer: Value) -> None:
        """Bring the cache line at the pointer, which need not be valid, into the second-level cache."""
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
        function = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(function, [pointer, I32(0), I32(2), I32(1)])

    def store_round_cache(self, value: Value, pointer: Value) -> None:
        """Store a whole vector at an aligned place, without fetching what the memory held into the cache."""
        store = self.b.store(value, self.b.bitcast(pointer, self.type.as_pointer()))
        store.align = VECTOR_BYTES
        store.set_metadata("nontemporal", self.b.module.add_metadata([I32(1)]))

    def store_places(self, value: Value, pointer: Value, mask: Value | None = None) -> None:
        """Store as many int64 as there are lanes."""
        address = self.b.bitcast(pointer, value.type.as_pointer())
        if mask is None:
            self.b.store(value, address).align = 8
            return
        arguments = [value.type, address.type, I32, mask.type]
        function = self._intrinsic(f"masked.store.v{self.lanes}i64.p0", ir.VoidType(), arguments)
        self.b.call(function, [value, address, I32(8), mask])

    def load_bytes(self, pointer: Value, mask: Value | None = None) -> Value:
        """Load as many bytes as there are lanes."""
        kind = ir.VectorType(ir.IntType(8), self.lanes)
        address = self.b.bitcast(pointer, kind.as_pointer())
        if mask is None:
            value = self.b.load(address)
            value.align = 1
            return value
        function = self._intrinsic(f"masked.load.v{self.lanes}i8.p0", kind, [address.type, I32, mask.type, kind])
        return self.b.call(function, [address, I32(1), mask, ir.Constant(kind, [0] * self.lanes)])

    def store_bytes(self, value: Value, pointer: Value, mask: Value | None = None) -> None:
        """Store as many bytes as there are lanes."""
        address = self.b.bitcast(pointer, value.type.as_pointer())
        if mask is None:
            self.b.store(value, address).align = 1
            return
        function = self._intrinsic(f"masked.store.v{self.lanes}i8.p0", ir.VoidType(), [value.type, address.type, I32, mask.type])
        self.b.call(function, [value, address, I32(1), mask])

    def loop(self, trips: Value, carried: list[Value], body: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
        """for i in range(trips): carried = body(i, carried); at least one trip."""
        before, head, end = self.b.block, self.b.append_basic_block(), self.b.append_basic_block()
        self.b.branch(head)
        self.b.position_at_end(head)
        i, phis = self.b.phi(I64), [self.b.phi(value.type) for value in carried]
        results = body(i, phis)
        following = self.b.add(i, I64(1))
        for phi, old, new in zip([i, *phis], [I64(0), *carried], [following, *results], strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, self.b.block)
        self.b.cbranch(self.b.icmp_signed("<", following, trips), head, end)
        self.b.position_at_end(end)
        return results

    def vectors_and_tail(self, count: Value, body: Callable[[Value, Value | None], object], apart: bool = False) -> None:
        """body(offset, mask) for every vector of `count` elements; the mask may be None but for a last, partial one.

        It is None there if they are `apart`, for twice the code to compile.
        """
        if MASKS_ARE_FREE and not apart:
            vectors = self.b.udiv(self.b.add(count, I64(self.lanes - 1)), I64(self.lanes))

            def masked(i: Value, carried: list[Value]) -> list[Value]:
                start = self.b.mul(i, I64(self.lanes))
                body(start, self.first(self.b.sub(count, start)))
                return carried

            with self.b.if_then(self.b.icmp_signed(">", vectors, I64(0))):
                self.loop(vectors, [], masked)
            return
        whole, rest = self.b.udiv(count, I64(self.lanes)), self.b.urem(count, I64(self.lanes))

        def step(i: Value, carried: list[Value]) -> list[Value]:
            body(self.b.mul(i, I64(self.lanes)), None)
            return carried

        with self.b.if_then(self.b.icmp_signed(">", whole, I64(0))):
            self.loop(whole, [], step)
        with self.b.if_then(self.b.icmp_signed(">", rest, I64(0))):
            body(self.b.mul(whole, I64(self.lanes)), self.first(rest))


@intrinsic
def at(typing_context, array, offset):
    """Address of element `offset` of an array's memory.

    It does not keep the array alive. Numba frees a local array after its last mention: take the address where it is used,
    inside the loop, so that the array lives until the loop is over.
    """

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, types.intp), codegen


@intrinsic
def shifted(typing_context, pointer, offset):
    """pointer + offset elements."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), codegen
