"""Samplers: the order in which a loader visits samples. Random ones draw from `current_generator()`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from .randomness import current_generator


class SequentialSampler:
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))


class RandomSampler:
    """A permutation of all samples; with `replacement` or `num_samples`, that many independent or permuted draws."""

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None):
        self.data_source, self.replacement = data_source, replacement
        self.num_samples = len(data_source) if num_samples is None else num_samples
        if len(data_source) == 0 or self.num_samples <= 0:
            raise ValueError(f"RandomSampler: num_samples should be positive, got {self.num_samples} of {len(data_source)}")

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        rng, n, left = current_generator(), len(self.data_source), self.num_samples
        if self.replacement:
            yield from rng.integers(n, size=left).tolist()
            return
        while left > 0:
            yield from rng.permutation(n)[:left].tolist()
            left -= n


class WeightedRandomSampler:
    """`num_samples` draws with probabilities proportional to `weights` (non-negative, one per sample)."""

    def __init__(self, weights: Sequence[float] | np.ndarray, num_samples: int, replacement: bool = True):
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ValueError("WeightedRandomSampler: expected one finite, non-negative weight per sample")
        possible = np.count_nonzero(self.weights)
        if num_samples <= 0 or possible == 0 or (not replacement and num_samples > possible):
            raise ValueError(f"WeightedRandomSampler: cannot draw {num_samples} of {possible} samples with positive weight")
        self.num_samples, self.replacement = num_samples, replacement

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        p = self.weights / self.weights.sum()
        draws = current_generator().choice(len(p), size=self.num_samples, replace=self.replacement, p=p)
        return iter(draws.tolist())


class BatchSampler:
    """Lists of `batch_size` indices from `sampler`; `drop_last` leaves out a shorter last one."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool):
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size <= 0:
            raise ValueError(f"batch_size: expected a positive integer, got {batch_size!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, int(batch_size), bool(drop_last)

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[list[Any]]:
        batch: list[Any] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch
