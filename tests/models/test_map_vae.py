"""The VAE with a code map: shapes, the formulas it shares, and that its code is local."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import MapVAE


def make(**options):
    nns.manual_seed(0)
    return MapVAE((3, 16, 12), 2, widths=(4, 5), **options).double().eval()


def images(n=2, seed=0):
    return nns.tensor(np.random.default_rng(seed).random((n, 3, 16, 12)))


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_shapes_and_rebuilding(classes, likelihood):
    model, labels = make(classes=classes, likelihood=likelihood), [1, 2] if classes else None
    mu, logvar = model.encode(images(), labels)
    assert mu.shape == logvar.shape == (2, model.latent) == (2, 2 * 4 * 3)
    assert model.reconstruct(images(), labels).shape == (2, 3, 16, 12)
    assert model.sample(2, labels=labels).shape == (2, 3, 16, 12)
    again = models.build("map-vae", model.config).double().eval()
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


def test_a_code_is_told_by_the_patch_where_it_is():
    model, x = make(), images(1)
    other = x.numpy().copy()
    other[:, :, :4, :4] = 0.5  # the upper left corner
    change = np.abs(model.encode(x)[0].detach().numpy() - model.encode(nns.tensor(other))[0].detach().numpy()).reshape(2, 4, 3)
    assert (change[:, 0, 0] > 0).any() and (change[:, 2:] == 0).all() and (change[:, :, 2] == 0).all()
    z = np.zeros((2, model.latent))
    z[1].reshape(2, 4, 3)[:, 0, 0] = 1
    drawn = model.means(nns.tensor(z)).detach().numpy()
    moved = np.abs(drawn[0] - drawn[1]).max(0)
    assert moved[:4, :4].max() > 0 and (moved[12:] == 0).all()


def test_labels_and_sizes_are_asked_for():
    with pytest.raises(ValueError, match="conditional on 3 classes; give labels"):
        make(classes=3).encode(images())
    with pytest.raises(ValueError, match="multiples of 4, got 16x10"):
        MapVAE((3, 16, 10))
    with pytest.raises(ValueError, match="got 'poisson', 4, 0 and 0.1"):
        MapVAE(likelihood="poisson")
