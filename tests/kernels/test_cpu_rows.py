"""Softmax, cross-entropy and layer norm of rows against float64 NumPy, any shape, any number of threads; extremes."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from nnscratch.kernels.cpu import rows

SHAPES = [(1, 1), (128, 10), (7, 16), (50, 33), (3, 3000), (2000, 5), (40, 1000)]
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


def problem(shape, dtype):
    rng = np.random.default_rng(0)
    x, g = (3 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    return x, g, rng.integers(0, shape[1], shape[0])


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax(shape, dtype):
    x, g, _ = problem(shape, dtype)
    p, h = softmax(x.astype(float)), g.astype(float)
    near = {"rtol": 10 * TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    np.testing.assert_allclose(rows.softmax(x, 0), p, **near)
    np.testing.assert_allclose(rows.softmax(x, 1), np.log(p), **near)
    size = np.sqrt(shape[1])  # of a sum of cotangents
    np.testing.assert_allclose(
        rows.softmax_vjp(g, p.astype(dtype), 0), p * (h - (h * p).sum(1, keepdims=True)), rtol=0, atol=10 * TOLERANCE[dtype]
    )
    found = rows.softmax_vjp(g, np.log(p).astype(dtype), 1)
    np.testing.assert_allclose(found, h - p * h.sum(1, keepdims=True), rtol=0, atol=20 * size * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy(shape, dtype):
    x, g, target = problem(shape, dtype)
    p, each = softmax(x.astype(float)), np.arange(shape[0])
    near = {"rtol": 10 * TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    values, residuals = rows.nll(x, target)
    np.testing.assert_allclose(values, -np.log(p[each, target]), **near)
    expected = p.copy()
    expected[each, target] -= 1
    h = np.ascontiguousarray(g[:, 0])
    np.testing.assert_allclose(rows.nll_vjp(h, x, target, residuals), h[:, None].astype(float) * expected, **near)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_layer_norm(shape, dtype, offset):
    x, g, _ = problem(shape, dtype)
    x += dtype(offset)
    w, b = np.random.default_rng(1).standard_normal((2, shape[1])).astype(dtype)
    exact, h = x.astype(float), g.astype(float) * w
    m, v = exact.mean(1, keepdims=True), exact.var(1, keepdims=True)
    inverse = 1 / np.sqrt(v + 1e-3)
    xhat = (exact - m) * inverse
    y, residuals = rows.layer_norm(x, w, b, 1e-3)
    near = {"rtol": 20 * TOLERANCE[dtype], "atol": 20 * TOLERANCE[dtype] * max(1, offset / 5)}
    np.testing.assert_allclose(y, xhat * w + b, **near)
    np.testing.assert_allclose(residuals[0], m[:, 0], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(residuals[1], inverse[:, 0], rtol=20 * TOLERANCE[dtype])
    gx, gw, gb = rows.layer_norm_vjp(g, x, w, residuals)
    expected = inverse * (h - h.mean(1, keepdims=True) - xhat * (h * xhat).mean(1, keepdims=True))
    near["atol"] *= max(1.0, inverse.max())
    np.testing.assert_allclose(gx, expected, **near)
    near["atol"] *= np.sqrt(shape[0])
    np.testing.assert_allclose(gw, (g * xhat).sum(0), **near)
    np.testing.assert_allclose(gb, g.astype(float).sum(0), **near)


def test_extremes_of_softmax():
    x = np.array([[1e30, 0, -1e30], [-np.inf, 0, 0], [-np.inf] * 3, [np.nan, 0, 0], [np.inf, 0, 0], [0, 1000, -1000]])
    y = rows.softmax(x, 0)
    np.testing.assert_array_equal(y[0], [1, 0, 0])
    np.testing.assert_array_equal(y[1], [0, 0.5, 0.5])
    assert np.isnan(y[2]).all() and np.isnan(y[3]).all() and np.isnan(y[4, 0])
    np.testing.assert_array_equal(rows.softmax(x, 1)[5], [-1000, 0, -2000])
    values, _ = rows.nll(x, np.array([1, 0, 0, 0, 0, 2]))
    np.testing.assert_array_equal(values, [1e30, np.inf, np.nan, np.nan, np.nan, 2000])


def test_threads_give_the_same_bits():
    x, g, target = problem((3000, 65), np.float32)
    w = np.ones(65, np.float32)
    bits = set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        y, norm = rows.layer_norm(x, w, w, 1e-5)
        values, rest = rows.nll(x, target)
        results = [y, *rows.layer_norm_vjp(g, x, w, norm), values, rows.nll_vjp(values, x, target, rest), rows.softmax(x, 1)]
        bits.add(b"".join(a.tobytes() for a in results))
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert len(bits) == 1
