"""Reductions, running sums and choices by order, against torch at orders 0 to 2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import both, check_grads

import nnscratch as nns

torch = pytest.importorskip("torch")
rng = np.random.default_rng(3)
X = rng.standard_normal((3, 4, 5))
TIES = rng.integers(0, 3, (4, 6)).astype(np.float64)
INTS = rng.integers(-5, 5, (3, 4, 5))
inf, nan = float("inf"), float("nan")


DIMS = [None, 0, -1, (0, 2), (-2,), (0, 1, 2)]
OVER_DIMS = {
    "sum": lambda m, x, **k: m.sum(x, **k),
    "mean": lambda m, x, **k: m.mean(x, **k),
    "var": lambda m, x, **k: m.var(x, **k),
    "var0": lambda m, x, **k: m.var(x, unbiased=False, **k),
    "var2": lambda m, x, **k: m.var(x, correction=2, **k),
    "std": lambda m, x, **k: m.std(x, **k),
    "var_mean": lambda m, x, **k: m.var_mean(x, **k),
    "std_mean": lambda m, x, **k: m.std_mean(x, correction=0, **k),
    "amax": lambda m, x, dim=(), **k: m.amax(x, () if dim is None else dim, **k),
    "amin": lambda m, x, dim=(), **k: m.amin(x, () if dim is None else dim, **k),
    "logsumexp": lambda m, x, dim=None, **k: m.logsumexp(x, (0, 1, 2) if dim is None else dim, **k),
    "norm": lambda m, x, **k: m.norm(x, 2, **k),
    "nansum": lambda m, x, **k: m.nansum(x, **k),
    "nanmean": lambda m, x, **k: m.nanmean(x, **k),
    "all": lambda m, x, **k: m.all(x > 0, **k),
    "any": lambda m, x, **k: m.any(x > 2, **k),
    "norm1": lambda m, x, **k: m.norm(x, 1, **k),
    "norm3": lambda m, x, **k: m.norm(x, 3, **k),
    "norminf": lambda m, x, **k: m.norm(x, inf, **k),
}


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("name", OVER_DIMS)
def test_over_dims(name, dim, keepdim):
    f = OVER_DIMS[name]
    both(lambda m, x: f(m, x, dim=dim, keepdim=keepdim), X)
    both(lambda m, x: f(m, x, dim=dim, keepdim=keepdim), X.astype(np.float32), order=1, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "amax", "logsumexp", "norm"])
def test_layouts_and_order_three(name):
    f = OVER_DIMS[name]
    for array in (X.transpose(2, 0, 1), X[::-1, ::2], np.asfortranarray(X)):
        both(lambda m, x: f(m, x, dim=(0, 2)), np.array(array))
    x = X.transpose(0, 2, 1)[:, ::-2]
    ours = f(nns, nns.tensor(x), dim=1).numpy()
    np.testing.assert_allclose(ours, f(torch, torch.tensor(x.copy()), dim=1).numpy())
    check_grads(lambda x: f(nns, x, dim=1), X, order=3)


ONE_LINE = {
    "prod": lambda m, x: m.prod(x),
    "prod 0": lambda m, x: m.prod(x, 0),
    "prod -1 kept": lambda m, x: m.prod(x, -1, keepdim=True),
    "cumsum": lambda m, x: m.cumsum(x, 1),
    "logcumsumexp": lambda m, x: m.logcumsumexp(x, 1),
    "logcumsumexp of large": lambda m, x: (x * 30).logcumsumexp(-1),
    "cumprod": lambda m, x: m.cumprod(x, -1),
    "cumprod 0": lambda m, x: m.cumprod(x, 0),
    "cummax": lambda m, x: m.cummax(x, 1),
    "cummin": lambda m, x: m.cummin(x, 1),
    "max": lambda m, x: m.max(x),
    "min": lambda m, x: m.min(x),
    "max dim": lambda m, x: m.max(x, 1),
    "min dim": lambda m, x: m.min(x, -1, keepdim=True),
    "argmax": lambda m, x: m.argmax(x),
    "argmax dim": lambda m, x: m.argmax(x, 1),
    "argmin dim": lambda m, x: m.argmin(x, -1, keepdim=True),
    "argmax kept": lambda m, x: m.argmax(x, keepdim=True),
    "count": lambda m, x: m.count_nonzero(x, 1),
    "aminmax": lambda m, x: m.aminmax(x, dim=1),
    "sort": lambda m, x: m.sort(x, stable=True),
    "sort down": lambda m, x: m.sort(x, dim=0, descending=True, stable=True),
    "argsort": lambda m, x: m.argsort(x, dim=1, stable=True),
    "diff": lambda m, x: m.diff(x, 2, 1),
    "norm half": lambda m, x: m.norm(x, 0.5, 1),
    "norm -1": lambda m, x: m.norm(x, -1, 1),
    "norm -inf": lambda m, x: m.norm(x, -inf, 1),
    "norm one and a half": lambda m, x: m.norm(x, 1.5),
}


@pytest.mark.parametrize("name", ONE_LINE)
@pytest.mark.parametrize("array", [X, TIES], ids=["distinct", "ties and zeros"])
def test_against_torch(name, array):
    order = 1 if name.startswith("norm") and array is TIES else 2  # torch's second derivatives are nan at zeros
    both(ONE_LINE[name], array, order=order)


CHOICES = {
    "topk": lambda m, x: m.topk(x, 3),
    "topk least": lambda m, x: m.topk(x, 2, 1, largest=False),
    "kthvalue": lambda m, x: m.kthvalue(x, 2, 1, keepdim=True),
    "median": lambda m, x: m.median(x),
    "median dim": lambda m, x: m.median(x, 1),
    "median even": lambda m, x: m.median(x, 1, keepdim=True),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    both(CHOICES[name], X)


def test_values_without_gradient():
    for array in (X, TIES, INTS):
        both(lambda m, x: m.unique(x, return_inverse=True, return_counts=True), array, order=0)
    both(lambda m, x: m.unique(x, dim=0), np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]]), order=0)
    both(lambda m, x: m.norm(x, 0, 1), TIES, order=0)


def test_products_with_zeros_at_every_order():
    for zeros in (0, 1, 2, 3):
        x = rng.standard_normal(5)
        x[:zeros] = 0
        both(lambda m, x: m.prod(x), x)
        both(lambda m, x: m.cumprod(x, 0), x)
        check_grads(nns.prod, x, order=3)
        check_grads(lambda x: nns.cumprod(x, 0), x, order=3)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_dtypes_of_integer_reductions(dtype):
    x = np.abs(INTS).astype(dtype)
    for f in ("sum", "prod", "cumsum", "cumprod"):
        args = (1,) if f.startswith("cum") else ()
        both(lambda m, x, f=f, args=args: getattr(m, f)(x, *args), x[:1, :2, :3], order=0)
    both(lambda m, x: m.all(x), x, order=0) if dtype != np.uint8 else None
    both(lambda m, x: m.count_nonzero(x), x, order=0)


def test_dtype_argument():
    x = X.astype(np.float32)
    both(lambda m, x: m.sum(x, 1, dtype=m.float64), x)
    both(lambda m, x: m.mean(x, dim=(0, 1), dtype=m.float64), x)
    both(lambda m, x: m.mean(x, dim=0, dtype=m.float32), INTS, order=0, rtol=1e-6)
    both(lambda m, x: m.prod(x, 0, dtype=m.float64), x, rtol=1e-6, atol=1e-6)
    both(lambda m, x: m.cumsum(x, 0, dtype=m.float64), x, rtol=1e-5, atol=1e-6)
    both(lambda m, x: m.logsumexp(x, 0), INTS, order=0, rtol=1e-6)


EMPTY = np.zeros((0, 3))


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "norm", "logsumexp", "all", "any", "nansum"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_empty(name):
    for dim in (0, 1) if name in ("logsumexp", "prod") else (None, 0, 1):
        k = {} if dim is None else {"dim": dim}
        both(lambda m, x, k=k: getattr(m, name)(x, **k), EMPTY, order=0)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "argmax", "argmin", "median"])
def test_empty_has_no_extreme(name):
    f = getattr(nns, name)
    with pytest.raises(IndexError, match=f"{name.removeprefix('arg')[-3:]}|empty"):
        f(nns.tensor(EMPTY), 0)
    assert tuple(nns.amax(nns.tensor(EMPTY), 1).shape) == (0,)


def test_empty_inverse_norm_and_median():
    assert np.isnan(nns.median(nns.tensor(EMPTY)).item())
    with pytest.raises(IndexError, match="vector_norm: an empty dimension"):
        nns.vector_norm(nns.tensor(EMPTY), -1, 0)


def test_zero_dimensional():
    for f in ("sum", "mean", "amax", "prod", "norm", "max", "argmax", "logsumexp", "var"):
        args = (0,) if f in ("logsumexp",) else ()
        if f == "var":
            both(lambda m, x: m.var(x, correction=0), np.array(2.5))
        else:
            both(lambda m, x, f=f, args=args: getattr(m, f)(x, *args), np.array(2.5))
    for f in ("max", "sort", "cumsum", "cumprod", "median", "kthvalue", "cummax"):
        args = (1, 0) if f == "kthvalue" else (0,)
        both(lambda m, x, f=f, args=args: getattr(m, f)(x, *args), np.array(2.5))


SPECIAL = [[nan, 1.0, 2.0], [inf, -inf, 1.0], [-inf, -inf, -inf], [inf, inf, 1.0], [1.0, nan, nan], [1e300, 1e300, -1e300]]


@pytest.mark.parametrize(
    "name", ["amax", "amin", "logsumexp", "argmax", "argmin", "sort", "median", "cummax", "max", "sum", "nansum", "nanmean"]
)
@pytest.mark.filterwarnings("ignore")
def test_special_values(name):
    both(lambda m, x: getattr(m, name)(x, 1), np.array(SPECIAL), order=1 if name != "logsumexp" else 0)


def test_logsumexp_gradient_is_finite_where_it_can_be():
    x = nns.tensor([[-inf, 0.0], [1e4, -1e4]], requires_grad=True)
    nns.logsumexp(x, 1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 1], [1, 0]])


def test_ties():
    x = nns.tensor([1.0, 3.0, 3.0], requires_grad=True)
    assert nns.grad(nns.amax(x), [x])[0].tolist() == [0, 0.5, 0.5]
    assert nns.grad(nns.max(x), [x])[0].tolist() == [0, 0.5, 0.5]
    assert nns.grad(nns.max(x, 0).values, [x])[0].tolist() == [0, 1, 0]
    assert nns.max(x, 0).indices.item() == 1
    assert nns.max(x, nns.tensor([2.0, 3.0, 4.0])).tolist() == [2, 3, 4]


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, inf])
def test_norm_at_zero_has_no_slope(p):
    both(lambda m, x: m.norm(x, p), np.zeros(3), order=1)
    both(lambda m, x: m.norm(x, p, 1), np.array([[0.0, 0.0], [1.0, 0.0]]), order=1)


def test_std_of_equal_values_has_no_slope():
    both(lambda m, x: m.std(x, 1), np.ones((2, 3)), order=1)


def test_errors():
    x = nns.tensor(X)
    with pytest.raises(IndexError, match=r"dim 3 .* -3 to 2"):
        nns.sum(x, 3)
    with pytest.raises(RuntimeError, match="twice"):
        nns.sum(x, (0, -3))
    with pytest.raises(TypeError, match="int"):
        nns.sum(x, 1.5)
    for f in (nns.mean, nns.var, nns.std, nns.norm):
        with pytest.raises(RuntimeError, match="floating-point"):
            f(nns.tensor(INTS))
    with pytest.raises(RuntimeError, match="k = 9"):
        nns.topk(x, 9)
    with pytest.raises(RuntimeError, match="k = 0"):
        nns.kthvalue(x, 0)
    with pytest.raises(ValueError, match="nuc"):
        nns.norm(x, "nuc")


def test_arrays_give_arrays():
    assert isinstance(nns.mean(X, 0), np.ndarray)
    np.testing.assert_allclose(nns.var(X, 0), X.var(0, ddof=1))
    np.testing.assert_allclose(nns.prod(X, 1), X.prod(1))
    assert isinstance(nns.max(X, 0).values, np.ndarray)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_shape_and_axes_as_numpy(data):
    x = data.draw(
        hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), elements=st.floats(-9, 9))
    )
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda i: i % x.ndim) if x.ndim else st.just([]))
    keepdim = data.draw(st.booleans())
    axis = tuple(axes) or None
    np.testing.assert_allclose(nns.sum(nns.tensor(x), axes, keepdim).numpy(), x.sum(axis, keepdims=keepdim), atol=1e-12)
    if x.size:
        np.testing.assert_allclose(nns.amax(nns.tensor(x), axes, keepdim).numpy(), x.max(axis, keepdims=keepdim))
        np.testing.assert_allclose(
            nns.var(nns.tensor(x), axes, False, keepdim).numpy(), x.var(axis, keepdims=keepdim), atol=1e-12
        )
