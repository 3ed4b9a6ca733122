"""The runs in a folder, with their last numbers; broken ones are named instead of stopping the list."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .checkpoint import CheckpointError, Run


class Entry(NamedTuple):
    """A run: its folder, system and data, how far it came, its last `numbers`, and what is wrong with it, if anything is."""

    folder: Path
    system: str = "?"
    data: str = "?"
    epochs: str = "-"
    step: int | None = None
    numbers: Mapping[str, float] = MappingProxyType({})
    problem: str = ""


def find_runs(root: str | os.PathLike[str]) -> Iterator[Entry]:
    """The runs at and below `root`, in alphabetical order: folders whose config.json is that of a run, or has checkpoints beside.

    Raises NotADirectoryError when `root` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: no such folder")
    for name, folders, files in os.walk(root):
        if "config.json" in files:
            entry = _entry(Run(name), "checkpoints" in folders)
            if entry is not None:
                yield entry
                folders[:] = [f for f in folders if f not in ("checkpoints", "epochs")]
        folders[:] = sorted(f for f in folders if not f.startswith("."))


def _entry(run: Run, has_checkpoints: bool) -> Entry | None:
    """None for a config.json of something else."""
    try:
        config = run.config
        system, data, training = str(config["task"]), str(config["data"]["name"]), config["training"]
    except (CheckpointError, OSError, KeyError, TypeError, ValueError) as fault:
        what = str(fault) if isinstance(fault, (CheckpointError, OSError)) else "config.json is not that of a run"
        return Entry(run.folder, problem=what.removeprefix(f"{run.folder}/")) if has_checkpoints else None
    planned = training.get("epochs", "?") if isinstance(training, dict) else "?"
    checkpoint = run.latest()
    step = None if checkpoint is None else checkpoint.step
    try:
        rows = _rows(run.folder / "metrics.csv")
    except (OSError, ValueError, csv.Error) as fault:
        problem = f"metrics.csv cannot be read: {fault}"
        return Entry(run.folder, system, data, f"?/{planned}", step, problem=problem)
    numbers = _last(rows)
    problem = "" if checkpoint else "no usable checkpoint"
    return Entry(run.folder, system, data, f"{len(rows)}/{planned}", step, numbers, problem)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _last(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of the last epoch the numbers on test images; where there are none, those of training."""
    row = rows[-1] if rows else {}
    for part in ("test_", "train_"):
        found = {}
        for key, text in row.items():
            if isinstance(key, str) and key.startswith(part):
                try:
                    found[key.removeprefix(part)] = float(text)
                except (TypeError, ValueError):
                    found[key.removeprefix(part)] = math.nan
        if found:
            return found
    return {}


def table(entries: Sequence[Entry], root: Path) -> str:
    """The entries as lines of text, in columns as wide as needed."""
    rows = [("run", "system", "data", "epochs", "step", "last numbers")]
    for e in entries:
        name = str(e.folder.relative_to(root)) if e.folder != root else "."
        numbers = "  ".join(f"{key} {value:.4g}" for key, value in e.numbers.items())
        last = "  ".join(part for part in (numbers, f"[{e.problem}]" if e.problem else "") if part)
        rows.append((name, e.system, e.data, e.epochs, "-" if e.step is None else str(e.step), last))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    return "\n".join("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[5]]).rstrip() for row in rows)
