"""The two sides of a generative adversarial network. Scores are the discriminator's outputs before any sigmoid."""

from __future__ import annotations

from typing import Any

from ..activation import relu
from ..powers import square
from ..reduce import mean
from .classification import logit_nll

__all__ = ["discriminator_loss", "generator_loss"]

_KINDS = ("non-saturating", "hinge", "wasserstein", "least-squares")


def _check_kind(name: str, kind: str) -> None:
    if kind not in _KINDS:
        raise ValueError(f"{name}: unknown kind {kind!r}; expected one of {', '.join(map(repr, _KINDS))}")


def generator_loss(fake_logits: Any, kind: str = "non-saturating") -> Any:
    """What the generator minimises, averaged over the scores f of its samples (any shape).

    non-saturating: -log σ(f) (Goodfellow et al. 2014); hinge and wasserstein: -f (Lim & Ye 2017; Arjovsky et al. 2017);
    least-squares: (f - 1)² / 2 (Mao et al. 2017). Raises ValueError for another kind.
    """
    _check_kind("generator_loss", kind)
    if kind == "non-saturating":
        return mean(logit_nll(fake_logits, 1.0))
    if kind == "least-squares":
        return 0.5 * mean(square(fake_logits - 1.0))
    return -mean(fake_logits)


def discriminator_loss(real_logits: Any, fake_logits: Any, kind: str = "non-saturating", label_smoothing: float = 0.0) -> Any:
    """What the discriminator minimises, for the scores r of real and f of generated samples (any two shapes).

    non-saturating: -log σ(r) - log σ(-f); hinge: max(0, 1 - r) + max(0, 1 + f); wasserstein: f - r;
    least-squares: ((r - 1)² + f²) / 2; each term averaged. label_smoothing s lowers the target of real samples, only, from 1 to
    1 - s (Salimans et al. 2016); it is for non-saturating and least-squares. Raises ValueError for another kind, for s outside
    [0, 1), or for s > 0 where there is no target to smooth.
    """
    _check_kind("discriminator_loss", kind)
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"discriminator_loss: label_smoothing must be in [0, 1), got {label_smoothing}")
    if label_smoothing and kind in ("hinge", "wasserstein"):
        raise ValueError(f"discriminator_loss: the {kind} loss has no labels to smooth, got label_smoothing={label_smoothing}")
    real = 1.0 - label_smoothing
    if kind == "non-saturating":
        return mean(logit_nll(real_logits, real)) + mean(logit_nll(fake_logits, 0.0))
    if kind == "hinge":
        return mean(relu(1.0 - real_logits)) + mean(relu(1.0 + fake_logits))
    if kind == "wasserstein":
        return mean(fake_logits) - mean(real_logits)
    return 0.5 * (mean(square(real_logits - real)) + mean(square(fake_logits)))
