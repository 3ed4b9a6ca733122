"""The process of one setting: reads requests from standard input, a JSON object a line, and answers each with another.

    python -m nnscratch.bench.child SETTING SOURCE

SOURCE is a module, or a Python file, with a function `cases()`. Requests: {"do": "build", "case": NAME}, "first", "outputs",
"time", "drop". Whatever is raised is an answer, too: {"error": TEXT}.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .case import Case, Subject
from .library import SETTINGS, Library, sample

SAMPLES = 200  # a turn ends after so many runs


def load(source: str) -> list[Case]:
    """The cases of a module or of a Python file."""
    return (_from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)).cases()


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


class Server:
    """Answers requests: each of the methods from `about` on is one."""

    def __init__(self, setting: str, source: str):
        start = time.perf_counter()
        self.library = Library(SETTINGS[setting].library, expert=SETTINGS[setting].expert)
        self.imported = time.perf_counter() - start
        self.cases = {case.name: case for case in load(source)}
        self._subject: Subject | None = None

    @property
    def subject(self) -> Subject:
        if self._subject is None:
            raise RuntimeError("nothing has been built")
        return self._subject

    def answer(self, do: str, **request: Any) -> dict[str, Any]:
        return getattr(self, do)(**request)

    def about(self) -> dict[str, Any]:
        """The library and what it runs on."""
        name, lib = self.library.name, self.library.lib
        threads = lib.get_num_threads() if name == "torch" else _numba_threads()
        return {"version": str(lib.__version__), "threads": threads, "import_s": round(self.imported, 3)}

    def build(self, case: str) -> dict[str, Any]:
        self.drop()
        start = time.perf_counter()
        self._subject = self.cases[case].build(self.library)
        return {"build_s": round(time.perf_counter() - start, 3)}

    def first(self) -> dict[str, Any]:
        """The first run; and of this and the next the process' peak of memory, and by how much they raised it."""
        forget_peak()
        before = memory()
        times = timed(self.subject.run, 0, 2, warm=False)
        peak = memory("peak")
        growth = None if peak is None or before is None else round(peak - before, 1)
        return {"first_ms": times[0], "peak_mb": peak, "growth_mb": growth}

    def outputs(self, path: str) -> dict[str, Any]:
        """Leaves what has to be the same in both libraries in an .npz file; tells the work of a run."""
        values: dict[str, Any] = {name: sample(value) for name, value in self.subject.outputs().items()}
        np.savez(path, **values)
        return {"products": float(self.subject.products), "traffic": float(self.subject.traffic)}

    def time(self, seconds: float, least: int) -> dict[str, Any]:
        return {"ms": timed(self.subject.run, seconds, least)}

    def drop(self) -> dict[str, Any]:
        self._subject = None
        gc.collect()
        return {}


def timed(run: Callable[[], Any], seconds: float, least: int, warm: bool = True) -> list[float]:
    """Milliseconds of runs for `seconds`, at least `least`. The one before them warms the caches that others used meanwhile."""
    if warm:
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or (time.perf_counter() < end and len(times) < SAMPLES):
        start = time.perf_counter()
        run()
        times.append(float(f"{(time.perf_counter() - start) * 1e3:.5g}"))
    return times


def memory(which: str = "now") -> float | None:
    """Resident memory of this process in MB, now or at its peak; None where the system does not tell."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        return round(int(lines["VmHWM" if which == "peak" else "VmRSS"].split()[0]) * 1024 / 1e6, 1)
    except (OSError, KeyError):
        return _peak_of_unix()


def _peak_of_unix() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def forget_peak() -> None:
    """Begin to look for the peak of memory again: what was needed to draw the weights is not a step's."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _numba_threads() -> int | None:
    if "numba" not in sys.modules and importlib.util.find_spec("numba") is None:
        return None
    import numba

    return numba.get_num_threads()


def die_with_parent() -> None:
    """A process that is stopped while it waits would outlive a parent that was killed (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def main() -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that a library prints gets between the answers
    server: Server | None = None
    for line in sys.stdin:
        try:
            server = server or Server(*sys.argv[1:3])
            reply = server.answer(**json.loads(line))
        except Exception as fault:
            reply = {"error": " ".join(f"{type(fault).__name__}: {fault}".split())}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
