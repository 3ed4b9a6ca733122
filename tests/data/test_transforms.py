from fractions import Fraction

import numpy as np
import pytest
from data_cases import PROFILE
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.data import transforms as T
from nnscratch.data.randomness import keyed_generator, using_generator
from nnscratch.data.resample import resize


def pictures(n=6, c=3, h=9, w=7, dtype=np.float32):
    return np.random.default_rng(0).random((n, c, h, w)).astype(dtype)


ALL = [
    T.Normalize(0.5, 0.25),
    T.Resize((5, 4)),
    T.CenterCrop((5, 4)),
    T.Grayscale(),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomCrop((6, 5), padding=1),
    T.RandomRotation(30),
    T.GaussianNoise(),
    T.SaltAndPepper(0.3),
    T.ColorJitter(0.4, 0.4, 0.4),
    T.Cutout(3),
    T.ToFloat(),
    T.Lambda(lambda x: x * 2),
]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_common_behaviour(transform, dtype):
    x = pictures(dtype=dtype)
    before = x.copy()
    batch = transform(x, np.random.default_rng(1))
    assert batch.dtype == dtype and batch.ndim == 4 and len(batch) == len(x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(batch, transform(x, np.random.default_rng(1)))
    single = transform(x[0], np.random.default_rng(1))
    np.testing.assert_array_equal(single, transform(x[:1], np.random.default_rng(1))[0])
    assert type(transform).__name__ in repr(transform)
    with pytest.raises(ValueError, match="expected an image"):
        transform(x[0, 0])
    with pytest.raises(TypeError, match="list"):
        transform([1, 2])


@pytest.mark.parametrize("transform", [t for t in ALL if t.needs_float], ids=lambda t: type(t).__name__)
def test_integer_images_are_refused_where_values_are_computed(transform):
    with pytest.raises(TypeError, match="ToFloat"):
        transform(np.zeros((3, 9, 7), np.uint8))


def test_images_of_a_batch_are_changed_independently():
    x = np.repeat(pictures(1, h=16, w=16), 20, axis=0)
    for transform in (T.RandomHorizontalFlip(), T.RandomCrop(8), T.RandomRotation(90), T.ColorJitter(0.5), T.Cutout(4)):
        y = transform(x, np.random.default_rng(0))
        assert len({image.tobytes() for image in y}) > 1, transform


def test_generator_of_the_loader_is_used():
    x = pictures()
    with using_generator(keyed_generator(1, 2)):
        one = T.GaussianNoise()(x)
    np.testing.assert_array_equal(one, T.GaussianNoise()(x, keyed_generator(1, 2)))


def test_to_float():
    y = T.ToFloat()(np.array([[[0, 51, 255]]], np.uint8))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[[0, 0.2, 1]]], rtol=1e-6)
    with pytest.raises(TypeError, match="int64"):
        T.ToFloat()(np.zeros((1, 2, 2), np.int64))


def test_normalize():
    x = pictures()
    y = T.Normalize([0.1, 0.2, 0.3], [1, 2, 4])(x)
    for c, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)]):
        np.testing.assert_allclose(y[:, c], (x[:, c] - mean) / std, rtol=1e-6)
    with pytest.raises(ValueError, match="2 means and 2 stds given, the images have 3"):
        T.Normalize([0, 0], [1, 1])(x)
    with pytest.raises(ValueError, match="std > 0"):
        T.Normalize(0, 0)


@PROFILE
@given(st.tuples(*[st.integers(2, 12)] * 4), st.booleans())
def test_bilinear_resize_equals_torch(sizes, antialias):
    torch = pytest.importorskip("torch")
    h, w, oh, ow = sizes
    x = np.random.default_rng(0).random((2, 3, h, w))
    theirs = torch.nn.functional.interpolate(torch.tensor(x), (oh, ow), mode="bilinear", antialias=antialias)
    np.testing.assert_allclose(T.Resize((oh, ow), antialias=antialias)(x), theirs.numpy(), atol=1e-6)


@PROFILE
@given(st.tuples(*[st.integers(1, 12)] * 4))
def test_nearest_resize_copies_the_pixel_under_each_centre(sizes):
    h, w, oh, ow = sizes
    x = np.random.default_rng(0).random((2, 3, h, w))
    y = T.Resize((oh, ow), "nearest")(x)
    for i in range(oh):
        for j in range(ow):
            row, column = int(Fraction(2 * i + 1, 2 * oh) * h), int(Fraction(2 * j + 1, 2 * ow) * w)
            np.testing.assert_array_equal(y[:, :, i, j], x[:, :, row, column])


def test_resize_short_side_and_bytes():
    assert T.Resize(6)(pictures(h=12, w=8)).shape[2:] == (9, 6)
    assert T.Resize(6)(pictures(h=8, w=12)).shape[2:] == (6, 9)
    x = np.random.default_rng(0).integers(0, 256, (1, 1, 6, 6), dtype=np.uint8)
    y = resize(x, 4)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, np.rint(resize(x.astype(np.float64), 4)))
    np.testing.assert_array_equal(resize(np.full((1, 1, 3, 3), 255, np.uint8), (7, 2)), np.full((1, 1, 7, 2), 255))
    for bad in (0, -1, (3, 0), (1, 2, 3), 2.5, True):
        with pytest.raises((ValueError, TypeError)):
            T.Resize(bad)
    with pytest.raises(ValueError, match="bicubic"):
        T.Resize(3, "bicubic")


def test_crops():
    x = pictures(h=9, w=8)
    np.testing.assert_array_equal(T.CenterCrop((5, 4))(x), x[:, :, 2:7, 2:6])
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=0.5)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (6, 5), axis=(2, 3))
    for image, found in zip(windows, T.RandomCrop((6, 5), 2, fill=0.5)(x, np.random.default_rng(4))):
        matches = (image.transpose(1, 2, 0, 3, 4) == found).all(axis=(2, 3, 4))
        assert matches.sum() == 1
    for crop in (T.CenterCrop(9), T.RandomCrop(9)):
        with pytest.raises(ValueError, match="cannot cut 9x9 out of 9x8"):
            crop(x)


def test_random_crop_reaches_every_place():
    x = np.arange(16.0).reshape(1, 1, 4, 4).repeat(400, axis=0)
    corners = T.RandomCrop(2)(x, np.random.default_rng(0))[:, 0, 0, 0]
    assert set(corners) == {0, 1, 2, 4, 5, 6, 8, 9, 10}


def test_flips():
    x = pictures()
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(x), x[:, :, :, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1)(x), x[:, :, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(0)(x), x)
    with pytest.raises(ValueError, match="probability"):
        T.RandomHorizontalFlip(1.5)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3, -1])
def test_rotation_by_right_angles(quarter_turns):
    x = pictures(h=8, w=8, dtype=np.float64)
    y = T.RandomRotation((90 * quarter_turns, 90 * quarter_turns))(x)
    # The outermost pixels may fall a rounding error outside the image and fade into the fill by as much.
    np.testing.assert_allclose(y, np.rot90(x, quarter_turns, axes=(2, 3)), atol=1e-12)


def test_rotation_of_a_plane_is_exact_and_corners_are_filled():
    h = w = 15
    row, column = np.mgrid[:h, :w] - 7.0
    x = (2 * column - 3 * row)[None, None]
    angle = np.deg2rad(20)
    y = T.RandomRotation((20, 20), fill=99)(x)[0, 0]
    turned_column, turned_row = np.cos(angle) * column - np.sin(angle) * row, np.sin(angle) * column + np.cos(angle) * row
    middle = np.hypot(row, column) < 6.5
    np.testing.assert_allclose(y[middle], (2 * turned_column - 3 * turned_row)[middle], atol=1e-9)
    assert abs(y[0, 0] - 99) < 1e-9
    with pytest.raises(ValueError, match="degrees"):
        T.RandomRotation(-5)


def test_noise():
    x = np.full((4, 1, 50, 50), 0.5, np.float32)
    noise = T.GaussianNoise(0.1, 0.05)(x, np.random.default_rng(0)) - x
    assert abs(noise.mean() - 0.1) < 0.003 and abs(noise.std() - 0.05) < 0.003
    clipped = T.GaussianNoise(0, 10)(x, np.random.default_rng(0))
    assert clipped.min() == 0 and clipped.max() == 1
    assert T.GaussianNoise(0, 10, clip=False)(x, np.random.default_rng(0)).max() > 1
    x = np.full((4, 3, 50, 50), 0.5, np.float32)
    y = T.SaltAndPepper(0.2, salt=0.25)(x, np.random.default_rng(0))
    assert (y == y[:, :1]).all() and set(np.unique(y)) == {0, 0.5, 1}
    assert abs((y == 1).mean() - 0.05) < 0.01 and abs((y == 0).mean() - 0.15) < 0.01


def test_colour_jitter_against_one_image_at_a_time():
    x = pictures(dtype=np.float64)
    grey = lambda image: 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    bright = T.ColorJitter(brightness=(0.5, 0.5))(x)
    np.testing.assert_allclose(bright, x / 2)
    contrast = T.ColorJitter(contrast=(1.5, 1.5))(x)
    saturation = T.ColorJitter(saturation=(0.3, 0.3))(x)
    for k, image in enumerate(x):
        np.testing.assert_allclose(contrast[k], np.clip(1.5 * image - 0.5 * grey(image).mean(), 0, 1))
        np.testing.assert_allclose(saturation[k], 0.3 * image + 0.7 * grey(image))
    np.testing.assert_allclose(T.ColorJitter(saturation=1.0)(x[:, :1]), x[:, :1])
    with pytest.raises(ValueError, match="contrast"):
        T.ColorJitter(contrast=-0.1)
    with pytest.raises(ValueError, match="1 or 3 channels, got 4"):
        T.ColorJitter(contrast=0.5)(pictures(c=4))


@PROFILE
@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 10**6))
def test_cutout_hides_at_most_its_squares(size, holes, seed):
    y = T.Cutout(size, holes, fill=7)(np.zeros((5, 2, 9, 8)), np.random.default_rng(seed))
    for image in y:
        assert (image[0] == image[1]).all()
        hidden = (image[0] == 7).sum()
        assert hidden <= holes * size * size and (hidden > 0) == (holes > 0)
        if holes == 1:
            rows, columns = np.nonzero(image[0] == 7)
            assert hidden == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_grayscale_and_one_hot():
    x = pictures(dtype=np.float64)
    y = T.Grayscale(3)(x)
    np.testing.assert_allclose(y[:, 2], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])
    assert y.shape == x.shape and T.Grayscale()(x).shape == (6, 1, 9, 7)
    one_hot = T.OneHot(4)
    np.testing.assert_array_equal(one_hot(np.array([2, 0])), [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(one_hot(np.int64(3)), [0, 0, 0, 1])
    with pytest.raises(ValueError, match="0..3"):
        one_hot(np.array([4]))
    with pytest.raises(TypeError, match="float64"):
        one_hot(np.array([1.0]))


def test_compose_passes_the_generator_on():
    x = pictures(h=9, w=9)
    compose = T.Compose([T.RandomCrop(8, 2), lambda image: image + 1, T.Compose([T.RandomHorizontalFlip()])])
    rng = np.random.default_rng(3)
    step = T.RandomHorizontalFlip()(T.RandomCrop(8, 2)(x, rng) + 1, rng)
    np.testing.assert_array_equal(compose(x, np.random.default_rng(3)), step)
    assert "RandomCrop" in repr(compose)
