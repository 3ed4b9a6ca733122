"""DP-SGD: per-sample gradients by hand, the noise's size, and the accountant against literature and another formula."""

import math

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.data import DataLoader, TensorDataset
from nnscratch.nn import functional as F
from nnscratch.training import Progress, Trainer
from nnscratch.training.privacy import PoissonSampler, PrivateLoss, epsilon, renyi_divergence


def loss(model, batch):
    x, y = batch
    return F.cross_entropy(model(x), y), {"largest": x.max().item()}


@pytest.fixture
def problem():
    nns.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    rng = np.random.default_rng(1)
    x = rng.standard_normal((7, 4)) * np.array([0.1, 0.3, 1, 1, 3, 5, 9])[:, None]
    return model, (nns.tensor(x), nns.tensor(rng.integers(0, 3, 7)))


def by_hand(model, batch, clip):
    """Clipped gradients of the two layers from the outer products, without autograd."""
    (w1, b1, w2, b2), (x, y) = [p.detach().numpy() for p in model.parameters()], [t.numpy() for t in batch]
    total = [np.zeros_like(p) for p in (w1, b1, w2, b2)]
    norms = []
    for v, label in zip(x, y):
        h = np.tanh(w1 @ v + b1)
        scores = w2 @ h + b2
        g = np.exp(scores - scores.max())
        g = g / g.sum() - np.eye(3)[label]
        back = (w2.T @ g) * (1 - h * h)
        grads = [np.outer(back, v), back, np.outer(g, h), g]
        norms.append(math.sqrt(sum((a * a).sum() for a in grads)))
        for t, a in zip(total, grads):
            t += a * min(1.0, clip / norms[-1])
    return total, norms


def test_samples_are_clipped_one_by_one(problem):
    model, batch = problem
    expected, norms = by_hand(model, batch, 1.22)
    assert min(norms) < 1.22 < max(norms), "the problem should have gradients on both sides of the limit"
    private = PrivateLoss(model, loss, clip=1.22, noise=0.0, batch_size=5)
    value, numbers = private(model, batch)
    value.backward()
    for p, e in zip(model.parameters(), expected):
        np.testing.assert_allclose(p.grad.numpy(), e / 5, rtol=1e-10, atol=1e-14)
    assert value.item() == pytest.approx(loss(model, batch)[0].item())
    assert numbers == {"largest": pytest.approx(np.mean([v.max() for v in batch[0].numpy()]))}


def test_the_noise_has_its_size_and_no_sample_can_do_more_than_the_clip(problem):
    model, (x, y) = problem
    private = PrivateLoss(model, loss, clip=0.5, noise=3.0, batch_size=4)
    draws = []
    for _ in range(300):
        model.zero_grad()
        private(model, (x[:0], y[:0]))[0].backward()  # a batch without samples is noise alone
        draws.append(np.concatenate([p.grad.numpy().ravel() for p in model.parameters()]))
    draws = np.array(draws)
    assert draws.std() == pytest.approx(3.0 * 0.5 / 4, rel=0.02)
    assert abs(draws.mean()) < 4 * 0.375 / math.sqrt(draws.size)
    quiet = PrivateLoss(model, loss, clip=0.5, noise=0.0, batch_size=1)
    parameters = list(model.parameters())
    with_all = quiet.clipped(model, parameters, (x, y))[0]
    without = quiet.clipped(model, parameters, (x[:-1], y[:-1]))[0]
    moved = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(with_all, without)))
    assert moved <= 0.5 * (1 + 1e-9)


def test_batch_norm_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(ValueError, match="1 is batch norm"):
        PrivateLoss(model, loss, 1.0, 1.0, 8)
    with pytest.raises(ValueError, match="clip > 0"):
        PrivateLoss(nn.Linear(1, 1), loss, 0.0, 1.0, 8)


def test_poisson_batches():
    sampler = PoissonSampler(1000, 50)
    loader = DataLoader(TensorDataset(np.arange(1000)), batch_sampler=sampler, seed=0)
    batches = [batch[0].numpy() for _ in range(20) for batch in loader]
    assert len(batches) == 20 * 20
    sizes = np.array([len(b) for b in batches])
    assert sizes.mean() == pytest.approx(50, abs=1.5) and sizes.var() == pytest.approx(1000 * 0.05 * 0.95, rel=0.25)
    assert all(len(set(b)) == len(b) for b in batches)
    counts = np.bincount(np.concatenate(batches), minlength=1000)
    assert counts.var() == pytest.approx(400 * 0.05 * 0.95, rel=0.25), "each sample is drawn independently each time"
    with pytest.raises(ValueError, match="from 16 to the 1000 samples, got 8"):
        PoissonSampler(1000, 8)


@pytest.mark.parametrize("order", [2, 3, 5, 17, 64])
@pytest.mark.parametrize(("rate", "noise"), [(0.01, 1.1), (0.2, 4.0), (0.004, 0.6), (0.9, 2.0)])
def test_the_divergence_of_whole_orders_is_a_binomial_sum(rate, noise, order):
    """Mironov et al. 2019, section 3.3: sum_k C(a, k) (1 - q)^(a - k) q^k exp((k² - k) / (2 s²))."""
    terms = [
        math.log(math.comb(order, k)) + (order - k) * math.log1p(-rate) + k * math.log(rate) + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]
    expected = np.logaddexp.reduce(terms) / (order - 1)
    assert renyi_divergence(rate, noise, order) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_divergence_without_sampling_is_that_of_two_gaussians():
    for order in (1.5, 2, 7.25):
        assert renyi_divergence(1.0, 1.3, order) == pytest.approx(order / (2 * 1.3**2))
        near = renyi_divergence(1 - 1e-9, 1.3, order)
        assert near == pytest.approx(order / (2 * 1.3**2), rel=1e-6)
    between = [renyi_divergence(0.01, 1.0, a) for a in (2, 2.5, 3)]
    assert between[0] < between[1] < between[2]
    assert renyi_divergence(0.0, 1.0, 2) == 0 and renyi_divergence(0.1, 0.0, 2) == math.inf


@pytest.mark.parametrize(
    ("noise", "batch", "epochs", "expected"),
    [(1.3, 250, 15, 1.18), (1.3, 256, 15, 1.19), (1.1, 256, 60, 3.01), (0.7, 256, 45, 7.10)],
)
def test_epsilon_of_well_known_trainings(noise, batch, epochs, expected):
    """MNIST, 60,000 images, delta 1e-5: the values in the tutorial and the README of TensorFlow Privacy."""
    assert epsilon(batch / 60_000, noise, int(epochs * 60_000 / batch), 1e-5) == pytest.approx(expected, abs=0.006)


def test_epsilon_grows_with_steps_and_falls_with_noise():
    assert epsilon(0.01, 1.0, 0, 1e-5) == 0
    values = [epsilon(0.01, 1.0, steps, 1e-5) for steps in (1, 100, 1000)]
    assert values == sorted(values) and values[0] > 0
    assert epsilon(0.01, 2.0, 1000, 1e-5) < values[-1] < epsilon(0.01, 0.8, 1000, 1e-5)
    for wrong in ((0.1, 1.0, 1, 0.0), (0.1, 1.0, 1, 1.0), (1.5, 1.0, 1, 1e-5)):
        with pytest.raises(ValueError, match="expected|epsilon"):
            epsilon(*wrong)


def test_a_private_training_learns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    x = (rng.standard_normal((400, 5)) + 2 * y[:, None]).astype(np.float32)
    nns.manual_seed(0)
    model = nn.Linear(5, 2)
    loader = DataLoader(TensorDataset(x, y), batch_sampler=PoissonSampler(400, 64), seed=0)
    private = PrivateLoss(model, loss, 1.0, 1.0, 64)
    trainer = Trainer(model, private, optim.SGD(model.parameters(), 0.5), loader, epochs=4, progress=Progress(quiet=True))
    trainer.fit()
    assert (model(nns.tensor(x)).detach().numpy().argmax(1) == y).mean() > 0.9
