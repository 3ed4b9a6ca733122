"""Whether a training goes well, in plain language: each function looks at the history and says nothing, or what is wrong.

A history is a list of one dict of numbers for each epoch, as `Trainer.history`. The texts name the option that may help.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

History = Sequence[dict[str, float]]


def rising(history: History, name: str = "train_loss", epochs: int = 3) -> str | None:
    """The training loss has risen `epochs` times in a row."""
    values = [row[name] for row in history[-epochs - 1 :] if name in row]
    if len(values) <= epochs or any(a >= b for a, b in pairwise(values)):
        return None
    return f"rising loss: for {epochs} epochs the training loss has risen; the learning rate may be too high (--lr, --clip-norm)"


def overfitting(
    history: History, epochs: int = 5, margin: float = 0.05, remedies: Sequence[str] = ("--patience", "--weight-decay")
) -> str | None:
    """The test loss has its lowest value `epochs` or more behind it and is `margin` above that, while training still improves.

    `remedies`: options of the system that may help.
    """
    held_out = "validation_loss" if history and "validation_loss" in history[-1] else "test_loss"
    rows = [row for row in history if held_out in row and "train_loss" in row]
    if not rows:
        return None
    best = min(range(len(rows)), key=lambda i: rows[i][held_out])
    lowest, last = rows[best], rows[-1]
    worse = last[held_out] - lowest[held_out] > margin * abs(lowest[held_out])
    if len(rows) - 1 - best < epochs or not worse or last["train_loss"] >= lowest["train_loss"]:
        return None
    return (
        f"overfitting: the loss on images held out was lowest in epoch {int(lowest['epoch'])} and rises since, while that of "
        f"training still falls ({', '.join(remedies)}; or the best checkpoint)"
    )


def guessing(history: History, classes: int, epochs: int = 3) -> str | None:
    """After `epochs` epochs the mean recall of the classes on test images is hardly above 1 / classes, that of any guess."""
    chance = 1 / max(1, classes)
    if len(history) < epochs or history[-1].get("test_recall", 1.0) > chance + 0.1 * (1 - chance):
        return None
    return (
        f"guessing: after {len(history)} epochs the classes are told apart hardly better than by chance, {chance:.0%} of each; "
        "where the training loss stands still the learning rate may be too high (--lr), where it still falls --epochs may help"
    )


def no_better(history: History, plain: str, how: str, epochs: int = 3) -> str | None:
    """After `epochs` epochs 'test_psnr' is below the number `plain` of what needs no training; `how` says what that is."""
    row = history[-1] if len(history) >= epochs else {}
    if not row.get("test_psnr", 0.0) < row.get(plain, 0.0):
        return None
    return (
        f"no use yet: after {len(history)} epochs the images are worse than {how}, {row['test_psnr']:.1f} against "
        f"{row[plain]:.1f} dB (--epochs, another --lr, more images)"
    )


def collapse(active: float, kl: float) -> str | None:
    """A VAE whose decoder does not listen to its code: none of the latents is active, or hardly any information is in them."""
    if active and kl >= 0.5:
        return None
    return (
        f"posterior collapse: {int(active)} latents are active and carry {kl:.2f} nats, so every image is decoded alike "
        "(--annealing, --free-bits, a smaller --beta, larger images)"
    )
