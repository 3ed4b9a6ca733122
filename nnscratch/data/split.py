"""Random splits of a dataset, plain or stratified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dataset import Subset, as_array
from .randomness import as_numpy_generator


def random_split(
    dataset: Any,
    lengths: Sequence[int] | Sequence[float],
    generator: Any = None,
    *,
    seed: int | None = None,
    stratify: Any = None,
) -> list[Subset]:
    """Disjoint random subsets of the given lengths, or of the given fractions where they sum to 1.

    A fraction f of n samples is floor(f n) samples; what is left over goes to the splits in turn, one each, as in
    torch. `stratify`: one label per sample; each split then holds every label in its overall proportion (to within a
    sample or so). Raises ValueError when integer lengths do not sum to len(dataset) or fractions lie outside [0, 1].
    """
    n = len(dataset)
    sizes = _split_sizes(n, lengths)
    rng = as_numpy_generator(generator, seed)
    order = rng.permutation(n) if stratify is None else _stratified_order(as_array(stratify), n, rng)
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends)]


def _split_sizes(n: int, lengths: Sequence[float]) -> list[int]:
    if not len(lengths):
        raise ValueError("random_split: expected at least one length")
    total = sum(lengths)
    if math.isclose(total, 1):
        return _fraction_sizes(n, lengths)
    if any(int(length) != length or length < 0 for length in lengths) or total != n:
        raise ValueError(
            f"random_split: expected lengths that sum to the dataset's {n} samples, or fractions that sum to 1, "
            f"got {list(lengths)}"
        )
    return [int(length) for length in lengths]


def _fraction_sizes(n: int, fractions: Sequence[float]) -> list[int]:
    if any(not 0 <= f <= 1 for f in fractions):
        raise ValueError(f"random_split: expected fractions between 0 and 1, got {list(fractions)}")
    sizes = [math.floor(f * n) for f in fractions]
    for k in range(n - sum(sizes)):
        sizes[k % len(sizes)] += 1
    return sizes


def _stratified_order(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """A random order in which every stretch holds each label in about its overall proportion.

    The j-th sample of a label with m samples is put at the place (j + u) / m of the line from 0 to 1, with one
    random u for each label, so that labels do not move in step.
    """
    if labels.shape != (n,):
        raise ValueError(f"random_split: stratify has shape {labels.shape}, expected one label for each of {n} samples")
    place = np.empty(n)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable")
