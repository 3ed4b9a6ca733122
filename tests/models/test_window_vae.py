"""The VAE with a window: its matrices against loops, and what each part of its code is told and does."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import WindowVAE
from nnscratch.models.window_vae import weights


def make(**options):
    nns.manual_seed(0)
    return WindowVAE((2, 12, 8), 5, hidden=7, window=4, **options).double().eval()


def images(n=2, seed=0):
    return nns.tensor(np.random.default_rng(seed).random((n, 2, 12, 8)))


def interpolated(line, place):
    """The value of a line of numbers between two of them, 0 outside."""
    k = int(np.floor(place))
    at = lambda i: line[i] if 0 <= i < len(line) else 0.0
    return at(k) * (1 - (place - k)) + at(k + 1) * (place - k)


@pytest.mark.parametrize(("centre", "half"), [(0.0, 1.0), (0.3, 0.4), (-0.9, 0.7), (0.1, 2.5)])
def test_the_matrices_interpolate(centre, half):
    """Against a loop that maps coordinates from the middle of a pixel to the middle of a cell."""
    pixels, cells = 9, 4
    draw, read = (m.numpy()[0] for m in weights(nns.tensor([centre]).double(), nns.tensor([half]).double(), pixels, cells))
    rng = np.random.default_rng(0)
    patch, line = rng.random(cells), rng.random(pixels)
    drawn = [interpolated(patch, (((2 * i + 1) / pixels - 1 - centre) / half + 1) / 2 * cells - 0.5) for i in range(pixels)]
    seen = [interpolated(line, ((centre + half * ((2 * j + 1) / cells - 1)) + 1) / 2 * pixels - 0.5) for j in range(cells)]
    np.testing.assert_allclose(draw @ patch, drawn, atol=1e-6)
    np.testing.assert_allclose(read @ line, seen, atol=1e-6)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_shapes_and_rebuilding(classes, likelihood):
    model, labels = make(classes=classes, likelihood=likelihood, reader=classes > 0), [1, 2] if classes else None
    mu, logvar = model.encode(images(), labels)
    assert mu.shape == logvar.shape == (2, model.latent) == (2, 5)
    assert model.reconstruct(images(), labels).shape == (2, 2, 12, 8)
    assert model.sample(2, labels=labels).shape == (2, 2, 12, 8)
    again = models.build("window-vae", model.config).double().eval()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again.encode(images(), labels)[0].detach().numpy(), mu.detach().numpy())


def test_the_loss_is_the_bound_of_every_vae():
    model, x = make(classes=3), images()
    total, reconstruction, kl = (t.item() for t in model.loss(x, nns.Generator(1), labels=[0, 2], beta=0.3))
    f, mu, logvar = (t.detach().numpy() for t in model(x, nns.Generator(1), labels=[0, 2]))
    p, x = 1 / (1 + np.exp(-f)), x.numpy()
    assert reconstruction == pytest.approx(-(x * np.log(p) + (1 - x) * np.log(1 - p)).sum() / 2)
    assert kl == pytest.approx(-0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum() / 2)
    assert total == pytest.approx(reconstruction + 0.3 * kl)


def test_the_first_numbers_of_the_code_move_the_picture():
    """By a pixel, which is 2 / pixels in halves of the picture; the window is small enough to stay inside."""
    model, z = make(), np.zeros((3, 5))
    z[:, 2] = -4  # a small window
    z[1, 0], z[2, 1] = 2 / 8 / 0.4, 2 / 12 / 0.4
    with nns.no_grad():
        still, right, down = model.decode(nns.tensor(z)).numpy() - model.background.detach().numpy()
    assert np.abs(still).max() > 0.01
    np.testing.assert_allclose(right[:, :, 1:], still[:, :, :-1], atol=1e-6)
    np.testing.assert_allclose(down[:, 1:], still[:, :-1], atol=1e-6)


def test_what_the_window_does_not_show_is_not_in_the_rest_of_the_code():
    model, x = make(), images(1)
    with nns.no_grad():
        model.usual_place[1] = 0  # the same place for every image: the middle, where the window covers less than 3/4
        other = x.numpy().copy()
        other[:, :, 0], other[:, :, :, 0] = 0.0, 0.0
        a, b = (model.encode(i)[0].numpy() for i in (x, nns.tensor(other)))
    assert np.abs(a[:, :3] - b[:, :3]).max() > 1e-3  # what finds it sees everything
    np.testing.assert_allclose(a[:, 3:], b[:, 3:], atol=1e-12)


@pytest.mark.parametrize("wrong", [{"latent": 3}, {"window": 1}, {"hidden": 0}, {"likelihood": "laplace"}, {"sigma": 0.0}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match="WindowVAE: expected likelihood bernoulli or gaussian, latent > 3"):
        WindowVAE((1, 8, 8), **wrong)
    with pytest.raises(ValueError, match="WindowVAE: the sides must be even, got 7x8"):
        WindowVAE((1, 7, 8))


def test_gradients_reach_everything():
    """Place, window and contents, and they agree with differences in a random direction."""
    model, x = make(classes=2), images()
    loss = lambda: model.loss(x, nns.Generator(0), labels=[0, 1])[0]
    loss().backward()
    rng = np.random.default_rng(1)
    for name, p in model.named_parameters():
        assert p.grad is not None and np.abs(p.grad.numpy()).max() > 0, name
        d, kept = rng.standard_normal(p.shape), p.data.copy()
        ends = []
        for step in (1e-6, -1e-6):
            p.data[...] = kept + step * d
            ends.append(loss().item())
        p.data[...] = kept
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx((p.grad.numpy() * d).sum(), rel=1e-4, abs=1e-5), name
