"""The VAE's other forms, and the mistakes that are often made in one."""

import math

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import VAE


def images(n, *shape, seed=0):
    return nns.tensor(np.random.default_rng(seed).random((n, *shape)).astype(np.float32))


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"architecture": "conv", "hidden": 16, "latent": 5}, (1, 28, 28)),
        ({"architecture": "conv", "hidden": (24, 16), "latent": 3, "likelihood": "gaussian"}, (3, 32, 36)),
        ({"hidden": (20, 15), "latent": 4, "classes": 3}, (3, 8, 8)),
        ({"hidden": (), "latent": 2}, (1, 4, 4)),
    ],
)
def test_forms_and_rebuilding(config, shape):
    model = VAE(shape, **config)
    x, labels = images(4, *shape), [0, 1, 2, 1] if config.get("classes") else None
    f, mu, logvar = model(x, labels=labels)
    assert f.shape == (4, *shape) and mu.shape == logvar.shape == (4, config["latent"])
    assert model.sample(3, labels=[0, 1, 2] if labels else None).shape == (3, *shape)
    again = models.build("vae", model.config)
    again.load_state_dict(model.state_dict())
    a, b = (m.loss(x, nns.Generator(1), labels=labels)[0].item() for m in (model, again))
    assert a == b


def test_two_dense_layers_and_the_same_backwards():
    model = VAE((3, 8, 8), hidden=(40, 30), latent=2)  # the article's 12288-4096-4096-z, smaller
    widths = [tuple(p.shape) for name, p in model.named_parameters() if name.endswith("weight")]
    assert widths == [(40, 192), (30, 40), (30, 2), (40, 30), (192, 40), (2, 30), (2, 30)]


def test_gaussian_likelihood_is_the_density():
    model = VAE((1, 2, 3), hidden=4, latent=2, likelihood="gaussian", sigma=0.3).double()
    rng = np.random.default_rng(0)
    f, x = rng.standard_normal((2, 5, 1, 2, 3))
    expected = (-0.5 * ((x - f) / 0.3) ** 2 - np.log(0.3 * np.sqrt(2 * np.pi))).sum((1, 2, 3))
    np.testing.assert_allclose(model.log_likelihood(nns.tensor(f), nns.tensor(x)).numpy(), expected, rtol=1e-12)
    assert model.means(nns.zeros(2, 2, dtype=nns.float64)).detach().numpy().min() < 0, "means, not probabilities"


def test_kl_is_summed_over_latents_and_averaged_over_images_not_pixels():
    """Twice the latents, twice the KL; as many images or pixels as you like, the same."""
    for latent in (4, 8):
        for shape, n in (((1, 2, 2), 3), ((1, 8, 8), 50)):
            model = VAE(shape, hidden=5, latent=latent).double()
            for head, value in ((model.mu, 1.5), (model.logvar, math.log(0.5))):
                head.weight.data[...] = 0
                head.bias.data[...] = value
            _, _, kl = model.loss(images(n, *shape).double())
            one = 0.5 * (1.5**2 + 0.5 - 1 - math.log(0.5))
            assert kl.item() == pytest.approx(latent * one, rel=1e-10)


def test_reconstruction_is_summed_over_pixels():
    """Without knowledge (logits 0) each pixel costs log 2, however many there are."""
    for shape in ((1, 2, 2), (3, 8, 8)):
        model = VAE(shape, hidden=5, latent=2)
        model.decoder[-1].weight.data[...] = 0
        model.decoder[-1].bias.data[...] = 0
        assert model.loss(images(6, *shape))[1].item() == pytest.approx(math.prod(shape) * math.log(2), rel=1e-5)


def test_samples_of_z_have_the_standard_deviation_exp_half_logvar():
    """In the bound's own sampling as well: log w has the noise of z with variance exp(logvar), not exp(2 logvar)."""
    model = VAE((1, 1, 1), hidden=(), latent=1, likelihood="gaussian").double()
    for p in model.parameters():
        p.data[...] = 0
    model.logvar.bias.data[...] = math.log(4.0)
    weights = model.log_weights(nns.zeros(1, 1, 1, 1, dtype=nns.float64), 40_000, nns.Generator(0)).detach().numpy()
    # log p(z) - log q(z) = (eps² + log 4 - 4 eps²) / 2 has the mean (log 4 - 3) / 2; log p(x | z) is a constant here.
    constant = -math.log(0.1 * math.sqrt(2 * math.pi))
    assert weights.mean() - constant == pytest.approx((math.log(4) - 3) / 2, abs=0.03)


def test_beta_and_free_bits():
    model = VAE((1, 4, 4), hidden=5, latent=3).double()
    x = images(6, 1, 4, 4).double()
    _, mu, logvar = model(x)
    per_latent = model.kl_per_latent(mu, logvar).detach().numpy()
    by_hand = 0.5 * (mu.detach().numpy() ** 2 + np.exp(logvar.detach().numpy()) - 1 - logvar.detach().numpy()).mean(0)
    np.testing.assert_allclose(per_latent, by_hand, rtol=1e-12)
    free = float(np.median(per_latent))
    for beta, bits in ((1, 0), (4, 0), (0, 0), (1, free), (0.5, free)):
        total, reconstruction, kl = (t.item() for t in model.loss(x, nns.Generator(0), beta=beta, free_bits=bits))
        assert kl == pytest.approx(per_latent.sum(), rel=1e-10)
        assert total == pytest.approx(reconstruction + beta * np.maximum(per_latent, bits).sum(), rel=1e-10)
    model.zero_grad()
    model.loss(x, nns.Generator(0), free_bits=1e3)[0].backward()
    free_only = model.logvar.bias.grad.numpy().copy()
    model.zero_grad()
    model.loss(x, nns.Generator(0), beta=0)[0].backward()
    np.testing.assert_allclose(free_only, model.logvar.bias.grad.numpy(), rtol=1e-9, atol=1e-15)


def test_the_label_is_heard():
    model = VAE((1, 4, 4), hidden=5, latent=2, classes=3)
    x = images(2, 1, 4, 4)
    a, b = (model.loss(x, nns.Generator(0), labels=labels)[0].item() for labels in ([0, 1], [2, 1]))
    assert a != b
    z = nns.zeros(1, 2)
    assert (model.means(z, [0]).detach().numpy() != model.means(z, [1]).detach().numpy()).any()
    with pytest.raises(ValueError, match="conditional on 3 classes"):
        model.loss(x)


def test_wrong_arguments():
    for config, message in [
        ({"architecture": "deep"}, "unknown architecture 'deep', expected one of dense, conv"),
        ({"likelihood": "poisson"}, "unknown likelihood 'poisson'"),
        ({"latent": 0}, "latent >= 1"),
        ({"sigma": 0.0}, "sigma > 0"),
        ({"architecture": "conv", "image_shape": (1, 30, 28)}, "multiples of 4 and a hidden layer, got 30x28"),
    ]:
        with pytest.raises(ValueError, match=message):
            VAE(**config)
