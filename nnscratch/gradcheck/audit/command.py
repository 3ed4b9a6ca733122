"""`nnscratch gradcheck`: the audit on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from . import summary
from .runner import Outcome, audit
from .table import entries


def run(pattern: str, *, order: int = 1, seed: int = 0, dtype: str = "float64", html: Path | None = None) -> int:
    """Audit what matches; print a line for each entry as it is done, then the table; 0 if everything passed, else 1.

    On a terminal a bar shows how far it is. Raises ValueError for a pattern that matches nothing, OSError where `html` cannot be
    written (before the work is done, not after).
    """
    chosen = entries(pattern)
    if html is not None:
        html.touch()
    print(summary.header("entry"), flush=True)
    with _Progress(len(chosen)) as progress:
        outcomes = audit(chosen, each=progress, order=order, seed=seed, dtype=dtype)
    print(f"\n{summary.table(outcomes)}")
    if html is not None:
        summary.html(outcomes, f"nnscratch gradient audit, orders 1 to {order}, {dtype}, seed {seed}", html)
        print(f"report in {html}")
    return 0 if all(o.passed for o in outcomes) else 1


class _Progress:
    """Called with each outcome: prints its line, above a bar where standard error is a terminal."""

    def __init__(self, total: int):
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="entry", dynamic_ncols=True, leave=False)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, outcome: Outcome) -> None:
        line = summary.row(outcome)
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.write(line)
            self.bar.update()
