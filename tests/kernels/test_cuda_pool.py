"""Pools of the CUDA kernels, on the CPU: against the naive loops, threads in three orders with the same bits."""

import numpy as np
import pytest
from cuda_shim.orders import in_every_order
from nnscratch.kernels import ConvSpec, PoolSpec, precision

from nnscratch import kernels

CASES = {
    "2": ((2, 3, 6, 5), {"kernel_size": 2}),
    "3 / 2": ((1, 5, 7, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    "overlapping": ((1, 2, 6, 6), {"kernel_size": (3, 2), "stride": 1, "dilation": (1, 2)}),
    "not counting padding": ((1, 2, 5, 6), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    "another divisor": ((2, 2, 4, 4), {"kernel_size": 2, "divisor_override": 3}),
    "one dimension": ((2, 3, 11), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "three dimensions": ((1, 2, 4, 5, 3), {"kernel_size": 2, "stride": 1, "padding": 1}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_all_pools(on_shim, name, dtype):
    shape, geometry = CASES[name]
    spec = PoolSpec.of(shape, **geometry)
    rng = np.random.default_rng(2)
    x = rng.integers(-3, 4, shape).astype(dtype)  # with many equal elements, whose sums are exact
    x.flat[3], x.flat[9] = np.nan, np.nan
    g, plain = rng.integers(-9, 9, (*shape[:2], *spec.output)).astype(dtype), rng.standard_normal(shape).astype(dtype)

    def run(xp):
        a, h, b = (xp.asarray(v) for v in (x, g, plain))
        y, indices = kernels.max_pool(a, spec=spec)
        back = kernels.scatter(h, indices, spec=spec, windows=True)
        means = kernels.avg_pool(b, spec=spec), kernels.avg_pool_input(h, spec=spec)
        return [y, indices, back, kernels.gather(b, indices, spec=spec), *means]

    with kernels.use("reference"):
        y, indices = kernels.max_pool(x, spec=spec)
        expected = [
            *(y, indices, kernels.scatter(g, indices, spec=spec), kernels.gather(plain, indices, spec=spec)),
            *(kernels.avg_pool(plain, spec=spec), kernels.avg_pool_input(g, spec=spec)),
        ]
    kind = "f64" if dtype is np.float64 else "f32"
    names = [f"{name}_{kind}" for name in ("max_pool", "unpool", "gather", "avg_pool", "avg_pool_input")]
    got = in_every_order(on_shim, run, *names)
    for a, b in zip(got[:4], expected):
        np.testing.assert_array_equal(a, b)
    error = 1e-6 if dtype is np.float32 else 1e-14
    for a, b in zip(got[4:], expected[4:]):
        np.testing.assert_allclose(a, b, rtol=error, atol=error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("size", [(6, 5), (5, 8), (2, 2)])
def test_convolution_with_pool(on_shim, size, slope, dtype):
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((2, 4, *size), (3, 4, 3, 3), (3,)))
    spec = ConvSpec.of(x.shape, w.shape, padding=1)
    g = rng.standard_normal((2, 3, size[0] // 2, size[1] // 2)).astype(dtype)

    def run(xp):
        with precision("strict"):
            y, argmax = kernels.conv_pool(*(xp.asarray(v) for v in (x, w, b)), spec=spec, slope=slope)
        return [y, argmax, *kernels.unpool(xp.asarray(g), y, argmax, spec=spec, slope=slope, bias=True)]

    kind, error = ("f64", 1e-12) if dtype is np.float64 else ("f32", 1e-5)
    got = in_every_order(on_shim, run, f"pool_2x2_{kind}", f"unpool_2x2_{kind}")
    with kernels.use("im2col"):
        y, argmax = kernels.conv_pool(x, w, b, spec=spec, slope=slope)
        expected = [y, argmax, *kernels.unpool(g, y, argmax, spec=spec, slope=slope, bias=True)]
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=error, atol=error)
