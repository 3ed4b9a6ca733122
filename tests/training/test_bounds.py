"""Bounds on log p(x), held against a model whose log p(x) is known: linear decoder, Gaussian everything."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.models import VAE
from nnscratch.training.bounds import elbo, importance_bound

LATENT, SIGMA = 3, 0.7


def linear_gaussian(exact):
    """x = W z + b + sigma e, with the true posterior as encoder where `exact`, else one that is somewhat off."""
    rng = np.random.default_rng(0)
    model = VAE((1, 2, 4), hidden=(), latent=LATENT, likelihood="gaussian", sigma=SIGMA).double()
    w, b = rng.standard_normal((8, LATENT)), rng.standard_normal(8)
    precision = np.eye(LATENT) + w.T @ w / SIGMA**2
    w = w @ np.linalg.eigh(precision)[1]  # the posterior's covariance is then diagonal, as the encoder's is
    variance = 1 / (1 + (w**2).sum(0) / SIGMA**2)
    gain = variance[:, None] * w.T / SIGMA**2
    off = 0.0 if exact else 0.3
    values = {
        "decoder.0.weight": w,
        "decoder.0.bias": b,
        "mu.weight": gain,
        "mu.bias": -gain @ b + off,
        "logvar.weight": np.zeros((LATENT, 8)),
        "logvar.bias": np.log(variance) + off,
    }
    model.load_state_dict({name: nns.tensor(value) for name, value in values.items()})
    z = rng.standard_normal((40, LATENT))
    x = z @ w.T + b + SIGMA * rng.standard_normal((40, 8))
    covariance = w @ w.T + SIGMA**2 * np.eye(8)
    d = x - b
    log_p = -0.5 * (np.einsum("ni,ij,nj->n", d, np.linalg.inv(covariance), d) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    return model, nns.tensor(x.reshape(40, 1, 2, 4)), log_p


def test_with_the_true_posterior_every_bound_is_log_p():
    """log w = log p(x) for each single z, so not even the noise is left."""
    model, x, log_p = linear_gaussian(exact=True)
    for k in (1, 7):
        np.testing.assert_allclose(importance_bound(model, x, k, generator=nns.Generator(0)), log_p, rtol=1e-9)
    weights = model.log_weights(x, 5, nns.Generator(1)).detach().numpy()
    np.testing.assert_allclose(weights, np.repeat(log_p[:, None], 5, 1), rtol=1e-9)
    np.testing.assert_allclose(model.importance_loss(x, 3).item(), -log_p.mean(), rtol=1e-9)


def test_with_another_posterior_the_bound_rises_to_log_p():
    model, x, log_p = linear_gaussian(exact=False)
    means = [importance_bound(model, x, k, generator=nns.Generator(0)).mean() for k in (1, 4, 4000)]
    assert means[0] < means[1] - 0.05 < means[2] - 0.1
    assert abs(means[2] - log_p.mean()) < 0.02 < 0.2 < log_p.mean() - means[0]
    # What the ELBO lacks is KL(q || true posterior), here known: both are diagonal Gaussians.
    variance = np.exp(model.logvar.bias.detach().numpy() - 0.3)
    missing = 0.5 * (np.exp(0.3) - 1 - 0.3 + 0.3**2 / variance).sum()
    lower = elbo(model, x, 2000, generator=nns.Generator(1))
    np.testing.assert_allclose(lower.mean(), log_p.mean() - missing, atol=0.05)


@pytest.mark.parametrize(("k", "chunk"), [(1, 100), (10, 3), (10, 10_000), (64, 40)])
def test_chunks_make_no_difference(k, chunk):
    model, x, log_p = linear_gaussian(exact=True)
    got = importance_bound(model, x, k, chunk=chunk)
    assert got.dtype == np.float64 and got.shape == (40,)
    np.testing.assert_allclose(got, log_p, rtol=1e-9)


def test_one_sample_of_the_bound_is_the_elbo_with_its_noise():
    """L_1 = log p(x | z) + log p(z) - log q(z | x): from the densities themselves, written out."""
    nns.manual_seed(0)
    model = VAE((1, 4, 4), hidden=6, latent=2).double()
    x = nns.rand(5, 1, 4, 4, dtype=nns.float64)
    mu, logvar = (t.detach().numpy() for t in model.encode(x))
    eps = nns.randn(1, 5, 2, generator=nns.Generator(3), dtype=nns.float64).numpy()[0]
    z = mu + np.exp(logvar / 2) * eps

    def log_normal(v, m, lv):
        return (-0.5 * (np.log(2 * np.pi) + lv + (v - m) ** 2 / np.exp(lv))).sum(1)

    p = 1 / (1 + np.exp(-model.decode(nns.tensor(z)).detach().numpy()))
    pixels = x.numpy()
    likelihood = (pixels * np.log(p) + (1 - pixels) * np.log(1 - p)).sum((1, 2, 3))
    expected = likelihood + log_normal(z, 0, np.zeros_like(z)) - log_normal(z, mu, logvar)
    np.testing.assert_allclose(importance_bound(model, x, 1, generator=nns.Generator(3)), expected, rtol=1e-10)


def test_the_gradient_of_the_bound_weighs_its_samples():
    """d/dθ -log mean w = -sum softmax(log w) d log w: a sample of large weight counts for more."""
    nns.manual_seed(0)
    model = VAE((1, 4, 4), hidden=6, latent=2).double()
    x = nns.rand(3, 1, 4, 4, dtype=nns.float64)
    parameters = list(model.parameters())
    got = nns.grad(model.importance_loss(x, 4, nns.Generator(2)), parameters)
    weights = model.log_weights(x, 4, nns.Generator(2))
    share = np.exp(weights.detach().numpy())
    share /= share.sum(1, keepdims=True)
    expected = nns.grad(-(weights * nns.tensor(share)).sum() / 3, parameters)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_wrong_arguments():
    model, x, _ = linear_gaussian(exact=True)
    with pytest.raises(ValueError, match="k and chunk of at least 1, got 0"):
        importance_bound(model, x, 0)
    with pytest.raises(ValueError, match="at least one sample"):
        elbo(model, x, 0)


def test_they_are_among_the_metrics():
    assert nns.metrics.elbo is elbo and nns.metrics.importance_bound is importance_bound
