"""A run directory: what was asked for, how it went, and checkpoints from which it continues.

    config.json                      model, data and training options
    metrics.csv                      one row an epoch
    checkpoints/step-00000120/       model.safetensors, optimizer.safetensors, ..., state.json
    epochs/                          pictures drawn after each epoch, where a model has such

A checkpoint is written under a hidden name, brought to the disk, and then renamed: under its own name it is whole. So whatever
moment the process is killed at, the newest folder with that kind of name is a checkpoint.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ..serialization import atomic_write, load, save, sync_folder, write_synced

_NAME = re.compile(r"step-(\d{8,})(?:\.(\d+))?")  # a second checkpoint of the same step is step-N.1


class CheckpointError(RuntimeError):
    """A run directory or a checkpoint in it cannot be used; the message says which and why."""


class Checkpoint:
    """One complete checkpoint: `step`, `state` (a JSON object), and `load(part)` for each of its `parts`."""

    def __init__(self, folder: Path):
        self.folder = folder
        match = _NAME.fullmatch(folder.name)
        if match is None:
            raise CheckpointError(f"{folder}: not the name of a checkpoint")
        self.step, self.revision = int(match[1]), int(match[2] or 0)
        try:
            content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            self.sizes, self.state = dict(content["files"]), dict(content["state"])
            found = {name: (folder / name).stat().st_size for name in self.sizes}
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise CheckpointError(f"{folder}: incomplete or damaged checkpoint: {fault!r}") from fault
        if found != self.sizes:
            raise CheckpointError(f"{folder}: the sizes of its files are {found}, expected {self.sizes}")
        self.parts = [name.removesuffix(".safetensors") for name in self.sizes]

    def load(self, part: str) -> Any:
        """The state_dict that was saved as `part`."""
        if part not in self.parts:
            raise CheckpointError(f"{self.folder}: has no {part!r}, only {', '.join(self.parts)}")
        return load(self.folder / f"{part}.safetensors")


class Run:
    """The directory of one training run. `keep` newest checkpoints stay, and the best one; older ones are removed."""

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2):
        if keep < 1:
            raise ValueError(f"Run: keep must be at least 1, got {keep}")
        self.folder, self.keep = Path(folder), keep

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    # --------------------------------------------------------------------------------------------------- the papers

    @property
    def config(self) -> dict[str, Any]:
        """What config.json holds. Raises CheckpointError when there is none."""
        path = self.folder / "config.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(f"{self.folder} is not a run directory: it has no config.json") from None
        except ValueError as fault:
            raise CheckpointError(f"{path}: not valid JSON: {fault}") from None

    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.folder / "config.json").exists()

    def create(self, config: dict[str, Any]) -> None:
        """Begin a run: make the folder, drop what a run that was here before has saved, and write the configuration."""
        for name in ("checkpoints", "epochs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "checkpoints").mkdir(parents=True)
        for name in ("metrics.csv", "judge.safetensors"):
            (self.folder / name).unlink(missing_ok=True)
        self.write_config(config)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json."""
        atomic_write(self.folder / "config.json", json.dumps(config, indent=2).encode() + b"\n")

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Write metrics.csv: a column for each key, in the order of first appearance."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write(self.folder / "metrics.csv", text.getvalue().encode())

    # --------------------------------------------------------------------------------------------------- checkpoints

    def checkpoints(self) -> list[Checkpoint]:
        """The complete checkpoints, oldest first. Unfinished or damaged ones are passed over."""
        return [c for c in self._entries() if isinstance(c, Checkpoint)]

    def damaged(self) -> list[CheckpointError]:
        """What is wrong with the checkpoints that are newer than the newest complete one, oldest first."""
        entries = self._entries()
        whole = max((k + 1 for k, c in enumerate(entries) if isinstance(c, Checkpoint)), default=0)
        return [c for c in entries[whole:] if isinstance(c, CheckpointError)]

    def _entries(self) -> list[Checkpoint | CheckpointError]:
        """The checkpoints in the order of their steps; in the place of an unfinished or damaged one what is wrong with it."""
        folder, found = self.folder / "checkpoints", []
        for entry in folder.iterdir() if folder.is_dir() else ():
            if match := _NAME.fullmatch(entry.name):
                try:
                    read: Checkpoint | CheckpointError = Checkpoint(entry)
                except CheckpointError as fault:
                    read = fault
                found.append((int(match[1]), int(match[2] or 0), read))
        return [read for *_, read in sorted(found, key=lambda entry: entry[:2])]

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint, or None."""
        return next(reversed(self.checkpoints()), None)

    def save(self, step: int, parts: dict[str, Any], state: dict[str, Any], best: int | None = None) -> Checkpoint:
        """Write the checkpoint of `step`: each of `parts` as safetensors, `state` as JSON; then prune, sparing step `best`.

        Raises OSError, with the older checkpoints intact, when it cannot be written.
        """
        root = self.folder / "checkpoints"
        before = self.checkpoints()
        revision = max((c.revision + 1 for c in before if c.step == step), default=0)
        name = f"step-{step:08d}" + (f".{revision}" if revision else "")
        hidden = root / f".{name}.{os.getpid()}"
        try:
            shutil.rmtree(root / name, ignore_errors=True)  # only a damaged one can have this name
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir(parents=True)
            for part, value in parts.items():
                save(value, hidden / f"{part}.safetensors")
            sizes = {f"{part}.safetensors": (hidden / f"{part}.safetensors").stat().st_size for part in parts}
            write_synced(hidden / "state.json", json.dumps({"files": sizes, "state": state}, indent=1).encode())
            sync_folder(hidden)
            os.rename(hidden, root / name)
        except OSError as fault:
            shutil.rmtree(hidden, ignore_errors=True)
            kept = f"the checkpoint of step {before[-1].step} is still usable" if before else "there is no earlier one"
            why = getattr(fault.__cause__, "strerror", None) or fault.strerror
            raise OSError(
                fault.errno, f"could not write the checkpoint of step {step} in {self.folder} ({why}); {kept}"
            ) from fault
        sync_folder(root)
        self._prune(best)
        return Checkpoint(root / name)

    def _prune(self, best: int | None) -> None:
        newest: dict[int, Checkpoint] = {c.step: c for c in self.checkpoints()}
        keep = {newest[step].folder for step in sorted(newest)[-self.keep :]}
        if best in newest:
            keep.add(newest[best].folder)  # type: ignore[index]
        for entry in (self.folder / "checkpoints").iterdir():
            # Older, superseded, or left unfinished by a process that was killed.
            if entry not in keep and entry.name.lstrip(".").startswith("step-"):
                shutil.rmtree(entry, ignore_errors=True)
