"""`nnscratch warmup`: its jobs run, and it says what it did."""

import os
import re
import subprocess
import sys

import pytest

from nnscratch import kernels, warmup
from nnscratch.cli import main


def test_its_jobs_run(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(warmup, "_shown", lambda work, quiet: ((name, lambda: (job(), done.append(name))) for name, job in work))
    with kernels.use("im2col"):  # compiling takes a while
        assert main(["warmup", "--quiet"]) == 0
    assert len(done) == len(set(done)) == 2 * (len(warmup.LAYERS) + 2 + len(warmup.OPTIMIZERS))
    assert capsys.readouterr().out == ""


def test_it_says_what_it_did(tmp_path):
    assert warmup._told(61.24, 49, 3, [tmp_path]) == f"49 kernels compiled in 61.2 s; the cache is in {tmp_path}"
    assert warmup._told(3.0, 0, 49, [tmp_path]) == f"all 49 kernels were there (3.0 s); the cache is in {tmp_path}"
    assert warmup._told(3.0, 0, 0, []) == "nothing to compile: the kernels that are chosen are not compiled ones"


def test_without_numba_there_is_nothing_to_do(monkeypatch, capsys):
    monkeypatch.setattr(warmup, "find_spec", lambda name: None)
    assert main(["warmup"]) == 0
    assert capsys.readouterr().out == "nothing to compile: Numba is not installed, and everything runs on NumPy\n"
    assert main(["warmup", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_cuda_kernels_for_an_architecture(monkeypatch, tmp_path, capsys):
    from nnscratch.kernels.cuda import loader, nvrtc

    monkeypatch.setenv("NNSCRATCH_CUDA_CACHE", str(tmp_path))
    monkeypatch.setattr(nvrtc, "version", lambda: (13, 0))
    whole = b"\x7fELF".ljust(64, b"\0")  # an ELF without sections, as a cache takes it
    monkeypatch.setattr(nvrtc, "compile", lambda source, name, options: (whole + name.encode(), ""))
    families = len(loader.FAMILIES)
    assert main(["warmup", "--cuda", "sm_90a"]) == 0
    told = capsys.readouterr().out
    assert re.fullmatch(rf"{families} families of CUDA kernels compiled for sm_90a in [\d.]+ s; they are in {tmp_path}\n", told)
    assert main(["warmup", "--cuda", "sm_90a"]) == 0
    assert f"all {families} families of CUDA kernels were there for sm_90a" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == families


def test_cuda_kernels_without_a_gpu_or_a_compiler(monkeypatch, capsys):
    from nnscratch.kernels.cuda import nvrtc

    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["warmup", "--cuda"]) == 1
    assert "device 'cuda' needs CuPy" in capsys.readouterr().err

    def missing():
        raise nvrtc.CompilationError("the CUDA kernels need NVRTC: install it")

    monkeypatch.setattr(nvrtc, "version", missing)
    assert main(["warmup", "--cuda", "sm_80", "--quiet"]) == 1
    assert capsys.readouterr().err == "nnscratch warmup: the CUDA kernels need NVRTC: install it\n"


@pytest.mark.slow
def test_the_second_time_everything_is_there(tmp_path):
    pytest.importorskip("numba")
    for message in (
        r"\d+ kernels compiled in [\d.]+ s; the cache is in ",
        r"all \d+ kernels were there .*; the cache is in ",
    ):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-m", "nnscratch", "warmup"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.match(message + re.escape(str(tmp_path)), done.stdout)
