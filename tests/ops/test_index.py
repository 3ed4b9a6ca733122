"""Indexing: expressions against NumPy, named ops against torch at orders 0 to 2, duplicates, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import both, check_grads

import nnscratch as nns

torch = pytest.importorskip("torch")
rng = np.random.default_rng(11)
V, M, X = rng.standard_normal(6), rng.standard_normal((4, 5)), rng.standard_normal((2, 3, 4))
W = rng.standard_normal((7, 3))
F = {nns: nns, torch: torch.nn.functional}


def ints(high, *shape, low=0):
    return rng.integers(low, high, shape)


EXPRESSIONS = {
    "int": lambda m, x: x[1],
    "negative": lambda m, x: x[-1, -2],
    "element": lambda m, x: x[1, 2, 3],
    "slice": lambda m, x: x[:, 1:, ::2],
    "empty slice": lambda m, x: x[:, 3:],
    "ellipsis": lambda m, x: (x[..., 1], x[0, ...], x[...]),
    "none": lambda m, x: x[:, None, 1, ..., None],
    "list": lambda m, x: x[[1, 0, 1]],
    "list twice": lambda m, x: x[[1, 0, 1], [0, 2, 0]],
    "tensor": lambda m, x: x[m.tensor([1, 1, 1, 0])],
    "tensor 2-d": lambda m, x: x[m.tensor([[1, 0], [0, 0]])],
    "tensor 0-d": lambda m, x: x[m.tensor(1), :, m.tensor(2)],
    "negative tensor": lambda m, x: x[m.tensor([-1, 0, 1])],
    "later dimension": lambda m, x: x[:, m.tensor([2, 2, 0])],
    "two tensors": lambda m, x: x[:, m.tensor([2, 0]), m.tensor([3, 3])],
    "broadcast tensors": lambda m, x: x[m.tensor([[0], [1]]), m.tensor([0, 0, 2])],
    "apart": lambda m, x: x[m.tensor([0, 1, 1]), :, m.tensor([3, 3, 3])],
    "with slices": lambda m, x: x[1:, m.tensor([0, 0]), ::3],
    "mask": lambda m, x: x[x > 0],
    "mask of rows": lambda m, x: x[m.tensor([False, True])],
    "mask and int": lambda m, x: x[:, m.tensor([True, False, True]), 1],
    "mask 2-d": lambda m, x: x[x[:, :, 0] > 0],
    "bound by a tensor": lambda m, x: x[:, : m.tensor(2)],
    "true": lambda m, x: x[True],
    "nothing": lambda m, x: x[m.tensor([], dtype=m.int64)],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name):
    both(EXPRESSIONS[name], X)
    both(EXPRESSIONS[name], X.astype(np.float32), order=1, rtol=1e-6)


class Indexer:
    """x[index] gives the index."""

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize("name", [n for n in EXPRESSIONS if n not in ("ellipsis", "mask", "mask 2-d")])
def test_setitem_at_the_same_expressions(name):
    index = EXPRESSIONS[name](nns, Indexer())
    parts = index if isinstance(index, tuple) else (index,)
    plain = tuple(np.asarray(i) if isinstance(i, nns.Tensor) else i for i in parts)
    value, expected = rng.standard_normal(X[plain].shape), X.copy()
    expected[plain] = value
    np.testing.assert_array_equal(nns.setitem(nns.tensor(X), index, nns.tensor(value)).numpy(), expected)


def test_derivatives_of_setitem():
    check_grads(lambda x, v: nns.setitem(x, (slice(None), 1), v) ** 3, X, X[:, 0], order=3)
    check_grads(lambda x, v: nns.setitem(x, (slice(None), 1), v) ** 3, X, X[:1, 0, :1], order=2)
    check_grads(lambda x, v: nns.setitem(x, [1, 0], v) ** 3, X, X, order=2)
    check_grads(lambda x, v: nns.setitem(x, X > 0, v) ** 3, X, np.array(2.0), order=2)


def test_negative_steps_are_views():
    x = nns.tensor(X, requires_grad=True)
    y = x[::-1, 1, ::-2]
    np.testing.assert_array_equal(y.detach().numpy(), X[::-1, 1, ::-2])
    (g,) = nns.grad(y, [x], nns.ones_like(y))
    assert g.numpy().sum() == 4 and g.numpy()[0, 1].tolist() == [0, 1, 0, 1]
    check_grads(lambda x: x[::-1, ..., ::-3] ** 3, X, order=3)


IDX, SRC = ints(3, 2, 5, 4), rng.standard_normal((2, 5, 4))
CASES = [
    ("gather", lambda m, x, i: m.gather(x, 1, i), X, IDX),
    ("gather less", lambda m, x, i: m.gather(x, 1, i), X, ints(3, 1, 2, 3)),
    ("gather last", lambda m, x, i: x.gather(-1, i), X, ints(4, 2, 3, 1)),
    ("gather 0-d", lambda m, x, i: x.gather(0, i), np.array(3.0), np.array(0)),
    ("gather vector", lambda m, x, i: x.gather(0, i), V, ints(6, 9)),
    ("take_along_dim", lambda m, x, i: m.take_along_dim(x, i, 1), X, ints(3, 1, 5, 1)),
    ("take_along_dim wider", lambda m, x, i: m.take_along_dim(x, i, -1), X[:1], ints(4, 2, 1, 5)),
    ("take_along_dim flat", lambda m, x, i: m.take_along_dim(x, i), M, ints(20, 7)),
    ("argsort and back", lambda m, x: m.take_along_dim(x, m.argsort(x, dim=1), 1), M),
    ("scatter number", lambda m, x, i: m.scatter(x, 1, i, 2.5), X, IDX),
    ("scatter value", lambda m, x, i: x.scatter(1, i, value=-1.5), X, IDX),
    ("scatter_add", lambda m, x, i, s: m.scatter_add(x, 1, i, s), X, IDX, rng.standard_normal((2, 5, 4))),
    ("scatter", lambda m, x, i, s: m.scatter(x, 0, i, s), V, np.array([3, 0, 5]), V[:3]),
    ("scatter_reduce sum", lambda m, x, i, s: m.scatter_reduce(x, 1, i, s, "sum"), X, IDX, SRC),
    ("scatter_reduce sum alone", lambda m, x, i, s: x.scatter_reduce(1, i, s, "sum", include_self=False), X, IDX, SRC),
    ("scatter_reduce mean", lambda m, x, i, s: m.scatter_reduce(x, 1, i, s, "mean"), X, IDX, SRC),
    ("scatter_reduce mean alone", lambda m, x, i, s: x.scatter_reduce(1, i, s, "mean", include_self=False), X, IDX, SRC),
    ("scatter_reduce amax", lambda m, x, i, s: m.scatter_reduce(x, 1, i, s, "amax"), X, IDX, SRC),
    ("scatter_reduce amax alone", lambda m, x, i, s: x.scatter_reduce(1, i, s, "amax", include_self=False), X, IDX, SRC),
    ("scatter_reduce amax ties", lambda m, x, i, s: m.scatter_reduce(x, 1, i, s, "amax"), np.round(X), IDX, np.round(SRC)),
    ("scatter_reduce amin", lambda m, x, i, s: m.scatter_reduce(x, -1, i, s, "amin"), X, ints(4, 2, 3, 3), X[..., 1:]),
    ("scatter_reduce in place", lambda m, x, i, s: (x * 1).scatter_reduce_(1, i, s, "amax"), X, IDX, SRC),
    ("index_select", lambda m, x, i: m.index_select(x, 1, i), X, ints(3, 6)),
    ("index_select one", lambda m, x, i: x.index_select(-1, i), X, np.array(2)),
    ("index_add", lambda m, x, i, s: m.index_add(x, 1, i, s), X, ints(3, 5), rng.standard_normal((2, 5, 4))),
    ("index_add alpha", lambda m, x, i, s: x.index_add(0, i, s, alpha=-2), M, ints(4, 3), rng.standard_normal((3, 5))),
    ("index_copy", lambda m, x, i, s: m.index_copy(x, 1, i, s), X, np.array([2, 0]), rng.standard_normal((2, 2, 4))),
    ("index_fill", lambda m, x, i: m.index_fill(x, 1, i, 3.5), X, np.array([0, 0, 2])),
    ("index_fill tensor", lambda m, x, i, v: x.index_fill(1, i, v), X, np.array([0, 2]), np.array(1.5)),
    ("index_put", lambda m, x, i, j, v: m.index_put(x, (i, j), v), M, np.array([0, 3]), np.array([1, 1]), V[:2]),
    ("index_put adds", lambda m, x, i, v: x.index_put((i,), v, accumulate=True), M, ints(4, 9), rng.standard_normal((9, 5))),
    ("index_put adds one", lambda m, x, i, v: x.index_put((i, i), v, accumulate=True), M, ints(4, 9), np.array(1.5)),
    ("take", lambda m, x, i: m.take(x, i), X, ints(24, 3, 5, low=-24)),
    ("take 0-d", lambda m, x, i: x.take(i), X, np.array(5)),
    ("masked_select", lambda m, x, k: m.masked_select(x, k), X, X > 0),
    ("masked_select broadcast", lambda m, x, k: x.masked_select(k), X, X[0, :, :1] > 0),
    ("masked_scatter", lambda m, x, k, s: m.masked_scatter(x, k, s), M, M > 0, rng.standard_normal((5, 5))),
    ("embedding", lambda m, i, w: F[m].embedding(i, w), ints(7, 4, 6), W),
    ("embedding padding", lambda m, i, w: F[m].embedding(i, w, padding_idx=2), ints(7, 40), W),
    ("embedding padding from the end", lambda m, i, w: F[m].embedding(i, w, padding_idx=-2), ints(7, 40), W),
    ("embedding max_norm", lambda m, i, w: F[m].embedding(i, w * 1, max_norm=1.0), ints(7, 4, 6), W),
    ("embedding max_norm of order 1", lambda m, i, w: F[m].embedding(i, w * 1, 3, 1.0, 1.0), ints(7, 4, 6), W),
    ("embedding 0-d", lambda m, i, w: F[m].embedding(i, w), np.array(3), W),
    ("one_hot", lambda m, i: F[m].one_hot(i), ints(4, 2, 3)),
    ("one_hot wider", lambda m, i: F[m].one_hot(i, 9), ints(4, 5)),
    ("nonzero", lambda m, x: m.nonzero(x > 0), X),
    ("nonzero 0-d", lambda m, x: (m.nonzero(x), m.nonzero(x - x)), np.array(2)),
    ("nonzero tuple", lambda m, x: m.nonzero(x > 0, as_tuple=True), X),
    ("argwhere", lambda m, x: m.argwhere(x), ints(2, 3, 4)),
]


@pytest.mark.parametrize("f, arrays", [(f, a) for _, f, *a in CASES], ids=[name for name, *_ in CASES])
def test_against_torch(f, arrays):
    both(f, *arrays)
    both(f, *[a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays], order=1, rtol=1e-5, atol=1e-6)


PRODUCTS = {
    "prod": lambda m, x, i, s: m.scatter_reduce(x, 1, i, s, "prod"),
    "prod alone": lambda m, x, i, s: x.scatter_reduce(1, i, s, "prod", include_self=False),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_scatter_reduce_by_product(name):
    both(PRODUCTS[name], X, IDX, SRC, order=1)
    zeros = np.where(np.abs(SRC) < 0.5, 0, SRC)
    both(PRODUCTS[name], X, IDX, zeros, order=1)
    check_grads(lambda x, s: PRODUCTS[name](nns, x, nns.tensor(IDX), s), X, zeros, order=2)


@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce_of_integers_infinities_and_nothing(reduce, include_self):
    def f(m, x, i, s):
        return m.scatter_reduce(x, 0, i, s, reduce, include_self=include_self)

    both(f, ints(9, 4, low=-9), ints(4, 9), ints(9, 9, low=-9), order=0)
    both(f, V[:3], ints(3, 0), V[:0], order=0)
    both(f, np.array(2.0), np.array(0), np.array(3.0), order=1)
    with np.errstate(invalid="ignore"):
        both(f, np.array([1.0, -np.inf, 2.0]), np.array([0, 1, 1, 2, 2]), np.array([np.inf, -np.inf, 3, np.nan, 1]), order=0)


def test_the_extreme_of_many_equal_ones_is_one_of_them():
    x, s = nns.tensor(np.array([0.1, 0.0])), nns.tensor(np.full(7, 0.1))
    assert x.scatter_reduce(0, nns.tensor([0] * 7), s, "amax", include_self=False).tolist() == [0.1, 0.0]


def test_sources_larger_than_the_index():
    less = ints(2, 1, 2, 3)
    check_grads(lambda x, s: x.scatter_add(0, nns.tensor(less), s) ** 2, X, rng.standard_normal((3, 3, 4)))
    check_grads(lambda x, s: x.scatter(0, nns.tensor([3, 0, 5]), s) ** 2, V, V[:5])


def test_int32_indices():
    i = np.array([0, 2, 2], np.int32)
    assert nns.embedding(nns.tensor(i), nns.tensor(W)).shape == (3, 3)
    assert nns.one_hot(nns.tensor(i)).dtype == np.int64


def test_duplicates_accumulate():
    w = nns.tensor(np.zeros((5, 2), np.float32), requires_grad=True)
    tokens = ints(5, 1000)
    g = rng.standard_normal((1000, 2)).astype(np.float32)
    (got,) = nns.grad(nns.embedding(nns.tensor(tokens), w), [w], nns.tensor(g))
    expected = np.zeros((5, 2))
    for t, row in zip(tokens, g):
        expected[t] += row
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_third_order():
    check_grads(lambda x: nns.gather(x, 1, IDX) ** 3, X, order=3)
    check_grads(lambda x, s: nns.scatter_add(x, 1, IDX, s) ** 3, X, rng.standard_normal(IDX.shape), order=3)
    check_grads(lambda w: nns.embedding(nns.tensor([1, 1, 2]), w) ** 3, W, order=3)


def test_an_index_changed_afterwards_does_not_change_the_gradient():
    x, at = nns.tensor(V, requires_grad=True), nns.tensor([1, 1])
    for y in (x[at], x.gather(0, at), x.take(at), x.index_select(0, at)):
        at += 2
        (g,) = nns.grad(y.sum(), [x])
        assert g.tolist() == [0, 2, 0, 0, 0, 0]
        at -= 2


ERRORS = [
    (IndexError, r"5 .* size 2", lambda x: x[5]),
    (IndexError, r"-4 .* size 3", lambda x: x[0, -4]),
    (IndexError, r"9 .* size 2", lambda x: x[[0, 9]]),
    (IndexError, "too many", lambda x: x[0, 0, 0, 0]),
    (IndexError, "boolean", lambda x: x[nns.tensor([True, False, True])]),
    (IndexError, "float32", lambda x: x[nns.tensor([1.0])]),
    (IndexError, "str", lambda x: x["a"]),
    (IndexError, "float", lambda x: x[1.0]),
    (IndexError, "gather: index 3 .* size 3", lambda x: x.gather(1, nns.tensor([[[3]]]))),
    (IndexError, "gather: index -1 .* size 3", lambda x: x.gather(1, nns.tensor([[[-1]]]))),
    (RuntimeError, "gather", lambda x: x.gather(1, nns.tensor([[0]]))),
    (RuntimeError, r"\(5, 1, 1\)", lambda x: x.gather(1, nns.zeros(5, 1, 1, dtype=nns.int64))),
    (TypeError, "float", lambda x: x.gather(1, nns.tensor([[[0.0]]]))),
    (RuntimeError, "'max'.*'amax'", lambda x: x.scatter_reduce(1, nns.tensor([[[0]]]), x, "max")),
    (RuntimeError, "float64.*float32", lambda x: x.scatter_reduce(1, nns.tensor([[[0]]]), x.float(), "sum")),
    (RuntimeError, "src", lambda x: x.scatter(1, nns.tensor([[[0, 1]]]), nns.zeros(1, 1, 1))),
    (IndexError, "index_select: index 3 .* size 3", lambda x: x.index_select(1, nns.tensor([3]))),
    (RuntimeError, "0-d", lambda x: x.sum().index_select(0, nns.tensor([0]))),
    (IndexError, "vector", lambda x: x.index_select(1, nns.tensor([[1]]))),
    (IndexError, "index_add: index 2", lambda x: x.index_add(0, nns.tensor([2]), x[:1])),
    (IndexError, "take: index 24 .* size 24", lambda x: x.take(nns.tensor([24]))),
    (IndexError, "embedding: index 2 .* size 2", lambda x: nns.embedding(nns.tensor([2]), x[:, 0])),
    (IndexError, "embedding: index -1", lambda x: nns.embedding(nns.tensor([-1]), x[:, 0])),
    (IndexError, "padding_idx", lambda x: nns.embedding(nns.tensor([1]), x[:, 0], 2)),
    (RuntimeError, "num, dim", lambda x: nns.embedding(nns.tensor([1]), x)),
    (TypeError, "mask", lambda x: x.masked_select(nns.tensor([1]))),
    (RuntimeError, "24 elements", lambda x: x.masked_scatter(nns.tensor(True), x[0])),
    (RuntimeError, r"\[0, 2\)", lambda x: nns.one_hot(nns.tensor([2]), 2)),
    (RuntimeError, "one_hot", lambda x: nns.one_hot(nns.tensor([], dtype=nns.int64))),
    (ValueError, "broadcast", lambda x: nns.setitem(x, 0, x)),
]


@pytest.mark.parametrize("error, text, f", ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(error, text, f):
    with pytest.raises(error, match=text):
        f(nns.tensor(X))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_index_as_numpy(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    index = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True) | hnp.integer_array_indices(shape) | hnp.arrays(np.bool_, shape)
    )
    x = rng.standard_normal(shape)
    t = nns.tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.detach().numpy(), x[index])
    g = rng.standard_normal(y.shape)
    expected = np.zeros(shape)
    np.add.at(expected, index, g)
    np.testing.assert_allclose(nns.grad(y, [t], nns.tensor(g))[0].numpy(), expected, atol=1e-12)
    assigned = x.copy()
    assigned[index] = g
    np.testing.assert_array_equal(nns.setitem(x, index, g), assigned)
