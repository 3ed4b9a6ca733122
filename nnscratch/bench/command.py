"""`nnscratch bench`: runs suites, prints their tables, writes JSON, Markdown and pictures."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import machine, record, table
from .case import Case
from .child import load
from .library import SETTINGS
from .measure import Options, Runner, available_cores, measured_ceilings

SUITES = {
    "steps": "seven training steps",
    "untuned": "the same networks in sizes that nobody tuned for",
    "layers": "layers, losses and optimisers one by one",
    "scaling": "batch, image size, depth, threads",
    "overhead": "what recording an op costs, on tiny tensors",
}
# Rounds, and seconds of a turn: a step takes longer than a layer, and there are fewer of them.
PACE = {"steps": (5, 0.3), "untuned": (5, 0.3), "layers": (5, 0.04), "scaling": (5, 0.1), "overhead": (7, 0.1)}


def choose(suite: str, only: str = "") -> dict[str, list[Case]]:
    """The cases of a suite, of all of them ("all"), or of a Python file, with `only` in their names or groups; by suite.

    Raises ValueError for an unknown suite, and where there is no such case.
    """
    every = {name: load(source_of(name)) for name in (SUITES if suite == "all" else [suite])}
    has = lambda case: only.lower() in f"{case.group}: {case.name}".lower()
    chosen = {name: list(filter(has, cases)) for name, cases in every.items()}
    if not any(chosen.values()):
        raise ValueError(f"no case of {suite} has {only!r} in its name")
    return {name: cases for name, cases in chosen.items() if cases}


def run(
    chosen: Mapping[str, list[Case]],
    *,
    rounds: int | None = None,
    quick: bool = False,
    output: Path | None = None,
    threads: int | None = None,
    part: str = "",
) -> int:
    """Measure what `choose` chose, a `part` of its suites or all; 0, or 1 if a case was wrong or failed."""
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    good = True
    for name, cases in chosen.items():
        turns, seconds = PACE.get(name, PACE["steps"])
        options = Options(rounds or turns, seconds, threads=threads, cold=find_spec("numba") is not None)
        if quick:
            options = Options(rounds or 2, 0.02, 1, threads, cold=False)
        results = measure(name, cases, options)
        results["suite"] += "-".join(["", *re.findall(r"\w+", part.lower())])
        print(table.markdown(results), flush=True)
        if output is not None:
            write(results, output)
        good = good and all(case["status"] == "timed" for case in results["cases"])
    return 0 if good else 1


def source_of(suite: str) -> str:
    """The module of a suite, or a file's absolute path."""
    if suite in SUITES:
        return f"nnscratch.bench.{suite}"
    path = Path(suite)
    if path.suffix == ".py" and path.is_file():
        return str(path.resolve())
    raise ValueError(f"there is no suite {suite!r}: expected {', '.join(SUITES)}, all, or a Python file with a function cases()")


def installed() -> list[str]:
    """The settings whose libraries are here."""
    return [name for name, setting in SETTINGS.items() if find_spec(setting.library) is not None]


def measure(suite: str, cases: list[Case], options: Options, settings: list[str] | None = None) -> dict[str, Any]:
    """The results of a suite, as `record` describes them; says on standard error how far it is."""
    runner = Runner(source_of(suite), settings or installed(), options)
    others = machine.Others()
    ceilings = Ceilings({case.threads or options.threads or available_cores() for case in cases})
    records = []
    with Progress(len(cases)) as progress:
        for case in runner.measure(cases):
            records.append(case)
            if case["status"] == "timed":
                case["summary"] = record.summarise(case)
            progress(table.line(case))
            ceilings.renew()
    name = suite if suite in SUITES else Path(suite).stem
    return record.document(name, records, runner.about, ceilings.best(), options, others.share())


def write(results: dict[str, Any], folder: Path) -> None:
    """NAME.json, NAME.md and the pictures, in `folder`."""
    from . import chart

    name = results["suite"]
    record.write(results, folder / f"{name}.json")
    (folder / f"{name}.md").write_text(table.markdown(results))
    pictures = chart.draw(results, folder)
    print(f"written to {folder}: {', '.join([f'{name}.json', f'{name}.md', *(p.name for p in pictures)])}", flush=True)


class Ceilings:
    """The best of what `ceilings` measures at the beginning, about once a minute, and at the end: the machine may be busy."""

    def __init__(self, counts: set[int]):
        self._measured = {count: [measured_ceilings(count)] for count in sorted(counts)}
        self._last = time.monotonic()

    def renew(self, every: float = 60) -> None:
        if time.monotonic() - self._last >= every:
            for count, measured in self._measured.items():
                measured.append(measured_ceilings(count))
            self._last = time.monotonic()

    def best(self) -> dict[str, dict[str, Any]]:
        self.renew(every=10)
        rates = ("gflops", "copy_gbs", "cache_gbs")
        return {str(n): all[0] | {rate: max(m[rate] for m in all) for rate in rates} for n, all in self._measured.items()}


class Progress:
    """Called with a line for each case that is done: prints it, above a bar where standard error is a terminal."""

    def __init__(self, total: int):
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="case", dynamic_ncols=True, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, line: str) -> None:
        if self.bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.bar.write(line, file=sys.stderr)
            self.bar.update()
