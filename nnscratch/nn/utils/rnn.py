"""Batches of sequences of unequal lengths, padded or packed (the functions of torch.nn.utils.rnn).

Padded: (T, N, ...), filled up after each sequence's end. Packed: what is not padding, time after time, with the sequences
sorted by falling length, so that those still running at time t are the first batch_sizes[t].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import backend, ops
from ...tensor import Tensor, array_of, to_numpy

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """data: (Σ lengths, ...); batch_sizes: (T), how many sequences reach each time; sorted_indices, unsorted_indices: (N),
    the order that sorted the batch and its inverse, or None where it came sorted."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    @property
    def lengths(self) -> np.ndarray:
        """The lengths of the sequences, in the order in which they were given."""
        sizes = to_numpy(self.batch_sizes)
        lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)
        return lengths if self.unsorted_indices is None else lengths[to_numpy(self.unsorted_indices)]


def _as_lengths(name: str, lengths: Any, steps: int, batch: int) -> np.ndarray:
    array = to_numpy(lengths) if isinstance(lengths, Tensor) or backend.is_array(lengths) else np.asarray(lengths)
    if array.shape != (batch,) or array.dtype.kind not in "iu":
        raise ValueError(f"{name}: lengths must be {batch} integers, one per sequence; got {array.dtype} of shape {array.shape}")
    if batch == 0 or array.min() < 1 or array.max() > steps:
        raise ValueError(f"{name}: lengths must be from 1 to {steps} and at least one, got {array.tolist()}")
    return array.astype(np.int64)


def _indices(like: Any, array: np.ndarray) -> Any:
    return backend.array_module(array_of(like)).asarray(array)


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a padded (T, N, ...), or (N, T, ...) with batch_first, batch.

    Raises ValueError for lengths outside 1..T, and for unsorted ones unless enforce_sorted=False.
    """
    x = ops.transpose(input, 0, 1) if batch_first else input
    steps, batch = x.shape[:2]
    sizes = _as_lengths("pack_padded_sequence", lengths, steps, batch)
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        x = ops.index_select(x, 1, _indices(input, order))
        sizes = sizes[order]
    elif (sizes[1:] > sizes[:-1]).any():
        raise ValueError(
            f"pack_padded_sequence: lengths must fall, got {sizes.tolist()}; pass enforce_sorted=False to have the batch sorted"
        )
    present = np.arange(steps)[:, None] < sizes
    data = ops.index_select(ops.reshape(x, (steps * batch, *x.shape[2:])), 0, _indices(input, np.flatnonzero(present)))
    batch_sizes = Tensor(present[: sizes[0]].sum(axis=1))
    if order is None:
        return PackedSequence(data, batch_sizes)
    return PackedSequence(data, batch_sizes, Tensor(_indices(input, order)), Tensor(_indices(input, np.argsort(order))))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """(padded, lengths) of a packed batch, in the order in which it was given; padded to total_length if that is given.

    Raises ValueError for a total_length shorter than the longest sequence.
    """
    data = sequence.data
    present_sizes = to_numpy(sequence.batch_sizes)
    steps, batch = len(present_sizes), int(present_sizes[0])
    if total_length is not None and total_length < steps:
        raise ValueError(f"pad_packed_sequence: total_length {total_length} is shorter than the longest sequence, {steps}")
    # Every place of the padded batch picks its row of the data; what is padding picks an extra last row.
    present = np.zeros((total_length or steps, batch), bool)
    present[:steps] = np.arange(batch) < present_sizes[:, None]
    places = np.where(present, np.cumsum(present).reshape(present.shape) - 1, len(data))
    if sequence.unsorted_indices is not None:
        places = places[:, to_numpy(sequence.unsorted_indices)]
    if batch_first:
        places = places.T
    filling = backend.array_module(array_of(data)).full((1, *data.shape[1:]), padding_value, data.dtype)
    rows = ops.index_select(ops.cat([data, filling], 0), 0, _indices(data, places.ravel()))
    return ops.reshape(rows, (*places.shape, *data.shape[1:])), Tensor(sequence.lengths)


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Stack sequences (T_i, ...) of unequal lengths as (T, N, ...), or (N, T, ...) with batch_first, filled up.

    Raises ValueError for no sequences, for shapes that differ behind the first axis, or for another padding_side than
    'right' and 'left'.
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    if not len(sequences):
        raise ValueError("pad_sequence: got no sequences")
    tails = {tuple(s.shape[1:]) for s in sequences}
    if len(tails) > 1:
        raise ValueError(f"pad_sequence: sequences differ behind their first axis: {sorted(tails)}")
    steps = max(s.shape[0] for s in sequences)

    def padded(s: Any) -> Any:
        xp = backend.array_module(array_of(s))
        filling = xp.full((steps - s.shape[0], *s.shape[1:]), padding_value, s.dtype)
        return ops.cat([s, filling] if padding_side == "right" else [filling, s], 0)

    return ops.stack([padded(s) for s in sequences], 0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (T_i, ...). Raises ValueError as `pad_sequence` and `pack_padded_sequence`."""
    lengths = np.array([s.shape[0] for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences (T_i, ...) of a padded batch. Raises ValueError for lengths outside 1..T."""
    x = padded_sequences if batch_first else ops.transpose(padded_sequences, 0, 1)
    lengths = _as_lengths("unpad_sequence", lengths, x.shape[1], x.shape[0])
    return [x[k, :n] for k, n in enumerate(lengths.tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences (T_i, ...) of a packed batch."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
