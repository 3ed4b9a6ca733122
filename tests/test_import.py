"""Importing the library is light: nothing heavy, no warnings, no side effects."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import nnscratch

HEAVY = ["numba", "cupy", "matplotlib", "PIL", "pooch", "tqdm", "safetensors", "torch", "scipy", "requests"]


def run(code, *flags):
    return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_silent_and_light():
    code = (
        f"import sys, nnscratch, nnscratch.nn, nnscratch.optim, nnscratch.data; print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run(code, "-W", "error") == "[]\n"


def test_import_leaves_numpy_as_it_was():
    state = "np.geterr(), np.random.get_state()[1].tolist()"
    code = f"import numpy as np; before = {state}; import nnscratch; print(before == ({state}))"
    assert run(code) == "True\n"


def test_a_checkout_that_is_not_installed_says_so(tmp_path):
    package = Path(nnscratch.__file__).parent
    shutil.copytree(package, tmp_path / "nnscratch", ignore=shutil.ignore_patterns("kernels", "embedded", "__pycache__"))
    path = os.pathsep.join([str(tmp_path), str(Path(np.__file__).parent.parent)])
    command = [sys.executable, "-S", "-c", "import nnscratch"]  # without site: an installed nnscratch is not in the way
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    message = "ImportError: nnscratch.kernels is missing: a checkout is first installed, with `pip install -e .` in it"
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == message


def test_it_works_without_numba():
    convolved = "nns.nn.Conv2d(1, 2, 3)(nns.ones(1, 1, 5, 5))"
    code = f"import sys; sys.modules['numba'] = None; import nnscratch as nns; print({convolved}.shape)"
    assert run(code) == "(1, 2, 3, 3)\n"
