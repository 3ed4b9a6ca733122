"""The pytest plugin, in a pytest of its own."""

import os
import subprocess
import sys

import pytest

PLUGIN = "nnscratch.gradcheck.plugin"
TESTS = """
import numpy as np
import nnscratch as nns
from nnscratch.gradcheck import Verdict

X = np.linspace(-1, 1, 6).reshape(2, 3)

def test_right(gradcheck):
    report = gradcheck(nns.tanh, X)
    assert report.verdict is Verdict.CORRECT

def test_vjp(gradcheck):
    gradcheck.vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [X])

def test_allowed(gradcheck):
    gradcheck(lambda x: nns.zeros(2), X, allow=[Verdict.DEAD])

def test_wrong(gradcheck):
    gradcheck(lambda x: x * x.detach(), X)

def test_dead(gradcheck):
    gradcheck(lambda x: nns.zeros(2), X)
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)

    def run(*options, load=("-p", PLUGIN), autoload=False, **variables):
        env = {**os.environ, **variables, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "" if autoload else "1"}
        command = [sys.executable, "-m", "pytest", *load, "-q", *options, "."]
        return subprocess.run(command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    return run


def test_fixture_options_and_page(run, tmp_path):
    out = run("--gradcheck=fast", "--gradcheck-seed=7", "--gradcheck-html=report.html")
    assert "2 failed, 3 passed" in out, out
    assert "WRONG: " in out and "seed 7" in out and "--gradcheck-seed=7 --gradcheck=fast" in out
    assert "gradcheck: 2 CORRECT, 2 DEAD, 1 WRONG at seed 7; report in report.html" in out
    page = (tmp_path / "report.html").read_text()
    assert page.count("<section>") == 5 and page.index("WRONG") < page.index("test_right")


def test_audit_checks_every_element_and_second_derivatives(run):
    out = run("--gradcheck=audit", "-k", "right or vjp")
    assert "2 passed" in out, out
    assert "invalid choice" in run("--gradcheck=some")


def test_it_may_be_loaded_twice(run):
    """By its entry point and by name, in either order."""
    options = ("-k", "right", "-W", "error")
    if "fixture 'gradcheck' not found" in run(*options, load=[], autoload=True):
        pytest.skip("the entry point is not installed")
    for load in (["-p", PLUGIN], ["-p", "nnscratch"]):
        assert "1 passed" in run(*options, load=load, autoload=True)
    assert "1 passed" in run(*options, load=[], autoload=True, PYTEST_PLUGINS=PLUGIN)
