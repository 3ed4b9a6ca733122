"""Sums down columns and maps with a number for each column, against float64 NumPy; any shape, any number of threads."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from nnscratch.kernels.cpu import columns, group_norm

# Narrow rows that can and cannot be put side by side, rows of several parts, one chunk and many, and the smallest.
SHAPES = [(4096, 3), (245, 100), (1009, 7), (64, 1100), (3000, 64), (70000, 8), (130, 16), (1, 5), (7, 1), (2, 33)]
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-13}


def problem(shape, dtype):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, *shape))
    x = x * rng.uniform(0.5, 3, shape[1]) + rng.uniform(-9, 9, shape[1])
    return x.astype(dtype), g.astype(dtype), rng.standard_normal((4, shape[1])).astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums(shape, dtype):
    x, g, (middle, *_) = problem(shape, dtype)
    exact, h = x.astype(float), g.astype(float)
    mean, variance = columns.moments(x)
    assert mean.dtype == variance.dtype == np.float64
    np.testing.assert_allclose(mean, exact.mean(0), rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(variance, exact.var(0), rtol=TOLERANCE[dtype], atol=1e-30)
    total, dot = columns.dots(x, g, middle)
    scale = TOLERANCE[dtype] * abs(h).sum(0).max()
    np.testing.assert_allclose(total, h.sum(0), rtol=0, atol=scale)
    np.testing.assert_allclose(dot, (h * (exact - middle)).sum(0), rtol=0, atol=20 * scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_maps(shape, dtype):
    x, g, (middle, scale, slope, constant) = problem(shape, dtype)
    near = {"rtol": TOLERANCE[dtype], "atol": 20 * TOLERANCE[dtype]}
    away = x.astype(float) - middle
    np.testing.assert_allclose(columns.affine(x, middle, scale, slope), away * scale + slope, **near)
    np.testing.assert_allclose(columns.affine(x, middle, scale, None), away * scale, **near)
    expected = g.astype(float) * scale + away * slope + constant
    np.testing.assert_allclose(columns.combine(x, g, middle, scale, slope, constant), expected, **near)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_with_an_activation(shape, dtype, slope):
    x, g, (middle, scale, lean, constant) = problem(shape, dtype)
    shift = constant[::-1].copy()
    near = {"rtol": TOLERANCE[dtype], "atol": 30 * TOLERANCE[dtype]}
    away = x.astype(float) - middle
    z = away * scale + shift
    h = np.where(z > 0, g.astype(float), slope * g)
    h[abs(z) < 1e-4] = g[abs(z) < 1e-4] = 0  # where rounding may decide
    np.testing.assert_allclose(columns.affine(x, middle, scale, shift, slope), np.where(z > 0, z, slope * z), **near)
    total, dot = columns.dots(x, g, middle, scale, shift, slope)
    limit = TOLERANCE[dtype] * abs(h).sum(0).max() + 1e-12
    np.testing.assert_allclose(total, h.sum(0), rtol=0, atol=limit)
    np.testing.assert_allclose(dot, (h * away).sum(0), rtol=0, atol=20 * limit)
    expected = h * scale + away * lean + constant
    np.testing.assert_allclose(columns.combine(x, g, middle, scale, lean, constant, shift, slope), expected, **near)


def test_activations_of_infinity():
    x, one = np.array([[np.inf, -np.inf, 2.0, -2.0, 0.0]]), np.ones(5)
    np.testing.assert_array_equal(columns.affine(x, 0 * one, one, 0 * one, 0.0), [[np.inf, 0, 2, 0, 0]])
    np.testing.assert_array_equal(columns.affine(x, 0 * one, one, 0 * one, 0.5), [[np.inf, -np.inf, 2, -1, 0]])
    g = np.array([[np.inf, np.inf, np.inf, np.inf, 1.0]])
    total, _ = columns.dots(np.sign(x), g, 0 * one, one, 0 * one, 0.0)
    np.testing.assert_array_equal(total, [np.inf, 0, np.inf, 0, 0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 49, 24), (40, 3, 7), (3, 2000, 16), (6, 1, 5), (2, 30, 600)])
def test_several_matrices(shape, dtype):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, *shape)).astype(dtype)
    a, b, c, d = rng.standard_normal((4, shape[0], shape[2])).astype(dtype)
    for i, (x1, g1) in enumerate(zip(x, g)):
        each = [
            (columns.moments(x), columns.moments(x1)),
            (columns.dots(x, g, a), columns.dots(x1, g1, a[i])),
            ([columns.affine(x, a, b, c)], [columns.affine(x1, a[i], b[i], c[i])]),
            ([columns.combine(x, g, a, b, c, d)], [columns.combine(x1, g1, a[i], b[i], c[i], d[i])]),
        ]
        for together, alone in each:
            for p, q in zip(together, alone):
                np.testing.assert_allclose(p[i], q, rtol=TOLERANCE[dtype], atol=30 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(3000, 64), (70000, 8), (245, 100)])
def test_threads_give_the_same_bits(shape, dtype):
    x, g, numbers = problem(shape, dtype)
    bits = set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        results = [*columns.moments(x), *columns.dots(x, g, numbers[0]), columns.combine(x, g, *numbers)]
        bits.add(b"".join(a.tobytes() for a in results))
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert len(bits) == 1


def test_far_from_zero():
    x = (1e4 + np.random.default_rng(0).standard_normal((50000, 16))).astype(np.float32)
    mean, variance = columns.moments(x)
    np.testing.assert_allclose(mean, x.astype(float).mean(0), rtol=1e-9)
    np.testing.assert_allclose(variance, x.astype(float).var(0), rtol=1e-6)


def test_constant_columns_have_no_variance():
    x = np.full((5000, 16), 0.1, np.float32)
    assert (columns.moments(x)[1] == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_stays_in_its_column(bad):
    x, g, numbers = problem((3000, 16), np.float64)
    x[1234, 5] = bad
    others = np.arange(16) != 5
    with np.errstate(invalid="ignore"):
        mean, variance = columns.moments(x)
    assert np.isfinite(mean[others]).all() and not np.isfinite(mean[5]) and np.isnan(variance[5])
    assert np.isfinite(columns.dots(x, g, numbers[0])[1][others]).all()
    assert np.argwhere(~np.isfinite(columns.affine(x, *numbers[:3]))).tolist() == [[1234, 5]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 17, 12), 3), ((6, 100, 64), 8), ((5, 8, 1), 1), ((4, 33, 10), 10), ((9, 640, 30), 2)], ids=str
)
def test_groups_of_an_image_at_a_time(shape, groups, dtype):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * np.linspace(0.1, 3, shape[2]) + 100).astype(dtype)  # far from zero
    w, b = (rng.standard_normal(shape[2]).astype(dtype) for _ in range(2))
    assert group_norm.applies(x)
    for weight, bias in ((w, b), (None, None), (w[::-1], None)):
        y, (m, inverse) = group_norm.group_norm(x, weight, bias, groups, 1e-5)
        parts = x.astype(np.float64).reshape(shape[0], shape[1], groups, -1)
        mean, variance = parts.mean((1, 3)), parts.var((1, 3))
        exact = ((parts - mean[:, None, :, None]) / np.sqrt(variance + 1e-5)[:, None, :, None]).reshape(shape)
        exact = exact * (1 if weight is None else weight) + (0 if bias is None else bias)
        unit = np.finfo(dtype).eps
        np.testing.assert_allclose(m, mean, rtol=16 * unit)
        np.testing.assert_allclose(inverse, 1 / np.sqrt(variance + 1e-5), rtol=1e3 * unit)
        np.testing.assert_allclose(y, exact, rtol=1e3 * unit, atol=1e4 * unit)
        g = rng.standard_normal(shape).astype(dtype)
        xhat = ((parts - mean[:, None, :, None]) / np.sqrt(variance + 1e-5)[:, None, :, None]).reshape(shape)
        h = (g.astype(np.float64) * (1 if weight is None else weight)).reshape(parts.shape)
        away = (h * xhat.reshape(parts.shape)).mean((1, 3), keepdims=True)
        expected = (h - h.mean((1, 3), keepdims=True) - xhat.reshape(parts.shape) * away).reshape(shape)
        expected /= np.repeat(np.sqrt(variance + 1e-5), shape[2] // groups, 1)[:, None]
        gx, gw, gb = group_norm.group_norm_vjp(g, x, m, inverse, weight, groups)
        for actual, exact in ((gx, expected), (gw, (g * xhat).sum((0, 1))), (gb, g.astype(np.float64).sum((0, 1)))):
            np.testing.assert_allclose(actual, exact, rtol=1e3 * unit, atol=1e4 * unit * abs(exact).max())
    assert not group_norm.applies(x[:3]) and not group_norm.applies(np.empty((4, 70000, 1), dtype))
