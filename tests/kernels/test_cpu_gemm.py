"""The tiled matrix product, and what all kernels share: lanes, alignment, the cache on disk."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import os
import subprocess
import sys

import numpy as np
import pytest

numba = pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from nnscratch.kernels.cpu import conv_direct, simd
from nnscratch.kernels.cpu.gemm import matmul

SHAPES = [(1, 1, 1), (3, 7, 1), (13, 5, 16), (100, 33, 31), (97, 600, 65), (200, 20, 130), (5, 1030, 200), (0, 4, 3), (4, 0, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape(shape, dtype):
    rows, depth, columns = shape
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(size).astype(dtype) for size in ((rows, depth), (depth, columns), columns))
    exact = a.astype(np.float64) @ b.astype(np.float64) + bias
    scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
    for a2, b2 in ((a, b), (np.asfortranarray(a), np.asfortranarray(b)), (np.repeat(a, 2, 1)[:, ::2], np.repeat(b, 2, 0)[::2])):
        y = matmul(a2, b2, bias)
        assert y.dtype == dtype
        assert np.all(np.abs(y - exact) <= 64 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (None, lambda v: v),
        ("relu", lambda v: np.where(v > 0, v, 0 * v)),
        ("leaky_relu", lambda v: np.where(v > 0, v, 0.2 * v)),
        ("tanh", np.tanh),
        ("sigmoid", lambda v: 1 / (1 + np.exp(-v))),
    ],
)
def test_activations(activation, function):
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(size).astype(np.float32) for size in ((50, 20), (20, 70), 70))
    a[3, 4] = np.nan
    y = matmul(a, b, bias, activation, slope=0.2)
    np.testing.assert_allclose(y, function(a.astype(np.float64) @ b + bias), rtol=1e-5, atol=1e-5)
    assert np.isnan(y[3]).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"got \(2, 3\) @ \(4, 5\)"):
        matmul(np.zeros((2, 3)), np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"\(2, 3\) @ \(3, 5\) \+ \(4,\)"):
        matmul(np.zeros((2, 3)), np.zeros((3, 5)), np.zeros(4))
    with pytest.raises(ValueError, match="activation must be one of"):
        matmul(np.zeros((2, 3)), np.zeros((3, 5)), activation="softmax")
    with pytest.raises(TypeError, match="one type, float32 or float64, got float32, float64"):
        matmul(np.zeros((2, 3)), np.zeros((3, 5), np.float32))


def test_lanes_fit_the_host():
    assert simd.lanes(np.float32) == 2 * simd.lanes(np.float64) in (4, 8, 16)
    assert simd.aligned((3, 500), np.float32).ctypes.data % 64 == 0


def test_the_cache_key_has_the_cpu_and_the_sources():
    key = str(conv_direct._tiles.entry._cache._index_key((), numba.core.registry.cpu_target.target_context.codegen()))
    assert simd.FEATURES in key
    assert simd.SOURCES in key


def test_compiled_code_is_cached(tmp_path):
    script = (
        "import numpy as np; from nnscratch.kernels import PoolSpec; from nnscratch.kernels.cpu import pool;"
        "x = np.ones((1, 1, 2), np.float32);"
        "pool.gather(x, np.zeros((1, 1, 2), np.int64), spec=PoolSpec.of(x.shape, kernel_size=1));"
        "print(sum(pool._take.entry.stats.cache_hits.values()))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    hits = [int(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout) for _ in range(2)]
    assert hits == [0, 1]


def test_small_problems_do_not_import_numba():
    script = (
        "import sys, numpy as np; from nnscratch import kernels; x = np.ones((1, 1, 4), np.float32);"
        "kernels.conv(x, x, spec=kernels.ConvSpec.of(x.shape, x.shape)); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
