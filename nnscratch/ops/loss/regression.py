"""Losses between numbers, and between distributions given by their parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...tensor import array_of
from ..arithmetic import abs
from ..compare import clamp, where
from ..powers import exp, expm1, log, square, xlogy
from ..reduce import sum
from ..shape import unsqueeze
from .common import check_reduction, check_same_shape, pairwise, reduce

__all__ = [
    "gaussian_kl",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def _weighted(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    """Reduce elementwise losses; with weights, 'mean' is Σ w loss / Σ w."""
    if weight is None:
        return reduce(name, loss, reduction)
    check_same_shape(name, input=loss, weight=weight)
    if reduction == "mean":
        return sum(loss * weight) / sum(weight)
    return reduce(name, loss * weight, reduction)


_square = pairwise("square", lambda x, t, _: square(x - t))
_absolute = pairwise("absolute", lambda x, t, _: abs(x - t))


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """(x - t)², element by element; with weights w (x - t)², and 'mean' divides by Σ w.

    Shapes: all the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("mse_loss", input=input, target=target)
    if weight is None:
        return _square("mse_loss", input, target, reduction)
    return _weighted("mse_loss", square(input - target), weight, reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """|x - t|, element by element, with gradient 0 at x = t; with weights w |x - t|, and 'mean' divides by Σ w.

    Shapes: all the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("l1_loss", input=input, target=target)
    if weight is None:
        return _absolute("l1_loss", input, target, reduction)
    return _weighted("l1_loss", abs(input - target), weight, reduction)


def _huber(difference: Any, delta: float) -> Any:
    """d²/2 while |d| <= delta, then delta (|d| - delta/2): with c = d cut to ±delta, both are c (d - c/2)."""
    cut = clamp(difference, -delta, delta)
    return cut * (difference - 0.5 * cut)


_huber_loss = pairwise("huber", lambda x, t, delta: _huber(x - t, delta))


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """(x - t)² / (2 beta) where |x - t| < beta, else |x - t| - beta / 2; beta = 0 is `l1_loss` (Girshick 2015, equation 3).

    Shapes: the same. Raises ValueError for shapes or reduction, RuntimeError for a negative beta.
    """
    check_same_shape("smooth_l1_loss", input=input, target=target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if not beta:
        return _absolute("smooth_l1_loss", input, target, reduction)
    return _huber_loss("smooth_l1_loss", input, target, reduction, beta) / beta


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """(x - t)² / 2 where |x - t| <= delta, else delta (|x - t| - delta / 2) (Huber 1964); times w, and 'mean' is the plain mean.

    Shapes: all the same. Raises ValueError for shapes or reduction, RuntimeError for a delta that is not positive.
    """
    check_same_shape("huber_loss", input=input, target=target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be positive, got {delta}")
    if weight is None:
        return _huber_loss("huber_loss", input, target, reduction, delta)
    check_same_shape("huber_loss", input=input, weight=weight)
    return reduce("huber_loss", _huber(input - target, delta) * weight, reduction)


def _per_batch(name: str, loss: Any, reduction: str) -> Any:
    """As `reduce`, with 'batchmean': the sum divided by the size of the first axis."""
    check_reduction(name, reduction, "batchmean")
    if reduction == "batchmean":
        return sum(loss) / loss.shape[0] if loss.ndim else loss
    return reduce(name, loss, reduction)


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """t (log t - x): the Kullback-Leibler divergence from log-probabilities x to probabilities t (or to e^t with log_target).

    'batchmean' (the divergence itself, averaged over the first axis) is what is usually wanted; 'mean' divides by the number of
    elements. Shapes: the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("kl_div", input=input, target=target)
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    return _per_batch("kl_div", loss, reduction)


_gaussian_kl = pairwise("gaussian_kl", lambda mu, logvar, _: 0.5 * (square(mu) + (expm1(logvar) - logvar)))


def gaussian_kl(mu: Any, logvar: Any, *, reduction: str = "batchmean") -> Any:
    """KL(N(mu, e^logvar) || N(0, 1)) = -1/2 (1 + logvar - mu² - e^logvar) (Kingma & Welling 2014, appendix B).

    'batchmean': summed over the latents, averaged over the first axis. Shapes: the same, (N, latents). Raises ValueError for
    shapes or reduction.
    """
    check_same_shape("gaussian_kl", mu=mu, logvar=logvar)
    check_reduction("gaussian_kl", reduction, "batchmean")
    if reduction == "batchmean":
        total = _gaussian_kl("gaussian_kl", mu, logvar, "sum")
        return total / mu.shape[0] if mu.ndim else total
    return _gaussian_kl("gaussian_kl", mu, logvar, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Any:
    """(log v + (x - t)² / v) / 2 with v = max(var, eps), plus log(2π) / 2 when `full` (Nix & Weigend 1994).

    The gradient passes through the maximum to var unchanged. Shapes: input and target the same; var a number, the same shape, one
    dimension short at the end, or with one dimension of 1. Raises ValueError for shapes, reduction or a negative var.
    """
    name = "gaussian_nll_loss"
    check_reduction(name, reduction)
    check_same_shape(name, input=input, target=target)
    values = array_of(var)
    if (values < 0).any() if hasattr(values, "shape") else values < 0:
        raise ValueError(f"{name}: var must not be negative, its smallest value is {values if values is var else values.min()}")
    if not hasattr(var, "shape"):
        var = max(float(var), eps)
        log_var: Any = math.log(var)
    else:
        var = _aligned(name, var, tuple(input.shape))
        values = array_of(var)
        var = var + np.maximum(eps - values, 0)  # a constant: its gradient is not cut
        log_var = log(var)
    loss = 0.5 * (log_var + square(input - target) / var)
    return reduce(name, loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _aligned(name: str, var: Any, shape: tuple[int, ...]) -> Any:
    """var in a shape that broadcasts to `shape` as meant: one variance per element, or shared along a single axis."""
    given = tuple(var.shape)
    if given == shape:
        return var
    if given == shape[:-1]:
        return unsqueeze(var, -1)
    if len(given) == len(shape) and [n for n, m in zip(given, shape) if n != m] == [1]:
        return var
    raise ValueError(f"{name}: var has shape {given}; expected {shape}, {shape[:-1]}, or {shape} with one dimension of 1")


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """e^x - t x for log-rates x, or x - t log(x + eps) for rates; `full` adds Stirling's t log t - t + log(2πt)/2 where t > 1.

    Shapes: the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("poisson_nll_loss", input=input, target=target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        many = target > 1
        t = where(many, target, 1.0)
        loss = loss + where(many, t * log(t) - t + 0.5 * log(2 * math.pi * t), 0.0)
    return reduce("poisson_nll_loss", loss, reduction)
