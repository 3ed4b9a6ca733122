"""Gradients in low precision, whatever the function can be run in."""

import numpy as np
import pytest

from nnscratch.gradcheck import Verdict, check_vjp

X = np.random.default_rng(0).standard_normal((40, 40)).astype(np.float32)


def one_off(vjp, index=(7, 13), factor=1.001):
    def wrong(g, y, x):
        gx = np.array(vjp(g, y, x))
        gx[index] *= factor
        return (gx,)

    return wrong


def only_float32(f):
    def run(*arrays):
        return f(*[np.asarray(a, np.float32) for a in arrays])

    return run


tanh = (np.tanh, lambda g, y, x: g * (1 - y * y))
normalise = (
    lambda x: (x - x.mean(0)) / x.std(0),
    lambda g, y, x: (g - g.mean(0) - y * (g * y).mean(0)) / x.std(0),
)


@pytest.mark.parametrize("f, vjp", [tanh, normalise])
@pytest.mark.parametrize("seed", range(4))
def test_both_run_in_float64(f, vjp, seed):
    assert check_vjp(f, lambda *a: (vjp(*a),), [X], seed=seed).verdict is Verdict.CORRECT
    everywhere = check_vjp(f, one_off(vjp), [X], seed=seed)
    assert everywhere.verdict is Verdict.WRONG and everywhere.findings[0].index == (7, 13)
    wrong = one_off(vjp)
    here_only = check_vjp(f, lambda g, y, x: wrong(g, y, x) if x.dtype == np.float32 else (vjp(g, y, x),), [X], seed=seed)
    assert here_only.verdict is Verdict.WRONG and here_only.findings[0].index == (7, 13)
    assert "float32" in here_only.findings[0].message


@pytest.mark.parametrize("f, vjp", [tanh, normalise])
def test_the_vjp_runs_in_float32_only(f, vjp):
    pull = only_float32(vjp)
    assert check_vjp(f, lambda *a: (pull(*a),), [X]).verdict is Verdict.CORRECT
    assert check_vjp(f, lambda *a: (np.float32(1.001) * pull(*a),), [X]).verdict is Verdict.WRONG
    report = check_vjp(f, one_off(pull, factor=1.05), [X])
    assert report.verdict is Verdict.WRONG and report.findings[0].index == (7, 13)


@pytest.mark.parametrize("f, vjp", [tanh, normalise])
def test_everything_runs_in_float32_only(f, vjp):
    forward, pull = only_float32(f), only_float32(vjp)
    report = check_vjp(forward, lambda *a: (pull(*a),), [X])
    assert report.verdict is Verdict.CORRECT, report
    assert 1e-6 < report.resolution < 1e-2 and "float32" in report.notes[0]
    assert check_vjp(forward, lambda *a: (np.float32(1.1) * pull(*a),), [X]).verdict is Verdict.WRONG


def test_float64_inputs_and_float32_outputs():
    report = check_vjp(only_float32(np.sin), lambda g, y, x: (g * np.cos(x),), [X.astype(np.float64)])
    assert report.verdict in (Verdict.CORRECT, Verdict.NOISE_LIMITED)
    assert check_vjp(only_float32(np.sin), lambda g, y, x: (2 * g * np.cos(x),), [X.astype(np.float64)]).verdict is Verdict.WRONG


@pytest.mark.parametrize("size", [10, 1000, 30_000])
def test_many_outputs_do_not_make_the_check_vacuous(size):
    x = np.linspace(-2, 2, size, dtype=np.float32)
    assert check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [x], projections=2).verdict is Verdict.CORRECT
    assert check_vjp(np.sin, lambda g, y, x: (1.001 * g * np.cos(x),), [x], projections=2).verdict is Verdict.WRONG


def test_saturated_float32():
    x = np.array([12.4, -4.2, 2.4, 9.0], np.float32)
    assert check_vjp(tanh[0], lambda *a: (tanh[1](*a),), [x]).verdict is Verdict.CORRECT
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    assert check_vjp(sigmoid, lambda g, y, x: (g * y * (1 - y),), [np.float32([14.368655])]).verdict is Verdict.CORRECT


def test_float16():
    x = X[:5, :5].astype(np.float16)
    assert check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [x]).verdict is Verdict.CORRECT
    assert check_vjp(np.sin, lambda g, y, x: (g * np.cos(x) * x.dtype.type(1.2),), [x]).verdict is Verdict.WRONG
