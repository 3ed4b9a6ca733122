import math

import numpy as np
import pytest
from nnscratch.kernels import special

POINTS = np.concatenate([np.linspace(-30, 30, 12001), np.linspace(-1, 1, 4001), np.logspace(-300, 1, 600), [0.46875, 4.0]])
FUNCTIONS = {"erf": math.erf, "erfc": math.erfc}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_to_a_few_units_in_the_last_place(name):
    expected = np.array([FUNCTIONS[name](x) for x in POINTS.tolist()])
    normal = np.abs(expected) > np.finfo(np.float64).tiny
    y = getattr(special, name)(POINTS)
    np.testing.assert_allclose(y[normal], expected[normal], rtol=1.5e-15, atol=0)
    np.testing.assert_allclose(y[~normal], expected[~normal], rtol=0, atol=1e-307)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(name):
    x = np.concatenate([np.linspace(-9, 9, 20001), np.logspace(-37, 0, 500)]).astype(np.float32)
    y = getattr(special, name)(x)
    expected = np.array([FUNCTIONS[name](v) for v in x.tolist()])
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=4 * 2.0**-23, atol=0 if name == "erf" else 1e-37)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_ends(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 6e4, -6e4], dtype)
    np.testing.assert_array_equal(special.erf(x), np.array([1, -1, np.nan, 0, -0.0, 1, -1], dtype))
    assert np.signbit(special.erf(x)[4])
    np.testing.assert_array_equal(special.erfc(x), np.array([0, 2, np.nan, 1, 1, 0, 2], dtype))
    ends = np.array([1, -1, 1.5, np.nan, 0], dtype)
    np.testing.assert_array_equal(special.erfinv(ends), np.array([np.inf, -np.inf, np.nan, np.nan, 0], dtype))


def test_erfinv_inverts_erf_and_its_tail():
    q = np.concatenate([np.linspace(-0.999, 0.999, 999), np.logspace(-300, -1, 60), 1 - np.logspace(-15, -1, 60)])
    y = special.erfinv(q)
    back = np.array([math.erf(v) if abs(v) < 0.4 else math.copysign(math.erfc(abs(v)), v) for v in y.tolist()])
    expected = np.where(np.abs(y) < 0.4, q, np.copysign(1 - np.abs(q), q))
    np.testing.assert_allclose(back, expected, rtol=3e-14, atol=0)


@pytest.mark.parametrize("function", [special.erf, special.erfc, special.erfinv])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_strides_and_inputs_left_alone(function, dtype):
    x = np.linspace(-0.9, 0.9, 24).astype(dtype).reshape(2, 3, 4)
    before = x.copy()
    whole = function(x)
    np.testing.assert_array_equal(function(x.T), whole.T)
    np.testing.assert_array_equal(function(x[:, ::-2]), whole[:, ::-2])
    assert function(x[:, :0]).shape == (2, 0, 4)
    assert np.shape(function(np.array(0.5, dtype))) == ()
    np.testing.assert_array_equal(x, before)
