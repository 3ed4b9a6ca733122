"""Tuning malloc: large temporaries no longer cost page faults."""

import platform
import subprocess
import sys

import pytest
from nnscratch.kernels import malloc

import nnscratch as nns

FAULTS = """
import resource, sys
import numpy as np, nnscratch as nns
print(nns.tune_malloc() if sys.argv[1] == "keep" else nns.tune_malloc(False))
x = np.ones(1 << 22, np.float32)  # 16 MB
for _ in range(3):
    x + 1, x * 2
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    (x + 1) * 2
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
y = [x + 1 for _ in range(8)]
del y
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
held = resident()
nns.tune_malloc(False)
print(held - resident())
"""


def measured(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    done, faults, returned = done.stdout.split()
    assert done == "True"
    return int(faults), int(returned)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="glibc's malloc only")
def test_temporaries_are_kept_and_given_back():
    faults, returned = measured("keep")
    plain, _ = measured("plain")
    assert faults < 20 < plain  # huge pages or small ones: 20 temporaries of 16 MB fault at least once each
    assert returned > 100


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(malloc, "_library", lambda: None)
    assert nns.tune_malloc() is False and nns.tune_malloc(False) is False
