"""Pools against PyTorch, central differences and their adjoints; ties, NaN and indices as documented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import against_torch, check_grads, functional, rand

import nnscratch as nns
from nnscratch.ops import adaptive, pool


def ours(name):
    return getattr(adaptive if name.startswith("adaptive") else pool, name)


POOLS = [
    ("max_pool1d", (2, 3, 9), (3,), {}),
    ("max_pool1d", (3, 9), (2,), {"stride": 1, "padding": 1, "dilation": 2}),
    ("max_pool2d", (2, 3, 6, 8), (2,), {}),
    ("max_pool2d", (3, 7, 6), (3,), {"stride": 2, "padding": 1}),
    ("max_pool2d", (2, 2, 7, 6), ((2, 3),), {"stride": (2, 1), "dilation": (2, 1)}),
    ("max_pool2d", (2, 2, 7, 6), (3,), {"stride": 2, "ceil_mode": True, "padding": 1}),
    ("max_pool2d", (2, 2, 1, 1), (1,), {}),
    ("max_pool2d", (0, 2, 4, 4), (2,), {}),
    ("max_pool3d", (2, 2, 4, 5, 4), (2,), {"stride": (2, 1, 2), "padding": (1, 0, 1)}),
    ("avg_pool1d", (2, 3, 9), (3,), {"stride": 2, "padding": 1}),
    ("avg_pool1d", (3, 9), (2,), {"ceil_mode": True, "count_include_pad": False, "padding": 1}),
    ("avg_pool2d", (2, 3, 6, 8), (2,), {}),
    ("avg_pool2d", (3, 7, 6), (3,), {"stride": 2, "padding": 1}),
    ("avg_pool2d", (2, 2, 7, 6), (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    ("avg_pool2d", (2, 2, 7, 6), (3,), {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ("avg_pool2d", (2, 2, 7, 6), ((2, 3),), {"stride": (1, 2), "divisor_override": 5}),
    ("avg_pool2d", (0, 2, 4, 4), (2,), {}),
    ("avg_pool3d", (2, 2, 4, 5, 4), (2,), {"stride": (2, 1, 2), "padding": (1, 0, 1), "divisor_override": 3}),
    ("adaptive_avg_pool1d", (2, 3, 7), (3,), {}),
    ("adaptive_avg_pool1d", (3, 8), (4,), {}),
    ("adaptive_avg_pool2d", (2, 3, 7, 6), ((3, 4),), {}),
    ("adaptive_avg_pool2d", (2, 3, 8, 6), ((4, 3),), {}),
    ("adaptive_avg_pool2d", (2, 3, 7, 6), (1,), {}),
    ("adaptive_avg_pool2d", (2, 3, 5, 4), ((None, 7),), {}),
    ("adaptive_avg_pool2d", (3, 5, 4), ((2, None),), {}),
    ("adaptive_avg_pool3d", (2, 2, 5, 4, 3), ((2, 4, 2),), {}),
    ("adaptive_max_pool1d", (2, 3, 7), (3,), {}),
    ("adaptive_max_pool2d", (2, 3, 7, 6), ((3, 4),), {}),
    ("adaptive_max_pool2d", (2, 3, 8, 6), ((4, 3),), {}),
    ("adaptive_max_pool2d", (3, 5, 4), ((2, None),), {}),
    ("adaptive_max_pool2d", (2, 3, 3, 4), (5,), {}),
    ("adaptive_max_pool3d", (2, 2, 5, 4, 3), ((2, 4, 2),), {}),
    ("lp_pool1d", (2, 3, 9), (2, 3), {"stride": 2}),
    ("lp_pool2d", (2, 3, 6, 5), (2.0, (2, 3)), {"ceil_mode": True}),
    ("lp_pool2d", (2, 3, 6, 5), (1, 2), {}),
    ("lp_pool3d", (2, 2, 4, 4, 4), (4, 2), {}),
]


@pytest.mark.parametrize("name, shape, args, options", POOLS)
def test_pools_are_torchs(name, shape, args, options):
    F = functional()
    x = np.abs(rand(*shape)) if name.startswith("lp") and args[0] == 1 else rand(*shape)
    against_torch(lambda x: ours(name)(x, *args, **options), lambda x: getattr(F, name)(x, *args, **options), x)


@pytest.mark.parametrize("name, shape, args, options", [case for case in POOLS if "max" in case[0] and case[1][0]])
def test_indices_are_torchs_and_ties_take_the_first(name, shape, args, options):
    torch = pytest.importorskip("torch")
    x = np.round(rand(*shape))  # few distinct values: many ties
    y, indices = ours(name)(x, *args, **options, return_indices=True)
    theirs, their_indices = getattr(torch.nn.functional, name)(torch.tensor(x), *args, **options, return_indices=True)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(y, theirs.numpy())
    np.testing.assert_array_equal(indices, their_indices.numpy())


@pytest.mark.parametrize("name, args", [("max_pool2d", (2,)), ("adaptive_max_pool2d", (3,)), ("adaptive_max_pool2d", (4,))])
def test_nan_and_infinity_in_a_max_pool(name, args):
    torch = pytest.importorskip("torch")
    x = rand(1, 2, 8, 9)
    x[0, 0, 0, 0] = x[0, 0, 1, 1] = x[0, 0, 5, 4] = np.nan
    x[0, 1, 3, 3], x[0, 1, 6] = np.inf, -np.inf
    y, indices = ours(name)(x, *args, return_indices=True)
    theirs, their_indices = getattr(torch.nn.functional, name)(torch.tensor(x), *args, return_indices=True)
    np.testing.assert_array_equal(y, theirs.numpy())
    np.testing.assert_array_equal(indices, their_indices.numpy())


def test_the_gradient_of_a_tie_goes_to_the_first_maximum():
    x = nns.tensor(np.ones((1, 1, 2, 4)), requires_grad=True)
    pool.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


def test_padding_of_a_max_pool_is_minus_infinity():
    y = pool.max_pool2d(-np.ones((1, 1, 2, 2)), 2, stride=1, padding=1)
    np.testing.assert_array_equal(y, -np.ones((1, 1, 3, 3)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpool_undoes_a_pool(rank):
    torch = pytest.importorskip("torch")
    x = rand(2, 3, *(6, 4, 8)[:rank])
    y, indices = ours(f"max_pool{rank}d")(x, 2, return_indices=True)
    unpool = getattr(torch.nn.functional, f"max_unpool{rank}d")
    (back,) = against_torch(
        lambda v: ours(f"max_unpool{rank}d")(v, nns.tensor(indices), 2), lambda v: unpool(v, torch.tensor(indices), 2), y
    )
    assert back.shape == x.shape
    np.testing.assert_array_equal(back.detach().numpy().max(), x.max())


def test_unpool_of_repeated_indices_keeps_one_value():
    torch = pytest.importorskip("torch")
    x = rand(1, 2, 5, 5)
    y, indices = pool.max_pool2d(x, 3, stride=1, return_indices=True)
    back = pool.max_unpool2d(y, indices, 3, stride=1)
    theirs = torch.nn.functional.max_unpool2d(torch.tensor(y), torch.tensor(indices), 3, stride=1)
    np.testing.assert_array_equal(back, theirs.numpy())
    check_grads(lambda v: pool.max_unpool2d(v, nns.tensor(indices), 3, stride=1), y)


def test_unpool_sizes_and_mistakes():
    y, indices = pool.max_pool2d(rand(2, 5, 5), 2, return_indices=True)
    assert pool.max_unpool2d(y, indices, 2, output_size=(5, 5)).shape == (2, 5, 5)
    with pytest.raises(ValueError, match=r"output_size \(7, 5\) is not within one stride \(2, 2\) of \(4, 4\)"):
        pool.max_unpool2d(y, indices, 2, output_size=(7, 5))
    with pytest.raises(ValueError, match="they must be equal"):
        pool.max_unpool2d(y, indices[:, :1], 2)
    with pytest.raises(IndexError, match="not all in the output's plane of 16 elements"):
        pool.max_unpool2d(y, indices + 10, 2)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pool_derivatives_on_any_geometry(data):
    rank = data.draw(st.integers(1, 3))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    size = tuple(data.draw(st.integers(k, k + 3)) for k in kernel)
    options = {
        "kernel_size": kernel,
        "stride": tuple(data.draw(st.integers(1, 3)) for _ in range(rank)),
        "padding": tuple(data.draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": data.draw(st.booleans()),
    }
    x = np.random.default_rng(0).permutation(2 * np.prod(size)).reshape(2, 1, *size).astype(float)  # no ties, gaps of 1
    exact = {"projections": 1, "eps": 0.05, "rtol": 1e-9}
    check_grads(lambda x: ours(f"max_pool{rank}d")(x, **options), x, **exact)
    include = data.draw(st.booleans())
    check_grads(lambda x: ours(f"avg_pool{rank}d")(x, **options, count_include_pad=include), x, **exact)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9))
def test_adaptive_windows_cover_the_input_evenly(n, m):
    x = np.random.default_rng(n).permutation(2 * n).reshape(1, 2, n).astype(float)
    windows = [x[..., i * n // m : -(-(i + 1) * n // m)] for i in range(m)]
    np.testing.assert_allclose(adaptive.adaptive_avg_pool1d(x, m), np.stack([w.mean(-1) for w in windows], -1), rtol=1e-12)
    np.testing.assert_array_equal(adaptive.adaptive_max_pool1d(x, m), np.stack([w.max(-1) for w in windows], -1))


def test_adaptive_pools_to_nothing():
    for f in (adaptive.adaptive_avg_pool2d, adaptive.adaptive_max_pool2d):
        assert f(rand(2, 3, 4, 5), (0, 2)).shape == (2, 3, 0, 2)


def test_third_order():
    check_grads(lambda x: pool.max_pool2d(x, 2).tanh(), rand(1, 2, 4, 4), order=3)
    check_grads(lambda x: pool.avg_pool2d(x, 2).tanh(), rand(1, 2, 4, 4), order=3)


def test_layouts_and_dtypes():
    x = rand(2, 3, 6, 8)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for given_ in (last, np.asfortranarray(x), x[:, :, ::-1].copy()[:, :, ::-1]):
        np.testing.assert_array_equal(pool.max_pool2d(given_, 3, 2), pool.max_pool2d(x, 3, 2))
        np.testing.assert_allclose(pool.avg_pool2d(given_, 3, 2), pool.avg_pool2d(x, 3, 2), rtol=1e-13)
    assert pool.max_pool2d(x.astype(np.float32), 2).dtype == np.float32
    assert pool.avg_pool2d(x.astype(np.float32), 2).dtype == np.float32
    assert pool.max_pool2d(x.astype(int), 2).dtype == int
    assert pool.avg_pool2d(nns.tensor(x.astype(int)), 2).dtype == np.float32


MISTAKES = [
    (lambda: pool.max_pool2d(np.zeros((4, 4)), 2), r"max_pool2d: input must have 4 axes .* got shape \(4, 4\)"),
    (lambda: pool.max_pool2d(np.zeros((1, 1, 4, 4)), 2, padding=2), "max_pool2d: padding"),
    (lambda: pool.max_pool2d(np.zeros((1, 1, 4, 4)), 5), r"max_pool2d: input \(4, 4\) .* smaller than the kernel"),
    (lambda: pool.avg_pool2d(np.zeros((1, 1, 4, 4)), 2, divisor_override=0), "avg_pool2d: divisor_override must not be zero"),
    (lambda: pool.avg_pool2d(np.zeros((1, 1, 4, 4)), (2, 2, 2)), "avg_pool2d: kernel_size"),
    (lambda: adaptive.adaptive_avg_pool2d(np.zeros((1, 1, 4, 4)), (2, 2, 2)), "adaptive_avg_pool2d: output_size"),
    (lambda: adaptive.adaptive_max_pool2d(np.zeros((4, 4)), 2), "adaptive_max_pool2d: input must have 4 axes"),
]


@pytest.mark.parametrize("mistake, message", MISTAKES, ids=[m for _, m in MISTAKES])
def test_errors_say_what_was_given(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()
