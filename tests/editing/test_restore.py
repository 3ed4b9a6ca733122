"""Restoring and inpainting pictures of any size, with models whose effect is known."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.data.transforms.fixed import luminance
from nnscratch.editing import colourise, denoise, enhance, inpaint, restore


class Known(nn.Module):
    """Stands for a trained autoencoder: `f` is what it makes of the images it gets; `seen` has their shapes."""

    def __init__(self, purpose, channels=3, sides=(8, 8), f=lambda x, known: x, any_size=True):
        super().__init__()
        self.purpose, self.channels, self.sides, self.any_size, self.f = purpose, channels, sides, any_size, f
        self.anchor, self.seen = nn.Parameter(nns.zeros(1)), []

    def restore(self, x, known=None):
        self.seen.append(x.shape)
        return self.f(x, known)


def image(c, h, w, seed=0):
    return np.random.default_rng(seed).random((c, h, w), np.float32)


@pytest.mark.parametrize(("model", "picture"), [(1, 1), (3, 3), (1, 3), (3, 1)])
@pytest.mark.parametrize("size", [(20, 30), (300, 270), (1, 1)])
def test_denoise_at_full_size_in_all_colours(model, picture, size):
    x = image(picture, *size)
    half = Known("denoise", model, f=lambda x, known: x * 0.5)
    np.testing.assert_allclose(denoise(half, x), x * 0.5, rtol=1e-4)
    assert all(shape[1] == model and shape[2] <= restore.TILE for shape in half.seen)


def test_a_dense_model_sees_the_picture_at_its_size():
    dense = Known("denoise", 1, (8, 6), lambda x, known: x * 0 + 0.25, any_size=False)
    y = denoise(dense, image(3, 20, 30))
    assert dense.seen == [(1, 1, 8, 6)] * 3 and y.shape == (3, 20, 30)
    np.testing.assert_allclose(y, 0.25, rtol=1e-6)


@pytest.mark.parametrize("size", [(5, 7), (200, 150)])
def test_enhance_doubles(size):
    twice = Known("enhance", f=lambda x, known: nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
    x = image(3, *size)
    np.testing.assert_allclose(enhance(twice, x), x.repeat(2, 1).repeat(2, 2), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_colourise_keeps_the_luminance(channels):
    tints = np.array([0.1, -0.05, 0.02], np.float32)[:, None, None]
    painter = Known("colourise", f=lambda x, known: x + nns.as_tensor(tints))
    x = image(channels, 12, 9) * 0.5 + 0.2
    y = colourise(painter, x)
    assert y.shape == (3, 12, 9) and painter.seen == [(1, 1, 12, 9)]
    np.testing.assert_allclose(luminance(y[None]), luminance(x[None]), atol=1e-6)
    np.testing.assert_allclose(y[0] - y[1], 0.15, atol=1e-6)


def test_a_model_for_something_else_is_named():
    for operation, purpose in ((denoise, "denoise"), (enhance, "enhance"), (colourise, "colourise")):
        with pytest.raises(ValueError, match=f"trained to {purpose} is needed, not an autoencoder trained to inpaint"):
            operation(Known("inpaint"), image(3, 8, 8))
    with pytest.raises(ValueError, match="a VAE, a GAN or a row LSTM is needed, not an autoencoder trained to denoise"):
        inpaint(Known("denoise"), image(3, 8, 8), np.eye(8, dtype=bool))
    with pytest.raises(ValueError, match="not a Linear"):
        inpaint(nn.Linear(1, 1), image(3, 8, 8), np.eye(8, dtype=bool))


def mean_filler(x, known):
    mean = (x * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
    return nns.where(known > 0.5, x, mean.expand(x.shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_inpaint_changes_only_the_hole(channels):
    x = image(3, 40, 30) * 0.5
    mask = np.zeros((40, 30), bool)
    mask[10:20, 12:18] = True
    filler = Known("inpaint", channels, (16, 16), mean_filler)
    y = inpaint(filler, x, mask)
    np.testing.assert_array_equal(y[:, ~mask], x[:, ~mask])
    assert set(filler.seen) == {(1, 3, 16, 16)} if channels == 3 else {(3, 1, 16, 16)}
    assert (np.abs(y[:, mask] - 0.25) < 0.1).all() and np.ptp(y[:, mask]) < 0.1


def test_the_model_sees_the_surroundings_of_a_small_hole_at_full_detail():
    """A hole of 4x4 in a large picture: the window is of the model's size, so nothing is scaled and the fill is exact."""
    x = image(3, 100, 120)
    mask = np.zeros((100, 120), bool)
    mask[50:54, 60:64] = True
    seen = []

    def from_the_left(images, known):
        seen.append((images.numpy(), known.numpy()))
        return nns.where(known > 0.5, images, nns.as_tensor(np.roll(images.numpy(), 4, 3)))

    y = inpaint(Known("inpaint", 3, (16, 16), from_the_left), x, mask)
    np.testing.assert_allclose(y[:, mask], x[:, 50:54, 56:60].reshape(3, -1), rtol=1e-6)
    window, known = seen[0]
    assert (known[0, 0] == 0).sum() == 16
    np.testing.assert_allclose(window[0][:, known[0, 0] > 0], x[:, 44:60, 54:70][:, known[0, 0] > 0], rtol=1e-6)


@pytest.mark.parametrize("region", [np.s_[:, :6], np.s_[:, 1:], np.s_[1:], np.s_[3:7]])
@pytest.mark.parametrize("size", [(9, 12), (300, 40)])
def test_holes_against_the_border(region, size):
    mask = np.zeros(size, bool)
    mask[region] = True
    x = np.full((3, *size), 0.5, np.float32)
    y = inpaint(Known("inpaint", 3, (8, 8), mean_filler), np.where(mask, np.float32(0.9), x), mask)
    np.testing.assert_allclose(y, 0.5, atol=1e-5)


def test_inpaint_by_drawing_and_by_rows():
    class Drawer(Known):
        """Draws plain images: the code is the grey level."""

        latent, image_shape = 1, (1, 6, 6)

        def noise(self, n, generator=None):
            return nns.randn(n, 1, generator=generator)

        def decode(self, z):
            return z.reshape(-1, 1, 1, 1).expand(len(z), 1, 6, 6) + 0.5

    class Rows(Known):
        image_shape = (1, 6, 6)

        def complete(self, x, known, generator, *, candidates):
            assert candidates > 1
            return nns.where(known > 0.5, x, x * 0 + 1)

    x = np.full((1, 6, 6), 0.8, np.float32)
    mask = np.zeros((6, 6), bool)
    mask[3:] = True
    drawer, rows = Drawer(None), Rows(None)
    del drawer.purpose, rows.purpose
    y = inpaint(drawer, np.where(mask, np.float32(0.1), x), mask, steps=200, prior=0.0)
    np.testing.assert_allclose(y, 0.8, atol=0.01)
    np.testing.assert_array_equal(inpaint(rows, x, mask), np.where(mask, 1, x))


def test_masks_that_make_no_sense():
    model = Known("inpaint")
    with pytest.raises(ValueError, match="covers the whole image"):
        inpaint(model, image(3, 8, 8), np.ones((8, 8), bool))
    with pytest.raises(ValueError, match=r"expected a boolean mask \(8, 8\)"):
        inpaint(model, image(3, 8, 8), np.ones((8, 7), bool))
    with pytest.raises(ValueError, match="no pixel"):
        inpaint(model, image(3, 8, 8), np.zeros((8, 8), bool))
