"""Running the audit: every entry checked at orders 1 to n, its outcome timed, nothing it raises lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..report import Report
from ..tensors import gradcheck
from .entry import Entry
from .table import entries


@dataclass
class Outcome:
    """What came of one entry: its report, or the error that it raised instead."""

    entry: Entry
    report: Report | None
    error: Exception | None
    seconds: float

    @property
    def passed(self) -> bool:
        return self.report is not None and self.report.verdict in self.entry.expected

    @property
    def verdict(self) -> str:
        return "ERROR" if self.report is None else self.report.verdict.name

    @property
    def evaluations(self) -> int:
        return 0 if self.report is None else self.report.evaluations

    @property
    def excess(self) -> float:
        """The largest difference of analytic and numeric derivative as a share of its bound; nan where there is none."""
        return self.report.excess if self.report is not None and self.report.excess > 0 else float("nan")

    @property
    def resolution(self) -> float:
        """The smallest relative fault that would have been seen; nan where nothing is to be seen."""
        finite = self.report is not None and 0 < self.report.resolution < np.inf
        return self.report.resolution if finite else float("nan")  # type: ignore[union-attr]


def audit_entry(entry: Entry, *, order: int = 1, seed: int = 0, projections: int = 4, dtype: Any = np.float64) -> Outcome:
    """Check one entry at orders 1 to `order` (to its own, where that is lower), on arrays drawn from `seed`.

    Whatever it raises becomes its outcome.
    """
    start = time.perf_counter()
    report, error = None, None
    try:
        sample = entry.draw(seed, dtype)
        report = gradcheck(
            sample.function,
            sample.inputs,
            order=order if entry.order is None else min(order, entry.order),
            seed=seed,
            projections=projections,
            budget=None,
            raise_exception=False,
        )
        report.name = entry.label
    except Exception as fault:
        error = fault
    return Outcome(entry, report, error, time.perf_counter() - start)


def audit(table: str | Iterable[Entry] = "", *, each: Callable[[Outcome], Any] | None = None, **options: Any) -> list[Outcome]:
    """Check all entries, those whose name matches a regular expression, or the ones given; `each` is called with every outcome.

    Options and defaults are those of `audit_entry`. Raises ValueError for a pattern that matches nothing.
    """
    outcomes = []
    for entry in entries(table) if isinstance(table, str) else table:
        outcomes.append(audit_entry(entry, **options))
        if each is not None:
            each(outcomes[-1])
    return outcomes
