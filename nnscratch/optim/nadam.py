"""Two refinements of Adam: NAdam looks ahead, RAdam waits until its variance estimate can be trusted."""

# ruff: noqa: ARG002  (every rule has the same signature)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .adam import check_adam, update_moments
from .optimizer import Optimizer, check_range


class NAdam(Optimizer):
    """NAdam, Adam with Nesterov momentum (Dozat 2016). With mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t:

    m, v as in Adam;   d = sqrt(v / (1 - beta2^t)) + eps
    p <- p - lr (1 - mu_t) / (1 - M_t) · g / d - lr mu_{t+1} / (1 - M_{t+1}) · m / d
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        check_adam(self, group)
        check_range(self, group, momentum_decay=">= 0")

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        step = state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (step, step + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * mu
        lr = group["lr"]
        return beta1, beta2, group["eps"], 1 - beta2**step, lr * (1 - mu) / (1 - product), lr * mu_next / (1 - product * mu_next)

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        beta1, beta2, eps, correction, lr_g, lr_m = c
        m, v = buffers
        update_moments(m, v, g, beta1, beta2, t)
        np.multiply(g, lr_g, out=u)
        np.multiply(m, lr_m, out=t)
        np.add(u, t, out=u)
        np.divide(v, correction, out=t)
        np.sqrt(t, out=t)
        np.add(t, eps, out=t)
        np.divide(u, t, out=t)
        np.subtract(p, t, out=p)


class RAdam(Optimizer):
    """Rectified Adam (Liu et al. 2020). With rho = 2 / (1 - beta2) - 1 and rho_t = rho - 2 t beta2^t / (1 - beta2^t):

    m, v as in Adam;   m' = m / (1 - beta1^t)
    p <- p - lr m' r sqrt(1 - beta2^t) / (sqrt(v) + eps)   where rho_t > 5, else  p <- p - lr m'
    r = sqrt((rho_t - 4)(rho_t - 2) rho / ((rho - 4)(rho - 2) rho_t))
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        check_adam(self, group)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        step = state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        correction = 1 - beta2**step
        rho = 2 / (1 - beta2) - 1
        rho_t = rho - 2 * step * beta2**step / correction
        lr, rectified = group["lr"] / (1 - beta1**step), rho_t > 5
        if rectified:
            lr *= (correction * (rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)) ** 0.5
        return beta1, beta2, lr, group["eps"], rectified

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        beta1, beta2, lr, eps, rectified = c
        m, v = buffers
        update_moments(m, v, g, beta1, beta2, t)
        if rectified:
            np.sqrt(v, out=t)
            np.add(t, eps, out=t)
            np.divide(m, t, out=t)
            np.multiply(t, lr, out=t)
        else:
            np.multiply(m, lr, out=t)
        np.subtract(p, t, out=p)
