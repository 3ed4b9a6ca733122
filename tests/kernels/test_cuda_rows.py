"""Softmax and cross-entropy of the CUDA kernels, on the CPU: against float64 formulas, in three orders with the same bits."""

import numpy as np
import pytest
from cuda_shim.orders import in_every_order
from nnscratch.kernels import rows
from nnscratch.kernels.cuda import rows as launcher

ERROR = {np.float32: 2e-6, np.float64: 1e-13}


def exact(x):
    x = x.astype(np.float64)
    shifted = x - x.max(1, keepdims=True)
    logarithm = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return np.exp(logarithm), logarithm


@pytest.fixture(params=[2048, 8], ids=["a warp a row", "a block a row"])
def wide(request, monkeypatch):
    monkeypatch.setattr(launcher, "WIDE", request.param)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 10), (1, 1), (3, 33), (9, 300)])
def test_softmax_and_cross_entropy(on_shim, wide, shape, dtype):
    rng = np.random.default_rng(7)
    x, g = ((8 * rng.standard_normal(shape)).astype(dtype) for _ in range(2))
    target, weight = rng.integers(0, shape[1], shape[0]), rng.standard_normal(shape[0]).astype(dtype)

    def run(xp):
        a, h, t, w = (xp.asarray(v) for v in (x, g, target, weight))
        p, q = rows.softmax(a, 1), rows.softmax(a, 1, logarithm=True)
        loss, residuals = rows.nll(a, t)
        gradients = rows.softmax_vjp(h, p, 1), rows.softmax_vjp(h, q, 1, logarithm=True), rows.nll_vjp(w, a, residuals)
        return [p, q, loss, *gradients]

    p, q, loss, gp, gq, gx = in_every_order(on_shim, run)
    y, logarithm = exact(x)
    error = ERROR[dtype]
    np.testing.assert_allclose(p, y, rtol=20 * error, atol=error)
    np.testing.assert_allclose(q, logarithm, rtol=error, atol=20 * error)
    np.testing.assert_allclose(loss, -logarithm[np.arange(len(x)), target], rtol=error, atol=20 * error)
    g, one_hot = g.astype(np.float64), np.eye(shape[1])[target]
    np.testing.assert_allclose(gp, y * (g - (g * y).sum(1, keepdims=True)), rtol=1e2 * error, atol=1e2 * error)
    np.testing.assert_allclose(gq, g - y * g.sum(1, keepdims=True), rtol=1e2 * error, atol=1e2 * error)
    np.testing.assert_allclose(gx, weight[:, None].astype(np.float64) * (y - one_hot), rtol=1e2 * error, atol=10 * error)


def test_infinities_and_nan(on_shim, wide):
    inf = np.inf
    x = np.array([[0.0, -inf, 1.0] * 4, [-inf] * 12, [inf] + [0.0] * 11, [np.nan] + [1.0] * 11, [-inf] * 11 + [2.0]])
    with np.errstate(invalid="ignore"):
        expected = exact(x)[0]
    got = in_every_order(on_shim, lambda xp: [rows.softmax(xp.asarray(x), 1)])[0]
    np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_the_axis_is_the_fastest_in_memory(on_shim):
    memory = np.random.default_rng(0).standard_normal((3, 5, 4))
    x = np.moveaxis(memory, 2, 1)
    shifted = np.exp(x - x.max(1, keepdims=True))
    got = in_every_order(on_shim, lambda xp: [rows.softmax(np.moveaxis(xp.asarray(memory), 2, 1), 1)], "softmax_f64")[0]
    np.testing.assert_allclose(got, shifted / shifted.sum(1, keepdims=True), rtol=1e-13)
