"""`nnscratch warmup`: its jobs run, and it says what it did."""

import os
import re
import subprocess
import sys

import pytest

from nnscratch import kernels, warmup
from nnscratch.cli import main


def test_its_jobs_run(monkeypatch, capsys):
    monkeypatch.setattr(warmup, "_compiled", lambda: kernels.use("im2col"))
    done = []
    monkeypatch.setattr(warmup, "_shown", lambda work, quiet: ((name, lambda: (job(), done.append(name))) for name, job in work))
    with kernels.use(None):
        assert main(["warmup"]) == 0
    assert len(done) == len(set(done)) == 2 * (len(warmup.LAYERS) + 1 + len(warmup.OPTIMIZERS))
    if "cpu" in kernels.available():
        assert "; the cache is in " in capsys.readouterr().out


def test_without_numba_there_is_nothing_to_do(monkeypatch, capsys):
    monkeypatch.setattr(warmup, "find_spec", lambda name: None)
    assert main(["warmup"]) == 0
    assert capsys.readouterr().out == "nothing to compile: Numba is not installed, and everything runs on NumPy\n"
    assert main(["warmup", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_second_time_everything_is_there(tmp_path):
    pytest.importorskip("numba")
    for message in (
        r"\d+ functions compiled in [\d.]+ s; the cache is in ",
        r"all \d+ kernels were there, and work .*; the cache is in ",
    ):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-m", "nnscratch", "warmup"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.match(message + re.escape(str(tmp_path)), done.stdout)
