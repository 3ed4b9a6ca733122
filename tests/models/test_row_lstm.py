"""The row LSTM: its likelihood is one, no pixel sees itself or what comes later, and it writes what it believes."""

import itertools

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import RowLSTM


def small(shape, seed=0, scale=3.0):
    """A model with weights large enough for its pixels to depend on each other."""
    nns.manual_seed(seed)
    model = RowLSTM(shape, hidden=5, layers=2, row_hidden=7)
    for p in model.parameters():
        p.data *= scale
    return model.double().eval()


def all_images(*shape):
    return np.array(list(itertools.product([0.0, 1.0], repeat=int(np.prod(shape))))).reshape(-1, *shape)


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 2, 3), (1, 12, 1), (1, 1, 9)])
def test_probabilities_of_all_images_add_up_to_one(shape):
    log_p = small(shape).log_prob(nns.tensor(all_images(*shape))).detach().numpy()
    assert np.exp(log_p).sum() == pytest.approx(1, rel=1e-10)
    assert log_p.std() > 0.5, "not simply uniform"


def test_a_pixel_depends_on_all_pixels_before_it_and_on_no_other():
    shape = (2, 4, 3)  # 24 numbers in the order row, column, channel
    model = small(shape)
    x = nns.tensor(np.random.default_rng(0).integers(0, 2, (1, *shape)).astype(float))
    rows = model.rows(x)
    order = rows.shape[1] * rows.shape[2]
    depends = np.zeros((order, order), bool)
    before = model.logits(rows).detach().numpy().ravel()
    for j in range(order):
        changed = rows.detach().numpy().copy()
        changed.reshape(-1)[j] = 1 - changed.reshape(-1)[j]
        depends[:, j] = model.logits(nns.tensor(changed)).detach().numpy().ravel() != before
    np.testing.assert_array_equal(depends & ~np.tri(order, k=-1, dtype=bool), False)
    # Relu units may be off, so not each of the earlier ones must show; nearly all do.
    assert depends.sum() > 0.9 * order * (order - 1) / 2


def test_log_prob_is_the_sum_over_pixels_of_the_probabilities():
    model = small((1, 5, 4))
    x = np.random.default_rng(1).integers(0, 2, (3, 1, 5, 4)).astype(float)
    p = model(nns.tensor(x)).detach().numpy()
    expected = np.log(np.where(x > 0.5, p, 1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(model.log_prob(nns.tensor(x)).detach().numpy(), expected, rtol=1e-10)
    grey = np.where(x > 0.5, 0.7, 0.2)
    np.testing.assert_allclose(model.log_prob(nns.tensor(grey)).detach().numpy(), expected, rtol=1e-10)


def frequencies(drawn, shape):
    places = 2 ** np.arange(int(np.prod(shape)))[::-1]
    return np.bincount((drawn.reshape(len(drawn), -1) @ places).astype(int), minlength=2 ** int(np.prod(shape))) / len(drawn)


def test_samples_have_the_probabilities_of_the_model():
    shape, n = (1, 2, 3), 20_000
    model = small(shape)
    p = np.exp(model.log_prob(nns.tensor(all_images(*shape))).detach().numpy())
    drawn = model.sample(n, nns.Generator(0)).numpy()
    error = frequencies(drawn, shape) - p
    assert (np.abs(error) < 5 * np.sqrt(p * (1 - p) / n) + 1e-9).all()


@pytest.mark.parametrize(("known", "candidates"), [([[1, 1, 1], [0, 0, 0]], 1), ([[0, 1, 0], [0, 1, 1]], 40)])
def test_completions_have_the_conditional_probabilities(known, candidates):
    """Exactly where what is known comes first; nearly, with many candidates, elsewhere."""
    shape, n = (1, 2, 3), 3000
    model = small(shape, scale=2.0)
    known = np.array(known, float)[None, None]
    x = np.array([[1, 0, 1], [1, 0, 0]], float)[None, None]
    every = all_images(*shape)
    fits = (every == x)[:, known[0] > 0].all(1)
    p = np.exp(model.log_prob(nns.tensor(every)).detach().numpy()) * fits
    p /= p.sum()
    given = nns.tensor(np.repeat(x, n, 0))
    drawn = model.complete(given, nns.tensor(known), nns.Generator(0), candidates=candidates).numpy()
    assert ((drawn == x) | (known == 0)).all()
    error = np.abs(frequencies(drawn, shape) - p)
    assert error.max() < 0.05
    if candidates > 1:  # and one candidate would not do
        naive = frequencies(model.complete(given, nns.tensor(known), nns.Generator(1)).numpy(), shape)
        assert np.abs(naive - p).max() > 2 * error.max()


def test_rebuilding_heights_and_repetition():
    model = small((1, 6, 5))
    again = models.build("row-lstm", model.config).double()
    again.load_state_dict(model.state_dict())
    x = nns.tensor(np.random.default_rng(0).random((2, 1, 9, 5)))
    np.testing.assert_array_equal(again.log_prob(x).detach().numpy(), model.log_prob(x).detach().numpy())
    a, b = (model.sample(3, nns.Generator(4)).numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert set(np.unique(a)) <= {0.0, 1.0} and a.shape == (3, 1, 6, 5)
    with pytest.raises(ValueError, match=r"expected images \(N, 1, H, 5\), got \(2, 1, 9, 4\)"):
        model.log_prob(x[:, :, :, :4])
