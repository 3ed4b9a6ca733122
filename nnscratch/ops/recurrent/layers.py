"""Stacks of recurrent layers over whole sequences: one product with the input for all time steps, then the recurrence.

`weights` has one tuple (w_ih, w_hh, b_ih, b_hh) per layer and direction, in torch's order: layer 0 forwards, layer 0 backwards,
layer 1 forwards, ...; both biases may be None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import backend
from ...tensor import Tensor, array_of, to_numpy
from ..compare import where
from ..index import index_select
from ..linalg import _check_dtypes
from ..noise import dropout as drop
from ..shape import cat, squeeze, stack, transpose, unsqueeze
from .fused_gru import gru_sequence
from .fused_lstm import lstm_sequence
from .fused_rnn import rnn_sequence

__all__ = ["gru", "lstm", "rnn"]


def lstm(
    input: Any,
    h0: Any,
    c0: Any,
    weights: Sequence[tuple],
    *,
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    lengths: Any = None,
    generator: backend.Generator | None = None,
) -> tuple[Any, Any, Any]:
    """(output, h_n, c_n) of a stack of LSTM layers; each step is `lstm_cell`, projected by w_hr where weights have a fifth entry.

    input: (T, N, F), (N, T, F) with batch_first, or (T, F). h0: (layers·directions, N, P), c0: (layers·directions, N, H),
    without N for an input without; None means zeros. output: (T, N, directions·P), in the input's arrangement. `dropout`
    acts between layers while training. `lengths`: one per sequence; what lies beyond is not read, and its output is 0.
    Raises ValueError for shapes, lengths or dropout. With a projection (Sak et al. 2014) P < H, else P = H.
    """
    sizes = [(w[1].shape[1], w[1].shape[0] // 4) for w in weights]

    def run(x, state, w, **order):
        return lstm_sequence(x, *state, *w[:4], w[4] if len(w) > 4 else None, **order)

    y, h, c = _stack(
        "lstm", run, input, (h0, c0), sizes, weights, bidirectional, batch_first, dropout, training, lengths, generator
    )
    return y, h, c


def gru(
    input: Any,
    h0: Any,
    weights: Sequence[tuple],
    *,
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    lengths: Any = None,
    generator: backend.Generator | None = None,
) -> tuple[Any, Any]:
    """(output, h_n) of a stack of GRU layers; each step is `gru_cell`. Shapes, options and errors as `lstm`."""

    def run(x, state, w, **order):
        return gru_sequence(x, *state, *w, **order)

    y, h = _stack(
        "gru", run, input, (h0,), _sizes(weights), weights, bidirectional, batch_first, dropout, training, lengths, generator
    )
    return y, h


def rnn(
    input: Any,
    h0: Any,
    weights: Sequence[tuple],
    *,
    nonlinearity: str = "tanh",
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    lengths: Any = None,
    generator: backend.Generator | None = None,
) -> tuple[Any, Any]:
    """(output, h_n) of a stack of plain recurrent layers (Elman 1990); each step is `rnn_tanh_cell` or `rnn_relu_cell`.

    Shapes, options and errors as `lstm`; ValueError for another nonlinearity than 'tanh' or 'relu'.
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")

    def run(x, state, w, **order):
        return rnn_sequence(x, *state, *w, nonlinearity=nonlinearity, **order)

    y, h = _stack(
        "rnn", run, input, (h0,), _sizes(weights), weights, bidirectional, batch_first, dropout, training, lengths, generator
    )
    return y, h


def _sizes(weights: Sequence[tuple]) -> list[tuple[int]]:
    return [(w[1].shape[1],) for w in weights]


def _stack(
    name: str,
    run: Callable,
    input: Any,
    initial: tuple[Any, ...],
    sizes: Sequence[tuple[int, ...]],
    weights: Sequence[tuple],
    bidirectional: bool,
    batch_first: bool,
    dropout: float,
    training: bool,
    lengths: Any,
    generator: backend.Generator | None,
) -> tuple[Any, ...]:
    """(output, *last states): run(x, states, weights, sizes=, reverse=) for each layer and direction, on (T, N, F) throughout.

    initial: the states h0 (and c0) of all, or None; sizes: the size of each of them, per layer and direction.
    """
    if input.ndim not in (2, 3):
        raise ValueError(
            f"{name}: input must have shape (T, N, F), (N, T, F) with batch_first, or (T, F); got {tuple(input.shape)}"
        )
    directions = 2 if bidirectional else 1
    if not weights or len(weights) % directions:
        raise ValueError(f"{name}: got weights for {len(weights)} layers and directions, expected a multiple of {directions}")
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(f"{name}: dropout must be a probability in [0, 1], got {dropout}")
    batched = input.ndim == 3
    x = input if batched else unsqueeze(input, 1)
    x = transpose(x, 0, 1) if batched and batch_first else x
    _check_shapes(name, x, initial, sizes, weights, directions, batched)
    per_step, there, back = _by_length(name, x, lengths)
    if there is not None:
        x = index_select(x, 1, there)
        initial = tuple(s if s is None else index_select(s, 1, there) for s in initial)
    if per_step is not None:  # whatever fills the padding, even nan, stays out of the weights' gradients
        xp = backend.array_module(array_of(x))
        x = where((xp.arange(x.shape[1]) < xp.asarray(per_step)[:, None])[:, :, None], x, 0.0)
    last: list[tuple[Any, ...]] = []
    for layer in range(len(weights) // directions):
        if layer and training and dropout:
            x = drop(x, dropout, True, generator=generator)
        ys = []
        for reverse in (False, True)[:directions]:
            k = len(last)
            states = [_state(s, k, x, size, batched) for s, size in zip(initial, sizes[k])]
            y, *after = run(x, states, weights[k], sizes=per_step, reverse=reverse)
            ys.append(y)
            last.append(tuple(after))
        x = cat(ys, 2) if bidirectional else ys[0]
    finals = [stack(list(states), 0) for states in zip(*last)]
    if back is not None:
        x = index_select(x, 1, back)
        finals = [index_select(s, 1, back) for s in finals]
    if not batched:
        return (squeeze(x, 1), *[squeeze(s, 1) for s in finals])
    return (transpose(x, 0, 1) if batch_first else x, *finals)


def _state(states: Any, k: int, x: Any, size: int, batched: bool) -> Any:
    """The initial state of layer and direction k: (N, size)."""
    if states is None:
        array = array_of(x)
        return backend.array_module(array).zeros((x.shape[1], size), x.dtype)
    return states[k] if batched else states[k : k + 1]


def _check_shapes(name, x, initial, sizes, weights, directions, batched) -> None:
    features = x.shape[2]
    for k, (w, own) in enumerate(zip(weights, sizes)):
        if k and k % directions == 0:
            features = directions * sizes[k - 1][0]
        if w[0].shape[1] != features:
            source = "the input" if k < directions else f"layer {k // directions - 1}"
            raise ValueError(f"{name}: layer {k // directions} expects {w[0].shape[1]} features, {source} gives {features}")
        for what, states, size in zip(("h0", "c0"), initial, own):
            expected = (len(weights), x.shape[1], size) if batched else (len(weights), size)
            if states is not None and tuple(states.shape) != expected:
                raise ValueError(f"{name}: {what} has shape {tuple(states.shape)}, expected {expected}")
    for array in (*initial, *(a for w in weights for a in w)):
        if array is not None and array.dtype != x.dtype:
            _check_dtypes(name, x, array)


def _by_length(name: str, x: Any, lengths: Any) -> tuple[tuple[int, ...] | None, Any, Any]:
    """How many sequences still run at each time, and the orders that sort them by falling length and back, None if sorted."""
    if lengths is None:
        return None, None, None
    array = to_numpy(lengths) if isinstance(lengths, Tensor) or backend.is_array(lengths) else np.asarray(lengths)
    steps, batch = x.shape[:2]
    if array.shape != (batch,) or array.dtype.kind not in "iu":
        raise ValueError(f"{name}: lengths must be {batch} integers, one per sequence; got {array.dtype} of shape {array.shape}")
    if batch and not (array.min() >= 1 and array.max() <= steps):
        raise ValueError(f"{name}: lengths must be from 1 to {steps}, got {array.min()} to {array.max()}")
    per_step = tuple(int(n) for n in (array[None, :] > np.arange(steps)[:, None]).sum(axis=1))
    order = np.argsort(-array.astype(np.int64), kind="stable")
    if (order == np.arange(batch)).all():
        return per_step, None, None
    xp = backend.array_module(array_of(x))
    return per_step, xp.asarray(order), xp.asarray(np.argsort(order))
