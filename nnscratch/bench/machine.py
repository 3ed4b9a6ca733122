"""What a benchmark ran on, as far as the system tells."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("nnscratch", "numpy", "numba", "llvmlite", "torch")


def describe() -> dict[str, Any]:
    """The processor, memory, system, versions of the libraries, and the date."""
    return {
        "cpu": _cpu() or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


class Others:
    """What share of the machine other processes took since this object was made; None where the system does not tell.

    Asked once the benchmark's own processes have ended: until then their time is not counted as ours.
    """

    def __init__(self) -> None:
        self._start = self._read()

    def share(self) -> float | None:
        end = self._read()
        if self._start is None or end is None:
            return None
        busy, total, own = (b - a for a, b in zip(self._start, end))
        return round(max(0.0, busy - own) / total, 3) if total > 0 else None

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Seconds of all cores in which they were busy, and in all; and of this process and its children."""
        try:
            counts = [int(n) for n in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
            tick = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, AttributeError):
            return None
        idle = counts[3] + counts[4]  # waiting for input and output is idle
        return (sum(counts) - idle) / tick, sum(counts) / tick, sum(os.times()[:4])


def _cpu() -> str | None:
    """The name in /proc/cpuinfo; cloud machines often hide the exact one, so family and model are given with it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    facts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    if "model name" not in facts:
        return None
    wide = "AVX-512" if "avx512f" in facts.get("flags", "") else "AVX2" if "avx2" in facts.get("flags", "") else ""
    more = [f"family {facts['cpu family']}, model {facts['model']}"] if {"cpu family", "model"} <= facts.keys() else []
    return f"{facts['model name']} ({', '.join([*more, *([wide] if wide else [])])})"


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
