"""Penalties on the discriminator's gradient: closed forms, the right axes, second derivatives; and DiffAugment."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.models import DCGAN, WGANGP
from nnscratch.training.diffaugment import POLICIES, diff_augment
from nnscratch.training.penalties import gradient_penalty, mixes_images, r1_penalty, squared_gradient_norms


def images(*shape, seed=0):
    return nns.tensor(np.random.default_rng(seed).standard_normal(shape))


def test_the_norm_is_that_of_each_image_over_all_its_axes():
    """D(x) = a/2 |x|² has the gradient a x. A norm over other axes, or over the batch, would be another number."""
    a, x = 0.7, images(5, 3, 4, 6)
    norms = squared_gradient_norms(lambda x: 0.5 * a * (x * x).reshape(5, -1).sum(1), x)
    np.testing.assert_allclose(norms.detach().numpy(), [a * a * sum(v * v for v in image.ravel()) for image in x.numpy()])


def test_r1_is_half_the_mean_square_at_real_images():
    x = images(4, 2, 3, 3)
    w = images(2, 3, 3, seed=1)
    penalty = r1_penalty(lambda x: (x * x * w).reshape(4, -1).sum(1), x).item()
    assert penalty == pytest.approx(0.5 * np.mean([np.sum((2 * v * w.numpy()) ** 2) for v in x.numpy()]))


def test_gradient_penalty_is_taken_between_real_and_generated():
    real, fake = images(6, 1, 3, 3), images(6, 1, 3, 3, seed=1)
    seen = []

    def score(x):
        seen.append(x.detach().numpy())
        return 0.5 * (x * x).reshape(6, -1).sum(1)

    penalty = gradient_penalty(score, real, fake).item()
    (between,) = seen
    assert penalty == pytest.approx(np.mean([(np.linalg.norm(v) - 1) ** 2 for v in between]))
    shares = (between - fake.numpy()) / (real.numpy() - fake.numpy())
    per_image = shares.reshape(6, -1)
    np.testing.assert_allclose(per_image, np.broadcast_to(per_image[:, :1], per_image.shape), err_msg="one share an image")
    assert len(np.unique(per_image[:, 0].round(6))) == 6 and 0 < per_image.min() < per_image.max() < 1
    with pytest.raises(ValueError, match="of one shape"):
        gradient_penalty(score, real, fake[:3])


def test_a_linear_critic_and_a_flat_one():
    w = images(1, 8)
    x = images(3, 1, 2, 4)
    assert gradient_penalty(lambda x: x.reshape(3, 8) @ w.T, x, x).item() == pytest.approx((np.linalg.norm(w.numpy()) - 1) ** 2)
    flat = nns.tensor(np.zeros((8, 1)), requires_grad=True)
    penalty = gradient_penalty(lambda x: x.reshape(3, 8) @ flat, x, x)
    penalty.backward()
    assert penalty.item() == pytest.approx(1, abs=1e-5) and np.isfinite(flat.grad.numpy()).all()


@pytest.mark.parametrize("penalty", ["r1", "gp"])
def test_its_gradient_by_the_weights_is_a_second_derivative(penalty):
    """Central differences of the penalty itself, through convolutions, layer norm and LeakyReLU."""
    nns.manual_seed(0)
    model = WGANGP((1, 16, 16), latent=4, width=3).double()
    real, fake = images(4, 1, 16, 16), images(4, 1, 16, 16, seed=1)
    weights = list(model.discriminator.parameters())

    def value():
        if penalty == "r1":
            return r1_penalty(model, real)
        return gradient_penalty(model, real, fake, nns.Generator(3))

    value().backward()
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(w.shape) for w in weights]
    along = sum(float((w.grad.numpy() * d).sum()) for w, d in zip(weights, directions) if w.grad is not None)
    ends = []
    for eps in (1e-6, -2e-6):
        for w, d in zip(weights, directions):
            w.data[...] += eps * d
        ends.append(value().item())
    assert along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)
    assert abs(along) > 1e-6


def test_the_penalty_pulls_the_slope_to_one():
    nns.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Flatten(0))
    optimizer = optim.Adam(critic.parameters(), lr=5e-3)
    real, fake = (images(64, 1, 4, 4, seed=s).float() for s in (0, 1))
    start = gradient_penalty(critic, real, fake, nns.Generator(0)).item()
    for _ in range(60):
        loss = gradient_penalty(critic, real, fake)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert gradient_penalty(critic, real, fake, nns.Generator(0)).item() < 0.05 * start


def test_batch_norm_is_found():
    assert mixes_images(DCGAN((1, 28, 28), width=4).discriminator) == ["3", "6"]
    for size in (8, 16, 28, 32, 64):
        assert mixes_images(WGANGP((3, size, size), width=2).discriminator) == []
    assert mixes_images(DCGAN((1, 28, 28), width=4, spectral_norm=True).discriminator) == []


# ----------------------------------------------------------------------------------------------------------- DiffAugment


def test_translation_moves_each_image_and_zeros_come_in():
    x = images(40, 2, 8, 6)
    y = diff_augment(x, ["translation"], generator=nns.Generator(0)).numpy()
    found = set()
    for before, after in zip(x.numpy(), y):
        matches = []
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                moved = np.zeros_like(before)
                for i in range(8):
                    for j in range(6):
                        if 0 <= i - down < 8 and 0 <= j - right < 6:
                            moved[:, i, j] = before[:, i - down, j - right]
                if np.array_equal(moved, after):
                    matches.append((down, right))
        assert len(matches) == 1, "by at most an eighth of the side, rounded"
        found |= set(matches)
    assert len(found) == 9


def test_cutout_removes_half_a_side_squared():
    x = nns.ones(200, 3, 8, 8)
    holes = 1 - diff_augment(x, ["cutout"], generator=nns.Generator(0)).numpy()
    assert (holes == holes[:, :1]).all(), "the same in all channels"
    full = 0
    for hole in holes[:, 0]:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns) and 0 <= max(len(rows), len(columns)) <= 4
        assert (np.diff(rows) == 1).all() and (np.diff(columns) == 1).all()
        full += hole.sum() == 16
    assert 0.25 < full / 200 < 0.6, "5 of 9 places in each direction lie wholly inside"


@pytest.mark.parametrize("channels", [1, 3])
def test_color_keeps_the_picture_up_to_level_and_strength(channels):
    x = images(300, channels, 4, 4)
    y = diff_augment(x, ["color"], generator=nns.Generator(0)).numpy()
    grey, new = x.numpy().mean(1), y.mean(1)
    centred = [v - v.mean((1, 2), keepdims=True) for v in (grey, new)]
    contrast = (centred[0] * centred[1]).sum((1, 2)) / (centred[0] ** 2).sum((1, 2))
    np.testing.assert_allclose(centred[1], contrast[:, None, None] * centred[0], atol=1e-12)
    brightness = new.mean((1, 2)) - grey.mean((1, 2))
    for value, low, high in ((contrast, 0.5, 1.5), (brightness, -0.5, 0.5)):
        assert low <= value.min() < low + 0.1 and high - 0.1 < value.max() <= high
    if channels == 3:
        colours = [v - v.mean(1, keepdims=True) for v in (x.numpy(), y)]
        saturation = (colours[0] * colours[1]).sum((1, 2, 3)) / (colours[0] ** 2).sum((1, 2, 3)) / contrast
        assert 0 <= saturation.min() < 0.1 and 1.9 < saturation.max() <= 2


def test_gradients_pass_through_and_equal_draws_give_equal_changes():
    x = images(3, 2, 6, 6).requires_grad_()
    policy = list(POLICIES)
    weights = images(3, 2, 6, 6, seed=2)
    (g,) = nns.grad((diff_augment(x, policy, generator=nns.Generator(5)) * weights).sum(), [x])
    direction, eps = np.random.default_rng(3).standard_normal(x.shape), 1e-6
    ends = [
        (diff_augment(nns.tensor(x.detach().numpy() + e * direction), policy, generator=nns.Generator(5)) * weights).sum().item()
        for e in (eps, -eps)
    ]
    assert (g.numpy() * direction).sum() == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-6)
    a, b = (diff_augment(x.detach(), policy, generator=nns.Generator(1)).numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="unknown part 'colour' of the policy, expected some of color, translation, cutout"):
        diff_augment(x, ["colour"])
