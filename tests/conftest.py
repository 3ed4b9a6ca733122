"""What all tests share: how Hypothesis searches, and the array libraries that a test can run on.

HYPOTHESIS_PROFILE is dev (the default) or ci; HYPOTHESIS_SEED repeats the examples of a run, whose seed stands in its header.
"""

import os
import secrets
import sys

import numpy as np
import pytest
from array_libraries import MODULES, strict_cupy
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=False, print_blob=True)
settings.register_profile("dev", settings.get_profile("ci"), max_examples=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ.get("HYPOTHESIS_SEED") or str(secrets.randbits(32))


def pytest_report_header(config):
    return f"hypothesis seed: {config.option.hypothesis_seed} (set HYPOTHESIS_SEED to repeat it)"


@pytest.fixture(params=["numpy", "strict", "cupy"])
def xp(request, monkeypatch):
    """NumPy; a stand-in for CuPy that is as strict about what it is mixed with; and CuPy where there is a GPU."""
    if request.param == "numpy":
        return np
    if request.param == "strict":
        for name, module in MODULES.items():
            monkeypatch.setitem(sys.modules, name, module)
        return strict_cupy
    cupy = pytest.importorskip("cupy")
    try:
        cupy.arange(3).sum().get()
    except Exception as fault:
        pytest.skip(f"no usable GPU: {fault}")
    return cupy


@pytest.fixture(params=["forward", "reverse", "shuffled"])
def order(request):
    """The order in which the threads and blocks of a CUDA kernel run on the CPU."""
    return request.param


@pytest.fixture
def on_shim(monkeypatch):
    """A function (order) that gives the stand-in for CuPy whose CUDA kernels run on the CPU, threads and blocks in that order."""
    from cuda_shim import library
    from nnscratch.kernels import cuda
    from nnscratch.kernels.cuda import loader

    if not library.usable():
        pytest.skip("the CUDA kernels run on the CPU by g++ on x86-64")
    for name, module in MODULES.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(cuda, "usable", lambda: True)

    def use(order="forward"):
        library.Function.launches.clear()
        monkeypatch.setattr(loader, "function", lambda family, name: library.Function(family, name, order))
        return strict_cupy

    return use
