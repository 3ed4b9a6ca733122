"""Formulas against NumPy in a wider type; any memory order, any size, any number of threads."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from nnscratch.kernels import special
from nnscratch.kernels.compiled import memory_order
from nnscratch.kernels.cpu import arithmetic, elementwise
from nnscratch.kernels.cpu.elementwise import BLOCK, FORMULAS

PARAMETERS = {"slope": 0.25, "low": -0.5, "high": 1.5, "alpha": 1.5, "scale": 1.25, "rate": 0.75, "beta": 2.0, "threshold": 3.0}
TYPES = [np.float32, np.float64]


def parameters(name):
    return {p: PARAMETERS[p] for p in FORMULAS[name].parameters}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cdf(x):
    return 0.5 + 0.5 * special.erf(x.astype(np.float64) * np.sqrt(0.5))


def tanh_cdf(x):
    return 0.5 + 0.5 * np.tanh(np.sqrt(2 / np.pi) * x * (1 + 0.044715 * x * x))


def elu(x, alpha, scale, rate):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * rate))


TRUTH = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "hardtanh": lambda x, low, high: np.clip(x, low, high),
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "elu": elu,
    "softplus": lambda x, beta, threshold: np.where(beta * x > threshold, x, np.log1p(np.exp(beta * x)) / beta),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "gelu": lambda x: x * cdf(x),
    "gelu_tanh": lambda x: x * tanh_cdf(x),
}


def points(name, dtype, n=3000):
    x = np.random.default_rng(0).uniform(-6, 6, n).astype(dtype)
    return abs(x) + dtype(0.1) if name == "log" else x


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_values(name, dtype):
    x = points(name, dtype)
    expected = TRUTH[name](x.astype(np.longdouble), **parameters(name))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(
        elementwise.forward(name, x, **parameters(name)), expected.astype(dtype), rtol=8 * eps, atol=16 * eps
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_derivatives(name):
    """Against central differences of the truth, away from kinks."""
    x = points(name, np.float64)
    for kink in [0.0, PARAMETERS["low"], PARAMETERS["high"], PARAMETERS["threshold"] / PARAMETERS["beta"]]:
        x = x[abs(x - kink) > 1e-3]
    g = np.random.default_rng(1).standard_normal(x.size)
    y = TRUTH[name](x, **parameters(name))
    up, down = (TRUTH[name](x.astype(np.longdouble) + step, **parameters(name)) for step in (1e-5, -1e-5))
    gx = elementwise.backward(name, g, y if FORMULAS[name].reads == "y" else x, **parameters(name))
    np.testing.assert_allclose(gx, g * ((up - down) / 2e-5).astype(float), rtol=1e-7, atol=1e-7)
    single = [a.astype(np.float32) for a in (g, y if FORMULAS[name].reads == "y" else x)]
    np.testing.assert_allclose(elementwise.backward(name, *single, **parameters(name)), gx, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hardtanh", "exp", "tanh", "sigmoid", "elu", "softplus"])
def test_not_a_number_and_infinity(name):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 7)
    with np.errstate(all="ignore"):
        expected = TRUTH[name](x, **parameters(name))
    np.testing.assert_array_equal(elementwise.forward(name, x, **parameters(name)), expected)
    if name in ("relu", "leaky_relu"):  # NaN passes, the kink has the derivative from the left
        gx = elementwise.backward(name, np.ones(3), np.array([np.nan, 0.0, np.inf]), **parameters(name))
        left = parameters(name).get("slope", 0.0)
        np.testing.assert_array_equal(gx, [1.0 if name == "relu" else left, left, 1.0])


ORDERS = {
    "contiguous": lambda x: np.ascontiguousarray(x),
    "fortran": lambda x: np.asfortranarray(x),
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "odd": lambda x: np.ascontiguousarray(x.transpose(2, 0, 3, 1)).transpose(1, 3, 0, 2),
}


@pytest.mark.parametrize("order", ORDERS)
def test_memory_order_is_kept(order):
    x = ORDERS[order](np.random.default_rng(0).standard_normal((3, 5, 1, 7)))
    y = elementwise.forward("tanh", x)
    np.testing.assert_allclose(y, np.tanh(x), rtol=1e-15)
    assert memory_order(y) == memory_order(x)
    for other in ORDERS.values():
        g = other(np.random.default_rng(1).standard_normal(x.shape))
        np.testing.assert_allclose(elementwise.backward("tanh", g, y), g * (1 - y * y), rtol=1e-13)
    broadcast = np.broadcast_to(np.float64(2), x.shape)
    np.testing.assert_allclose(elementwise.backward("tanh", broadcast, y), 2 * (1 - y * y), rtol=1e-13)


def test_gaps_are_left_to_numpy():
    x = np.ones((4, 6))
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for bad in (x[:, ::2], x[::2], x[:, ::-1], np.broadcast_to(x, (2, 4, 6)), frozen, np.ones(9, np.uint8)[1:].view(np.float64)):
        assert elementwise.forward("relu", bad) is None
        assert elementwise.backward("relu", np.ones(bad.shape), bad) is None


@pytest.mark.parametrize("dtype", TYPES)
def test_sizes_and_threads(dtype):
    rng = np.random.default_rng(2)
    longest = rng.standard_normal(3 * BLOCK + 5).astype(dtype)
    for n in (0, 1, 7, 16, 33, BLOCK - 1, BLOCK, BLOCK + 1, len(longest)):
        x = longest[:n].copy()
        bits = []
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            bits.append(elementwise.forward("gelu", x).tobytes() + elementwise.backward("gelu", x, x).tobytes())
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        assert len(set(bits)) == 1
        np.testing.assert_allclose(np.frombuffer(bits[0][: x.nbytes], dtype), x * cdf(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_arithmetic_is_numpys(name, dtype):
    ufunc = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}[name]
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 7, 50, 41)).astype(dtype)
    a[0, 0, 0, :6], b[0, 0, 0, :6] = [0, -0.0, np.inf, np.nan, 1, 1e-40], [0, 0, np.inf, 1, 0, 1]
    last = [np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for x in (a, b)]
    with np.errstate(all="ignore"):
        for p, q in ((a, b), last):
            y = arithmetic.arithmetic(name, p, q)
            assert y.strides == p.strides
            assert np.ascontiguousarray(y).tobytes() == np.ascontiguousarray(ufunc(p, q)).tobytes()
        for number in (0.1, 3, True, np.inf, 0):
            assert arithmetic.arithmetic(name, a, number).tobytes() == ufunc(a, number).tobytes()
    assert arithmetic.arithmetic(name, a, last[1]) is None  # another memory order
    assert arithmetic.arithmetic(name, a, b[:1]) is None
    assert arithmetic.arithmetic(name, a[..., ::2], 1.0) is None
