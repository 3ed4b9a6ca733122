"""One direction of one LSTM layer over a whole sequence, as one op."""

from __future__ import annotations

from ...autograd import fused, is_grad_enabled
from ...kernels import recurrent
from ..linalg import linear
from .cells import lstm_step
from .steps import Sizes, unroll


def _definition(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, *, sizes: Sizes = None, reverse: bool = False):
    def step(gates, h, c):
        return lstm_step(gates + linear(h, w_hh, b_hh), c, w_hr)

    return unroll(step, linear(x, w_ih, b_ih), (h0, c0), sizes, reverse)


@fused(_definition)
def lstm_sequence(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, *, sizes: Sizes = None, reverse: bool = False):
    """(y, h_n, c_n) of x (T, N, F), h0 (N, P), c0 (N, H), w_ih (4H, F), w_hh (4H, P), in the order i, f, g, o.

    b_ih, b_hh: (4H) or None; w_hr: (P, H), or None where P = H. sizes, reverse: see steps.py.
    """
    weights = (w_ih, w_hh, b_ih, b_hh, w_hr)
    return recurrent.forward("lstm", x, (h0, c0), weights, sizes=sizes, reverse=reverse, keep=is_grad_enabled())


@lstm_sequence.backward
def _(g, _y, residuals, needs, x, h0, c0, *weights, sizes: Sizes = None, reverse: bool = False):
    return recurrent.backward("lstm", g, residuals, needs, x, (h0, c0), weights, sizes=sizes, reverse=reverse)
