"""Datasets: things with a length and numbered samples. `batch` gathers many samples in one indexing operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import array_module, is_array


class Dataset(ABC):
    """`len(dataset)` samples; `dataset[i]` is one of them (an array, a number, or a tuple or dict of such).

    A subclass writes `__len__` and `__getitem__`. One that can gather many samples at once also writes
    `batch(indices)`; a subclass that replaces only `__getitem__` gets the per-sample `batch` back, so the two never
    disagree.
    """

    classes: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Any: ...

    def batch(self, indices: Any) -> Any:
        """The samples at `indices` (integers, any number of them), stacked along a new first axis."""
        return stack([self[i] for i in np.asarray(indices).tolist()])

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "__getitem__" in cls.__dict__ and "batch" not in cls.__dict__:
            cls.batch = Dataset.batch  # type: ignore[method-assign]


def as_array(x: Any) -> Any:
    """The array in a tensor; an array as it is; anything else through NumPy."""
    if is_array(x):
        return x
    if hasattr(x, "requires_grad") and is_array(x.data):
        return x.data
    return np.asarray(x)


def stack(samples: Sequence[Any]) -> Any:
    """Samples of one structure -> that structure of arrays with a new first axis; strings stay a list.

    Raises ValueError where samples differ in shape or length.
    """
    if len(samples) == 0:
        raise ValueError("stack: no samples given")
    first = samples[0]
    if isinstance(first, Mapping):
        return {key: stack([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        lengths = {len(sample) for sample in samples}
        if len(lengths) > 1:
            raise ValueError(f"stack: samples have different numbers of parts: {sorted(lengths)}")
        return tuple(stack(column) for column in zip(*samples))
    if isinstance(first, (str, bytes)):
        return list(samples)
    arrays = [as_array(sample) for sample in samples]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(f"stack: samples of one batch have different shapes, such as {shapes[0]} and {shapes[1]}")
    return array_module(*arrays).stack(arrays)


class TensorDataset(Dataset):
    """Samples along the first axis of each array or tensor: `dataset[i] == (a[i], b[i], ...)`.

    Raises ValueError when the lengths differ or none is given.
    """

    def __init__(self, *tensors: Any):
        if not tensors:
            raise ValueError("TensorDataset: expected at least one array")
        self.tensors = tuple(t if hasattr(t, "requires_grad") else as_array(t) for t in tensors)
        self.arrays = tuple(as_array(t) for t in self.tensors)
        shapes = [array.shape for array in self.arrays]
        if () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: expected arrays of one length, got shapes {shapes}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def batch(self, indices: Any) -> tuple[Any, ...]:
        return tuple(take(array, indices) for array in self.arrays)


def take(array: Any, indices: Any) -> Any:
    """`array[indices]` along the first axis, on the array's own device."""
    return array[array_module(array).asarray(indices)]


class MapDataset(Dataset):
    """`dataset` with `transform` on the first part of each sample and `target_transform` on the second.

    Transforms get one sample from `[]` and a whole batch (one more axis in front) from a loader.
    """

    def __init__(self, dataset: Any, transform: Callable | None = None, target_transform: Callable | None = None):
        self.dataset, self.transform, self.target_transform = dataset, transform, target_transform
        self.classes = getattr(dataset, "classes", ())

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return apply_transforms(self.dataset[index], self.transform, self.target_transform)

    def batch(self, indices: Any) -> Any:
        return apply_transforms(gather(self.dataset, indices), self.transform, self.target_transform)


def apply_transforms(sample: Any, transform: Callable | None, target_transform: Callable | None) -> Any:
    """Apply the transforms to (input, target, ...), or `transform` to a sample that is not a tuple."""
    if not isinstance(sample, (tuple, list)):
        return sample if transform is None else transform(sample)
    parts = list(sample)
    for k, change in enumerate((transform, target_transform)):
        if change is not None:
            if k >= len(parts):
                raise ValueError(f"target_transform: the dataset's samples have {len(parts)} part and no target")
            parts[k] = change(parts[k])
    return tuple(parts)


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order. Raises IndexError for an index outside the dataset."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        n = len(dataset)
        if self.indices.size and not (-n <= self.indices.min() and self.indices.max() < n):
            raise IndexError(f"Subset: indices span {self.indices.min()}..{self.indices.max()}, the dataset has {n} samples")
        self.classes = getattr(dataset, "classes", ())

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def batch(self, indices: Any) -> Any:
        return gather(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Datasets one after the other."""

    def __init__(self, datasets: Sequence[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset")
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()
        self.classes = getattr(self.datasets[0], "classes", ())

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def _locate(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        """Which dataset each index falls into, and its index there."""
        indices, n = np.asarray(indices, dtype=np.int64), len(self)
        if ((indices < -n) | (indices >= n)).any():
            raise IndexError(f"ConcatDataset: index {indices.tolist()} is out of range for {n} samples")
        indices = indices % n
        source = np.searchsorted(self.cumulative_sizes, indices, side="right")
        return source, indices - np.array([0, *self.cumulative_sizes])[source]

    def __getitem__(self, index: int) -> Any:
        source, local = self._locate(index)
        return self.datasets[int(source)][int(local)]

    def batch(self, indices: Any) -> Any:
        source, local = self._locate(indices)
        order = np.argsort(source, kind="stable")
        parts = [gather(self.datasets[k], local[source == k]) for k in np.unique(source)]
        return _join(parts, np.argsort(order))


def _join(parts: list[Any], order: np.ndarray) -> Any:
    """Concatenate batches of one structure and put their samples into `order`."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: _join([part[key] for part in parts], order) for key in first}
    if isinstance(first, tuple):
        return tuple(_join(list(column), order) for column in zip(*parts))
    if isinstance(first, list):
        joined = [item for part in parts for item in part]
        return [joined[i] for i in order]
    return take(array_module(*parts).concatenate(parts), order)


def gather(dataset: Any, indices: Any) -> Any:
    """`dataset.batch(indices)`; sample by sample for any other object with `[]`, such as a list."""
    if isinstance(dataset, Dataset):
        return dataset.batch(np.asarray(indices))
    return stack([dataset[i] for i in np.asarray(indices).tolist()])
