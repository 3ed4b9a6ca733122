"""Losses on class scores: cross-entropy of one class in many (softmax), and of many yes-or-no answers (sigmoid)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import backend
from ...autograd import defvjp, fused, primitive
from ...kernels import rows as kernels
from ...tensor import array_of
from ..activation import log_softmax, logsigmoid
from ..arithmetic import astype, mul
from ..compare import maximum, where
from ..index import gather
from ..powers import log, log1p
from ..promote import as_float, promote_pair
from ..reduce import mean, sum
from ..shape import reshape, squeeze, unsqueeze
from ..trigonometric import sigmoid
from .common import check_reduction, check_same_shape, pairwise, reduce

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "soft_margin_loss",
]

# ------------------------------------------------------------------------------------------------------ fused softmax


def _rows(x: Any, axis: int) -> Any:
    """x as a matrix with one row per prediction; a view where the classes are last in memory (channels-last images too)."""
    if x.ndim != 2 or axis != 1:
        x = np.moveaxis(x, axis, -1)
    return x.reshape(-1, x.shape[-1])


def _unrows(rows: Any, shape: tuple[int, ...], axis: int) -> Any:
    if len(shape) == 2 and axis == 1:
        return rows
    moved = shape[:axis] + shape[axis + 1 :] + (shape[axis],)
    return np.moveaxis(rows.reshape(moved), -1, axis)


def _exp_rows(x: Any, axis: int) -> tuple[Any, Any]:
    """The rows of x less their maximum, and their exponentials, which cannot overflow then."""
    rows = _rows(x, axis)
    shifted = rows - rows.max(axis=1, keepdims=True) if rows.size else rows
    return shifted, np.exp(shifted)


def _softmax_nll_definition(x, target, *, axis, reduction="none"):
    nll = -squeeze(gather(log_softmax(x, axis), axis, unsqueeze(target, axis)), axis)
    return reduce("softmax_nll", nll, reduction)


@fused(_softmax_nll_definition)
def softmax_nll(x, target, *, axis, reduction="none"):
    """-log softmax(x)[target] along `axis`, one number per prediction, or reduced; dx = g (softmax(x) - one_hot(target))."""
    found = kernels.nll(_rows(x, axis), target.reshape(-1))
    if found is not None:
        nll, residuals = found
    else:
        shifted, p = _exp_rows(x, axis)
        total = p.sum(axis=1)
        nll = np.log(total) - shifted[backend.array_module(x).arange(len(p)), target.reshape(-1)]
        residuals = p, total
    if reduction == "none":
        y = nll.reshape(x.shape[:axis] + x.shape[axis + 1 :])
    else:
        y = np.add.reduce(nll)
        y = y / nll.size if reduction == "mean" else y
    return y, residuals


@softmax_nll.backward
def _(g, _y, residuals, _needs, x, target, *, axis, reduction="none"):
    g = g.reshape(-1)  # one number for all where the losses were reduced
    g = g / target.size if reduction == "mean" else g
    if len(residuals) == 3:
        every = np.empty_like(x, shape=(target.size,))
        every[...] = g
        return _unrows(kernels.nll_vjp(every, _rows(x, axis), residuals), x.shape, axis), None
    p, total = residuals
    gx = p * (g / total)[:, None]
    gx[backend.array_module(x).arange(len(p)), target.reshape(-1)] -= g
    return _unrows(gx, x.shape, axis), None


def _soft_nll_definition(x, q, *, axis):
    return -sum(q * log_softmax(x, axis), axis)


@fused(_soft_nll_definition)
def soft_nll(x, q, *, axis):
    """-Σ_c q_c log softmax(x)_c along `axis`, for any weights q; dx = g (softmax(x) Σq - q), dq = -g log softmax(x)."""
    shifted, p = _exp_rows(x, axis)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    logp = shifted - np.log(total)
    nll = -(_rows(q, axis) * logp).sum(axis=1)
    return nll.reshape(x.shape[:axis] + x.shape[axis + 1 :]), (p, logp)


@soft_nll.backward
def _(g, _y, residuals, needs, x, q, *, axis):
    p, logp = residuals
    rows, g = _rows(q, axis), g.reshape(-1, 1)
    gx = _unrows(g * (p * rows.sum(axis=1, keepdims=True) - rows), x.shape, axis) if needs[0] else None
    gq = _unrows(-g * logp, x.shape, axis) if needs[1] else None
    return gx, gq


# ------------------------------------------------------------------------------------------------------ one of many


def _class_axis(name: str, input: Any) -> int:
    if input.ndim == 0:
        raise ValueError(f"{name}: input must have shape (C), (N, C) or (N, C, d1, ...), got a 0-d one")
    return 0 if input.ndim == 1 else 1


def check_weight(name: str, weight: Any, classes: int) -> None:
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"{name}: weight has shape {tuple(weight.shape)}, expected one weight per class, ({classes},)")


def class_indices(name: str, input: Any, target: Any, axis: int, ignore_index: int | None = None) -> tuple[Any, Any]:
    """The target as an index array with 0 at ignored places, and the mask of these (None where nothing is ignored)."""
    target = array_of(target)
    expected = tuple(input.shape[:axis] + input.shape[axis + 1 :])
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: class indices must be integers, got {target.dtype} of shape {tuple(target.shape)}")
    if tuple(target.shape) != expected:
        raise ValueError(
            f"{name}: input has shape {tuple(input.shape)}, so class indices have shape {expected}, got {tuple(target.shape)}"
        )
    classes = input.shape[axis]
    if target.size == 0:
        return target, None
    if target.min() >= 0 and target.max() < classes and (ignore_index is None or not 0 <= ignore_index < classes):
        return target, None
    ignored = np.zeros_like(target, bool) if ignore_index is None else target == ignore_index
    outside = (target < 0) | (target >= classes)
    outside &= ~ignored
    if outside.any():
        raise IndexError(f"{name}: target {int(target[outside].ravel()[0])} is out of range for {classes} classes")
    return np.where(ignored, 0, target), ignored


def _average(name: str, loss: Any, weight: Any, indices: Any, ignored: Any, reduction: str, weigh: bool = True) -> Any:
    """Reduce per-prediction losses: 'mean' is Σ w[t] loss / Σ w[t] over the predictions that are not ignored.

    `weigh=False` says that the losses have been multiplied by their weights already.
    """
    if ignored is None and weight is None:
        return reduce(name, loss, reduction)
    check_reduction(name, reduction)
    if weight is None:
        w = astype(~ignored, dtype=loss.dtype)
    else:
        w = weight[indices] if ignored is None else where(ignored, 0.0, weight[indices])
    loss = loss if ignored is None else where(ignored, 0.0, loss)
    if weigh:
        loss = w * loss
    if reduction == "none":
        return loss
    return sum(loss) if reduction == "sum" else sum(loss) / sum(w)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of softmax(input) and the target: -w[t] log softmax(input)[t], or -Σ_c w_c t_c log softmax(input)_c.

    input: unnormalised scores (C), (N, C) or (N, C, d1, ...). target: class indices () / (N) / (N, d1, ...), or, where floating,
    probabilities of input's shape. weight: (C). label_smoothing ε replaces the target by (1 - ε) target + ε / C (Szegedy et al.
    2016, section 7). With indices, predictions whose target is `ignore_index` count nothing, and 'mean' divides by the sum
    of the weights of the others (nan when there are none); with probabilities it divides by the number of predictions.
    Raises ValueError for shapes, reduction or ε outside [0, 1]; TypeError for targets of the wrong kind; IndexError for an index
    that is no class.
    """
    name = "cross_entropy"
    axis = _class_axis(name, input)
    classes = input.shape[axis]
    check_weight(name, weight, classes)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"{name}: label_smoothing must be in [0, 1], got {label_smoothing}")
    along = (classes,) + (1,) * (input.ndim - 1 - axis)  # a vector over classes, aligned with the input
    if target.dtype.kind == "f":
        check_same_shape(f"{name} with class probabilities", input=input, target=target)
        q = target if label_smoothing == 0.0 else target * (1.0 - label_smoothing) + label_smoothing / classes
        q = q if weight is None else q * reshape(weight, along)
        return reduce(name, soft_nll(input, q, axis=axis), reduction)
    indices, ignored = class_indices(name, input, target, axis, ignore_index)
    if label_smoothing == 0.0:
        if weight is None and ignored is None:
            check_reduction(name, reduction)
            return softmax_nll(input, indices, axis=axis, reduction=reduction)
        return _average(name, softmax_nll(input, indices, axis=axis), weight, indices, ignored, reduction)
    xp = backend.array_module(indices)
    q = xp.expand_dims(indices, axis) == xp.arange(classes).reshape(along)
    q = q.astype(input.dtype) * (1.0 - label_smoothing) + label_smoothing / classes
    q = q if weight is None else mul(q, reshape(weight, along))
    return _average(name, soft_nll(input, q, axis=axis), weight, indices, ignored, reduction, weigh=False)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood -w[t] input[t] of class indices, given log-probabilities.

    Shapes, weights, ignored targets, 'mean' and errors are those of `cross_entropy`, which is
    nll_loss(log_softmax(input, 1), target).
    """
    axis = _class_axis("nll_loss", input)
    check_weight("nll_loss", weight, input.shape[axis])
    indices, ignored = class_indices("nll_loss", input, target, axis, ignore_index)
    picked = squeeze(gather(input, axis, np.expand_dims(indices, axis)), axis)
    return _average("nll_loss", -picked, weight, indices, ignored, reduction)


# ------------------------------------------------------------------------------------------------------ yes or no


@primitive
def bernoulli_nll(x, t):
    """-t log x - (1 - t) log(1 - x), each logarithm at least -100; the gradient's denominator is at least 1e-12."""
    x, t = promote_pair(as_float(x), t)
    no = np.log1p(-x, out=np.empty_like(x))
    np.maximum(no, -100, out=no)
    no *= t - 1
    yes = np.log(x, out=np.empty_like(x))
    np.maximum(yes, -100, out=yes)
    yes *= t
    no -= yes
    return no


defvjp(
    bernoulli_nll,
    lambda g, _y, x, t: g * (x - t) / maximum(x * (1 - x), 1e-12),
    lambda g, _y, x, _t: g * (maximum(log1p(-x), -100.0) - maximum(log(x), -100.0)),
)


_bernoulli_loss = pairwise("bernoulli_nll", lambda x, t, _: bernoulli_nll(x, t))


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """-w (t log x + (1 - t) log(1 - x)) for probabilities x; logarithms are cut at -100, so that x = 0 and x = 1 stay finite.

    Shapes: input and target the same, weight broadcast to them. Raises RuntimeError for an input outside [0, 1], ValueError for
    shapes or reduction.
    """
    check_same_shape("binary_cross_entropy", input=input, target=target)
    values = array_of(input)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise RuntimeError(
            f"binary_cross_entropy: input must be probabilities in [0, 1], got values from {values.min()} to {values.max()}; "
            "for unnormalised scores use binary_cross_entropy_with_logits"
        )
    if weight is None:
        return _bernoulli_loss("binary_cross_entropy", input, target, reduction)
    return reduce("binary_cross_entropy", bernoulli_nll(input, target) * weight, reduction)


@primitive
def logit_nll(x, t):
    """-t log σ(x) - (1 - t) log σ(-x) = log(1 + e^-|x|) + x ([x > 0] - t), whose terms never cancel."""
    x, t = promote_pair(as_float(x), t)
    y = np.abs(x, out=np.empty_like(x))
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.log1p(y, out=y)
    y += x * np.subtract(x > 0, t, dtype=x.dtype)
    return y


defvjp(logit_nll, lambda g, _y, x, t: g * (sigmoid(x) - t), lambda g, _y, x, _t: -(g * x))


_logit_loss = pairwise("logit_nll", lambda x, t, _: logit_nll(x, t))


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-w (p t log σ(x) + (1 - t) log σ(-x)) for unnormalised scores x; finite for every finite x.

    Shapes: input and target the same; weight and pos_weight p broadcast to them. Raises ValueError for shapes or reduction.
    """
    check_same_shape("binary_cross_entropy_with_logits", input=input, target=target)
    if pos_weight is None and weight is None:
        return _logit_loss("binary_cross_entropy_with_logits", input, target, reduction)
    if pos_weight is None:
        loss = logit_nll(input, target)
    else:
        loss = -(pos_weight * target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduce("binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """log(1 + exp(-t x)) for targets t = ±1 of input's shape. Raises ValueError for shapes or reduction."""
    check_same_shape("soft_margin_loss", input=input, target=target)
    return reduce("soft_margin_loss", -logsigmoid(target * input), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """The mean over the last axis (the classes) of -w (t log σ(x) + (1 - t) log σ(-x)); reduction acts on the rest.

    Shapes: input and target (..., C), weight broadcast to them. Raises ValueError for shapes or reduction.
    """
    check_same_shape("multilabel_soft_margin_loss", input=input, target=target)
    loss = logit_nll(input, target)
    return reduce("multilabel_soft_margin_loss", mean(loss if weight is None else loss * weight, -1), reduction)
