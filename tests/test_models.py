"""The CNN and the VAE: shapes, costs, formulas, and being rebuilt from their configuration."""

import math

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import CNN, VAE
from nnscratch.nn import summary

CASES = [
    ("cnn", {}, (2, 1, 28, 28), (2, 10)),
    ("cnn", {"in_channels": 1, "image_size": 8}, (2, 1, 8, 8), (2, 10)),
    ("cnn", {"in_channels": 3, "image_size": 32, "preset": "large"}, (1, 3, 32, 32), (1, 10)),
    ("cnn", {"in_channels": 3, "image_size": (64, 48), "classes": 7, "preset": "medium"}, (1, 3, 64, 48), (1, 7)),
    ("cnn", {"channels": [4, 5], "pools": 1, "hidden": 6, "dropout": 0.0}, (3, 1, 28, 28), (3, 10)),
]


@pytest.mark.parametrize(("name", "config", "given", "expected"), CASES)
def test_cnn_shapes_and_rebuilding(name, config, given, expected):
    model = models.build(name, config).eval()
    x = nns.tensor(np.random.default_rng(0).random(given).astype(np.float32))
    assert model(x).shape == expected
    again = models.build(name, model.config).eval()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(x).detach().numpy(), model(x).detach().numpy())


def test_cnn_presets_are_those_of_the_articles():
    def convs(model):
        return [tuple(p.shape[:2]) for name, p in model.named_parameters() if name.startswith("features") and p.ndim == 4]

    assert convs(CNN(3, 28)) == [(32, 3), (64, 32), (64, 64)]
    assert convs(CNN(3, 64, preset="medium")) == [(32, 3), (64, 32), (128, 64)]
    assert convs(CNN(3, 32, preset="large")) == [(64, 3), (128, 64), (256, 128)]
    assert CNN(3, 64, preset="medium").classifier[2].weight.shape[0] == 1024
    assert CNN(3, 32, preset="large").classifier[2].weight.shape[0] == 1000


def test_cnn_multiply_adds():
    by_hand = 28 * 28 * 32 * 9 + 14 * 14 * 64 * 32 * 9 + 7 * 7 * 64 * 64 * 9 + 7 * 7 * 64 * 128 + 128 * 10
    assert summary(CNN(), (1, 1, 28, 28)).mult_adds == by_hand == 6_047_488


def test_vae_dimensions():
    model = VAE()
    x = nns.tensor(np.random.default_rng(0).random((3, 1, 28, 28)).astype(np.float32))
    logits, mu, logvar = model(x)
    assert (logits.shape, mu.shape, logvar.shape) == ((3, 1, 28, 28), (3, 20), (3, 20))
    assert sum(p.numel() for p in model.parameters()) == 785 * 400 + 2 * 401 * 20 + 21 * 400 + 401 * 784
    assert model.reconstruct(x).shape == (3, 1, 28, 28)
    assert model.sample(5).shape == (5, 1, 28, 28)
    assert models.build("vae", model.config).config == model.config


def test_vae_loss_is_the_sum_over_pixels_and_latents():
    model = VAE((1, 3, 2), hidden=7, latent=4).double()
    x = np.random.default_rng(0).random((5, 1, 3, 2))
    total, reconstruction, kl = (t.item() for t in model.loss(nns.tensor(x), nns.Generator(1)))
    logits, mu, logvar = (t.detach().numpy() for t in model(nns.tensor(x), nns.Generator(1)))
    bce = divergence = 0.0
    for n in range(5):
        for value, logit in zip(x[n].ravel(), logits[n].ravel()):
            p = 1 / (1 + math.exp(-logit))
            bce -= value * math.log(p) + (1 - value) * math.log(1 - p)
        for m, v in zip(mu[n], logvar[n]):
            divergence -= 0.5 * (1 + v - m * m - math.exp(v))
    assert reconstruction == pytest.approx(bce / 5, rel=1e-10)
    assert kl == pytest.approx(divergence / 5, rel=1e-10)
    assert total == pytest.approx(reconstruction + kl, rel=1e-12)


def test_vae_noise_has_the_standard_deviation_exp_half_logvar():
    model = VAE((1, 2, 2), hidden=3, latent=2)
    mu, logvar = nns.tensor(np.zeros((20_000, 2))), nns.tensor(np.tile([math.log(4.0), math.log(0.25)], (20_000, 1)))
    z = model.reparameterize(mu, logvar, nns.Generator(0)).numpy()
    np.testing.assert_allclose(z.std(0), [2.0, 0.5], rtol=0.03)


def test_vae_takes_flat_images_and_repeats_with_a_seed():
    model = VAE((1, 4, 4), hidden=5, latent=2)
    x = np.random.default_rng(0).random((3, 1, 4, 4)).astype(np.float32)
    a = model.loss(nns.tensor(x), nns.Generator(7))[0].item()
    assert model.loss(nns.tensor(x.reshape(3, 16)), nns.Generator(7))[0].item() == a
    assert model.loss(nns.tensor(x), nns.Generator(8))[0].item() != a
    samples = [model.sample(2, nns.Generator(1)).detach().numpy() for _ in range(2)]
    np.testing.assert_array_equal(*samples)


def test_wrong_arguments():
    for call, message in [
        (lambda: models.build("gru", {}), "unknown model 'gru': expected one of autoencoder, cnn, "),
        (lambda: models.build("vae", {"depth": 3}), "depth"),
        (lambda: CNN(preset="huge"), "unknown preset 'huge'"),
        (lambda: CNN(image_size=3), "at least 4 pixels, got 3x3"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
