"""Latent codes: searched for, interpolated, moved; with models simple enough that the right answer is known."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.editing import attribute, latents
from nnscratch.editing.interpolate import interpolate, linear, path, spherical


class LinearGenerator(nn.Module):
    """G(z) = W z + b as images (N, 1, 3, 4); no encoder."""

    def __init__(self, latent=5):
        super().__init__()
        rng = np.random.default_rng(0)
        self.latent, self.image_shape = latent, (1, 3, 4)
        self.weight = nn.Parameter(nns.tensor(rng.standard_normal((12, latent)) * 0.1))
        self.bias = nn.Parameter(nns.tensor(np.full(12, 0.5)))

    def noise(self, n, generator=None):
        return nns.randn(n, self.latent, generator=generator)

    def decode(self, z):
        return (z @ self.weight.transpose(0, 1) + self.bias).reshape(-1, 1, 3, 4)


@pytest.mark.parametrize("masked", [False, True])
def test_project_finds_the_least_squares_code(masked):
    model, rng = LinearGenerator(), np.random.default_rng(1)
    images = rng.random((3, 1, 3, 4))
    known = rng.random((3, 1, 3, 4)) < 0.7 if masked else None
    found = latents.project(model, images, known, steps=400, starts=2, prior=1e-2)
    for n in range(3):
        seen = np.ones(12, bool) if known is None else known[n].reshape(-1)
        w, target = model.weight.detach().numpy()[seen], images[n].reshape(-1)[seen] - 0.5
        best = np.linalg.solve(w.T @ w / seen.sum() + 1e-2 / 5 * np.eye(5), w.T @ target / seen.sum())
        np.testing.assert_allclose(found[n], best, atol=2e-3)
    with pytest.raises(ValueError, match="without known pixels"):
        latents.project(model, images, np.zeros((3, 1, 3, 4), bool))


def test_project_prefers_the_best_of_its_starts():
    """G(z) = sin(3 z) / 2 + 1/2 - 0.3 z² has a valley for each period; one start may be caught in a wrong one."""

    class Wavy(LinearGenerator):
        def decode(self, z):
            y = nns.sin(z[:, :1] * 3) * 0.5 + 0.5 - z[:, :1].square() * 0.3
            return y.reshape(-1, 1, 1, 1)

    def error(starts, seed):
        z = latents.project(Wavy(1), np.full((1, 1, 1, 1), 0.9), steps=150, starts=starts, prior=0.0, seed=seed)
        return abs(latents.decode(Wavy(1), z).item() - 0.9)

    alone, together = ([error(starts, seed) for seed in range(6)] for starts in (1, 16))
    assert max(together) < 1e-3 and max(alone) > 0.1


def test_encode_uses_the_encoder_where_there_is_one():
    class Encoding(LinearGenerator):
        def encode(self, x, labels=None):
            return x.reshape(len(x), -1)[:, :5], None

    images = np.random.default_rng(0).random((2, 1, 3, 4))
    np.testing.assert_array_equal(latents.encode(Encoding(), images), images.reshape(2, -1)[:, :5])
    searched = latents.encode(LinearGenerator(), images, steps=5, starts=1)
    np.testing.assert_array_equal(searched, latents.project(LinearGenerator(), images, steps=5, starts=1))


def test_drawn_is_limited_and_batched():
    model = LinearGenerator()
    z = np.random.default_rng(0).standard_normal((7, 5)) * 9
    y = latents.drawn(model, z, batch=3)
    assert y.shape == (7, 1, 3, 4) and y.min() == 0 and y.max() == 1
    np.testing.assert_allclose(y, np.clip(model.decode(nns.tensor(z)).detach().numpy(), 0, 1))


def test_the_spherical_way_turns_evenly_and_keeps_the_length():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    angle = np.arccos(a @ b / (a @ a))
    for t in np.linspace(0, 1, 9):
        c = spherical(a, b, t)
        assert np.linalg.norm(c) == pytest.approx(np.linalg.norm(a))
        assert np.arccos(np.clip(a @ c / (a @ a), -1, 1)) == pytest.approx(t * angle, abs=1e-6)
    np.testing.assert_allclose(spherical(a, b, 0), a)
    np.testing.assert_allclose(spherical(a, b, 1), b)
    assert np.linalg.norm(linear(a, b, 0.5)) < 0.9 * np.linalg.norm(a), "the straight way is shorter in the middle"
    for other in (2 * a, -a, 0 * a):  # no single arc leads there
        np.testing.assert_allclose(spherical(a, other, 0.25), linear(a, other, 0.25))


def test_paths_go_through_their_codes():
    codes = np.random.default_rng(0).standard_normal((3, 4))
    for way in ("linear", "spherical"):
        z = path(codes, 5, way)
        assert z.shape == (11, 4)
        np.testing.assert_allclose(z[[0, 5, 10]], codes)
        loop = path(codes, 5, way, closed=True)
        assert loop.shape == (15, 4)
        np.testing.assert_allclose(loop[:10], z[:10])
        step = np.abs(np.diff(np.concatenate([loop, loop[:1]]), axis=0)).max()
        assert step < np.abs(np.diff(codes[[0, 1, 2, 0]], axis=0)).max(), "no jump back to the start"
    np.testing.assert_allclose(path(codes, 2, "linear")[1], (codes[0] + codes[1]) / 2)
    images = interpolate(LinearGenerator(4), codes, 2, "linear")
    assert images.shape == (5, 1, 3, 4)
    with pytest.raises(ValueError, match="way: expected one of linear, spherical"):
        path(codes, 2, "crooked")
    with pytest.raises(ValueError, match="at least two codes"):
        path(codes[:1], 2)


def test_directions_are_differences_of_means_without_what_others_tell():
    rng = np.random.default_rng(0)
    codes, having = rng.standard_normal((40, 6)), rng.random(40) < 0.5
    d = attribute.direction(codes, having)
    by_hand = sum(codes[having]) / having.sum() - sum(codes[~having]) / (~having).sum()
    np.testing.assert_allclose(d, by_hand)
    others = rng.standard_normal((3, 6))
    others[2] = others[0] + others[1]  # says nothing new
    free = attribute.direction(codes, having, others)
    np.testing.assert_allclose(others @ free, 0, atol=1e-12)
    residual = d - others[:2].T @ np.linalg.lstsq(others[:2].T, d, rcond=None)[0]
    np.testing.assert_allclose(free, residual)
    with pytest.raises(ValueError, match="with and without the attribute, got 40 of 40"):
        attribute.direction(codes, np.ones(40, bool))


def test_class_means():
    codes, labels = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 2, 2, 2])
    np.testing.assert_allclose(attribute.class_means(codes, labels, 3), [[2, 3], [2, 3], [8, 9]])
    with pytest.raises(ValueError, match=r"each of 4 classes, got \[2, 1, 3, 0\]"):
        attribute.class_means(codes, labels, 4)


def test_along_and_relabel_move_codes_and_labels():
    class Labelled(LinearGenerator):
        """Draws its code, and its label in the first pixel; the encoder reads the code."""

        classes = 3

        def encode(self, x, labels=None):
            return x.reshape(len(x), -1)[:, 1:6], None

        def means(self, z, labels=None):
            first = nns.as_tensor(np.asarray(labels, float)[:, None] / 4)
            return nns.cat([first, z, z[:, :1].expand(len(z), 6) * 0], 1).reshape(-1, 1, 3, 4)

    images = np.random.default_rng(0).random((4, 1, 3, 4))
    wanted = np.array([2, 1, 0, 2])
    changed = attribute.relabel(Labelled(), images, 0, wanted).reshape(4, 12)
    np.testing.assert_allclose(changed[:, 0], wanted / 4)
    np.testing.assert_allclose(changed[:, 1:6], images.reshape(4, 12)[:, 1:6])
    moved = attribute.along(Labelled(), images, np.array([0.1, 0, 0, 0, -0.1]), np.zeros(4)).reshape(4, 12)
    expected = images.reshape(4, 12)[:, 1:6] + [0.1, 0, 0, 0, -0.1]
    np.testing.assert_allclose(moved[:, 1:6], np.clip(expected, 0, 1))
