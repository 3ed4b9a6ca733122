"""How precise the arithmetic is on both sides of a comparison, and the steps that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .numeric import RATIO


@dataclass(frozen=True)
class Precision:
    """What arithmetic allows: the oracle (steps, target), and the gradient under test (floor, the relative error let pass).

    `sharp`: the floor where no step has a truncation error, in functions that are linear or quadratic along a direction.
    """

    eps: float
    smallest: float
    target: float
    floor: float
    sharp: float
    own: float  # the eps of the gradient under test

    @classmethod
    def of(cls, oracle: Any, analytic: Any) -> Precision:
        eps = float(np.finfo(oracle).eps)
        smallest = RATIO ** round(np.log(eps**0.5) / np.log(RATIO))
        return cls(eps, smallest, max(1e-11, eps**0.9), 0.0, 0.0, 0.0).with_gradient(analytic)

    def with_gradient(self, dtype: Any) -> Precision:
        """The same oracle for a gradient of this dtype."""
        own = float(np.finfo(dtype).eps)
        return replace(self, floor=max(1e-9, 80 * own), own=own, sharp=max(1e-12, 80 * own))

    def ladder(self, start: float, deep: bool) -> tuple[list[float], list[float]]:
        """Steps start, start/4, ... to the smallest; and, for a ladder cut short, small steps that show noise and kinks."""
        count = max(3, 1 + round(np.log(start / self.smallest) / np.log(RATIO)))
        steps = [start * RATIO**-k for k in range(count)]
        return steps, [] if deep else [64 * self.smallest, 4 * self.smallest, self.smallest]

    def below(self, step: float) -> list[float]:
        """The steps under one that was too large, down to where adding one to the input would only round."""
        count = max(3, round(np.log(step / (8 * self.eps)) / np.log(RATIO)))
        return [step * RATIO**-k for k in range(1, count + 1)]
