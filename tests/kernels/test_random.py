"""Philox 4x32-10 and what is made of it: known answers, the same bits by every way, moments and distributions."""

import math

import numpy as np
import pytest
from nnscratch.kernels import available, philox, random, use

KEY = (0x123456789ABCDEF0, 0x0FEDCBA987654321)
TYPES = [np.dtype(np.float32), np.dtype(np.float64)]
DRAWS = {"uniform": random.uniform, "normal": random.normal}
compiled_too = pytest.mark.skipif("cpu" not in available(), reason="Numba is not installed")


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter, key, expected):
    """Of the reference implementation, Random123."""
    words = philox.philox(tuple(np.array([c], np.uint64) for c in counter), tuple(key))
    assert [int(w[0]) for w in words] == expected


def test_places_and_keys():
    """Number 16 j + i of group b is made of word j of counter 16 b + i."""
    (left, right), size = ((KEY[0] & 0xFFFFFFFF), KEY[0] >> 32), 4 * philox.GROUP
    y = random.uniform(7 * size, TYPES[0], KEY)
    for place in (0, 17, 63, 64, 300):
        b, rest = divmod(place, size)
        j, i = divmod(rest, philox.GROUP)
        counter = [philox.GROUP * b + i, 0, KEY[1] & 0xFFFFFFFF, KEY[1] >> 32]
        word = philox.philox(tuple(np.array([c], np.uint64) for c in counter), (left, right))[j]
        assert y[place] == (int(word[0]) >> 8) * 2.0**-24


@compiled_too
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("size", [0, 1, 63, 64, 8192, 100_003])
def test_compiled_or_not_on_one_thread_or_more_the_bits_are_the_same(name, dtype, size):
    import numba

    bits = set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        bits.add(DRAWS[name](size, dtype, KEY).tobytes())
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    with use("im2col"):
        bits.add(DRAWS[name](size, dtype, KEY).tobytes())
    assert len(bits) == 1


@compiled_too
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 - 2**-24, 1.0])
def test_masks(p):
    keep = random.keep(50_001, p, KEY)
    assert keep.dtype == np.bool_ and keep.shape == (50_001,)
    np.testing.assert_array_equal(keep, random.uniform(50_001, TYPES[0], KEY) >= p)
    with use("im2col"):
        np.testing.assert_array_equal(random.keep(50_001, p, KEY), keep)


@pytest.mark.parametrize("name", DRAWS)
def test_fewer_numbers_are_the_first_of_more(name):
    more = DRAWS[name](70_000, TYPES[0], KEY)
    np.testing.assert_array_equal(DRAWS[name](40_001, TYPES[0], KEY), more[:40_001])


@pytest.mark.parametrize("dtype", TYPES)
def test_uniform_distribution(dtype):
    n = 1 << 20
    u = random.uniform(n, dtype, KEY).astype(float)
    assert u.min() >= 0 and u.max() < 1
    for power in (1, 2, 3, 4):  # within 4 standard deviations of the moments
        exact, variance = 1 / (power + 1), 1 / (2 * power + 1) - 1 / (power + 1) ** 2
        assert abs((u**power).mean() - exact) < 4 * math.sqrt(variance / n)
    assert _kolmogorov_smirnov(np.sort(u)) < 1.63  # exceeded once in a hundred
    counts = np.bincount((u * 256).astype(int), minlength=256)
    chi_square = ((counts - n / 256) ** 2 / (n / 256)).sum()
    assert abs(chi_square - 255) < 4 * math.sqrt(2 * 255)


@pytest.mark.parametrize("dtype", TYPES)
def test_normal_distribution(dtype):
    n = 1 << 20
    z = random.normal(n, dtype, KEY).astype(float)
    assert 4.5 < abs(z).max() < 6.5
    for power, exact, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)]:
        assert abs((z**power).mean() - exact) < 4 * math.sqrt(variance / n)
    every = 64  # of the sorted numbers: the distance is then known to 1 / their number
    cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in np.sort(z)[::every]])
    assert _kolmogorov_smirnov(cdf) / math.sqrt(len(cdf)) < 1.63 / math.sqrt(n) + 1 / len(cdf)


def _kolmogorov_smirnov(cdf):
    """√n times the largest distance between a sample's distribution, given at its sorted values, and the true one."""
    steps = np.arange(len(cdf) + 1) / len(cdf)
    return math.sqrt(len(cdf)) * max((steps[1:] - cdf).max(), (cdf - steps[:-1]).max())


def test_neighbours_words_and_keys_are_independent():
    n = 1 << 18
    a = random.normal(n, TYPES[0], KEY).astype(float)
    others = [random.normal(n, TYPES[0], key).astype(float) for key in [(KEY[0] + 1, KEY[1]), (KEY[0], KEY[1] + 1), (KEY[0], 0)]]
    for b in [*others, *(np.roll(a, shift) for shift in (1, 2, 16, 32, 48, 64))]:
        for f in (lambda x: x, np.abs):
            correlation = np.corrcoef(f(a), f(b))[0, 1]
            assert abs(correlation) < 4.5 / math.sqrt(n)


@pytest.mark.parametrize("dtype", TYPES)
def test_normal_numbers_at_the_ends_of_their_words(dtype):
    """The largest radius is finite, the smallest is not NaN, and the angles of the eight directions are right."""
    on, bits = philox.OnArrays(dtype), 64 if dtype == np.float64 else 32
    top = (1 << bits) - 1
    ends = np.array([0, 1, top - 1, top], np.uint64)
    x, y = philox._box_muller(on, ends, np.zeros(4, np.uint64), bits)
    radius = [math.sqrt(-2 * math.log((e + 0.5) / 2.0**bits)) if e < 9 else 0.0 for e in ends.tolist()]
    np.testing.assert_allclose(x, radius, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(y, 0, atol=1e-6)
    eighths = np.array([k << (bits - 3) for k in range(8)], np.uint64)
    x, y = philox._box_muller(on, np.full(8, 1 << (bits - 2), np.uint64), eighths, bits)
    angle, r = np.arange(8) * math.pi / 4, math.sqrt(2 * math.log(4))
    np.testing.assert_allclose(np.stack([x, y]), r * np.stack([np.cos(angle), np.sin(angle)]), atol=4e-7)
