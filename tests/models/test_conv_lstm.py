"""The convolutional LSTM against its equations in loops, and as a model of films."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import ConvLSTM
from nnscratch.models.conv_lstm import ConvLSTMCell


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolved(x, w):
    """A 3x3 convolution of one picture (C, H, W) with zeros around it, place by place."""
    c, height, width = x.shape
    padded = np.zeros((c, height + 2, width + 2))
    padded[:, 1:-1, 1:-1] = x
    return np.array(
        [[[(padded[:, i : i + 3, j : j + 3] * kernel).sum() for j in range(width)] for i in range(height)] for kernel in w]
    )


def test_a_step_is_equation_3_of_the_paper():
    nns.manual_seed(0)
    cell = ConvLSTMCell(2, 3).double()
    rng = np.random.default_rng(0)
    cell.peep.data[...] = rng.standard_normal((3, 3, 1, 1))
    x, h, c = rng.standard_normal((2, 4, 5)), rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 5))
    new_h, new_c = cell(nns.tensor(x[None]), (nns.tensor(h[None]), nns.tensor(c[None])))
    w, b = cell.gates.weight.detach().numpy(), cell.gates.bias.detach().numpy()
    parts = [
        convolved(x, w[k * 3 : k * 3 + 3, :2]) + convolved(h, w[k * 3 : k * 3 + 3, 2:]) + b[k * 3 : k * 3 + 3, None, None]
        for k in range(4)
    ]
    w_ci, w_cf, w_co = cell.peep.detach().numpy()
    i, f = sigmoid(parts[0] + w_ci * c), sigmoid(parts[1] + w_cf * c)
    expected_c = f * c + i * np.tanh(parts[2])
    expected_h = sigmoid(parts[3] + w_co * expected_c) * np.tanh(expected_c)
    np.testing.assert_allclose(new_c.detach().numpy()[0], expected_c, rtol=1e-10)
    np.testing.assert_allclose(new_h.detach().numpy()[0], expected_h, rtol=1e-10)


@pytest.fixture
def film():
    return nns.tensor(np.random.default_rng(1).random((2, 6, 1, 8, 12)))


def model_for(film):
    nns.manual_seed(0)
    return ConvLSTM(film.shape[2], (4, 5)).double()


def test_the_future_is_not_seen(film):
    model = model_for(film)
    logits = model(film).detach().numpy()
    assert logits.shape == film.shape
    changed = film.numpy().copy()
    changed[:, 3:] = 0
    other = model(nns.tensor(changed)).detach().numpy()
    np.testing.assert_array_equal(other[:, :3], logits[:, :3])
    assert (other[:, 3:] != logits[:, 3:]).any()


def test_truncation_changes_gradients_but_not_values(film):
    model = model_for(film)
    whole = model(film).detach().numpy()
    np.testing.assert_allclose(model(film, 2).detach().numpy(), whole, rtol=1e-12)
    for truncate, reaches in ((None, 6), (2, 2), (4, 2), (5, 1)):  # of the last picture's logits, back into the film
        x = film.detach().requires_grad_()
        (g,) = nns.grad(model(x, truncate)[:, -1].sum(), [x])
        touched = np.abs(g.numpy()).sum((0, 2, 3, 4)) > 0
        assert touched.tolist() == [False] * (6 - reaches) + [True] * reaches


def test_prediction_feeds_back_its_pictures(film):
    model = model_for(film)
    predicted = model.predict(film[:, :4], 3).detach().numpy()
    assert predicted.shape == (2, 3, 1, 8, 12)
    longer = film.numpy()[:, :4]
    for t in range(3):
        following = sigmoid(model(nns.tensor(longer)).detach().numpy()[:, -1:])
        np.testing.assert_allclose(predicted[:, t : t + 1], following, rtol=1e-9)
        longer = np.concatenate([longer, following], 1)


def test_a_film_seen_in_part_is_continued(film):
    model = model_for(film)
    logits = model(film, seen=4).detach().numpy()
    np.testing.assert_array_equal(logits[:, :4], model(film).detach().numpy()[:, :4])
    np.testing.assert_allclose(sigmoid(logits[:, 3:]), model.predict(film[:, :4], 3).detach().numpy(), rtol=1e-9)
    with pytest.raises(ValueError, match="at least one picture to be seen, got 0"):
        model(film, seen=0)


def test_rebuilding_and_wrong_films(film):
    model = model_for(film)
    again = models.build("conv-lstm", model.config).double()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(film).detach().numpy(), model(film).detach().numpy())
    with pytest.raises(ValueError, match=r"expected films \(N, T, 1, H, W\), got \(2, 6, 1, 8\)"):
        model(film[..., 0])
    with pytest.raises(ValueError, match="at least one picture"):
        model.predict(film, 0)
