"""One direction of one GRU layer over a whole sequence, as one op."""

from __future__ import annotations

from ...autograd import fused, is_grad_enabled
from ...kernels import recurrent
from ..linalg import linear
from .cells import gru_step
from .steps import Sizes, unroll


def _definition(x, h0, w_ih, w_hh, b_ih, b_hh, *, sizes: Sizes = None, reverse: bool = False):
    def step(from_input, h):
        return (gru_step(from_input, linear(h, w_hh, b_hh), h),)

    return unroll(step, linear(x, w_ih, b_ih), (h0,), sizes, reverse)


@fused(_definition)
def gru_sequence(x, h0, w_ih, w_hh, b_ih, b_hh, *, sizes: Sizes = None, reverse: bool = False):
    """(y, h_n) of x (T, N, F), h0 (N, H), w_ih (3H, F), w_hh (3H, H), in the order r, z, n; b_ih, b_hh: (3H) or None.

    sizes, reverse: see steps.py.
    """
    weights = (w_ih, w_hh, b_ih, b_hh)
    return recurrent.forward("gru", x, (h0,), weights, sizes=sizes, reverse=reverse, keep=is_grad_enabled())


@gru_sequence.backward
def _(g, _y, residuals, needs, x, h0, *weights, sizes: Sizes = None, reverse: bool = False):
    return recurrent.backward("gru", g, residuals, needs, x, (h0,), weights, sizes=sizes, reverse=reverse)
