"""Faults in the fused ops that large arrays go to, and in the compiled passes over rows: activations, losses, softmax, norms.

Small ones show them just as well, and sooner: see `Mutation.setting`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...ops import stop_gradient
from ...ops.activation import _gelu, _gelu_tanh, _log_softmax, _mish, _silu, _softmax
from ...ops.groupnorm import _group_norm
from ...ops.loss.classification import _bernoulli_loss, _logit_loss, softmax_nll
from ...ops.loss.regression import _absolute, _gaussian_kl, _huber_loss, _square
from ..audit.draw import given, normal, within
from ..audit.entry import Entry, case
from .catalogue import Mutation, distorted, fault
from .inject import gradient, in_backward, in_definition

X, T, CHANCES = normal(4, 3), normal(4, 3), within(0.4, 0.6, 4, 3)
ACTIVATIONS: dict[str, tuple[Any, Entry]] = {
    "gelu": (_gelu, case("gelu", X)),
    "gelu, by tanh": (_gelu_tanh, case("gelu", X, approximate="tanh")),
    "silu": (_silu, case("silu", X)),
    "mish": (_mish, case("mish", X)),
}
PAIRS: dict[str, tuple[Any, Entry]] = {
    "square": (_square, case("mse_loss", X, T)),
    "absolute": (_absolute, case("l1_loss", X, T, reduction="sum")),
    "huber": (_huber_loss, case("huber_loss", X, T, "none", 0.7)),
    "gaussian kl": (_gaussian_kl, case("gaussian_kl", X, T)),
    "chances": (_bernoulli_loss, case("binary_cross_entropy", CHANCES, CHANCES)),
    "logits": (_logit_loss, case("binary_cross_entropy_with_logits", X, within(0, 1, 4, 3), reduction="none")),
}


def _detached_target(right: Callable) -> Callable:
    return lambda x, t, **options: right(x, stop_gradient(t), **options)


def _half_detached(right: Callable) -> Callable:
    return lambda x: right(x / 2 + stop_gradient(x) / 2)


def _in_definition(name: str, loss: Any, entry: Entry, edit: Callable) -> Mutation:
    record = loss.fused.primitive
    return fault(name, entry, in_definition(loss.fused, edit(record.definition)), record.name, order=2)


def _in_pair(name: str, which: str, edit: Callable) -> Mutation:
    loss, entry = PAIRS[which]
    return fault(f"loss of pairs, {which}: {name}", entry, in_backward(loss.fused, edit), loss.fused.primitive.name)


def _never_cut(_right: Callable) -> Callable:
    """The slope of the square, however far apart the two are."""
    return lambda g, _y, _residuals, _needs, x, t, **_: (g * (x - t), g * (t - x))


def _cotangent_ignored(right: Callable) -> Callable:
    return lambda g, *rest, **options: right(np.ones_like(g), *rest, **options)


LARGE: list[Mutation] = [
    replace(m, compiled=True)
    for m in (
        *(m for name, (op, entry) in ACTIVATIONS.items() for m in distorted(f"{name}, large", entry, op.fused, (0,))),
        *(m for name, (op, entry) in PAIRS.items() for m in distorted(f"loss of pairs, {name}", entry, op.fused, (0, 1))),
        *(_in_definition(f"{name}, large: definition half detached", op, entry, _half_detached)
          for name, (op, entry) in ACTIVATIONS.items()),
        *(_in_definition(f"loss of pairs, {name}: target detached in the definition", op, entry, _detached_target)
          for name, (op, entry) in PAIRS.items()),
        _in_pair("a wrong n in the mean", "square", lambda right: lambda *a, **k: [g * 7 for g in right(*a, **k)]),
        _in_pair("sign of the target", "square", gradient(1, lambda g: -g)),
        _in_pair("never cut", "huber", _never_cut),
        _in_pair("cotangent ignored", "huber", _cotangent_ignored),
        _in_pair("cotangent ignored", "logits", _cotangent_ignored),
        _in_pair("target not subtracted", "logits",
                 lambda right: lambda g, y, r, n, x, t, **k: (right(g, y, r, n, x, 0 * t, **k)[0], -g * x)),
        *distorted("softmax, large", case("softmax", X, 1), _softmax, (0,)),
        *distorted("log-softmax, large", case("log_softmax", X, 1), _log_softmax, (0,)),
        *distorted("cross-entropy, large", case("cross_entropy", X, given([0, 2, 1, 1])), softmax_nll, (0,)),
        *distorted("layer-norm, large", case("layer_norm", normal(3, 5), (5,), normal(5), normal(5)), _group_norm, (0, 1, 2)),
    )
]  # fmt: skip
