"""Step sizes from the squares of past gradients: their sum (Adagrad), or a running mean (RMSprop, Adadelta)."""

# ruff: noqa: ARG002  (every rule has the same signature)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer, check_range


def update_square(v: Any, g: Any, rho: float, t: Any) -> None:
    """v <- rho v + (1 - rho) g²."""
    np.multiply(g, g, out=t)
    np.multiply(t, 1 - rho, out=t)
    np.multiply(v, rho, out=v)
    np.add(v, t, out=v)


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011):

    s <- s + g²  (from initial_accumulator_value);   p <- p - lr / (1 + (t - 1) lr_decay) · g / (sqrt(s) + eps)
    """

    compiled = "adagrad"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        options = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        check_range(self, group, **dict.fromkeys(options, ">= 0"))

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _initial(self, name: str, p: Any, group: dict[str, Any]) -> Any:
        return np.full_like(p, group["initial_accumulator_value"])

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        step = state["step"] = state.get("step", 0) + 1
        return group["lr"] / (1 + (step - 1) * group["lr_decay"]), group["eps"]

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        lr, eps = c
        (s,) = buffers
        np.multiply(g, g, out=t)
        np.add(s, t, out=s)
        np.sqrt(s, out=t)
        np.add(t, eps, out=t)
        np.divide(g, t, out=t)
        np.multiply(t, lr, out=t)
        np.subtract(p, t, out=p)


class RMSprop(Optimizer):
    """RMSprop (Hinton, lecture 6e, 2012); centred as in Graves (2013), equations 38 to 45:

    v <- alpha v + (1 - alpha) g²;   d = sqrt(v) + eps
    centered:  a <- alpha a + (1 - alpha) g;   d = sqrt(v - a²) + eps
    p <- p - lr g / d,  with momentum  b <- momentum b + g / d;  p <- p - lr b
    """

    compiled = "rmsprop"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        check_range(self, group, lr=">= 0", alpha="[0, 1]", eps=">= 0", weight_decay=">= 0", momentum=">= 0")

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ["square_avg"]
        if group["momentum"]:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple(names)

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        state["step"] = state.get("step", 0) + 1
        return group["lr"], group["alpha"], group["eps"], group["momentum"], group["centered"]

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        lr, alpha, eps, momentum, centered = c
        v = buffers[0]
        update_square(v, g, alpha, t)
        if centered:
            a = buffers[-1]
            np.subtract(g, a, out=t)
            np.multiply(t, 1 - alpha, out=t)
            np.add(a, t, out=a)
            np.multiply(a, a, out=t)
            v = np.subtract(v, t, out=t)
        np.sqrt(v, out=t)
        np.add(t, eps, out=t)
        np.divide(g, t, out=t)
        if momentum:
            b = buffers[1]
            np.multiply(b, momentum, out=b)
            t = np.add(b, t, out=b)
        np.multiply(t, lr, out=u)
        np.subtract(p, u, out=p)


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012):

    v <- rho v + (1 - rho) g²;   d = g sqrt(a + eps) / sqrt(v + eps);   a <- rho a + (1 - rho) d²;   p <- p - lr d
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        check_range(self, group, lr=">= 0", rho="[0, 1]", eps=">= 0", weight_decay=">= 0")

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        state["step"] = state.get("step", 0) + 1
        return group["lr"], group["rho"], group["eps"]

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        lr, rho, eps = c
        v, a = buffers
        update_square(v, g, rho, t)
        np.add(v, eps, out=t)
        np.sqrt(t, out=t)
        np.add(a, eps, out=u)
        np.sqrt(u, out=u)
        np.divide(u, t, out=u)
        np.multiply(u, g, out=u)
        update_square(a, u, rho, t)
        np.multiply(u, lr, out=u)
        np.subtract(p, u, out=p)
