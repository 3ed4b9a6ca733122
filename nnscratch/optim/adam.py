"""The Adam family: a running mean of the gradient over a running size of it."""

# ruff: noqa: ARG002  (every rule has the same signature)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer, check_range


def update_moments(m: Any, v: Any, g: Any, beta1: float, beta2: float, t: Any) -> None:
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g²."""
    np.subtract(g, m, out=t)
    np.multiply(t, 1 - beta1, out=t)
    np.add(m, t, out=m)
    np.multiply(g, g, out=t)
    np.multiply(t, 1 - beta2, out=t)
    np.multiply(v, beta2, out=v)
    np.add(v, t, out=v)


def check_adam(optimizer: Optimizer, group: dict[str, Any]) -> None:
    """The ranges that all Adam-like rules share."""
    if len(group["betas"]) != 2:
        raise ValueError(f"{type(optimizer).__name__}: betas must be two numbers, got {group['betas']}")
    check_range(optimizer, group, lr=">= 0", betas="[0, 1)", eps=">= 0", weight_decay=">= 0")


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), with AMSGrad (Reddi et al. 2018) as an option. At step t = 1, 2, ...:

    g <- g + weight_decay p        (or p <- (1 - lr weight_decay) p  with decoupled_weight_decay)
    m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g²
    s = v, with amsgrad the largest v so far
    p <- p - lr / (1 - beta1^t) · m / (sqrt(s / (1 - beta2^t)) + eps)
    """

    compiled = "adam"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        check_adam(self, group)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        step = state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        root = (1 - beta2**step) ** 0.5
        # Numerator and denominator times root: one pass less over the array.
        return beta1, beta2, group["lr"] / (1 - beta1**step) * root, group["eps"] * root

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        beta1, beta2, lr, eps = c
        m, v, *largest = buffers
        update_moments(m, v, g, beta1, beta2, t)
        if largest:
            v = np.maximum(largest[0], v, out=largest[0])
        np.sqrt(v, out=t)
        np.add(t, eps, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, lr, out=t)
        np.subtract(p, t, out=p)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): p <- (1 - lr weight_decay) p before Adam's update."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Adamax(Optimizer):
    """Adamax, Adam in the infinity norm (Kingma & Ba 2015, algorithm 2):

    m <- beta1 m + (1 - beta1) g;   s <- max(beta2 s, |g| + eps);   p <- p - lr / (1 - beta1^t) · m / s
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        check_adam(self, group)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        step = state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        return beta1, beta2, group["lr"] / (1 - beta1**step), group["eps"]

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        beta1, beta2, lr, eps = c
        m, s = buffers
        np.subtract(g, m, out=t)
        np.multiply(t, 1 - beta1, out=t)
        np.add(m, t, out=m)
        np.absolute(g, out=t)
        np.add(t, eps, out=t)
        np.multiply(s, beta2, out=s)
        np.maximum(s, t, out=s)
        np.divide(m, s, out=t)
        np.multiply(t, lr, out=t)
        np.subtract(p, t, out=p)
