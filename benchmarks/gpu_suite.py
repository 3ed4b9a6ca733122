"""The tests that run on any array library, on CuPy: systems, optimisers, checkpoints, loaders, DLPack, the gradient checker."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import checkout

Row = dict[str, Any]
FILES = ("tests/test_backends.py", "tests/test_devices.py", "tests/test_cupy_names.py")
RUN = "import checkout, sys; checkout.use(); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def tasks(xp: Any, small: bool) -> dict[str, Any]:  # noqa: ARG001 - the GPU is another process's
    return {file: partial(_tests, file) for file in FILES}


def _tests(file: str) -> Iterator[Row]:
    missing = [name for name in ("pytest", "hypothesis") if importlib.util.find_spec(name) is None]
    if missing:
        yield {"tests": file, "outcome": f"not run: {' and '.join(missing)} not installed"}
        return
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", RUN, "-q", "-k", "cupy", "--no-header", "-p", "no:cacheprovider", file]
    done = subprocess.run(command, cwd=checkout.ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    lines = done.stdout.strip().splitlines() or [done.stderr[-2000:]]
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))][:40]
    yield {"tests": file, "outcome": "; ".join([lines[-1], *failures]), "right": done.returncode == 0}
