"""One step of an optimiser, and the norm of all gradients, for many arrays at once by the compiled kernels.

    run = prepare(p, buffers)                       once a parameter; None where the kernels cannot take it
    step("adam", runs, gradients, numbers) -> bool  False where NumPy is to do it

The kernels give the bits of NumPy's passes (`cpu.optimizer`), so which of the two computes a step changes nothing but time.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np

from .arrays import Array
from .compiled import compiled, gpu_part
from .dispatch import chosen, module

RULES = ("sgd", "adam", "rmsprop", "adagrad", "average")
LARGE = 1 << 15  # elements of all parameters together, from which on the kernels are worth their import
WORTH = 1 << 10  # and where they have been imported already: NumPy takes some ten calls a parameter
TYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Run:
    """A parameter and its state buffers as the kernels take them: dense, in one order, NumPy's own."""

    __slots__ = ("before", "behind", "buffers", "dtype", "p")

    def __init__(self, p: np.ndarray, buffers: Sequence[np.ndarray]) -> None:
        self.p, self.buffers, self.dtype = p, tuple(buffers), TYPES[p.dtype == TYPES[1]]
        self.before, self.behind = (p.size, id(p)), tuple(map(id, buffers))  # of the kernel's row, the gradient between them

    def operand(self, g: Array) -> np.ndarray:
        """The gradient itself, or a copy in p's memory order."""
        if type(g) is np.ndarray and g.dtype == self.dtype and _alike(g, self.p) and g.flags.aligned:
            return g
        copy = np.empty_like(self.p)
        copy[...] = g
        return copy


class DeviceRun:
    """A parameter and its state buffers on a GPU: dense and in one order. `kept` is what stays there from step to step."""

    __slots__ = ("buffers", "dtype", "kept", "p")

    def __init__(self, p: Array, buffers: Sequence[Array]) -> None:
        self.p, self.buffers, self.dtype = p, tuple(buffers), p.dtype
        self.kept: dict[Any, Any] = {}

    def row(self, g: Array) -> tuple[Array, ...]:
        """The arrays that the kernel takes; the gradient is copied where it is of another type or order."""
        if type(g) is not type(self.p) or g.dtype != self.dtype or not _alike(g, self.p):
            copy = np.empty_like(self.p)
            copy[...] = g
            g = copy
        return self.p, g, *self.buffers


def prepare(p: Array, buffers: Sequence[Array]) -> Run | DeviceRun | None:
    """What `step` takes for a parameter, or None where it has to be left to NumPy."""
    arrays = (p, *buffers)
    if type(p) is not np.ndarray:
        fits = all(type(a) is type(p) and a.dtype == p.dtype and _alike(a, p) and _dense(a) for a in arrays)
        return DeviceRun(p, buffers) if fits and p.size and compiled("optimizer", *arrays) is not None else None
    if not all(_takes(a) and a.flags.writeable and a.dtype == p.dtype and _alike(a, p) for a in arrays):
        return None
    return Run(p, buffers)


def apart(arrays: Sequence[Any]) -> bool:
    """Whether no two arrays share memory, so that the order in which they are changed does not matter."""
    starts = [(a.ctypes.data if type(a) is np.ndarray else a.data.ptr, a.nbytes) for a in arrays if a.size]
    spans = sorted((start, start + size) for start, size in starts)
    return all(end <= start for (_, end), (start, _) in pairwise(spans))


def step(rule: str, runs: Sequence[Any], gradients: Sequence[Array], numbers: Sequence[tuple[Any, ...]]) -> bool:
    """Change all parameters and their buffers by a rule, in place; False, and nothing is changed, where that is NumPy's to do.

    `numbers` are (1 - decoupled decay, the gradient's factor, weight decay, the rule's coefficients) of each parameter.
    """
    if runs and isinstance(runs[0], DeviceRun):
        return _step_on_gpu(rule, runs, gradients, numbers)
    if not all(type(run) is Run for run in runs) or not _worth([run.p for run in runs]):
        return False
    from .cpu import optimizer

    held = [run.operand(g) for run, g in zip(runs, gradients)]  # for as long as the kernel runs
    for dtype in TYPES:
        mine = [i for i, run in enumerate(runs) if run.dtype is dtype]
        if mine:
            rows = [(*runs[i].before, id(held[i]), *runs[i].behind) for i in mine]
            optimizer.step(rule, rows, [numbers[i] for i in mine], dtype)
    return True


def _step_on_gpu(rule: str, runs: Sequence[Any], gradients: Sequence[Array], numbers: Sequence[tuple[Any, ...]]) -> bool:
    gpu = gpu_part("optimizer", runs[0].p)
    if gpu is None or rule not in gpu.RULES or not all(isinstance(run, DeviceRun) for run in runs):
        return False
    kinds = [(run.dtype, run.p.data.device_id) for run in runs]
    for kind in dict.fromkeys(kinds):
        mine = [i for i, other in enumerate(kinds) if other == kind]
        gpu.step(rule, [runs[i].row(gradients[i]) for i in mine], [numbers[i] for i in mine], runs[mine[0]].kept)
    return True


def norm(arrays: Sequence[Array]) -> float | None:
    """The square root of the sum of squares of all elements of all arrays, summed in float64; None where NumPy is to do it."""
    rows = _rows(arrays)
    if rows is None:
        return None
    from .cpu import optimizer

    return sqrt(optimizer.squares(rows, arrays[0].dtype))


def scale(arrays: Sequence[Array], factor: float) -> bool:
    """Multiply all arrays by a factor, in place; False, and nothing is changed, where that is NumPy's to do."""
    rows = _rows(arrays)
    if rows is None or not all(a.flags.writeable for a in arrays) or not apart(arrays):
        return False
    from .cpu import optimizer

    optimizer.scale(rows, factor, arrays[0].dtype)
    return True


def _rows(arrays: Sequence[Array]) -> list[tuple[int, int]] | None:
    if not arrays or not all(_takes(a) and a.dtype == arrays[0].dtype for a in arrays) or not _worth(arrays):
        return None
    return [(a.size, id(a)) for a in arrays]


def _worth(arrays: Sequence[np.ndarray]) -> bool:
    if chosen.get() not in (None, "cpu"):
        return False
    least = WORTH if f"{__package__}.cpu" in sys.modules else LARGE
    return sum([a.size for a in arrays]) >= least and module("cpu") is not None


def _takes(a: Array) -> bool:
    return type(a) is np.ndarray and a.dtype in TYPES and a.flags.aligned and _dense(a)


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two dense arrays have their elements in the same order in memory."""
    if a.shape != b.shape:
        return False
    return a.strides == b.strides or all(n == 1 or s == t for n, s, t in zip(a.shape, a.strides, b.strides))


def _dense(a: np.ndarray) -> bool:
    """Whether the elements of `a` fill one piece of memory."""
    if a.flags.forc:
        return True
    step = a.itemsize
    for stride, length in sorted(zip(a.strides, a.shape)):
        if length != 1 and stride != step:
            return False
        step *= length
    return True
