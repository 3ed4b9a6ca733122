"""One direction of one plain recurrent layer over a whole sequence, as one op."""

from __future__ import annotations

from ...autograd import fused, is_grad_enabled
from ...kernels import recurrent
from ..activation import relu
from ..linalg import linear
from ..trigonometric import tanh
from .steps import Sizes, unroll


def _definition(x, h0, w_ih, w_hh, b_ih, b_hh, *, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    activation = tanh if nonlinearity == "tanh" else relu

    def step(a, h):
        return (activation(a + linear(h, w_hh, b_hh)),)

    return unroll(step, linear(x, w_ih, b_ih), (h0,), sizes, reverse)


@fused(_definition)
def rnn_sequence(x, h0, w_ih, w_hh, b_ih, b_hh, *, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    """(y, h_n) of h' = tanh(W_ih x[t] + b_ih + W_hh h + b_hh), or max(0, ...): x (T, N, F), h0 (N, H), w_ih (H, F), w_hh (H, H).

    b_ih, b_hh: (H) or None. sizes, reverse: see steps.py.
    """
    weights = (w_ih, w_hh, b_ih, b_hh)
    return recurrent.forward(nonlinearity, x, (h0,), weights, sizes=sizes, reverse=reverse, keep=is_grad_enabled())


@rnn_sequence.backward
def _(g, _y, residuals, needs, x, h0, *weights, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    return recurrent.backward(nonlinearity, g, residuals, needs, x, (h0,), weights, sizes=sizes, reverse=reverse)
