"""The function and the VJP under test, called with care: copies in, copies out, every call counted and watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend

Array = np.ndarray


class BudgetError(ValueError):
    """The check would need more evaluations of the function than the budget allows."""


def host(x: Any) -> Array:
    """Anything array-like as a NumPy array (a CuPy array is copied over)."""
    if not isinstance(x, np.ndarray) and backend.is_array(x):
        return backend.to_device(x, "cpu")
    return np.asarray(x)


def prepare(inputs: Any) -> list[Array]:
    """The inputs as private arrays in their own memory layout. Raises TypeError for what has no derivative to check."""
    if not isinstance(inputs, (tuple, list)):
        inputs = [inputs]
    arrays = []
    for i, x in enumerate(inputs):
        a = host(x)
        if a.dtype.kind not in "fiub":
            raise TypeError(f"input {i}: expected a real array (float, integer or boolean), got dtype {a.dtype}")
        arrays.append(np.copy(a, order="K"))
    return arrays


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are equal bit for bit, as far as values go (NaN equals NaN)."""
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def strided(a: Array) -> Array:
    """The same values in memory that is not contiguous: every second element of a larger block, axes reversed."""
    if a.ndim == 0:
        return a.copy()
    block = np.full((2 * a.shape[-1], *a.shape[-2::-1]), np.nan if a.dtype.kind == "f" else 0, a.dtype)
    block[::2] = a.T
    return block[::2].T


class Problem:
    """forward(*arrays) -> array or tuple and vjp(cotangent, output, *arrays) -> tuple, seen as vectors of float64.

    Counts `evaluations`; collects in `writes` what either of them did to the arrays it was given.
    """

    def __init__(self, forward: Callable, vjp: Callable, jvp: Callable | None = None, budget: int | None = None):
        self._forward, self._vjp, self._jvp = forward, vjp, jvp
        self.budget = budget
        self.evaluations = 0
        self.writes: list[tuple[str, int | None]] = []
        self._returned: list[tuple[Any, Array]] = []
        self.tuple_output = False
        self.outputs: list[Array] = []  # at the point last given to `at`
        self.floats: list[int] = []  # which outputs are floating point

    # ------------------------------------------------------------------------------------------------------ forward

    def call(self, arrays: Sequence[Array]) -> list[Array]:
        """forward at these arrays, as a list of private arrays."""
        if self.budget is not None and self.evaluations >= self.budget:
            raise BudgetError(
                f"gradcheck: {self.evaluations} evaluations of the function, the whole budget, are spent; raise budget"
            )
        self.evaluations += 1
        given = [np.copy(a, order="K") for a in arrays]
        with np.errstate(all="ignore"):
            y = self._forward(*given)
        self.tuple_output = isinstance(y, (tuple, list))
        raw = list(y) if self.tuple_output else [y]
        outputs = [np.copy(host(part), order="K") for part in raw]
        for part in outputs:
            if part.dtype.kind not in "fiub":
                raise TypeError(f"forward: expected real outputs, got dtype {part.dtype}")
        for i, (a, b) in enumerate(zip(arrays, given)):
            if not same(a, b):
                self._note_write("the function writes into its input", i)
        self._watch("the function returns memory that a later call overwrites", raw, outputs, given)
        return outputs

    def _watch(self, what: str, raw: Sequence[Any], copies: Sequence[Array], given: Sequence[Array]) -> None:
        """Remember what was returned for one call, to see whether the next call changes it."""
        for old, copy in self._returned:
            if not same(host(old), copy):
                self._note_write(what, None)
        fresh = [(r, c) for r, c in zip(raw, copies) if isinstance(r, np.ndarray)]
        self._returned = (
            [(r, c) for r, c in fresh if not any(np.shares_memory(r, g) for g in given)] if self.evaluations < 4 else []
        )

    def _note_write(self, what: str, i: int | None) -> None:
        if (what, i) not in self.writes:
            self.writes.append((what, i))

    def at(self, arrays: Sequence[Array]) -> Array:
        """The floating-point outputs at these arrays as one vector; remembers them as the outputs that cotangents belong to."""
        self.outputs = self.call(arrays)
        self.floats = [i for i, y in enumerate(self.outputs) if y.dtype.kind == "f"]
        return self.vector(self.outputs)

    def vector(self, outputs: Sequence[Array]) -> Array:
        parts = [outputs[i].astype(np.float64).ravel() for i in self.floats if i < len(outputs)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def line(self, xs: Sequence[Array], i: int, v: Array) -> Callable[[float], Array]:
        """t -> f(x + t·v), v moving input i; NaN where the function raises or changes its shapes on the way."""
        size = sum(self.outputs[k].size for k in self.floats)

        def at(t: float) -> Array:
            moved = list(xs)
            with np.errstate(all="ignore"):
                moved[i] = (xs[i] + t * v).astype(xs[i].dtype)
            try:
                y = self.vector(self.call(moved))
            except BudgetError:
                raise
            except Exception:  # it did not raise at x itself: t·v leads out of its domain
                return np.full(size, np.nan)
            return y if y.size == size else np.full(size, np.nan)

        return at

    # ---------------------------------------------------------------------------------------------------------- VJP

    def split(self, u: Array, dtype: Any = None) -> list[Array]:
        """A vector over all floating-point outputs as one array per output; zeros for integer outputs."""
        parts, start = [], 0
        for k, y in enumerate(self.outputs):
            if k in self.floats:
                part = u[start : start + y.size].reshape(y.shape)
                parts.append(part.astype(dtype or y.dtype))
                start += y.size
            else:
                parts.append(np.zeros(y.shape))
        return parts

    def pull(self, u: Array, xs: Sequence[Array], outputs: Sequence[Array] | None = None) -> list[Any]:
        """The gradients as returned (private copies, None for none), for the cotangent vector u."""
        outputs = self.outputs if outputs is None else outputs
        cotangents = [part.astype(y.dtype) if y.dtype.kind == "f" else part for part, y in zip(self.split(u), outputs)]
        given_x = [np.copy(a, order="K") for a in xs]
        given_y = [np.copy(a, order="K") for a in outputs]
        given_u = [np.copy(a, order="K") for a in cotangents]
        several = self.tuple_output
        with np.errstate(all="ignore"):
            gs = self._vjp(tuple(given_u) if several else given_u[0], tuple(given_y) if several else given_y[0], *given_x)
        gs = list(gs) if isinstance(gs, (tuple, list)) else [gs]
        for kind, before, after in (("input", xs, given_x), ("output", outputs, given_y), ("cotangent", cotangents, given_u)):
            for i, (a, b) in enumerate(zip(before, after)):
                if not same(a, b):
                    self._note_write(f"the VJP writes into its {kind}", i if kind == "input" else None)
        for g in gs:
            for i, x in enumerate(given_x):
                if isinstance(g, np.ndarray) and g.size and np.shares_memory(g, x):
                    self._note_write(
                        "the VJP returns the memory of an input as a gradient, and adding to it would change the input", i
                    )
        copies = [None if g is None else np.array(host(g)) for g in gs]
        for old, copy in getattr(self, "_pulled", []):
            if not same(old, copy):
                self._note_write("the VJP overwrites a gradient that it returned before", None)
        self._pulled = [(g, c) for g, c in zip(gs, copies) if isinstance(g, np.ndarray)]
        return copies

    def call_strided(self, xs: Sequence[Array], u: Array) -> tuple[list[Array], list[Any]]:
        """Outputs and gradients when every array is given as a non-contiguous view."""
        self.evaluations += 1
        with np.errstate(all="ignore"):
            y = self._forward(*[strided(x) for x in xs])
            outputs = [np.copy(host(part)) for part in (y if self.tuple_output else [y])]
            cotangents = [strided(part) for part in self.split(u)]
            ys = [strided(part) for part in outputs]
            several = self.tuple_output
            gs = self._vjp(
                tuple(cotangents) if several else cotangents[0], tuple(ys) if several else ys[0], *[strided(x) for x in xs]
            )
        gs = gs if isinstance(gs, (tuple, list)) else [gs]
        return outputs, [None if g is None else np.array(host(g)) for g in gs]

    def push(self, vs: Sequence[Array], xs: Sequence[Array]) -> Array:
        """J·v by the forward mode under test, as one vector."""
        assert self._jvp is not None
        t = self._jvp([np.copy(v) for v in vs], *[np.copy(a, order="K") for a in xs])
        return self.vector([np.asarray(host(part)) for part in (t if isinstance(t, (tuple, list)) else [t])])

    @property
    def forward_mode(self) -> bool:
        return self._jvp is not None
