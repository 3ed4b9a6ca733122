"""Stochastic gradient descent."""

# ruff: noqa: ARG002  (every rule has the same signature)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer, check_range


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013), in torch's form:

        g <- g + weight_decay p
        b <- g in the first step, else  momentum b + (1 - dampening) g
        p <- p - lr (g + momentum b  with nesterov, else b; g without momentum)

    `maximize` ascends instead. Raises ValueError for a negative option, or for nesterov without momentum or with dampening.
    """

    compiled = "sgd"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        check_range(self, group, lr=">= 0", momentum=">= 0", weight_decay=">= 0")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum above 0 and a dampening of 0")

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        keep = 1 if "momentum_buffer" not in state else 1 - group["dampening"]
        return group["lr"], group["momentum"], keep, group["nesterov"]

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        lr, momentum, keep, nesterov = c
        if buffers:
            (b,) = buffers  # zero before the first step, so that this sum is then g itself
            np.multiply(b, momentum, out=b)
            np.add(b, g if keep == 1 else np.multiply(g, keep, out=t), out=b)
            if nesterov:
                np.multiply(b, momentum, out=t)
                g = np.add(t, g, out=t)
            else:
                g = b
        np.multiply(g, lr, out=t)
        np.subtract(p, t, out=p)
