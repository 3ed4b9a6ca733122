"""The gates of recurrent cells, forwards and backwards, for one row of a batch: loops over whole vectors, written as formulas.

The arrays of a row may lie anywhere, so LLVM would have to prove that they do not overlap before it widens a loop over them.
These intrinsics emit the vectors themselves. Arguments are addresses; gates of `size` units each lie side by side.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .gate_math import sigmoid, tanh
from .simd import I64, VECTOR_BYTES, Code
from .vector_math import Number

TOGETHER = 2  # vectors at a time, so that one need not wait for the other's chain of operations


class Row:
    """The arrays of a row at the lanes that a loop has reached: row[name, gate] reads or writes a vector."""

    def __init__(
        self, code: Code, size: ir.Value, pointers: dict[str, ir.Value], offset: ir.Value, mask: ir.Value | None
    ) -> None:
        self.code, self.size, self.pointers, self.offset, self.mask = code, size, pointers, offset, mask

    def _place(self, name: str, gate: int) -> ir.Value:
        return self.code.at(self.pointers[name], self.code.b.mul(self.size, I64(gate)), self.offset)

    def __getitem__(self, key: tuple[str, int]) -> Number:
        return Number(self.code.b, self.code.load(self._place(*key), self.mask))

    def __setitem__(self, key: tuple[str, int], value: Number) -> None:
        self.code.store(value.value, self._place(*key), self.mask)


def _cell(names: str, *formulas: Callable[[Row], None]) -> Callable:
    """element type -> (signature, code generator): a loop over the units of a row, whose arrays have these names, per formula."""

    def emit(element):
        def codegen(context, builder, signature, args):
            lanes = TOGETHER * VECTOR_BYTES * 8 // element.bitwidth
            code, (*pointers, size) = Code(context, builder, element, lanes), args
            rows = dict(zip(names.split(), pointers, strict=True))
            for formula in formulas:

                def vector(offset, mask, formula=formula):
                    formula(Row(code, size, rows, offset, mask))

                code.vectors_and_tail(size, vector, apart=True)
            return context.get_dummy_value()

        return types.void(*[types.CPointer(element)] * len(names.split()), types.intp), codegen

    return emit


def _lstm_gates(row: Row) -> None:
    i, f, g, o = (act(row["a", k] + row["bias", k]) for k, act in enumerate((sigmoid, sigmoid, tanh, sigmoid)))
    row["after", 0] = f.fma(row["before", 0], i * g)
    for k, gate in enumerate((i, f, g, o)):
        row["a", k] = gate


def _lstm_output(row: Row) -> None:
    row["h", 0] = row["a", 3] * tanh(row["after", 0])


# Two loops: in one, the length of its longest chain of operations would count, and not their number.
_lstm_cell = _cell("a bias before after h", _lstm_gates, _lstm_output)


@intrinsic
def lstm_cell(typing_context, a, bias, before, after, h, size):
    """The gates i, f, g, o from their sums a and biases, in place; the new c in `after`, the new h."""
    return _lstm_cell(a.dtype)


def _lstm_back(row: Row) -> None:
    i, f, g, o = (row["a", k] for k in range(4))
    d, c = row["dh", 0] + row["gy", 0], row["after", 0]
    tanh_c = tanh(c)
    row["da", 3] = d * tanh_c * (o - o * o)
    d_c = row["dc", 0] + d * o * (1.0 - tanh_c * tanh_c)
    row["da", 0] = d_c * g * (i - i * i)
    row["da", 1] = d_c * row["before", 0] * (f - f * f)
    row["da", 2] = d_c * i * (1.0 - g * g)
    row["dc", 0] = d_c * f


_lstm_cell_back = _cell("a before after gy dh dc da", _lstm_back)


@intrinsic
def lstm_cell_back(typing_context, a, before, after, gy, dh, dc, da, size):
    """da, the cotangents of the sums, from gy + dh, that of h, and dc, that of c; dc becomes that of the c before."""
    return _lstm_cell_back(a.dtype)


def _gru(row: Row) -> None:
    r, z = (sigmoid(row["a", k] + row["s", k] + row["b_ih", k] + row["b_hh", k]) for k in range(2))
    m = row["s", 2] + row["b_hh", 2]
    n = tanh(r.fma(m, row["a", 2] + row["b_ih", 2]))
    row["m", 0], row["h", 0] = m, z.fma(row["before", 0] - n, n)
    for k, gate in enumerate((r, z, n)):
        row["a", k] = gate


_gru_cell = _cell("a s b_ih b_hh before m h", _gru)


@intrinsic
def gru_cell(typing_context, a, s, b_ih, b_hh, before, m, h, size):
    """The gates r, z, n, in place, from the input's sums a and the state's s; s_n with its bias in m; the new h."""
    return _gru_cell(a.dtype)


def _gru_back(row: Row) -> None:
    r, z, n = (row["a", k] for k in range(3))
    d = row["dh", 0] + row["gy", 0]
    kept = d * z
    d_n = (d - kept) * (1.0 - n * n)
    row["da", 0], row["da", 3] = d_n, d_n * r
    row["da", 1] = d_n * row["m", 0] * (r - r * r)
    row["da", 2] = d * (row["before", 0] - n) * (z - z * z)
    row["dh", 0] = kept


_gru_cell_back = _cell("a before m gy dh da", _gru_back)


@intrinsic
def gru_cell_back(typing_context, a, before, m, gy, dh, da, size):
    """da, the cotangents of n, r, z and of n's half from the state, from gy + dh; dh becomes the part that z lets through."""
    return _gru_cell_back(a.dtype)


def _tanh_unit(row: Row) -> None:
    row["h", 0] = tanh(row["a", 0] + row["bias", 0])


def _relu_unit(row: Row) -> None:
    a = row["a", 0] + row["bias", 0]
    row["h", 0] = a.or_if(a.is_("<", 0.0), 0.0)


_tanh_cell, _relu_cell = _cell("a bias h", _tanh_unit), _cell("a bias h", _relu_unit)


@intrinsic
def tanh_cell(typing_context, a, bias, h, size):
    """h = tanh(a + bias)."""
    return _tanh_cell(a.dtype)


@intrinsic
def relu_cell(typing_context, a, bias, h, size):
    """h = max(0, a + bias)."""
    return _relu_cell(a.dtype)


def _tanh_unit_back(row: Row) -> None:
    h = row["h", 0]
    row["da", 0] = (row["dh", 0] + row["gy", 0]) * (1.0 - h * h)


def _relu_unit_back(row: Row) -> None:
    d = row["dh", 0] + row["gy", 0]
    row["da", 0] = d.of(0.0).or_if(row["h", 0].is_(">", 0.0), d)


_tanh_cell_back, _relu_cell_back = _cell("h gy dh da", _tanh_unit_back), _cell("h gy dh da", _relu_unit_back)


@intrinsic
def tanh_cell_back(typing_context, h, gy, dh, da, size):
    """da = (gy + dh) (1 - h²)."""
    return _tanh_cell_back(h.dtype)


@intrinsic
def relu_cell_back(typing_context, h, gy, dh, da, size):
    """da = gy + dh where h > 0, else 0."""
    return _relu_cell_back(h.dtype)
