"""Importing the library is light: nothing heavy, no warnings, no side effects."""

import subprocess
import sys

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


def test_it_works_without_numba():
    convolved = "nns.nn.Conv2d(1, 2, 3)(nns.ones(1, 1, 5, 5))"
    code = f"import sys; sys.modules['numba'] = None; import nnscratch as nns; print({convolved}.shape)"
    assert run(code) == "(1, 2, 3, 3)\n"
