"""What is hidden stays hidden: the result may depend on a region's pixels only through what the docstring names."""

import numpy as np
import pytest

from nnscratch.editing import Picture, Region, anonymize, parse_region

SIZE = (40, 50)
REGION = Region(10, 31, 5, 42)
INSIDE = np.zeros(SIZE, bool)
INSIDE[10:31, 5:42] = True


def picture(seed, alpha=True):
    rng = np.random.default_rng(seed)
    return Picture(rng.integers(0, 256, (3, *SIZE), np.uint8), rng.integers(0, 256, SIZE, np.uint8) if alpha else None)


def test_a_masked_region_says_nothing_about_what_was_there():
    first, other = picture(0), picture(1)
    swapped = Picture(np.where(INSIDE, other.pixels, first.pixels), np.where(INSIDE, other.alpha, first.alpha))
    one, two = (anonymize(p, "mask", [REGION], colour=9) for p in (first, swapped))
    np.testing.assert_array_equal(one.pixels, two.pixels)
    np.testing.assert_array_equal(one.alpha, two.alpha)
    assert (one.pixels[:, INSIDE] == 9).all() and (one.alpha[INSIDE] == 255).all()
    np.testing.assert_array_equal(one.pixels[:, ~INSIDE], first.pixels[:, ~INSIDE])
    np.testing.assert_array_equal(one.alpha[~INSIDE], first.alpha[~INSIDE])


@pytest.mark.parametrize("method", ["pixelate", "blur"])
def test_coarse_methods_keep_few_numbers(method):
    """The image of all pictures under the method, as a linear map, has no more dimensions than there are cells."""
    rng, cells = np.random.default_rng(0), 3
    results = []
    for _ in range(40):
        hidden = anonymize(Picture(rng.integers(0, 256, (1, *SIZE), np.uint8)), method, [REGION], cells=cells)
        results.append(hidden.pixels[0, INSIDE].astype(float))
    singular = np.linalg.svd(np.array(results), compute_uv=False)
    assert singular[cells**2 - 1] > 30 and singular[cells**2] < 0.1 * singular[cells**2 - 1]


def test_pixelate_shows_the_averages_of_its_blocks():
    source = picture(3, alpha=False)
    hidden = anonymize(source, "pixelate", [Region(0, 8, 0, 12)], cells=4)
    for i in range(4):
        for j in range(4):
            block = np.s_[:, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3]
            mean = np.rint(source.pixels[block].mean((1, 2)))
            assert (hidden.pixels[block] == mean[:, None, None]).all()
    np.testing.assert_array_equal(hidden.pixels[:, 8:], source.pixels[:, 8:])


@pytest.mark.parametrize("method", ["mask", "pixelate", "blur"])
@pytest.mark.parametrize("region", [Region(0, 1, 0, 1), Region(3, 4, 0, 50), Region(0, 40, 0, 50), Region(1, 3, 7, 8)])
def test_regions_of_any_size(method, region):
    source = picture(4, alpha=False)
    hidden = anonymize(source, method, [region])
    changed = (hidden.pixels != source.pixels).any(0)
    changed[region.top : region.bottom, region.left : region.right] = False
    assert not changed.any() and hidden.alpha is None
    if method != "blur":
        again = anonymize(hidden, method, [region])
        np.testing.assert_array_equal(again.pixels, hidden.pixels)


def test_blur_of_one_colour_is_that_colour():
    plain = Picture(np.full((3, *SIZE), 77, np.uint8))
    np.testing.assert_array_equal(anonymize(plain, "blur", [REGION]).pixels, plain.pixels)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10,20,5,6", Region(20, 26, 10, 15)),
        ("-5,-5,10,10", Region(0, 5, 0, 5)),
        ("45,35,100,100", Region(35, 40, 45, 50)),
        ("10%,25%,50%,50%", Region(10, 30, 5, 30)),
        ("0.5,0.5,1,1", Region(0, 2, 0, 2)),
        ("all", Region(0, 40, 0, 50)),
    ],
)
def test_regions_by_text(text, expected):
    assert parse_region(text, SIZE) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1,2,3", "expected X,Y,WIDTH,HEIGHT"),
        ("1,2,3,4,5", "expected X,Y,WIDTH,HEIGHT"),
        ("a,b,c,d", "expected X,Y,WIDTH,HEIGHT"),
        ("nan,0,1,1", "expected X,Y,WIDTH,HEIGHT"),
        ("1,1,0,5", "must be above 0"),
        ("60,1,5,5", "lies outside the picture of 50x40 pixels"),
    ],
)
def test_regions_that_are_none(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_region(text, SIZE)


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="expected one of mask, pixelate, blur, got 'erase'"):
        anonymize(picture(0), "erase", [REGION])
    with pytest.raises(ValueError, match="cells: expected at least 1"):
        anonymize(picture(0), "blur", [REGION], cells=0)
