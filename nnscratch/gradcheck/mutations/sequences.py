"""Faults in recurrent layers, softmax and losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops import gather, linear, log_softmax, mean, squeeze, stop_gradient, sum, tanh, unsqueeze
from ...ops.activation import _log_softmax, _softmax
from ...ops.loss.classification import bernoulli_nll, logit_nll, soft_nll, softmax_nll
from ...ops.recurrent.cells import gru_step, lstm_step
from ...ops.recurrent.fused_gru import gru_sequence
from ...ops.recurrent.fused_lstm import lstm_sequence
from ...ops.recurrent.fused_rnn import rnn_sequence
from ...ops.recurrent.steps import unroll
from ...ops.reduce import _mean
from ..audit.draw import given, normal, shares, within
from ..audit.entry import case
from .catalogue import Mutation, distorted, edited, fault, undifferentiated
from .inject import after, gradient, in_backward, in_definition

SIZE = 2


def _weights(gates: int, inputs: int = 2) -> list[tuple]:
    return [(normal(gates * SIZE, inputs), normal(gates * SIZE, SIZE), normal(gates * SIZE), normal(gates * SIZE))]


STATE = normal(1, 2, SIZE)
LSTM = case("lstm", normal(2, 2, 2), STATE, normal(1, 2, SIZE), _weights(4))
GRU = case("gru", normal(2, 2, 2), STATE, _weights(3))
RNN = case("rnn", normal(2, 2, 2), STATE, _weights(1))


def _cotangents(f: Callable) -> Callable:
    """An edit of a fused sequence's backward that changes the cotangents of its outputs."""
    return lambda right: lambda g, *rest, **kwargs: right(f(list(g)), *rest, **kwargs)


def _without_last_step(g: list[Any]) -> list[Any]:
    if g[0] is not None:
        g[0] = g[0] * (np.arange(len(g[0])) < len(g[0]) - 1)[:, None, None]
    return g


def _only_last_step(g: Any) -> Any:
    return g * (np.arange(len(g)) == len(g) - 1)[:, None, None]


def _cell_state_ignored(g: list[Any]) -> list[Any]:
    g[2] = None
    return g


def _forget_gate_linear(right: Callable) -> Callable:
    """The cotangent of the forget gate's output taken for that of its input, on its way to the sequence's input."""

    def wrong(g, y, residuals, needs, x, h0, c0, w_ih, *rest, **kwargs):
        gates = residuals[1][0]
        f = gates[..., SIZE : 2 * SIZE]
        # With an identity for the weight, the input's cotangent is that of the gates' sums.
        only_x, weight = [True] + [False] * (len(needs) - 1), np.eye(len(w_ih))
        da = right(g, y, residuals, only_x, np.empty_like(gates), h0, c0, weight, *rest, **kwargs)[0].copy()
        da[..., SIZE : 2 * SIZE] /= f * (1 - f)
        return (da @ w_ih, *right(g, y, residuals, needs, x, h0, c0, w_ih, *rest, **kwargs)[1:])

    return wrong


def _states_after(right: Callable) -> Callable:
    """The recurrent weight's gradient from the states after each step, not before."""

    def wrong(g, y, residuals, needs, *rest, **kwargs):
        run, (gates, h, *others) = residuals
        shifted = np.concatenate([h[1:], h[-1:]])
        return right(g, y, (run, (gates, shifted, *others)), needs, *rest, **kwargs)

    return wrong


def _gates_swapped(g: Any) -> Any:
    i, f, z, o = np.split(g, 4, axis=0)
    return np.concatenate([f, i, z, o], axis=0)


def _biases_outside_reset(right: Callable) -> Callable:
    """The recurrent bias of the new gate as if it were not multiplied by the reset gate."""

    def wrong(*args, **kwargs):
        *others, gb, gc = right(*args, **kwargs)
        return *others, gb, None if gc is None else gb

    return wrong


def _lstm_definition(hidden: Callable = lambda h: h, cell: Callable = lambda c: c) -> Callable:
    def definition(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, *, sizes=None, reverse=False):
        step = lambda gates, h, c: lstm_step(gates + linear(hidden(h), w_hh, b_hh), cell(c), w_hr)
        return unroll(step, linear(x, w_ih, b_ih), (h0, c0), sizes, reverse)

    return definition


def _rnn_definition(x, h0, w_ih, w_hh, b_ih, b_hh, *, sizes=None, reverse=False, **_):
    step = lambda a, h: (tanh(a + linear(stop_gradient(h), w_hh, b_hh)),)
    return unroll(step, linear(x, w_ih, b_ih), (h0,), sizes, reverse)


def _gru_definition(x, h0, w_ih, w_hh, b_ih, b_hh, *, sizes=None, reverse=False):
    step = lambda gates, h: (gru_step(gates, linear(stop_gradient(h), w_hh, b_hh), h),)
    return unroll(step, linear(x, w_ih, b_ih), (h0,), sizes, reverse)


def _lstm(name: str, edit: Callable) -> Mutation:
    return fault(f"lstm: {name}", LSTM, in_backward(lstm_sequence, edit), "lstm_sequence")


RECURRENT: list[Mutation] = [
    *distorted("lstm", LSTM, lstm_sequence, (0, 1, 2, 3, 4, 5)),
    _lstm("forget gate without its derivative", _forget_gate_linear),
    _lstm("last time step skipped", _cotangents(_without_last_step)),
    _lstm("cotangent of the cell state ignored", _cotangents(_cell_state_ignored)),
    _lstm("recurrent weight sees the states one step late", _states_after),
    _lstm("input and forget gates exchanged", gradient(3, _gates_swapped)),
    _lstm("time reversed", gradient(0, lambda g: g[::-1])),
    _lstm("no gradient before the last step (truncated)", gradient(0, _only_last_step)),
    *distorted("gru", GRU, gru_sequence, (0, 2, 3, 4, 5)),
    fault("gru: recurrent bias outside the reset gate", GRU, in_backward(gru_sequence, _biases_outside_reset), "gru_sequence"),
    fault("gru: last time step skipped", GRU, in_backward(gru_sequence, _cotangents(_without_last_step)), "gru_sequence"),
    *distorted("rnn", RNN, rnn_sequence, (0, 2, 3, 4)),
    fault("lstm: hidden state detached in the definition", LSTM,
          in_definition(lstm_sequence, _lstm_definition(hidden=stop_gradient)), "lstm_sequence", order=2),
    fault("lstm: cell state detached in the definition", LSTM,
          in_definition(lstm_sequence, _lstm_definition(cell=stop_gradient)), "lstm_sequence", order=2),
    fault("gru: hidden state detached in the definition", GRU,
          in_definition(gru_sequence, _gru_definition), "gru_sequence", order=2),
    fault("rnn: hidden state detached in the definition", RNN,
          in_definition(rnn_sequence, _rnn_definition), "rnn_sequence", order=2),
]  # fmt: skip

SQUARE, CLASSES = normal(3, 3), given([0, 2, 1])
CROSS_ENTROPY = case("cross_entropy", SQUARE, CLASSES)
SOFT_TARGETS = case("cross_entropy", SQUARE, shares(3, 3))
SOFTMAX, LOG_SOFTMAX = case("softmax", SQUARE, 1), case("log_softmax", SQUARE, 1)
LOGITS = case("binary_cross_entropy_with_logits", SQUARE, within(0, 1, 3, 3))
CHANCES = case("binary_cross_entropy", within(0.4, 0.6, 3, 3), within(0.4, 0.6, 3, 3))
MSE = case("mse_loss", SQUARE, normal(3, 3))


def _one_hot() -> Any:
    return np.eye(3)[np.array([0, 2, 1])]


def _wrong_axis_softmax(_right: Callable) -> Callable:
    def wrong(g, _y, _residuals, _needs, x, _target, **_):
        e = np.exp(x)
        return (e / e.sum(0) - _one_hot()) * g / len(x), None

    return wrong


def _nll_definition(f: Callable) -> Callable:
    def definition(x, target, *, axis, reduction="none"):
        nll = -squeeze(gather(f(log_softmax(x, axis)), axis, unsqueeze(target, axis)), axis)
        return mean(nll) if reduction == "mean" else nll

    return definition


def _nll(name: str, edit: Callable) -> Mutation:
    return fault(f"cross-entropy: {name}", CROSS_ENTROPY, in_backward(softmax_nll, edit), "softmax_nll")


LOSS: list[Mutation] = [
    *distorted("cross-entropy", CROSS_ENTROPY, softmax_nll, (0,)),
    _nll("missing 1/n in the mean", gradient(0, lambda g: g * 3)),
    _nll("target not subtracted", gradient(0, lambda g: g + _one_hot() / 3)),
    _nll("target off by one", gradient(0, lambda g: g + (_one_hot() - np.roll(_one_hot(), 1, 1)) / 3)),
    _nll("softmax over the batch", _wrong_axis_softmax),
    _nll("cotangent ignored", lambda right: lambda g, *rest, **kwargs: right(np.ones_like(g), *rest, **kwargs)),
    fault("cross-entropy: sum for mean in the definition", CROSS_ENTROPY,
          in_definition(softmax_nll, lambda x, t, **k: 3 * _nll_definition(lambda p: p)(x, t, **k)), "softmax_nll", order=2),
    fault("cross-entropy: definition half detached", CROSS_ENTROPY,
          in_definition(softmax_nll, _nll_definition(lambda p: p / 2 + stop_gradient(p) / 2)), "softmax_nll", order=2),
    *distorted("cross-entropy of probabilities", SOFT_TARGETS, soft_nll, (0, 1)),
    fault("cross-entropy of probabilities: target detached in the definition", SOFT_TARGETS,
          in_definition(soft_nll, lambda x, q, *, axis: -sum(stop_gradient(q) * log_softmax(x, axis), axis)),
          "soft_nll", order=2),
    *distorted("cross-entropy of logits", LOGITS, logit_nll, (0, 1)),
    edited("cross-entropy of logits: target not subtracted", LOGITS, logit_nll, 0,
           lambda right: lambda g, y, x, t: right(g, y, x, t * 0)),
    *undifferentiated("cross-entropy of logits", LOGITS, logit_nll, 0, 1),
    *distorted("cross-entropy of chances", CHANCES, bernoulli_nll, (0, 1)),
    edited("cross-entropy of chances: only where the target is", CHANCES, bernoulli_nll, 0,
           lambda right: lambda g, y, x, t: -g * t / x),
    *undifferentiated("cross-entropy of chances", CHANCES, bernoulli_nll, 0),
    edited("mse: missing 1/n in the mean", MSE, _mean, 0, after(lambda g: g * 9)),
    *distorted("mse", MSE, _mean, (0,)),
    *distorted("softmax", SOFTMAX, _softmax, (0,)),
    edited("softmax: sum over the wrong axis", SOFTMAX, _softmax, 0,
           lambda right: lambda g, y, x, *, dim: g * y - y * sum(g * y, 0, True)),
    edited("softmax: diagonal of the Jacobian only", SOFTMAX, _softmax, 0,
           lambda right: lambda g, y, x, *, dim: g * y * (1 - y)),
    edited("softmax: 7 times too large", SOFTMAX, _softmax, 0, after(lambda g: g * 7)),
    *undifferentiated("softmax", SOFTMAX, _softmax, 0),
    *distorted("log-softmax", LOG_SOFTMAX, _log_softmax, (0,)),
    edited("log-softmax: sum over the wrong axis", LOG_SOFTMAX, _log_softmax, 0,
           lambda right: lambda g, y, x, *, dim: g - np.exp(y) * g.sum(0, keepdims=True)),
    *undifferentiated("log-softmax", LOG_SOFTMAX, _log_softmax, 0),
]  # fmt: skip
