"""exp, log, tanh and their kin against NumPy in a wider type: all exponents of float32, random float64, special values."""

import math

import numpy as np
import pytest

pytest.importorskip("numba")

from nnscratch.kernels import special
from nnscratch.kernels.cpu import vector_math
from nnscratch.kernels.cpu.launch import parallel

exp, expm1, log, log1p = vector_math.exp, vector_math.expm1, vector_math.log, vector_math.log1p
tanh, sigmoid, softplus, erf = vector_math.tanh, vector_math.sigmoid, vector_math.softplus, vector_math.erf

# The largest error in units in the last place, and the function in any type of NumPy.
FUNCTIONS = {
    "exp": (1.0, np.exp),
    "expm1": (1.8, np.expm1),
    "log": (1.0, np.log),
    "log1p": (1.4, np.log1p),
    "tanh": (2.6, np.tanh),
    "sigmoid": (2.5, lambda x: np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-abs(x)))),
    "softplus": (2.8, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))),
    "erf": (5.5, lambda x: special.erf(x.astype(np.float64))),
}
NAMES = list(FUNCTIONS)
TYPES = [np.float32, np.float64]


@parallel
def _apply(index, x, y, kind):
    if kind == 0:
        for i in range(len(y)):
            y[i] = exp(x[i])
    elif kind == 1:
        for i in range(len(y)):
            y[i] = expm1(x[i])
    elif kind == 2:
        for i in range(len(y)):
            y[i] = log(x[i])
    elif kind == 3:
        for i in range(len(y)):
            y[i] = log1p(x[i])
    elif kind == 4:
        for i in range(len(y)):
            y[i] = tanh(x[i])
    elif kind == 5:
        for i in range(len(y)):
            y[i] = sigmoid(x[i])
    elif kind == 6:
        for i in range(len(y)):
            y[i] = softplus(x[i])
    else:
        for i in range(len(y)):
            y[i] = erf(x[i])


def apply(name, x):
    y = np.empty_like(x)
    _apply(1, x, y, NAMES.index(name), nanoseconds=0)
    return y


def error(y, expected):
    """The largest error in units in the last place of y's type; infinity where one is finite, or a number, and the other not."""
    info = np.finfo(y.dtype)
    rounded = expected.astype(y.dtype)
    finite = np.isfinite(rounded) & np.isfinite(y)
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    exponent = np.maximum(np.frexp(np.where(finite, expected, 1))[1], info.minexp + 1) - info.nmant - 1
    units = np.abs(np.where(finite, y - expected, 0)) / np.ldexp(np.ones((), expected.dtype), exponent)
    return float(np.where(finite, units, np.where(same, 0, np.inf)).max())


@pytest.mark.parametrize("name", NAMES)
def test_float32_of_all_exponents(name):
    x = np.arange(0, 1 << 32, 4099, np.uint64).astype(np.uint32).view(np.float32)
    bound, function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        assert error(apply(name, x), function(x.astype(np.float64))) <= bound


@pytest.mark.parametrize("name", NAMES)
def test_float64(name):
    rng = np.random.default_rng(0)
    n = 20000
    near = rng.standard_normal(n) * 10.0 ** rng.uniform(-9, 1, n)
    x = np.concatenate([near, 1 + near, rng.uniform(-750, 715, n), rng.integers(0, 1 << 64, n, np.uint64).view(np.float64)])
    bound, function = FUNCTIONS[name]
    if name == "erf":
        bound, function = 2.0, lambda x: np.array([math.erf(v) for v in x])  # itself right to one unit
    elif np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("nothing wider than float64 here to compare with")
    with np.errstate(all="ignore"):
        assert error(apply(name, x), function(x.astype(np.longdouble))) <= bound


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype):
    info = np.finfo(dtype)
    x = np.array([0.0, np.inf, np.nan, 1.0, info.max, info.tiny, info.smallest_subnormal], dtype)
    x = np.concatenate([x, -x])
    _, function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        y, expected = apply(name, x), function(x.astype(np.longdouble)).astype(dtype)
    special_ones = ~np.isfinite(expected) | (expected == 0)
    np.testing.assert_array_equal(y[special_ones], expected[special_ones])
    if name in ("expm1", "log1p", "tanh", "erf"):
        assert (np.signbit(y[x == 0]) == np.signbit(x[x == 0])).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_vectors_and_their_tails_agree(name, dtype):
    x = np.random.default_rng(1).uniform(0.01, 9, 301).astype(dtype)
    whole = apply(name, x)
    for start, length in [(0, 1), (1, 7), (3, 64), (150, 151), (300, 1)]:
        part = apply(name, x[start : start + length].copy())
        assert part.tobytes() == whole[start : start + length].tobytes()


def test_only_floats():
    from numba.core.errors import TypingError

    with pytest.raises(TypingError, match="expected float32 or float64, got int64"):
        apply("exp", np.arange(3))
