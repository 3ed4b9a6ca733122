"""Column sums and maps of the CUDA kernels, on the CPU: against float64 formulas, threads in three orders with the same bits."""

import numpy as np
import pytest
from cuda_shim.orders import in_every_order
from nnscratch.kernels import columns

SHAPES = [(50, 3), (7, 1), (700, 1), (33, 40), (3, 300), (2, 19, 5), (3, 4, 64)]
ERROR = {np.float32: 3e-5, np.float64: 1e-12}


def given(shape, dtype, far=0.0):
    rng = np.random.default_rng(5)
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    vectors = [(rng.standard_normal((*shape[:-2], shape[-1])) + 0.5).astype(dtype) for _ in range(5)]
    return (x + dtype(far), g, *vectors)


def wide(vector):
    return np.expand_dims(np.asarray(vector, np.float64), -2)


def act(z, slope):
    return np.where(z > 0, z, slope * z)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_far_from_zero(on_shim, shape, dtype):
    x = given(shape, dtype, far=1000.0)[0]
    kind = "f64" if dtype is np.float64 else "f32"
    names = (f"moments_{kind}", "merge_moments")
    mean, variance = in_every_order(on_shim, lambda xp: columns.moments(xp.asarray(x)), *names)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(-2), rtol=1e-7 if dtype is np.float32 else 1e-14)
    np.testing.assert_allclose(variance, exact.var(-2), rtol=1e-5, atol=1e-6 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_dots_affine_and_combine(on_shim, shape, dtype, slope):
    x, g, middle, scale, shift, lean, constant = given(shape, dtype)

    def run(xp):
        a, h, *vectors = (xp.asarray(v) for v in (x, g, middle, scale, shift, lean, constant))
        m, s, b, tilt, k = vectors
        return [
            *columns.dots(a, h, m, s, b, slope),
            columns.affine(a, m, s, b, slope),
            columns.affine(a, m, s, None, slope),
            columns.combine(a, h, m, s, tilt, k, b, slope),
            columns.sums(a),
        ]

    total, dot, y, unshifted, combined, sums = in_every_order(on_shim, run)
    x, g = x.astype(np.float64), g.astype(np.float64)
    z = (x - wide(middle)) * wide(scale) + wide(shift)
    h = np.where(z > 0, g, slope * g)
    options = {"rtol": ERROR[dtype], "atol": ERROR[dtype] * np.sqrt(len(x))}
    np.testing.assert_allclose(total, h.sum(-2), **options)
    np.testing.assert_allclose(dot, (h * (x - wide(middle))).sum(-2), **options)
    np.testing.assert_allclose(y, act(z, slope), **options)
    np.testing.assert_allclose(unshifted, act(z - wide(shift), slope), **options)
    np.testing.assert_allclose(combined, h * wide(scale) + (x - wide(middle)) * wide(lean) + wide(constant), **options)
    np.testing.assert_allclose(sums, x.sum(-2), **options)


@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
def test_nan_stays_nan(on_shim, slope):
    x = np.array([[1.0, np.nan], [-2.0, 3.0]])
    one, zero = np.ones(2), np.zeros(2)
    y = in_every_order(on_shim, lambda xp: [columns.affine(*(xp.asarray(v) for v in (x, zero, one, zero)), slope)])[0]
    np.testing.assert_array_equal(y, [[1.0, np.nan], [-2.0 * slope, 3.0]])
