"""DataLoader: seeded batches of a dataset, resumable at any batch, optionally computed ahead in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import count
from typing import Any

import numpy as np

from .. import backend
from .dataset import gather, stack
from .prefetch import Prefetcher
from .randomness import as_numpy_generator, keyed_generator, using_generator
from .sampler import BatchSampler, RandomSampler, SequentialSampler


def default_collate(samples: list[Any]) -> Any:
    """Samples of one structure -> that structure of tensors with a new first axis; strings stay a list."""
    return to_tensors(stack(samples))


def to_tensors(batch: Any) -> Any:
    """Every array of a (nested) tuple or dict as a tensor."""
    from ..tensor import as_tensor

    if isinstance(batch, dict):
        return {key: to_tensors(part) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(to_tensors(part) for part in batch)
    return batch if isinstance(batch, list) else as_tensor(batch)


def _page_locked(batch: Any) -> Any:
    """The tensors of a batch that are on the CPU in page-locked memory."""
    from ..tensor import Tensor

    if isinstance(batch, dict):
        return {key: _page_locked(part) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_page_locked(part) for part in batch)
    if isinstance(batch, Tensor) and isinstance(batch.data, np.ndarray):
        return Tensor(backend.page_locked(batch.data))
    return batch


class DataLoader:
    """Batches of `dataset`: one pass over the loader is one epoch.

    `shuffle` visits the samples in a new random order each epoch; `sampler` (iterable of indices) or `batch_sampler`
    (iterable of index lists) give the order instead. Without `collate_fn` a batch is gathered by
    `dataset.batch(indices)` in one step and its arrays become tensors; with it, a batch is `collate_fn([dataset[i]
    for i in indices])`. `prefetch`: how many batches a background thread may compute ahead. From torch's loader,
    `num_workers=n` means `prefetch=2 * n` (always one thread), and `pin_memory` puts the arrays of a batch
    into page-locked memory where there is a GPU, from which `to("cuda", non_blocking=True)` copies in the background.

    All randomness is keyed by (seed, epoch, batch). The seed is `seed`, or drawn once from `generator` (the default one
    when neither is given). `state_dict()` may be taken at any time, also within an epoch: a loader that loads it
    first yields the rest of the interrupted epoch, then the same epochs as the original, whatever its `prefetch`. The
    exception is a `sampler` with random state of its own: let it draw from `current_generator()`, as `RandomSampler`
    does. An iterator left early ends its epoch: the next `iter(loader)` starts another one.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Any = None,
        seed: int | None = None,
        prefetch: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ):
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(f"dataset: expected an object with a length and [], got {type(dataset).__name__}")
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(f"num_workers: expected a number, 0 or more, got {num_workers!r}")
        prefetch = 2 * num_workers if prefetch is None else prefetch
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
            raise ValueError(f"prefetch: expected a number of batches, 0 or more, got {prefetch!r}")
        if sampler is not None and shuffle:
            raise ValueError("sampler and shuffle exclude each other")
        if batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        self.dataset, self.sampler, self.batch_sampler = dataset, sampler, batch_sampler
        self.collate_fn, self.prefetch = collate_fn, prefetch
        self.batch_size = getattr(batch_sampler, "batch_size", None)
        self.drop_last, self.pin_memory = drop_last, bool(pin_memory)
        if seed is None or generator is not None:
            seed = int(as_numpy_generator(generator, seed).integers(2**63))
        elif isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed: expected a non-negative integer, got {seed!r}")
        self.seed = int(seed)
        self.epoch = 0  # the epoch being handed out, or the next one
        self.position = 0  # batches of it handed out so far
        self._live: object | None = None  # marks the newest iterator: the only one that counts

    def __len__(self) -> int:
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self._live is not None:
            self.epoch, self.position = self.epoch + 1, 0
        self._live = object()
        return self._hand_out(self.epoch, self.position, self._live)

    def _hand_out(self, epoch: int, start: int, mark: object) -> Iterator[Any]:
        source: Any = self._batches(epoch, start)
        with closing(Prefetcher(source, self.prefetch) if self.prefetch else source) as batches:
            for batch in batches:
                if self._live is mark:
                    self.position += 1
                yield batch
        if self._live is mark:
            self.epoch, self.position, self._live = epoch + 1, 0, None

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        order = keyed_generator(self.seed, epoch)
        with using_generator(order):
            index_lists = iter(self.batch_sampler)
        for number in count():
            with using_generator(order):
                indices = next(index_lists, None)
            if indices is None:
                return
            if number >= start:
                with using_generator(keyed_generator(self.seed, epoch, number)):
                    batch = self._collate(indices)
                yield batch

    def _collate(self, indices: Any) -> Any:
        if self.collate_fn is not None:
            batch = self.collate_fn([self.dataset[i] for i in indices])
        else:
            batch = to_tensors(gather(self.dataset, indices))
        return _page_locked(batch) if self.pin_memory else batch

    def state_dict(self) -> dict[str, Any]:
        """Seed, epoch and position, and what they are only valid for; JSON-serialisable."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken. Raises ValueError for a state of another dataset or batch size."""
        own = self.state_dict()
        if not isinstance(state, dict) or state.keys() != own.keys():
            given = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"DataLoader state: expected the keys {sorted(own)}, got {given}")
        for key in ("seed", "epoch", "position"):
            if not isinstance(state[key], int) or state[key] < 0:
                raise ValueError(f"DataLoader state: expected {key} to be a non-negative integer, got {state[key]!r}")
        for key in ("samples", "batch_size"):
            if state[key] != own[key]:
                raise ValueError(f"DataLoader state: it was saved with {key}={state[key]}, this loader has {own[key]}")
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
        self._live = None
