"""Recurrent layers over whole sequences, and their single steps (cells). The formulas are in nnscratch.ops.recurrent."""

from __future__ import annotations

import math
from typing import Any

from .. import backend, ops
from ..ops import recurrent
from ..tensor import Tensor, array_of
from . import init
from .linear import new_parameter
from .module import Module
from .utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class _Recurrent(Module):
    """Uniform initial weights on ±1/sqrt(hidden_size)."""

    gates: int  # rows of the weights, in hidden sizes
    hidden_size: int

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)


class RNNBase(_Recurrent):
    """What RNN, LSTM and GRU share: weights per layer k and direction under the names weight_ih_lk, weight_hh_lk, bias_ih_lk,
    bias_hh_lk (and weight_hr_lk with a projection), the backward direction's with the suffix _reverse."""

    def __init__(
        self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, proj_size=0
    ):
        super().__init__()
        name = type(self).__name__
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout should be a number in [0, 1], got {dropout!r}")
        if hidden_size <= 0 or num_layers <= 0:
            raise ValueError(f"{name}: hidden_size and num_layers must be positive, got {hidden_size} and {num_layers}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size must be at least 0 and smaller than hidden_size={hidden_size}, got {proj_size}")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = batch_first, float(dropout), bidirectional, proj_size
        rows, state = self.gates * hidden_size, proj_size or hidden_size
        self._names = []
        for layer in range(num_layers):
            width = input_size if layer == 0 else state * (2 if bidirectional else 1)
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, state), "bias_ih": (rows,), "bias_hh": (rows,)}
            shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[: 2 if bidirectional else 1]:
                names = [
                    "weight_ih",
                    "weight_hh",
                    *(("bias_ih", "bias_hh") if bias else ()),
                    *(("weight_hr",) if proj_size else ()),
                ]
                for what in names:
                    self.register_parameter(f"{what}_l{layer}{suffix}", new_parameter(shapes[what], device, dtype))
                self._names.append([f"{what}_l{layer}{suffix}" for what in names])
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def flatten_parameters(self) -> None:
        """Nothing: torch's scripts call it to lay weights out for cuDNN."""

    def _weights(self) -> list[tuple]:
        """As ops.recurrent takes them: (w_ih, w_hh, b_ih, b_hh[, w_hr])."""
        return [tuple(w) if self.bias else (*w[:2], None, None, *w[2:]) for w in self.all_weights]

    def _run(self, x: Any, states: tuple, batch_first: bool, lengths: Any) -> tuple:
        raise NotImplementedError

    def _call(self, input: Any, states: tuple) -> tuple:
        """(output, *last states); a PackedSequence is run padded, with its lengths, and packed again."""
        if not isinstance(input, PackedSequence):
            return self._run(input, states, self.batch_first, None)
        padded, lengths = pad_packed_sequence(input)
        output, *last = self._run(padded, states, False, lengths)
        if input.sorted_indices is not None:
            output = ops.index_select(output, 1, input.sorted_indices)
            lengths = ops.index_select(lengths, 0, input.sorted_indices)
        packed = pack_padded_sequence(output, lengths)
        return (packed._replace(sorted_indices=input.sorted_indices, unsorted_indices=input.unsorted_indices), *last)

    def extra_repr(self) -> str:
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        shown = [f"{k}={getattr(self, k)}" for k, default in defaults.items() if getattr(self, k) != default]
        return ", ".join([f"{self.input_size}", f"{self.hidden_size}", *shown])


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu (Elman 1990).

    forward(input, hx=None) -> (output, h_n): input (T, N, input_size), (N, T, input_size) with batch_first, (T, input_size), or a
    PackedSequence; hx and h_n (layers · directions, N, hidden_size); output (T, N, directions · hidden_size).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: unknown nonlinearity {nonlinearity!r}, select from 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    def _run(self, x: Any, states: tuple, batch_first: bool, lengths: Any) -> tuple:
        return recurrent.rnn(
            x,
            states[0],
            self._weights(),
            nonlinearity=self.nonlinearity,
            bidirectional=self.bidirectional,
            batch_first=batch_first,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
        )

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        return self._call(input, (hx,))


class LSTM(RNNBase):
    """i, f, o = sigmoid and g = tanh of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh; c_t = f c_(t-1) + i g; h_t = o tanh c_t
    (Hochreiter & Schmidhuber 1997; with proj_size, h_t = W_hr (o tanh c_t): Sak et al. 2014). Rows of the weights: i, f, g, o.

    forward(input, (h_0, c_0)=None) -> (output, (h_n, c_n)), shapes as in RNN; h has size proj_size if that is given.
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, proj_size)

    def _run(self, x: Any, states: tuple, batch_first: bool, lengths: Any) -> tuple:
        return recurrent.lstm(
            x,
            states[0],
            states[1],
            self._weights(),
            bidirectional=self.bidirectional,
            batch_first=batch_first,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        output, h, c = self._call(input, (None, None) if hx is None else tuple(hx))
        return output, (h, c)


class GRU(RNNBase):
    """r, z = sigmoid of W x + b + W h + b; n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h_t = (1 - z) n + z h_(t-1)
    (Cho et al. 2014). Rows of the weights: r, z, n.

    forward(input, hx=None) -> (output, h_n), shapes as in RNN.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def _run(self, x: Any, states: tuple, batch_first: bool, lengths: Any) -> tuple:
        return recurrent.gru(
            x,
            states[0],
            self._weights(),
            bidirectional=self.bidirectional,
            batch_first=batch_first,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
        )

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        return self._call(input, (hx,))


class RNNCellBase(_Recurrent):
    """What the cells share: weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias, device, dtype):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            wanted = bias or name.startswith("weight")
            self.register_parameter(name, new_parameter(shape, device, dtype) if wanted else None)
        self.reset_parameters()

    def _weights(self) -> tuple:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _zeros(self, input: Tensor) -> Tensor:
        """The initial state when none is given."""
        array = array_of(input)
        return Tensor(backend.array_module(array).zeros((*array.shape[:-1], self.hidden_size), array.dtype))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: (N, input_size) and (N, hidden_size), or both without N."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: unknown nonlinearity {nonlinearity!r}, select from 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        step = recurrent.rnn_tanh_cell if self.nonlinearity == "tanh" else recurrent.rnn_relu_cell
        return step(input, self._zeros(input) if hx is None else hx, *self._weights())

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of LSTM: forward(x, (h, c)=None) -> (h', c')."""

    gates = 4

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            zeros = self._zeros(input)
            hx = (zeros, zeros)
        return recurrent.lstm_cell(input, hx, *self._weights())


class GRUCell(RNNCellBase):
    """One step of GRU: forward(x, h=None) -> h'."""

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return recurrent.gru_cell(input, self._zeros(input) if hx is None else hx, *self._weights())
