"""Whether an adversarial training goes well, in words for a reader who has not seen one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def adversarial_advice(
    row: dict[str, float], classes: int, epoch: int, epochs: int, chosen: Mapping[str, Any] | None = None
) -> list[str]:
    """What is wrong after an epoch, with what to try: of the system's options `chosen` those that are not in use yet.

    Of `row` these are read, where they are there: 'train_told_apart', the share of images that the discriminator takes for what
    they are; 'test_classes_covered' of `classes`, and 'test_diversity', the spread of samples over that of real images. An early
    lack of variety is no fault: it counts after a fifth of the epochs and 500 steps ('step').
    """
    found, chosen = [], chosen or {}
    steadier = ["--r1 1"] * (not chosen.get("r1")) + ["--diffaugment translation"] * (chosen.get("diffaugment", "none") == "none")
    bounded = ["--spectral-norm"] * (chosen.get("spectral_norm") is False)
    told = row.get("train_told_apart", 0.0)
    if told > 0.99:
        found.append(
            f"the discriminator wins outright: it is right about {told:.1%} of the images, so that the generator learns little "
            f"from it. Try {', '.join([*steadier, *bounded, 'a lower --lr'])}"
        )
    if 5 * epoch <= epochs or row.get("step", 500) < 500:
        return found
    other = ["the system wgan-gp"] * (chosen.get("loss") != "wasserstein")
    remedy = f"Try {', '.join([*steadier, 'a lower --lr', *other])}"
    covered, diversity = row.get("test_classes_covered", classes), row.get("test_diversity", 1.0)
    if diversity < 0.4:
        found.append(
            f"mode collapse: the samples look almost all alike, they vary {diversity:.2f} times as much as real images. {remedy}"
        )
    elif covered < 0.7 * classes:
        found.append(f"mode collapse: the samples show only {covered:.0f} of the {classes} classes. {remedy}")
    return found


def setup_advice(kind: str, gp: float, r1: float, spectral_norm: bool, mixing: list[str]) -> list[str]:
    """What is wrong with a choice of losses before training begins; `mixing` names batch-norm layers of the discriminator."""
    found = []
    if gp and mixing:
        found.append(
            f"the discriminator has batch norm ({len(mixing)} layers, the first: {mixing[0]}): its score of an image depends "
            "on the rest of the batch, so the gradient penalty does not bound the slope it is meant to bound. Use the system "
            "wgan-gp (layer norm) or --spectral-norm"
        )
    if kind == "wasserstein" and not (gp or r1 or spectral_norm):
        found.append(
            "the Wasserstein loss without --gp or --r1 (in dcgan and wgan-gp also --spectral-norm) has no bound on the critic's "
            "slope: its scores will grow without end"
        )
    return found


def numbers_of_scores(kind: str, real: Any, fake: Any) -> dict[str, float]:
    """'D(x)' and 'D(G(z))', averages over arrays of scores: probabilities under the non-saturating loss, else scores as they are.

    With a threshold, so but for the Wasserstein loss, also 'told_apart': the share of scores on the right side of it.
    """
    if kind == "wasserstein":
        return {"D(x)": float(real.mean()), "D(G(z))": float(fake.mean())}
    middle = 0.5 if kind == "least-squares" else 0.0
    told = 0.5 * float((real > middle).mean()) + 0.5 * float((fake < middle).mean())
    if kind == "non-saturating":
        real, fake = (0.5 + 0.5 * np.tanh(s / 2) for s in (real, fake))
    return {"D(x)": float(real.mean()), "D(G(z))": float(fake.mean()), "told_apart": told}
