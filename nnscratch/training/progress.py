"""What a person sees of a training run: a moving bar on a terminal, one line an epoch everywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _NoBar:
    def update(self, n: int, **numbers: float) -> None:
        pass


class _Bar:
    def __init__(self, bar: Any):
        self.bar = bar

    def update(self, n: int, **numbers: float) -> None:
        self.bar.set_postfix({name: f"{value:.4g}" for name, value in numbers.items()}, refresh=False)
        self.bar.update(n)


class Progress:
    """`quiet` shows nothing but warnings. The bar (tqdm, on standard error) appears only where that is a terminal."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet

    @contextmanager
    def bar(self, total: int, done: int, label: str) -> Iterator[_Bar | _NoBar]:
        """A bar of `total` steps for the block; call its `update(1, loss=...)` after each."""
        if self.quiet or not sys.stderr.isatty():
            yield _NoBar()
            return
        from tqdm import tqdm

        with tqdm(total=total, initial=done, desc=label, leave=False, dynamic_ncols=True, unit="batch") as bar:
            yield _Bar(bar)

    def line(self, text: str) -> None:
        """Print one line now."""
        if not self.quiet:
            print(text, flush=True)

    def warning(self, text: str) -> None:
        """Print a warning now, on standard error."""
        print(f"nnscratch: warning: {text}", file=sys.stderr, flush=True)


def describe(row: dict[str, float], epochs: int, seconds: float) -> str:
    """'epoch  3/10   train loss 0.1234  test loss 0.0911  test accuracy 97.33%   2.1 s'."""
    shown = [f"{name.replace('_', ' ')} {_number(name, value)}" for name, value in row.items() if name not in _HIDDEN]
    return f"epoch {int(row['epoch']):>{len(str(epochs))}}/{epochs}   {'  '.join(shown)}   {seconds:.1f} s"


# In metrics.csv, but one number too many for a line.
_HIDDEN = (
    "epoch",
    "step",
    "lr",
    "train_reconstruction",
    "train_kl",
    "test_precision",
    "test_recall",
    "test_f1",
    "train_told_apart",
)


def _number(name: str, value: float) -> str:
    if name.endswith(("accuracy", "recognised")):
        return f"{value:.2%}"
    if name.endswith("covered"):
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
