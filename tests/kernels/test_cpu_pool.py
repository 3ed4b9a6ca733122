"""Pools by Numba against the naive loops, and against NumPy's on larger ones."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import numpy as np
import pytest

numba = pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import PROFILE, layouts, pool_cases
from nnscratch.kernels import PoolSpec, cpu, pooling, reference


def close(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-6 if actual.dtype == np.float32 else 1e-12, atol=1e-6)


def check(x, spec, oracle):
    (y, indices), (y2, indices2) = cpu.max_pool(x, spec=spec), oracle.max_pool(x, spec=spec)
    np.testing.assert_array_equal(y, y2)
    np.testing.assert_array_equal(indices, indices2)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(cpu.gather(x, indices, spec=spec), oracle.gather(x, indices, spec=spec))
    g = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
    close(cpu.scatter(g, indices, spec=spec), oracle.scatter(g, indices, spec=spec))
    close(cpu.avg_pool(x, spec=spec), oracle.avg_pool(x, spec=spec))
    close(cpu.avg_pool_input(g, spec=spec), oracle.avg_pool_input(g, spec=spec))


@PROFILE
@given(pool_cases(), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_any_geometry(case, dtype, with_nan):
    spec, x = case
    x = x.astype(dtype)
    if with_nan:
        x[x == 2] = np.nan
        (y, indices), (y2, indices2) = cpu.max_pool(x, spec=spec), reference.max_pool(x, spec=spec)
        np.testing.assert_array_equal(y, y2)
        np.testing.assert_array_equal(indices, indices2)
    else:
        check(x, spec, reference)


@pytest.mark.parametrize("channels", [1, 3, 16, 37, 130])
@pytest.mark.parametrize(
    "geometry", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 1}]
)
@pytest.mark.parametrize("batch", [2, 9])
def test_channels_and_batches(channels, geometry, batch):
    x = np.random.default_rng(0).standard_normal((batch, channels, 8, 10)).astype(np.float32)
    check(x, PoolSpec.of(x.shape, **geometry), pooling)


def test_infinities_and_ties():
    x = np.full((1, 20, 4, 4), -np.inf, np.float32)
    x[0, 3, 1, 1] = np.inf
    spec = PoolSpec.of(x.shape, kernel_size=2)
    y, indices = cpu.max_pool(x, spec=spec)
    np.testing.assert_array_equal(y, pooling.max_pool(x, spec=spec)[0])
    assert indices[0, 0].tolist() == [[0, 2], [8, 10]]
    assert indices[0, 3, 0, 0] == 5


def test_indices_outside_their_windows():
    """As in an unpool by indices that came from elsewhere: several may meet in one place."""
    rng = np.random.default_rng(0)
    g, indices = rng.standard_normal((3, 20, 4, 4)).astype(np.float32), rng.integers(0, 64, (3, 20, 4, 4))
    spec = PoolSpec.of((3, 20, 8, 8), kernel_size=2)
    close(cpu.scatter(g, indices, spec=spec), pooling.scatter(g, indices, spec=spec))
    fewer = indices[..., :3].astype(np.int32)
    close(cpu.scatter(g[..., :3], fewer, spec=spec), pooling.scatter(g[..., :3], indices[..., :3], spec=spec))


def test_layouts_and_ownership():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 6, 6))
    spec = PoolSpec.of(x.shape, kernel_size=2)
    y, indices = cpu.max_pool(x, spec=spec)
    gx = cpu.scatter(y, indices, spec=spec)
    for name, x2 in layouts(x).items():
        x2.flags.writeable = False
        results = cpu.max_pool(x2, spec=spec)
        np.testing.assert_array_equal(results[0], y, err_msg=name)
        np.testing.assert_array_equal(results[1], indices, err_msg=name)
        assert not any(np.shares_memory(result, x2) for result in results)
    for y2, indices2 in zip(layouts(y).values(), layouts(indices).values()):
        np.testing.assert_array_equal(cpu.scatter(y2, indices2, spec=spec), gx)
        np.testing.assert_array_equal(cpu.gather(x, indices2, spec=spec), y)
    for result in (y, indices, gx, cpu.avg_pool(x, spec=spec), cpu.avg_pool_input(y, spec=spec)):
        assert np.moveaxis(result, 1, -1).flags.c_contiguous


def test_the_number_of_threads_changes_no_bit():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    x = np.random.default_rng(0).standard_normal((3, 70, 9, 9)).astype(np.float32)
    spec = PoolSpec.of(x.shape, kernel_size=3, stride=1, padding=1)
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            y, indices = cpu.max_pool(x, spec=spec)
            results.append((y, indices, cpu.scatter(y, indices, spec=spec), cpu.avg_pool_input(y, spec=spec)))
    finally:
        numba.set_num_threads(before)
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.int64, bool])
def test_other_types_go_to_numpy(dtype):
    x = np.random.default_rng(0).integers(0, 2, (2, 3, 4, 4)).astype(dtype)
    spec = PoolSpec.of(x.shape, kernel_size=2)
    np.testing.assert_array_equal(cpu.max_pool(x, spec=spec)[0], pooling.max_pool(x, spec=spec)[0])
