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


def overfitting(history: History, epochs: int = 5, margin: float = 0.05) -> str | None:
    """The test loss has its lowest value `epochs` or more behind it and is `margin` above that, while training still improves."""
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
        "training still falls (--patience, --dropout, --weight-decay, --augment; or the best checkpoint)"
    )


def collapse(active: float, kl: float) -> str | None:
    """A VAE whose decoder does not listen to its code: none of the latents is active, or hardly any information is in them."""
    if active and kl >= 0.5:
        return None
    return (
        f"posterior collapse: {int(active)} latents are active and carry {kl:.2f} nats, so every image is decoded alike "
        "(--annealing, --free-bits, a smaller --beta, larger images)"
    )
