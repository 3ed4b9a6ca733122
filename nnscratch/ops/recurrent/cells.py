"""One step of a recurrent network. The fused sequences take their definitions from the same equations."""

from __future__ import annotations

from typing import Any

from ..activation import relu
from ..linalg import linear
from ..shape import chunk
from ..trigonometric import sigmoid, tanh

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]


def lstm_step(gates: Any, c: Any, w_hr: Any = None) -> tuple[Any, Any]:
    """(h', c') from the gates i, f, g, o side by side: c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c')."""
    i, f, g, o = chunk(gates, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if w_hr is None else linear(h, w_hr)), c


def gru_step(from_input: Any, from_state: Any, h: Any) -> Any:
    """h' = n + σ(z) (h - n) with n = tanh(n_x + σ(r) n_h), from the two halves of the gates (r, z, n side by side)."""
    r_x, z_x, n_x = chunk(from_input, 3, -1)
    r_h, z_h, n_h = chunk(from_state, 3, -1)
    n = tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return n + sigmoid(z_x + z_h) * (h - n)


def _check_cell(name: str, input: Any, state: Any, w_ih: Any, w_hh: Any, gates: int) -> None:
    if input.ndim not in (1, 2) or state.ndim != input.ndim:
        raise ValueError(
            f"{name}: input of shape {tuple(input.shape)} and state of shape {tuple(state.shape)}; "
            "expected (N, input_size) and (N, hidden_size), or both without N"
        )
    hidden, features = w_hh.shape[1], w_ih.shape[1]
    if tuple(w_hh.shape) != (gates * hidden, hidden) or w_ih.shape[0] != gates * hidden:
        raise ValueError(
            f"{name}: w_ih of shape {tuple(w_ih.shape)} and w_hh of shape {tuple(w_hh.shape)}; "
            f"expected ({gates}·hidden_size, input_size) and ({gates}·hidden_size, hidden_size)"
        )
    expected = (*input.shape[:-1], hidden)
    if input.shape[-1] != features or tuple(state.shape) != expected:
        raise ValueError(
            f"{name}: input of shape {tuple(input.shape)} and state of shape {tuple(state.shape)}; the weights expect "
            f"{(*input.shape[:-1], features)} and {expected}"
        )


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    input: (N, input_size) or (input_size); hx: (N, hidden_size) or (hidden_size). Raises ValueError for shapes.
    """
    _check_cell("rnn_tanh_cell", input, hx, w_ih, w_hh, 1)
    return tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """h' = max(0, W_ih x + b_ih + W_hh h + b_hh); shapes and errors as `rnn_tanh_cell`."""
    _check_cell("rnn_relu_cell", input, hx, w_ih, w_hh, 1)
    return relu(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def lstm_cell(input: Any, hx: tuple[Any, Any], w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """(h', c') of a long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, g, o = W_ih x + b_ih + W_hh h + b_hh; c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c').
    input: (N, input_size) or (input_size); hx = (h, c): (N, hidden_size) or (hidden_size) each; weights: (4·hidden_size, ...).
    Raises ValueError for shapes.
    """
    h, c = hx
    _check_cell("lstm_cell", input, h, w_ih, w_hh, 4)
    _check_cell("lstm_cell", input, c, w_ih, w_hh, 4)
    return lstm_step(linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh), c)


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """h' of a gated recurrent unit (Cho et al. 2014; the reset gate is applied after the matrix, as in torch and cuDNN).

    r, z = σ(W x + b + W h + b) and n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h' = (1 - z) n + z h. input: (N, input_size) or
    (input_size); hx: (N, hidden_size) or (hidden_size); weights: (3·hidden_size, ...). Raises ValueError for shapes.
    """
    _check_cell("gru_cell", input, hx, w_ih, w_hh, 3)
    return gru_step(linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh), hx)
