"""How pictures of any size meet a model of one size; and masks."""

import numpy as np
import pytest

from nnscratch.data import DataError
from nnscratch.editing import read_mask, region_mask
from nnscratch.editing.fitting import around, as_a_whole, by_channel, in_tiles
from nnscratch.editing.masks import REGIONS, bounding_box


def image(c, h, w, seed=0):
    return np.random.default_rng(seed).random((c, h, w), np.float32)


def blur(x):
    """A convolution 3x3 whose result at a pixel depends on its neighbours alone; outside the image there is nothing."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(padded[:, :, i : i + x.shape[2], j : j + x.shape[3]] for i in range(3) for j in range(3)) / 9


@pytest.mark.parametrize(("h", "w"), [(16, 16), (17, 40), (5, 7), (5, 40), (33, 64)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_cover_every_pixel_with_weights_that_sum_to_one(h, w, overlap):
    x = image(2, h, w)
    np.testing.assert_allclose(in_tiles(lambda t: t, x, (16, 16), overlap=overlap), x, rtol=1e-5)
    enlarged = in_tiles(lambda t: t[:, :1].repeat(2, 2).repeat(2, 3), x, (16, 16), overlap=overlap, scale=2)
    np.testing.assert_allclose(enlarged, x[:1].repeat(2, 1).repeat(2, 2), rtol=1e-5)


def test_a_local_operation_is_hardly_changed_by_tiling():
    x = image(1, 60, 70)
    whole, tiled = blur(x[None])[0], in_tiles(blur, x, (24, 24), overlap=0.5)
    error = np.abs(tiled - whole)
    assert error.max() < 0.06 and error.mean() < 0.005, "only a tile's outermost pixels differ, and they weigh least"
    assert np.abs(in_tiles(blur, x, (24, 24), overlap=0.0) - whole).max() > 0.1
    sizes = []
    in_tiles(lambda t: sizes.append(t.shape) or t, image(1, 9, 12), (24, 24))
    assert sizes == [(1, 1, 9, 12)], "an image within one tile is given as it is"
    with pytest.raises(ValueError, match="overlap"):
        in_tiles(blur, x, (24, 24), overlap=1.0)


def test_as_a_whole_scales_there_and_back():
    seen = []
    y = as_a_whole(lambda x: seen.append(x.shape) or x, np.full((3, 20, 50), 0.25, np.float32), (8, 8))
    assert seen == [(1, 3, 8, 8)] and y.shape == (3, 20, 50)
    np.testing.assert_allclose(y, 0.25, rtol=1e-6)


def test_windows_around_a_box_lie_inside():
    for h, w, box, least in [
        (100, 200, (40, 50, 60, 80), (32, 32)),
        (20, 20, (0, 10, 0, 20), (8, 8)),
        (30, 9, (29, 30, 0, 1), (16, 16)),
    ]:
        rows, columns = around(box, (h, w), least)
        for span, n, (a, b), smallest in ((rows, h, box[:2], least[0]), (columns, w, box[2:], least[1])):
            assert 0 <= span.start <= a < b <= span.stop <= n
            assert span.stop - span.start == min(n, max(2 * (b - a), smallest))


def test_channels_are_bridged():
    grey, colour = image(1, 4, 5), image(3, 4, 5)
    shapes = []

    def f(x):
        shapes.append(x.shape)
        return 1 - x

    for x, channels in ((grey, 1), (colour, 3), (colour, 1), (grey, 3)):
        np.testing.assert_allclose(by_channel(f, x, channels), 1 - x, rtol=1e-5)
    assert shapes == [(1, 1, 4, 5), (1, 3, 4, 5), (3, 1, 4, 5), (1, 3, 4, 5)]


def test_named_regions():
    left, lower, centre = (region_mask(name, (10, 13)) for name in REGIONS[:3])
    assert left[:, :7].all() and not left[:, 7:].any()
    assert lower[5:].all() and not lower[:5].any()
    assert centre.sum() == 6 * 7 and centre[2:8, 3:10].all()
    for seed in range(20):
        mask = region_mask("random", (10, 13), np.random.default_rng(seed))
        top, bottom, left_, right = bounding_box(mask)
        assert mask[top:bottom, left_:right].all() and 2 <= bottom - top <= 5 and 3 <= right - left_ <= 6
    assert len({bounding_box(region_mask("random", (10, 13), np.random.default_rng(s))) for s in range(20)}) > 10
    for size in ((1, 1), (2, 1), (3, 3)):
        for name in REGIONS:
            assert region_mask(name, size, np.random.default_rng(0)).any()
    with pytest.raises(ValueError, match="unknown region 'top': expected one of left, lower, centre, random"):
        region_mask("top", (4, 4))
    with pytest.raises(ValueError, match="no pixel"):
        bounding_box(np.zeros((3, 3), bool))


def test_masks_from_pictures(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    grey = np.zeros((4, 6), np.uint8)
    grey[1, 2:5] = 128
    Image.fromarray(grey).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (4, 6)), grey > 0)
    with pytest.raises(DataError, match=r"mask\.png: the mask is 6x4 pixels, the picture 4x6"):
        read_mask(tmp_path / "mask.png", (6, 4))
    for value, name in ((255, "white"), (0, "black")):
        Image.fromarray(np.full((4, 6), value, np.uint8)).save(tmp_path / "plain.png")
        with pytest.raises(DataError, match=f"the mask is {name} all over"):
            read_mask(tmp_path / "plain.png", (4, 6))
