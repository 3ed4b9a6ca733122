"""On a machine with an NVIDIA GPU, in one command: is everything right, and how fast is it beside PyTorch?

    python benchmarks/gpu.py                  all parts; writes benchmarks/results/gpu.md and gpu.json, anew after each part
    python benchmarks/gpu.py --only checks    or: layers, steps, suite, sanitizer; may be given several times

Needs numpy and cupy; torch for comparisons; pytest and hypothesis for the suite; compute-sanitizer (of the CUDA toolkit) where it
is installed. nnscratch itself need not be. What is missing is said in the results.

A part runs task by task in processes of its own. What a task throws costs that task; where it leaves the GPU unusable, or the
process ends, the next task has a new one.

NO GPU HAS RUN THIS YET. What it calls has been tested on the CPU: the kernels through tests/cuda_shim, its tasks by
tests/kernels/test_cuda_script.py, on small sizes and with the CPU in the GPU's place.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import checkout

Row = dict[str, Any]
Tasks = dict[str, Callable[[], Iterable[Row]]]
# Where the tasks of each part are, and seconds that a process of it may take.
PARTS = {
    "checks": ("gpu_checks", 1800),
    "layers": ("gpu_layers", 1200),
    "steps": ("gpu_steps", 1200),
    "suite": ("gpu_suite", 2400),
    "sanitizer": ("gpu_sanitizer", 3600),
}
DEATHS = 20  # of a part's processes, after which it is given up


# ---------------------------------------------------------------------------------------------------- a process of a part


def work(part: str, start: int, to: Path, small: bool) -> int:
    """Do the tasks of a part from number `start` on, writing to a file what happens as it happens. 3: the GPU is lost."""
    if part == "layers":
        os.environ.setdefault("CUPY_TF32", "1")  # CuPy's product is the ceiling where there is no PyTorch
    import cupy

    tasks: Tasks = importlib.import_module(PARTS[part][0]).tasks(cupy, small)
    with to.open("a") as file:

        def tell(record: Row) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        for number, (name, task) in list(enumerate(tasks.items()))[start:]:
            tell({"task": number, "name": name})
            try:
                for row in task():
                    tell({"row": row})
            except Exception as fault:
                tell({"row": {"task": name, "failed": f"{type(fault).__name__}: {fault}"}})
                if not _alive(cupy):
                    return 3
        tell({"end": True})
    return 0


def _alive(cupy: Any) -> bool:
    """Whether the GPU still computes for this process: after an illegal address it does not."""
    try:
        return int(cupy.arange(3).sum()) == 3
    except Exception:
        return False


def rows_of(part: str, small: bool, command: list[str]) -> Iterator[Row]:
    """The rows of a part, from as many processes as it takes; `command` begins such a process."""
    limit = PARTS[part][1]
    with tempfile.TemporaryDirectory() as folder:
        start = 0
        for attempt in range(DEATHS):
            to = Path(folder, f"{attempt}.jsonl")
            to.touch()
            try:
                words = ["--work", part, "--start", str(start), "--to", str(to), *(["--small"] if small else [])]
                code = subprocess.run([*command, *words], timeout=limit).returncode
                end = f"the process ended with code {code}"
            except subprocess.TimeoutExpired:
                code, end = None, f"took more than {limit} s"
            records = [json.loads(line) for line in to.read_text().splitlines() if line.endswith("}")]
            yield from (record["row"] for record in records if "row" in record)
            if records and "end" in records[-1]:
                return
            if not records:
                yield {"task": part, "failed": f"{end} before its first task"}
                return
            if "row" not in records[-1] or "failed" not in records[-1]["row"]:
                yield {"task": [r["name"] for r in records if "name" in r][-1], "failed": end}
            start = max(record["task"] for record in records if "task" in record) + 1
        yield {"task": part, "failed": f"given up: {DEATHS} processes did not come to an end"}


# ------------------------------------------------------------------------------------------------------------------- report


def machine(cupy: Any) -> Row:
    """What it ran on."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = properties["name"]
    return {
        "gpu": name.decode() if isinstance(name, bytes) else name,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "CUDA": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "torch", "nnscratch")},
        "commit": _commit(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=checkout.ROOT, capture_output=True, text=True).stdout.strip() or "unknown"
    except OSError:
        return "unknown"


def failed(row: Row) -> bool:
    return "failed" in row or row.get("right") is False


def verdicts(results: dict[str, list[Row]]) -> list[str]:
    """What was aimed at, and whether it was reached."""
    lines = [f"{part}: {sum(map(failed, rows))} of {len(rows)} rows failed" for part, rows in results.items()]
    for part, column, wanted, of in (
        ("steps", "times eager", 1.0, "PyTorch eager"),
        ("steps", "times the best", 0.8, "PyTorch's best setting"),
        ("layers", "times cuDNN", 0.7, "cuDNN"),
    ):
        found = [row for row in results.get(part, []) if isinstance(row.get(column), (int, float))]
        if found:
            reached = [row for row in found if row[column] >= wanted]
            worst = min(found, key=lambda row: row[column])
            name = " ".join(str(worst[k]) for k in ("layer", "direction", "step") if k in worst)
            lines.append(
                f"{part}: {len(reached)} of {len(found)} at least {wanted} of {of}; the slowest {worst[column]:.2f}, {name}"
            )
    if "steps" in results:
        lines.append("steps: the captured step is not built, so nothing is held to its 2.0")
    return lines


def table(rows: list[Row]) -> str:
    """Rows as a table in Markdown, with all columns that any of them has."""
    if not rows:
        return "nothing\n"
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = lambda v: f"{v:.3g}" if isinstance(v, float) else str(v).replace("\n", " ").replace("|", "/")
    lines = [columns, ["---"] * len(columns), *([text(row.get(c, "")) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write(folder: Path, facts: Row, results: dict[str, list[Row]]) -> None:
    """gpu.json with everything, and gpu.md, where of the checks only those stand that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {part: [row for row in rows if part != "checks" or failed(row)] for part, rows in results.items()}
    body = "".join(f"\n## {part}\n\n{table(rows) if rows else 'nothing failed'}" for part, rows in shown.items())
    head = "".join(f"- {key}: {value}\n" for key, value in facts.items()) + "\n" + "".join(f"- {v}\n" for v in verdicts(results))
    _replace(folder / "gpu.md", f"# On a GPU\n\n`python benchmarks/gpu.py` on\n\n{head}{body}")
    _replace(folder / "gpu.json", json.dumps({"machine": facts, **_plain(results)}, indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """With null for what is no number in JSON."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


# -------------------------------------------------------------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given several times")
    parser.add_argument("--small", action="store_true", help="small sizes: all is slow under compute-sanitizer")
    parser.add_argument("--no-write", action="store_true", help="print the results, write no files")
    parser.add_argument(
        "--output", type=Path, default=checkout.ROOT / "benchmarks" / "results", metavar="DIR", help="of gpu.md and gpu.json"
    )
    parser.add_argument("--work", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    checkout.use()
    if options.work:
        return work(options.work, options.start, options.to, options.small)
    try:
        import cupy
    except ImportError:
        print("not run: this needs CuPy (pip install cupy-cuda13x) and an NVIDIA GPU", file=sys.stderr)
        return 2
    from nnscratch import kernels

    if not cupy.is_available() or "cuda" not in kernels.available():
        print("not run: CuPy finds no usable GPU, or there is no NVRTC", file=sys.stderr)
        return 2
    facts = machine(cupy)
    print(json.dumps(facts, indent=1), flush=True)
    results: dict[str, list[Row]] = {}
    for part in dict.fromkeys(options.only or PARTS):
        print(f"\n## {part}\n", flush=True)
        rows = results[part] = []
        for row in rows_of(part, options.small, [sys.executable, __file__]):
            rows.append(row)
        shown = [row for row in rows if failed(row)] if part == "checks" else rows
        print(table(shown), flush=True)
        if not options.no_write:
            write(options.output, facts, results)
    print("\n".join(verdicts(results)))
    return 1 if any(failed(row) for rows in results.values() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
