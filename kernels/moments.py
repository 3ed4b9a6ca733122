"""Mean and variance of a convolution's results, which its kernel can find while it has them: a pass less for a batch norm.

with Moments() as moments:
    y = conv(...)
moments.of(y)       (mean, biased variance) of each channel in float64, or None where the kernel did not find them
"""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType

from .arrays import Array
from .compiled import gpu_part

wanted: ContextVar[Moments | None] = ContextVar("nnscratch.kernels.moments", default=None)


class Moments:
    """Inside the block convolutions whose kernels can leave their moments here."""

    def __init__(self) -> None:
        self.found: list[tuple[Array, Array]] = []  # results, and the moments of their tiles

    def __enter__(self) -> Moments:
        self._token = wanted.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        wanted.reset(self._token)

    def of(self, y: Array) -> tuple[Array, Array] | None:
        """The moments of a result; None where it is not one of those."""
        tiles = next((tiles for result, tiles in self.found if result is y), None)
        module = None if tiles is None else gpu_part("columns", y)
        if module is None:
            return None
        mean, variance = module.merge_moments(tiles[None])  # type: ignore[index]
        return mean[0], variance[0]
