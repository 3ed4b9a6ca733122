"""`gpu.py`'s checks on small sizes under compute-sanitizer: memory errors, and races in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gpu_checks import NO_POOL

Row = dict[str, Any]
TOOLS = ("memcheck", "racecheck")
SCRIPT = Path(__file__).with_name("gpu.py")


def tasks(xp: Any, small: bool) -> dict[str, Any]:  # noqa: ARG001 - the GPU is another process's; sizes are small anyway
    return {tool: partial(_under, tool) for tool in TOOLS}


def _under(tool: str) -> Iterator[Row]:
    program = shutil.which("compute-sanitizer")
    if program is None:
        yield {"tool": tool, "outcome": "not run: compute-sanitizer is not installed"}
        return
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder, "checks.jsonl")
        checks = [sys.executable, str(SCRIPT), "--work", "checks", "--small", "--to", str(to)]
        command = [program, "--tool", tool, "--error-exitcode", "9", *checks]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, NO_POOL: "1"})
        ran = to.read_text().count('"row"') if to.exists() else 0
    outcome = f"no errors in {ran} checks" if done.returncode == 0 and ran else (done.stdout + done.stderr)[-3000:]
    yield {"tool": tool, "outcome": outcome, "right": done.returncode == 0 and ran > 0}
