"""Random tensors and dropout: determinism, distributions (of fixed seeds, so never by chance), gradients, errors."""

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns


def seeded(seed=7):
    return nns.Generator(seed)


DRAWS = {
    "rand": lambda **k: nns.rand(5, 4, **k),
    "randn": lambda **k: nns.randn(5, 4, **k),
    "uniform": lambda **k: nns.uniform(-1, 3, (5, 4), **k),
    "normal": lambda **k: nns.normal(1.0, 2.0, (5, 4), **k),
    "normal of tensors": lambda **k: nns.normal(nns.zeros(5, 1), nns.ones(4), **k),
    "randint": lambda **k: nns.randint(0, 1000, (5, 4), **k),
    "randperm": lambda **k: nns.randperm(20, **k),
    "rand_like": lambda **k: nns.rand_like(nns.zeros(5, 4), **k),
    "randn_like": lambda **k: nns.randn_like(nns.zeros(5, 4), **k),
    "randint_like": lambda **k: nns.randint_like(nns.zeros(5, 4), 1000, **k),
    "bernoulli": lambda **k: nns.bernoulli(nns.full((5, 4), 0.5), **k),
    "multinomial": lambda **k: nns.multinomial(nns.ones(3, 10), 5, **k),
    "multinomial with replacement": lambda **k: nns.multinomial(nns.ones(10), 9, True, **k),
    "dropout": lambda **k: nns.dropout(nns.ones(5, 4), 0.5, **k),
    "dropout1d": lambda **k: nns.dropout1d(nns.ones(5, 4, 2), 0.5, **k),
    "dropout2d": lambda **k: nns.dropout2d(nns.ones(5, 4, 2, 2), 0.5, **k),
    "dropout3d": lambda **k: nns.dropout3d(nns.ones(5, 4, 2, 2, 1), 0.5, **k),
    "alpha_dropout": lambda **k: nns.alpha_dropout(nns.ones(5, 4), 0.5, True, **k),
    "feature_alpha_dropout": lambda **k: nns.feature_alpha_dropout(nns.ones(5, 4, 2), 0.5, True, **k),
    "rrelu": lambda **k: nns.rrelu(nns.full((5, 4), -1.0), training=True, **k),
    "gumbel_softmax": lambda **k: nns.gumbel_softmax(nns.zeros(5, 4), **k),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_decides_everything(name):
    draw = DRAWS[name]
    first = draw(generator=seeded()).numpy()
    np.testing.assert_array_equal(draw(generator=seeded()).numpy(), first)
    assert not np.array_equal(draw(generator=seeded(8)).numpy(), first)
    generator = seeded()
    draw(generator=generator)
    state = generator.get_state()
    second = draw(generator=generator).numpy()
    assert not np.array_equal(second, first)
    np.testing.assert_array_equal(draw(generator=nns.Generator(0).set_state(state)).numpy(), second)


@pytest.mark.parametrize("name", DRAWS)
def test_without_a_generator_the_default_one_draws(name):
    nns.manual_seed(7)
    first = DRAWS[name]().numpy()
    np.testing.assert_array_equal(first, DRAWS[name](generator=seeded()).numpy())


@pytest.mark.parametrize("name", ["rand", "randn", "rand_like", "randn_like", "uniform", "normal"])
def test_float_dtypes(name):
    for dtype in (np.float16, np.float32, np.float64):
        assert DRAWS[name](dtype=dtype, generator=seeded()).dtype == dtype
    assert DRAWS[name](generator=seeded()).dtype == np.float32
    leaf = DRAWS[name](generator=seeded(), requires_grad=True)
    assert leaf.is_leaf and leaf.requires_grad


def test_integer_dtypes():
    assert nns.randperm(5).dtype == nns.randint(5, (2,)).dtype == nns.multinomial(nns.ones(3), 1).dtype == np.int64
    assert nns.randint(5, (2,), dtype=nns.int32).dtype == np.int32


N = 40_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(dtype):
    g = seeded()
    for x, mean, std in [
        (nns.rand(N, generator=g, dtype=dtype), 0.5, 12**-0.5),
        (nns.randn(N, generator=g, dtype=dtype), 0, 1),
        (nns.uniform(-1, 3, (N,), generator=g, dtype=dtype), 1, 4 * 12**-0.5),
        (nns.normal(3.0, 2.0, (N,), generator=g, dtype=dtype), 3, 2),
        (nns.normal(nns.full((N,), 3.0, dtype=dtype), 2.0, generator=g), 3, 2),
        (nns.bernoulli(nns.full((N,), 0.3, dtype=dtype), generator=g), 0.3, 0.21**0.5),
        (nns.bernoulli(nns.zeros(N, dtype=dtype), 0.3, generator=g), 0.3, 0.21**0.5),
    ]:
        a = x.numpy()
        assert a.dtype == dtype
        assert abs(a.mean() - mean) < 5 * std / N**0.5
        assert abs(a.std() - std) < 0.03 * std
    uniform = nns.rand(N, generator=g, dtype=dtype).numpy()
    assert uniform.min() >= 0 and uniform.max() < 1


def test_randint_and_randperm_cover_their_range():
    a = nns.randint(-2, 3, (5000,), generator=seeded()).numpy()
    assert sorted(set(a.tolist())) == [-2, -1, 0, 1, 2]
    assert set(nns.randint(3, (200,), generator=seeded()).tolist()) == {0, 1, 2}
    assert sorted(nns.randperm(50, generator=seeded()).tolist()) == list(range(50))
    assert nns.randperm(0).shape == (0,)


def test_multinomial_follows_the_weights():
    weights = np.array([[0.0, 1, 2, 5], [4, 4, 0, 0]])
    counts = [np.bincount(row, minlength=4) for row in nns.multinomial(nns.tensor(weights), N, True, generator=seeded()).numpy()]
    np.testing.assert_allclose(np.array(counts) / N, weights / weights.sum(1, keepdims=True), atol=0.015)
    first = nns.multinomial(nns.tensor(np.tile([1.0, 2, 5], (N, 1))), 2, generator=seeded()).numpy()
    assert (first[:, 0] != first[:, 1]).all()
    np.testing.assert_allclose(np.bincount(first[:, 0]) / N, [1 / 8, 2 / 8, 5 / 8], atol=0.015)


# ------------------------------------------------------------------------------------------------------------ dropout


def test_dropout_zeroes_and_rescales():
    y = nns.dropout(nns.ones(N), 0.3, generator=seeded()).numpy()
    assert y.dtype == np.float32
    assert set(np.unique(y).tolist()) == {0.0, np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.012


@pytest.mark.parametrize("f", [nns.dropout, nns.alpha_dropout])
def test_dropout_off_and_total(f):
    x = nns.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    assert f(x, 0.5, False) is x and f(x, 0.0, True) is x
    y = f(x, 1.0, True)
    np.testing.assert_array_equal(y.detach().numpy(), np.zeros((3, 4)))
    nns.sum(y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((3, 4)))


def test_dropped_infinities_are_dropped():
    x = nns.full((100,), float("inf"), requires_grad=True)
    y = nns.dropout(x, 0.5, generator=seeded())
    assert not np.isnan(y.detach().numpy()).any()
    assert (nns.dropout(nns.full((3,), float("inf")), 1.0).numpy() == 0).all()


@pytest.mark.parametrize(
    "f, shape, batch",
    [
        (nns.dropout1d, (40, 30, 5), 2),
        (nns.dropout1d, (300, 5), 1),
        (nns.dropout2d, (40, 30, 3, 2), 2),
        (nns.dropout2d, (40, 30, 5), 2),
        (nns.dropout3d, (40, 30, 2, 3, 2), 2),
        (nns.dropout3d, (300, 2, 3, 2), 1),
        (nns.feature_alpha_dropout, (40, 30, 3, 2), 2),
    ],
)
def test_whole_channels_are_dropped(f, shape, batch):
    y = f(nns.ones(shape), 0.4, True, generator=seeded()).numpy()
    flat = y.reshape(*shape[:batch], -1)
    assert (flat == flat[..., :1]).all()
    assert abs((flat[..., 0] == flat.min()).mean() - 0.4) < 0.08


def test_alpha_dropout_keeps_mean_and_variance():
    x = nns.randn(200_000, generator=seeded())
    for p in (0.1, 0.5):
        y = nns.alpha_dropout(x, p, True, generator=seeded(1)).numpy()
        assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02


def test_alpha_dropout_formula():
    x = np.linspace(-1, 1, 500)
    y = nns.alpha_dropout(nns.tensor(x), 0.25, True, generator=seeded()).numpy()
    low = -1.0507009873554805 * 1.6732632423543772
    a = (0.75 * (1 + 0.25 * low**2)) ** -0.5
    kept, dropped = a * x - a * 0.25 * low, np.full_like(x, a * low - a * 0.25 * low)
    assert np.all(np.isclose(y, kept, rtol=1e-12) | np.isclose(y, dropped, rtol=1e-12))
    assert 0.15 < np.isclose(y, dropped, rtol=1e-12).mean() < 0.35


def test_rrelu_slopes():
    x = nns.tensor(np.linspace(-2, 2, 1000))
    y = nns.rrelu(x, 0.1, 0.4, training=True, generator=seeded()).numpy()
    slopes = y / x.numpy()
    assert (slopes[500:] == 1).all() and slopes[:500].min() >= 0.1 and slopes[:500].max() < 0.4 and np.ptp(slopes[:500]) > 0.25


GRADS = {
    "dropout": lambda x: nns.dropout(x, 0.4, generator=seeded()),
    "dropout1d": lambda x: nns.dropout1d(x, 0.4, generator=seeded()),
    "alpha_dropout": lambda x: nns.alpha_dropout(x, 0.4, True, generator=seeded()),
    "rrelu": lambda x: nns.rrelu(x, training=True, generator=seeded()),
    "gumbel_softmax": lambda x: nns.gumbel_softmax(x, tau=0.7, generator=seeded()),
}


@pytest.mark.parametrize("name", GRADS)
def test_gradients(name):
    check_grads(GRADS[name], np.random.default_rng(0).uniform(0.5, 2, (3, 4, 5)) * np.where(np.arange(5) % 2, 1, -1))


def test_gumbel_softmax_hard():
    x = nns.tensor(np.random.default_rng(0).standard_normal((6, 4)), requires_grad=True)
    y = nns.gumbel_softmax(x, hard=True, dim=0, generator=seeded())
    np.testing.assert_allclose(np.sort(y.detach().numpy(), axis=0), np.sort(np.eye(6)[:, :1] * np.ones(4), axis=0), atol=1e-15)
    weights = np.random.default_rng(1).standard_normal((6, 4))
    (hard,) = nns.grad(y, [x], nns.tensor(weights))
    (soft,) = nns.grad(nns.gumbel_softmax(x, dim=0, generator=seeded()), [x], nns.tensor(weights))
    np.testing.assert_allclose(hard.numpy(), soft.numpy(), rtol=1e-12)


def test_gumbel_softmax_samples_the_distribution():
    logits = np.log([0.1, 0.2, 0.7])
    y = nns.gumbel_softmax(nns.tensor(np.tile(logits, (N, 1))), hard=True, generator=seeded()).numpy()
    np.testing.assert_allclose(y.mean(0), [0.1, 0.2, 0.7], atol=0.015)


def test_second_dropout_in_one_network_differs():
    x, g = nns.ones(64), seeded()
    assert not np.array_equal(nns.dropout(x, generator=g).numpy(), nns.dropout(x, generator=g).numpy())


@pytest.mark.parametrize("f", [nns.dropout, nns.alpha_dropout])
def test_arrays_in_arrays_out(f):
    x = np.ones((3, 4), np.float32)
    y = f(x, 0.5, True, generator=seeded())
    assert isinstance(y, np.ndarray) and y.dtype == np.float32
    assert f(nns.tensor(x).to(np.float64), 0.5, True).dtype == np.float64


ERRORS = {
    "p above 1": (lambda: nns.dropout(nns.ones(2), 1.5), ValueError, "1.5"),
    "p below 0": (lambda: nns.dropout2d(nns.ones(1, 2, 2, 2), -0.1), ValueError, "-0.1"),
    "alpha p": (lambda: nns.alpha_dropout(nns.ones(2), 2, False), ValueError, "between 0 and 1"),
    "dimensions": (lambda: nns.dropout2d(nns.ones(2, 2)), RuntimeError, r"\(2, 2\)"),
    "generator": (lambda: nns.rand(2, generator=np.random.default_rng(0)), TypeError, "Generator"),
    "integer dtype": (lambda: nns.rand(2, dtype=nns.int64), RuntimeError, "int64"),
    "randint": (lambda: nns.randint(3, 3, (2,)), RuntimeError, "low < high"),
    "randint size": (lambda: nns.randint(0, 3, 2), TypeError, "tuple"),
    "randperm": (lambda: nns.randperm(-1), RuntimeError, "negative"),
    "std": (lambda: nns.normal(0.0, -1.0, (2,)), RuntimeError, "standard deviation"),
    "bernoulli": (lambda: nns.bernoulli(nns.tensor([0.5, 1.5])), RuntimeError, "between 0 and 1"),
    "bernoulli NaN": (lambda: nns.bernoulli(nns.tensor([np.nan])), RuntimeError, "between 0 and 1"),
    "multinomial": (lambda: nns.multinomial(nns.tensor([1.0, 0.0]), 2), RuntimeError, "without replacement"),
    "multinomial weights": (lambda: nns.multinomial(nns.tensor([1.0, -1.0]), 1), RuntimeError, "negative"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    f, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        f()


MANY = {
    "rand": lambda **k: nns.rand(200, 300, **k),
    "randn": lambda **k: nns.randn(200, 300, **k),
    "randn float64": lambda **k: nns.randn(200, 300, dtype=nns.float64, **k),
    "randn float16": lambda **k: nns.randn(200, 300, dtype=nns.float16, **k),
    "normal": lambda **k: nns.normal(1.0, 2.0, (200, 300), **k),
    "bernoulli": lambda **k: nns.bernoulli(nns.full((200, 300), 0.5), **k),
    "dropout": lambda **k: nns.dropout(nns.ones(200, 300), 0.5, **k),
    "alpha_dropout": lambda **k: nns.alpha_dropout(nns.ones(200, 300), 0.5, True, **k),
    "rrelu": lambda **k: nns.rrelu(nns.full((200, 300), -1.0), training=True, **k),
}


@pytest.mark.parametrize("name", MANY)
def test_many_numbers_continue_from_a_state_with_numba_and_without(name):
    draw, generator = MANY[name], seeded()
    first = draw(generator=generator).numpy()
    nns.randn(3, generator=generator)  # few numbers in between
    state = generator.get_state()
    second = draw(generator=generator).numpy()
    assert not np.array_equal(first, second)
    for kernels in ("auto", "im2col"):
        with nns.kernels.use(kernels):
            np.testing.assert_array_equal(draw(generator=seeded()).numpy(), first)
            np.testing.assert_array_equal(draw(generator=nns.Generator(0).set_state(state)).numpy(), second)


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "strided"])
@pytest.mark.parametrize("kernels", ["auto", "im2col"])
def test_dropout_of_many(layout, kernels):
    x = np.random.default_rng(0).standard_normal((8, 16, 20, 20))
    if layout == "channels last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif layout == "strided":
        x = np.repeat(x, 2, axis=3)[..., ::2]
    p, g = 0.3, np.random.default_rng(1).standard_normal(x.shape)
    with nns.kernels.use(kernels):
        t = nns.Tensor(x).requires_grad_()
        y = nns.dropout(t, p, generator=seeded())
        gx = nns.grad(y, [t], nns.tensor(g), retain_graph=True)[0].numpy()
        slope = nns.grad((y * y).sum(), [t], create_graph=True)[0]
        curvature = nns.grad(slope, [t], nns.tensor(g))[0].numpy()
    scale, y = 1 / (1 - p), y.detach().numpy()
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / kept.size)
    np.testing.assert_array_equal(y, np.where(kept, x * scale, 0))
    np.testing.assert_array_equal(gx, np.where(kept, g * scale, 0))
    np.testing.assert_allclose(curvature, np.where(kept, 2 * scale**2 * g, 0), rtol=1e-14)
