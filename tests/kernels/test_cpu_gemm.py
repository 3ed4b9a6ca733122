"""The tiled matrix product, and what all kernels share: lanes, alignment, the cache on disk."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

numba = pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from nnscratch.kernels.cpu import conv_direct, product_plan, simd
from nnscratch.kernels.cpu import matmul as products
from nnscratch.kernels.cpu.matmul import linear_weight, matmul, stack

SHAPES = [
    *[(1, 1, 1), (3, 7, 1), (13, 5, 16), (100, 33, 31), (97, 600, 65), (200, 20, 130), (5, 1030, 200), (1, 3000, 50)],
    *[(33, 1, 49), (600, 40, 1), (130, 3000, 20), (520, 130, 530), (8, 16, 48)],
]
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "rows apart": lambda x: np.concatenate([x, x], 1)[:, : x.shape[1]],
    "columns apart": lambda x: np.concatenate([x, x], 0).T.copy().T[: len(x)],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda x: np.broadcast_to(x.copy(), x.shape),
}


def operands(rows, depth, columns, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size).astype(dtype) for size in ((rows, depth), (depth, columns), columns)]


def check(y, a, b, bias=0.0):
    """y = a b + bias, up to the rounding errors that a sum in any order has."""
    a, b, bias = (np.asarray(x, np.float64) for x in (a, b, bias))
    scale = np.abs(a) @ np.abs(b) + np.abs(bias)
    assert y.shape == scale.shape
    assert np.all(np.abs(y - (a @ b + bias)) <= (16 + a.shape[1] / 16) * np.finfo(y.dtype).eps * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_shape_in_any_layout(shape, dtype):
    a, b, bias = operands(*shape, dtype)
    pairs = [(x, y) for x in ("rows", "columns") for y in ("rows", "columns")]
    for of_a, of_b in pairs + [(name, name) for name in LAYOUTS]:
        y = matmul(LAYOUTS[of_a](a), LAYOUTS[of_b](b), bias)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        check(y, a, b, bias)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_shapes(data):
    size = st.integers(0, 70) | st.sampled_from([127, 128, 300, 513])
    a, b, bias = operands(data.draw(size), data.draw(size), data.draw(size), data.draw(st.sampled_from([np.float32, np.float64])))
    layout = st.sampled_from(list(LAYOUTS.values()))
    with_bias = data.draw(st.booleans())
    check(matmul(data.draw(layout)(a), data.draw(layout)(b), bias if with_bias else None), a, b, bias if with_bias else 0.0)


PLANS = {  # what the plan does: a shape, whether rows of a and of b are contiguous, and how the plan says so
    "operands as they are": ((520, 100, 300), (True, True), lambda p: not p.swap and p.parts == 1),
    "operands in each other's place": ((24, 500, 400), (True, False), lambda p: p.swap),
    "panels kept for other blocks": ((1100, 100, 50), (True, True), lambda p: p.sizes[11]),
    "panels not kept": ((600, 300, 250), (True, True), lambda p: not p.sizes[11] and p.sizes[0] > p.sizes[4]),
    "several passes": ((40, 3000, 100), (True, True), lambda p: p.parts == 1 and p.sizes[6] < p.sizes[1]),
    "parts of the depth": ((40, 5000, 130), (False, True), lambda p: not p.swap and p.parts > 1),
    "parts of the depth, swapped": ((512, 3584, 28), (False, True), lambda p: p.swap and p.parts > 1),
    "past the cache": ((96, 64, 144), (True, True), lambda p: p.sizes[12]),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_kind_of_plan(name, monkeypatch):
    shape, rows, expected = PLANS[name]
    stream = name == "past the cache"
    monkeypatch.setattr(product_plan, "KEPT", 0 if name == "panels not kept" else product_plan.KEPT)
    monkeypatch.setattr(products, "plan", plan := product_plan.plan.__wrapped__)  # not the plans of before
    if simd.lanes(np.float32) == 16:  # plans differ with the width of vectors
        assert expected(plan(*shape, *rows, 16, stream))
    monkeypatch.setattr(products, "STREAM", 0 if stream else products.STREAM)
    a, b, bias = operands(*shape)
    a, b = (x if contiguous else np.asfortranarray(x) for x, contiguous in zip((a, b), rows))
    check(matmul(a, b), a, b)
    check(matmul(a, b, bias), a, b, bias)
    if not rows[0] and rows[1]:
        gw, gb = linear_weight(b, a.T)
        check(gw, a, b)
        np.testing.assert_allclose(gb, a.sum(1, dtype=np.float64), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 3, 0), (0, 0, 0), (1, 0, 1)], ids=str)
def test_empty(shape):
    a, b, bias = operands(*shape)
    check(matmul(a, b, bias, "relu"), a, b, np.maximum(bias, 0) if not shape[1] else bias)
    gw, gb = linear_weight(b, a.T)
    check(gw, a, b)
    np.testing.assert_allclose(gb, a.sum(1), rtol=1e-6)


@pytest.mark.parametrize("layouts", [("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("columns", "columns")], ids=str)
def test_nan_and_infinity_go_where_they_do_in_blas(layouts):
    a, b, _ = operands(50, 200, 70)
    a[3, 4], a[49, 199], a[20, 100], a[21, 101] = np.nan, np.inf, -np.inf, 0.0
    b[7, 8], b[101, 3], b[199, 69] = np.nan, np.inf, 0.0
    with np.errstate(invalid="ignore"):
        expected = a @ b
    y = matmul(LAYOUTS[layouts[0]](a), LAYOUTS[layouts[1]](b))
    assert np.isnan(expected[[21, 49], [3, 69]]).all()  # 0 times infinity
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(y[np.isinf(expected)], expected[np.isinf(expected)])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core")
@pytest.mark.parametrize("layouts", [("rows", "rows"), ("rows", "columns"), ("columns", "rows")], ids=str)
@pytest.mark.parametrize("shape", [(130, 3000, 20), (520, 130, 530), (64, 5000, 90), (32, 900, 600), (700, 700, 500)], ids=str)
def test_threads_do_not_change_the_bits(shape, layouts):
    a, b, bias = operands(*shape)
    a, b = LAYOUTS[layouts[0]](a), LAYOUTS[layouts[1]](b)
    most = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = matmul(a, b, bias, "tanh"), *linear_weight(b, a.T)
        numba.set_num_threads(2)
        for _ in range(5):
            for x, y in zip(alone, (matmul(a, b, bias, "tanh"), *linear_weight(b, a.T))):
                np.testing.assert_array_equal(x, y)
    finally:
        numba.set_num_threads(most)


def test_several_python_threads_at_once():
    cases = [operands(60 + i, 500, 90, seed=i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for (a, b, bias), y in zip(cases * 4, pool.map(lambda case: matmul(*case), cases * 4)):
            check(y, a, b, bias)


@pytest.mark.parametrize("m", [1, 2, 40])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weight_and_bias_gradients(layout, m):
    x, g = np.random.default_rng(0).standard_normal((2, m, 60)).astype(np.float32)
    gw, gb = linear_weight(LAYOUTS[layout](x), LAYOUTS[layout](g[:, :35]))
    check(gw, g[:, :35].T, x)
    np.testing.assert_allclose(gb, g[:, :35].sum(0, dtype=np.float64), rtol=1e-5, atol=1e-5)


def test_stacks():
    a, b = (np.random.default_rng(i).standard_normal((2, 3, *size)) for i, size in enumerate(((20, 30), (30, 40))))
    np.testing.assert_allclose(stack(a, b), a @ b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stack(a, b[:, ::-1]), a @ b[:, ::-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (None, lambda v: v),
        ("relu", lambda v: np.maximum(v, 0)),
        ("leaky_relu", lambda v: np.where(v > 0, v, 0.2 * v)),
        ("tanh", np.tanh),
        ("sigmoid", lambda v: 1 / (1 + np.exp(-v))),
    ],
)
def test_activations(activation, function):
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(size).astype(np.float32) for size in ((50, 20), (20, 70), 70))
    a[3, 4], a[4, 4], a[5, 5] = np.nan, np.inf, 3e38
    b[4, 6], b[4, 7], b[5, :] = 1.0, -1.0, -1e38
    for bias_or_none in (bias, None):
        with np.errstate(over="ignore", invalid="ignore"):
            v = (a.astype(np.float64) @ b + (0 if bias_or_none is None else bias)).astype(np.float32)
            expected = function(v)
        for order in ("C", "F"):  # F: the result is computed transposed
            y = matmul(a, b.copy(order), bias_or_none, activation, slope=0.2)
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
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
