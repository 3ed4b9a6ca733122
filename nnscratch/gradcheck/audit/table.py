"""The table: all entries, by family."""

from __future__ import annotations

import re

from . import elementwise, layers, losses, reductions, shapes, training, windows
from .entry import Entry

FAMILIES: dict[str, list[Entry]] = {
    "arithmetic": elementwise.ARITHMETIC,
    "activation": elementwise.ACTIVATION,
    "noise": elementwise.NOISE,
    "reduction": reductions.REDUCTION,
    "order": reductions.ORDER,
    "shape": shapes.SHAPE,
    "index": shapes.INDEX,
    "linalg": shapes.LINALG,
    "conv": windows.CONV,
    "fused": training.FUSED,
    "pool": windows.POOL,
    "resample": windows.RESAMPLE,
    "norm": windows.NORM,
    "regression": losses.REGRESSION,
    "classification": losses.CLASSIFICATION,
    "margin": losses.MARGIN,
    "adversarial": losses.ADVERSARIAL,
    "recurrent": losses.RECURRENT,
    "layers": layers.PLAIN,
    "layers.activation": layers.ACTIVATION,
    "layers.window": layers.WINDOW,
    "layers.norm": layers.NORM,
    "layers.recurrent": layers.RECURRENT,
    "layers.loss": layers.LOSS,
    "training": training.TRAINING,
}


def entries(pattern: str = "") -> list[Entry]:
    """All entries, or those whose "family: label" matches a regular expression, whatever the case.

    Raises ValueError for a malformed pattern, or one that matches nothing.
    """
    try:
        wanted = re.compile(pattern, re.IGNORECASE)
    except re.error as fault:
        raise ValueError(f"pattern {pattern!r} is not a regular expression: {fault}") from None
    found = [entry for family, some in FAMILIES.items() for entry in some if wanted.search(f"{family}: {entry.label}")]
    if not found:
        raise ValueError(f"no entry of the audit matches {pattern!r}; families: {', '.join(FAMILIES)}")
    return found
