"""The parent of the benchmark processes: validates each case, then lets the processes take turns at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .case import Case
from .library import SETTINGS, environment


class ChildError(RuntimeError):
    """What went wrong in a benchmark process."""


@dataclass
class Options:
    """rounds: turns of each process at each case; seconds, least: a turn's time and number of runs."""

    rounds: int = 5
    seconds: float = 0.3
    least: int = 2
    threads: int | None = None
    cold: bool = True  # time our first run with an empty cache of compiled kernels, too


class Process:
    """A running child; `ask` sends a request and waits for the answer. Between requests the process is stopped.

    Otherwise the idle threads of its pools, which spin for a while, would take the cores of whoever has the next turn.
    """

    def __init__(self, setting: str, source: str, threads: int | None, cache: str | None = None):
        variables = environment(SETTINGS[setting], threads) | ({"NUMBA_CACHE_DIR": cache} if cache else {})
        # -P: what lies in the working directory is not imported in place of what is installed.
        command = [sys.executable, "-P", "-m", "nnscratch.bench.child", setting, source]
        self._process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Raises ChildError with the child's error, or when it is gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._signal("SIGCONT")
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self._signal("SIGSTOP")
        if not line:
            raise ChildError(f"the process ended with exit status {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise ChildError(reply["error"])
        return reply

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):
            self._process.send_signal(getattr(signal, name))
        elif name == "SIGSTOP":
            time.sleep(0.1)

    def close(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        self._process.wait()


@dataclass
class Runner:
    """Measures the cases of one source, a module or a file, in some settings of SETTINGS."""

    source: str
    settings: list[str]
    options: Options
    about: dict[str, Any] = field(default_factory=dict)  # setting -> what its process says of its library
    _kept: dict[tuple[str, int | None], Process] = field(default_factory=dict)

    def measure(self, cases: list[Case]) -> Iterator[dict[str, Any]]:
        """A record for each case, as it is done."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                for case in cases:
                    yield self._measure(case, Path(folder))
            finally:
                for process in self._kept.values():
                    process.close()
                self._kept.clear()

    def _measure(self, case: Case, folder: Path) -> dict[str, Any]:
        record: dict[str, Any] = {"name": case.name, "group": case.group, "per": case.per, "status": "timed", "sides": {}}
        record["threads"] = threads_of(case, self.options) or available_cores()
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            if case.alone and self.options.cold:
                record["cold_ms"] = self._cold(case, cache)
            with self._processes(case, cache if record.get("cold_ms") else None) as processes:
                try:
                    self._prepare(case, record, processes, folder)
                    if record["status"] == "timed":
                        self._time(record, processes)
                except ChildError as fault:
                    record |= {"status": "failed", "fault": str(fault)}
        return record

    def _cold(self, case: Case, cache: str) -> float | None:
        """Milliseconds of our first run when nothing has been compiled yet."""
        process = Process("nnscratch", self.source, threads_of(case, self.options), cache)
        try:
            process.ask("build", case=case.name)
            return process.ask("first")["first_ms"]
        except ChildError:
            return None  # it will say so again, and be reported, in the process that is timed
        finally:
            process.close()

    @contextmanager
    def _processes(self, case: Case, cache: str | None) -> Iterator[dict[str, Process]]:
        threads = threads_of(case, self.options)
        if case.alone:
            started: dict[str, Process] = {}
            try:
                for setting in self.settings:
                    started[setting] = Process(setting, self.source, threads, cache)
                yield started
            finally:
                for process in started.values():
                    process.close()
            return
        for setting in self.settings:
            if (setting, threads) not in self._kept:
                self._kept[setting, threads] = Process(setting, self.source, threads)
        chosen = {setting: self._kept[setting, threads] for setting in self.settings}
        try:
            yield chosen
        finally:
            for setting, process in chosen.items():
                try:
                    process.ask("drop")
                except ChildError:
                    self._kept.pop((setting, threads)).close()

    def _prepare(self, case: Case, record: dict[str, Any], processes: dict[str, Process], folder: Path) -> None:
        """Build, and compare each of the other settings' results with ours."""
        results = {}
        for setting, process in processes.items():
            try:
                side = record["sides"][setting] = process.ask("build", case=case.name)
                if case.alone:
                    side |= process.ask("first")
                    process.ask("build", case=case.name)  # afresh: the optimiser has begun to move
                path = folder / f"{setting}.npz"
                work = process.ask("outputs", path=str(path))
                side |= process.ask("about")
            except ChildError as fault:
                raise ChildError(f"{SETTINGS[setting].label}: {fault}") from None
            self.about[setting] = {name: side.pop(name) for name in ("version", "import_s")}
            results[setting] = read(path)
            if setting == "nnscratch":
                record |= work
        ours = results.pop("nnscratch", {})
        for setting, theirs in results.items():
            errors = compare(ours, theirs)
            record["sides"][setting]["errors"] = {name: e if np.isfinite(e) else None for name, e in errors.items()}
            wrong = [f"{name} differs by {e:.1e}" for name, e in errors.items() if not e <= case.tolerance_of(name)]
            if wrong and record["status"] == "timed":
                record |= {"status": "wrong", "fault": f"{SETTINGS[setting].label}: {wrong[0]} ({len(wrong)} of {len(errors)})"}

    def _time(self, record: dict[str, Any], processes: dict[str, Process]) -> None:
        """Every setting has a turn in every round; who begins moves on."""
        settings = list(processes)
        for side in record["sides"].values():
            side["ms"] = []
        for i in range(self.options.rounds):
            k = i % len(settings)
            for setting in settings[k:] + settings[:k]:
                turn = processes[setting].ask("time", seconds=self.options.seconds, least=self.options.least)["ms"]
                record["sides"][setting]["ms"].append([float(f"{t / record['per']:.5g}") for t in turn])


def threads_of(case: Case, options: Options) -> int | None:
    """None: as many as each library takes by itself."""
    return case.threads or options.threads


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def compare(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """|ours - theirs| / |theirs| for each result, in Euclidean norms; infinite for what is missing, misshapen or not a number."""
    errors = dict.fromkeys([*ours, *theirs], float("inf"))
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        if a.shape == b.shape and np.all(np.isfinite(a)) and np.all(np.isfinite(b)):
            size = float(np.linalg.norm(b.astype(np.float64)))
            errors[name] = float(f"{float(np.linalg.norm(a.astype(np.float64) - b)) / (size or 1.0):.3g}")
    return errors


def measured_ceilings(threads: int) -> dict[str, Any]:
    """What the module `ceilings` measures, in a process of its own."""
    command = [sys.executable, "-P", "-m", "nnscratch.bench.ceilings", str(threads)]
    output = subprocess.run(command, env=environment(SETTINGS["nnscratch"], threads), check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
