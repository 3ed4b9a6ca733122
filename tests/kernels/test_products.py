"""Which matrix products go to the compiled kernels, and that NumPy's and theirs are the same."""

import subprocess
import sys

import numpy as np
import pytest
from nnscratch.kernels import products

from nnscratch import kernels

COMPILED = "cpu" in kernels.available()
M, K, N = 72, 128, 112  # large enough


@pytest.fixture
def taken(monkeypatch):
    """Names of the kernels' functions that were called."""
    calls = []
    if COMPILED:
        from nnscratch.kernels.cpu import matmul

        for name in ("matmul", "stack", "linear_weight"):
            f = getattr(matmul, name)
            monkeypatch.setattr(matmul, name, lambda *args, _f=f, _name=name: (calls.append(_name), _f(*args))[1])
    return calls


def arrays(*shapes, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def near(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3 if expected.dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_products_are_compiled(taken, dtype):
    a, b, c, x, w, bias, g = arrays((M, K), (K, N), (2, K, N), (M, K), (N, K), N, (M, N), dtype=dtype)
    near(products.matmul(a, b), a @ b)
    near(products.matmul(np.stack([a, -a]), c), np.stack([a, -a]) @ c)
    near(products.linear(x, w), x @ w.T)
    near(products.linear(x, w, bias), x @ w.T + bias)
    for actual, expected in zip(products.linear_weight(x, g), (g.T @ x, g.sum(0))):
        near(actual, expected)
    assert taken == (["matmul", "stack", "matmul", "matmul", "linear_weight"] if COMPILED else [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_small_products_are_numpys(taken, dtype):
    a, b, x, w, bias, g = arrays((4, 7), (7, 5), (4, 7), (5, 7), 5, (4, 5), dtype=dtype)
    np.testing.assert_array_equal(products.matmul(a, b), a @ b)
    np.testing.assert_array_equal(products.linear(x, w, bias), x @ w.T + bias)
    for actual, expected in zip(products.linear_weight(x, g), (g.T @ x, g.sum(0))):
        np.testing.assert_array_equal(actual, expected)
    many = np.broadcast_to(a, (200, 4, 7))
    np.testing.assert_array_equal(products.matmul(many, b), many @ b)
    assert not taken


@pytest.mark.parametrize("a, b", [(np.float16, np.float16), (np.int64, np.int64), (np.float32, np.float64)], ids=str)
def test_other_types_are_numpys(taken, a, b):
    a, b = (np.ones(shape, dtype) for shape, dtype in (((M, K), a), ((K, N), b)))
    np.testing.assert_array_equal(products.matmul(a, b), np.full((M, N), K))
    assert not taken


def test_stacks_that_broadcast_are_numpys(taken):
    a, b = arrays((3, M, K), (1, K, N))
    near(products.matmul(a, b), a @ b)
    near(products.matmul(a, b[0]), a @ b[0])
    assert not taken


def test_another_implementation_in_use(taken):
    a, b = arrays((M, K), (K, N))
    with kernels.use("im2col"):
        np.testing.assert_array_equal(products.matmul(a, b), a @ b)
    assert not taken


def test_arrays_of_other_libraries_stay_there(taken, xp):
    a, b = (xp.asarray(x) for x in arrays((M, K), (K, N)))
    y = products.matmul(a, b)
    assert type(y) is type(a)
    assert len(taken) == (COMPILED and xp is np)


def test_small_products_do_not_import_numba():
    script = (
        "import sys, numpy as np, nnscratch as nns; from nnscratch.nn import functional as F;"
        "x = nns.tensor(np.ones((16, 32)), requires_grad=True); F.linear(x, nns.tensor(np.ones((32, 32)))).sum().backward();"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
