"""Losses between two arrays against float64 NumPy: sums, values and slopes; any memory order, size and number of threads."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from nnscratch.kernels.cpu import pairs
from nnscratch.kernels.cpu.pairs import BLOCK, LOSSES

TYPES = [np.float32, np.float64]
DELTA = 0.7


def truth(name, x, t):
    """The loss and its derivatives by x and by t."""
    d = x - t
    if name == "logit_nll":
        return np.logaddexp(0, x) - x * t, 1 / (1 + np.exp(-x)) - t, -x
    if name == "bernoulli_nll":
        return -t * np.log(x) - (1 - t) * np.log1p(-x), d / (x * (1 - x)), np.log1p(-x) - np.log(x)
    if name == "gaussian_kl":
        return (x * x + np.expm1(t) - t) / 2, x, np.expm1(t) / 2
    if name == "square":
        return d * d, 2 * d, -2 * d
    if name == "absolute":
        return abs(d), np.sign(d), -np.sign(d)
    cut = np.clip(d, -DELTA, DELTA)
    return cut * (d - cut / 2), cut, -cut


def problem(name, n, dtype):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal(n), rng.random(n)
    if name == "bernoulli_nll":
        x = rng.uniform(0.001, 0.999, n)
    return x.astype(dtype), t.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n", [1, 15, 16, 1000, 3 * BLOCK + 5])
def test_values_and_slopes(name, n, dtype):
    x, t = problem(name, n, dtype)
    exact = truth(name, x.astype(float), t.astype(float))
    eps = float(np.finfo(dtype).eps)
    for mode, expected in zip(("value", "by_x", "by_t"), exact):
        found = pairs.each(mode, name, x, t, DELTA, 0.5)
        np.testing.assert_allclose(found, 0.5 * expected, rtol=20 * eps, atol=20 * eps)
    assert pairs.total(name, x, t, DELTA) == pytest.approx(exact[0].sum(), rel=20 * eps, abs=20 * eps)


@pytest.mark.parametrize("name", LOSSES)
def test_threads_and_memory_orders(name):
    x, t = problem(name, 4 * 3 * 50 * 60, np.float32)
    x, t = x.reshape(4, 3, 50, 60), t.reshape(4, 3, 50, 60)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    bits = set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        bits.add((pairs.total(name, last, t, DELTA), pairs.each("by_x", name, last, t, DELTA, 2.0).tobytes()))
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert len(bits) == 1
    y = pairs.each("value", name, last, t, DELTA, 1.0)
    assert y.strides == last.strides
    np.testing.assert_array_equal(y, pairs.each("value", name, x, t, DELTA, 1.0))
    assert pairs.each("value", name, x[..., ::2], t[..., ::2], DELTA, 1.0) is None
    assert pairs.total(name, x[..., ::2], t[..., ::2], DELTA) is None


def test_extremes():
    x = np.array([1e30, -1e30, 1e4, -1e4, 0.0, 90.0, -90.0])
    assert np.isfinite(pairs.each("value", "logit_nll", x, np.full(7, 0.5), 0.0, 1.0)).all()
    one, zero = np.ones(4), np.zeros(4)
    np.testing.assert_array_equal(pairs.each("value", "bernoulli_nll", one, zero, 0.0, 1.0), 100.0)
    np.testing.assert_array_equal(pairs.each("value", "bernoulli_nll", zero, zero, 0.0, 1.0), 0.0)
    np.testing.assert_array_equal(pairs.each("by_x", "absolute", one, one, 0.0, 1.0), 0.0)
    for name in LOSSES:
        bad = np.array([0.5, np.nan, 0.5])
        good = np.full(3, 0.25)
        assert np.isnan(pairs.total(name, bad, good, 1.0))
        assert np.isnan(pairs.each("value", name, bad, good, 1.0, 1.0)).tolist() == [False, True, False]
        assert np.isnan(pairs.each("by_x", name, bad, good, 1.0, 1.0)).tolist() == [False, True, False]
    assert pairs.total("square", np.zeros(0), np.zeros(0), 0.0) == 0.0
