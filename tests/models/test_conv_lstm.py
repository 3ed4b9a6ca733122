"""The convolutional LSTM against its equations in loops, and as a model of films."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import ConvLSTM
from nnscratch.models.conv_lstm import ConvLSTMCell, moved


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


def keys(s):
    """Keys' cubic kernel, with a = -1/2."""
    s = abs(s)
    return 1.5 * s**3 - 2.5 * s**2 + 1 if s < 1 else -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0


def test_pictures_are_moved_pixel_by_pixel():
    rng = np.random.default_rng(3)
    x, motion = rng.random((2, 3, 6, 5)), rng.uniform(-2, 2, (2, 2, 6, 5))
    expected = x
    for axis in (0, 1):
        before, expected = expected, np.zeros_like(x)
        for n, c, i, j in np.ndindex(*x.shape):
            place, end = (i, j)[axis] - motion[n, axis, i, j], x.shape[2 + axis]
            line = before[n, c, :, j] if axis == 0 else before[n, c, i]
            expected[n, c, i, j] = sum(keys(q - place) * line[q] for q in range(end))
    np.testing.assert_allclose(moved(nns.tensor(x), nns.tensor(motion), 2).numpy(), expected, atol=1e-12)
    whole = moved(nns.tensor(x), nns.tensor(np.broadcast_to([[[2.0]], [[-1.0]]], (2, 2, 6, 5)).copy()), 2).numpy()
    np.testing.assert_allclose(whole[:, :, 2:, :4], x[:, :, :4, 1:], atol=1e-12)
    assert not whole[:, :, :2].any() and not whole[..., 4].any(), "nothing comes in from outside"


def test_states_move_pictures_by_the_mean_of_sure_motions(film):
    """What the states tell is laid down: a step to the right where they are sure, nonsense where they are not."""
    nns.manual_seed(0)
    model = ConvLSTM(1, (4,), patch=2, reach=2).double()
    for part in (model.leave.weight, model.leave.bias, model.motion.weight):
        part.data[...] = 0
    down, right, sure = 0.0, np.arctanh(0.5), 20.0  # half of the reach
    model.motion.bias.data[:] = [down, right, sure]
    logits = model(film[:, :1]).detach().numpy()[:, 0]
    x = film.numpy()[:, 0]
    np.testing.assert_allclose(logits[..., 1:], (x[..., :-1] - 0.5) * 6, atol=1e-8)
    np.testing.assert_allclose(logits[..., 0], -3, atol=1e-8)
    model.motion.weight.data[2, 0] = -1e6  # sure or not by the sign of a state
    model.motion.weight.data[0, 0] = 1e6
    model.motion.bias.data[2] = 0
    with nns.no_grad():
        h = np.zeros((2, 4, 4, 6))
        h[:, 0, 1, 2:4] = 1.0  # two patches that are not sure would send all down
        carried = model._carried(film[:, 0], nns.tensor(h)).numpy()
    np.testing.assert_allclose(carried[..., 1:], x[..., :-1], atol=0.02)


def test_gradients_go_through_pictures_of_its_own_unless_cut(film):
    nns.manual_seed(0)
    model = ConvLSTM(1, (4,), patch=2, reach=2).double()
    for truncate, reaches in ((None, 2), (5, 0), (4, 0), (6, 2)):  # of the last logits into the film's first two pictures
        x = film.detach().requires_grad_()
        (g,) = nns.grad(model(x, truncate, seen=2)[:, -1].sum(), [x])
        touched = np.abs(g.numpy()).sum((0, 2, 3, 4)) > 0
        assert touched.tolist() == [True] * reaches + [False] * (6 - reaches)


def test_gradients_of_a_continued_film_agree_with_differences(film):
    nns.manual_seed(1)
    model = ConvLSTM(1, (3,), patch=2, reach=1).double()
    weight = model.motion.weight
    loss = lambda: (model(film[:1, :4], seen=2) * film[:1, 1:5]).sum()
    (g,) = nns.grad(loss(), [weight])
    for index in ((0, 1, 0, 0), (2, 2, 0, 0)):
        ends = []
        for step in (1e-5, -1e-5):
            weight.data[index] += step
            ends.append(loss().item())
            weight.data[index] -= step
        assert g.numpy()[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_rebuilding_and_wrong_films(film):
    model = model_for(film)
    old = {key: value for key, value in model.config.items() if key != "reach"}
    assert models.build("conv-lstm", old).config == model.config, "that of a run from before pictures were moved"
    again = models.build("conv-lstm", model.config).double()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(film).detach().numpy(), model(film).detach().numpy())
    with pytest.raises(ValueError, match=r"expected films \(N, T, 1, H, W\), got \(2, 6, 1, 8\)"):
        model(film[..., 0])
    with pytest.raises(ValueError, match="at least one picture"):
        model.predict(film, 0)
