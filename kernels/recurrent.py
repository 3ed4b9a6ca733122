"""Recurrent layers over whole sequences, on arrays: forwards, and backwards from what the forward pass kept.

    forward(kind, x, states, weights, *, sizes, reverse, keep) -> (y, *last states), residuals
    backward(kind, g, residuals, needs, x, states, weights, *, sizes, reverse) -> a gradient for x, each state and each weight

kind        states    weights                                    gates, side by side in the weights' rows
"lstm"      h0, c0    w_ih, w_hh, b_ih, b_hh and maybe w_hr      i, f, g, o
"gru"       h0        w_ih, w_hh, b_ih, b_hh                     r, z, n
"tanh"      h0        w_ih, w_hh, b_ih, b_hh                     one; and "relu" alike

x is (T, N, F), y (T, N, H), a state (N, H), w_ih (gates · H, F), w_hh (gates · H, H); biases and w_hr may be None. With w_hr
(P, H) states h and y have P columns. g has an array or None for each output; needs[i] says whether the i-th of x, states and
weights wants its gradient: one that does not may get None.

`sizes` says how many sequences run at each time: rows n >= sizes[t] keep their states and give 0, so sequences of different
lengths must be sorted by falling length. `reverse` reads from the last time to the first: rows begin when they appear.
Without `keep` the residuals are of no use. Arguments are never modified; gradients share no memory. Raises ValueError for shapes.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from numpy import ndarray

from . import sequences
from .arrays import Array
from .compiled import part
from .dispatch import chosen

Sizes = tuple[int, ...] | None
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


def forward(
    kind: str,
    x: Array,
    states: Sequence[Array],
    weights: Sequence[Array | None],
    *,
    sizes: Sizes = None,
    reverse: bool = False,
    keep: bool = True,
) -> tuple[tuple[Array, ...], Any]:
    _check(kind, x, states, weights, sizes)
    run = _implementation(x, states, weights)
    outputs, residuals = run.forward(kind, x, states, weights, sizes=sizes, reverse=reverse, keep=keep)
    return outputs, (run, residuals)


def backward(
    kind: str,
    g: Sequence[Array | None],
    residuals: Any,
    needs: Sequence[bool],
    x: Array,
    states: Sequence[Array],
    weights: Sequence[Array | None],
    *,
    sizes: Sizes = None,
    reverse: bool = False,
) -> list[Array | None]:
    run, kept = residuals
    return run.backward(kind, g, kept, needs, x, states, weights, sizes=sizes, reverse=reverse)


def _check(kind: str, x: Array, states: Sequence[Array], weights: Sequence[Any], sizes: Sizes) -> None:
    """Raise ValueError unless all shapes fit: the compiled kernels address memory by them."""
    if x.ndim != 3:
        raise ValueError(f"{kind}: x has shape {x.shape}, expected (T, N, F)")
    steps, batch, features = x.shape
    gates, (w_ih, w_hh, *others) = GATES[kind], weights
    rows, size = len(w_hh), len(w_hh) // gates
    outs = size if len(others) < 3 or others[2] is None else len(others[2])
    expected: list[tuple[Any, tuple[int, ...]]] = [(w_ih, (rows, features)), (w_hh, (gates * size, outs))]
    expected += zip(others, ((rows,), (rows,), (outs, size)))
    expected += zip(states, ((batch, outs), (batch, size)))
    for array, shape in expected:
        if array is not None and array.shape != shape:
            raise ValueError(f"{kind}: x of shape {x.shape} and {size} units expect an array of {shape}, got {array.shape}")
    if sizes is not None and (len(sizes) != steps or any(not 0 <= n <= batch for n in sizes)):
        raise ValueError(f"{kind}: sizes must be {steps} numbers from 0 to {batch}, got {sizes}")


def _implementation(x: Array, states: Sequence[Array], weights: Sequence[Array | None]) -> Any:
    """The kernels for this CPU, where they take these arrays and are asked for or worth their import; or NumPy's."""
    w_ih, w_hh, *others = weights
    arrays = [x, *states, w_ih, w_hh, *(b for b in others[:2] if b is not None)]
    if any(type(a) is not ndarray or a.dtype != x.dtype or not a.size for a in arrays) or x.dtype.char not in "fd":
        return sequences
    projected = len(others) > 2 and others[2] is not None
    if projected or not (chosen.get() == "cpu" or _is_large(x, w_hh)):
        return sequences
    return part("recurrent") or sequences


def _is_large(x: Array, w_hh: Array) -> bool:
    """Whether NumPy would take some milliseconds."""
    return prod(x.shape[:2]) * w_hh.shape[0] * (x.shape[2] + w_hh.shape[1]) >= 1 << 20
