"""What roundoff alone may do to a gradient: it is computed again with its arguments rounded a little differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .problem import BudgetError
from .vectors import Array, magnitude, weighted

if TYPE_CHECKING:
    from .measure import Measurement


class Conditioning:
    """`rows(i)`: for every cotangent, how far each element of input i's gradient moves for a rounding error of its arguments.

    Cotangents of one kind (on the same outputs, in the same proportions) share a row; the samples of a kind are its first two.
    """

    def __init__(self, m: Measurement):
        self.m = m
        self._seen: list[Array] = [np.zeros((0, x.size)) for x in m.xs]

    @property
    def _count(self) -> int:
        return int(self.m.kinds.max(initial=-1)) + 1

    def rows(self, i: int) -> Array:
        return self._seen[i][self.m.kinds]

    def worst(self, i: int) -> Array:
        """The largest of all kinds."""
        return self._seen[i].max(axis=0, initial=0.0)

    def sample(self, kinds: Sequence[int] | None = None) -> None:
        """Look again at some kinds (all, if not given); what was seen before stays seen."""
        m, count = self.m, self._count
        self._seen = [np.concatenate([old, np.zeros((count - len(old), old.shape[1]))]) for old in self._seen]
        own, chosen = m.precision.own, list(range(count)) if kinds is None else list(kinds)
        try:
            near = self._moves(2 * own, chosen)
            if any(np.any(c.max(axis=1, initial=0.0) > max(1e-8, 1e3 * own) * self._tops(g)) for c, g in zip(near, m.gs)):
                # Roundoff grows with the rounding; another branch, taken at a tie, does not. Nor does the rest that is left when
                # all digits have cancelled, but that is small.
                far, rest = self._moves(32 * own, chosen), [self._rest(i) for i in range(len(m.xs))]
                near = [np.where(f < 4 * c, np.minimum(c, r), c) for f, c, r in zip(far, near, rest)]
        except BudgetError:
            raise
        except Exception:
            return  # a point on the edge of the domain, or a VJP that knows no other point than that of the last call
        self._seen = [np.maximum(old, new) for old, new in zip(self._seen, near)]

    def _tops(self, g: Array) -> Array:
        """The largest element of each kind's gradients."""
        tops = np.zeros(self._count)
        if g.size:
            np.maximum.at(tops, self.m.kinds, np.max(np.abs(g), axis=1, initial=0.0, where=np.isfinite(g)))
        return tops

    def rest(self, i: int) -> Array:
        """What rounding may leave of a gradient that is zero but for it, for every cotangent."""
        return self._rest(i)[self.m.kinds]

    def _rest(self, i: int) -> Array:
        """Of the size of eps · u · y / x, for every kind."""
        m, x = self.m, self.m.xs[i]
        heights = np.zeros(self._count)
        np.maximum.at(heights, m.kinds, 64 * m.precision.own * weighted(m.us, m.y))
        size = np.fmax(np.abs(x), magnitude(x)) if x.dtype.kind == "f" else np.ones(x.shape)
        return heights[:, None] / size.ravel()

    def _moves(self, reach: float, chosen: Sequence[int]) -> list[Array]:
        m, rng = self.m, self.m.rng

        def wobble(a: Any) -> Any:
            return np.asarray(a * (1 + reach * rng.uniform(-1, 1, a.shape))).astype(a.dtype) if a.dtype.kind == "f" else a

        near = [wobble(x) for x in m.xs]
        outputs = [wobble(y) for y in m.problem.call(near)]
        total = [np.zeros((self._count, x.size)) for x in m.xs]
        for kind in chosen:
            for c in np.flatnonzero(m.kinds == kind)[:2]:
                pulled = m.problem.pull(wobble(m.us[c]), near, outputs)
                for i in m.active:
                    if pulled[i] is not None:
                        off = np.abs(pulled[i].astype(np.float64).ravel() - m.gs[i][c])
                        total[i][kind] = np.maximum(total[i][kind], np.nan_to_num(off, nan=0.0, posinf=0.0))
        return total
