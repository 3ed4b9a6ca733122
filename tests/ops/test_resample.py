"""interpolate and the pixel shuffles against PyTorch; derivatives; layouts."""

import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest
from support import against_torch, check_grads, functional, rand

from nnscratch.ops.resample import interpolate, pixel_shuffle, pixel_unshuffle, upsample

SHAPES = {1: (2, 3, 5), 2: (2, 3, 4, 5), 3: (1, 2, 3, 4, 2)}
MODES = [(1, "linear"), (2, "bilinear"), (2, "bicubic"), (3, "trilinear")]
MODES += list(itertools.product((1, 2, 3), ("nearest", "nearest-exact", "area")))
TARGETS = [
    {"size": 7},
    {"size": 1},
    {"size": 3},
    {"scale_factor": 2},
    {"scale_factor": 3.0},
    {"scale_factor": 1.7},
    {"scale_factor": 0.6},
    {"scale_factor": 1.2},
    {"scale_factor": 2.3},
    {"scale_factor": 1.7, "recompute_scale_factor": True},
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("rank, mode", MODES)
def test_interpolate_is_torchs(rank, mode, target):
    F = functional()
    corners = [False, True] if mode in ("linear", "bilinear", "bicubic", "trilinear") else [None]
    order = 0 if (rank, mode) == (3, "nearest") else 2  # on axes that keep their size torch's gradient is not its values'
    for align_corners in corners:
        options = {**target, "mode": mode, "align_corners": align_corners}
        # Both take single-precision steps somewhere in the positions of a given scale.
        ours, theirs = (functools.partial(f, **options) for f in (interpolate, F.interpolate))
        against_torch(ours, theirs, rand(*SHAPES[rank]), order=order, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_picks_torchs_pixel_for_every_pair_of_sizes(mode):
    torch = pytest.importorskip("torch")
    for n, m in itertools.product(range(1, 14), range(1, 30)):
        x = np.arange(n, dtype=float).reshape(1, 1, n)
        theirs = torch.nn.functional.interpolate(torch.tensor(x), size=m, mode=mode)
        np.testing.assert_array_equal(interpolate(x, m, mode=mode), theirs.numpy())


def test_nearest_positions_are_exact():
    for n, m in itertools.product(range(1, 30), range(1, 130)):
        x = np.arange(n, dtype=float).reshape(1, 1, n)
        np.testing.assert_array_equal(interpolate(x, m)[0, 0], [i * n // m for i in range(m)])
        exact = interpolate(x, m, mode="nearest-exact")[0, 0]
        np.testing.assert_array_equal(exact, [int((Fraction(2 * i + 1, 2) * n) // m) for i in range(m)])


def test_sizes_and_scales_per_axis():
    F = functional()
    x = rand(2, 3, 4, 5)
    against_torch(lambda x: interpolate(x, (8, 3), mode="bilinear"), lambda x: F.interpolate(x, (8, 3), mode="bilinear"), x)
    against_torch(lambda x: interpolate(x, scale_factor=(2, 3)), lambda x: F.interpolate(x, scale_factor=(2, 3)), x)
    against_torch(lambda x: interpolate(x, (4, 10)), lambda x: F.interpolate(x, (4, 10)), x)


def test_any_order_of_derivative():
    for mode in ("nearest", "bilinear", "bicubic"):
        check_grads(lambda x: interpolate(x.tanh(), scale_factor=2, mode=mode), rand(1, 2, 2, 3), order=3)


def test_nearest_copies_values_that_are_not_finite():
    x = np.array([[[1.0, np.nan, np.inf, -np.inf]]])
    np.testing.assert_array_equal(interpolate(x, scale_factor=2), np.repeat(x, 2, axis=2))


def test_dtype_layout_and_alias():
    x = rand(2, 3, 4, 5).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for mode in ("nearest", "bilinear", "area"):
        y = interpolate(x, scale_factor=2, mode=mode)
        assert y.dtype == np.float32
        again = interpolate(last, scale_factor=2, mode=mode)
        np.testing.assert_array_equal(again, y)
        assert np.moveaxis(again, 1, -1).flags.c_contiguous
        np.testing.assert_array_equal(upsample(x, scale_factor=2, mode=mode), y)
    assert interpolate(np.zeros((0, 3, 4, 4)), scale_factor=2, mode="bilinear").shape == (0, 3, 8, 8)
    assert interpolate(np.zeros((0, 3, 4, 4)), scale_factor=2).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("r", [1, 2, 3])
def test_pixel_shuffles_are_torchs_and_inverse(lead, r):
    F = functional()
    x = rand(*lead, 2 * r * r, 3, 2)
    (y,) = against_torch(lambda x: pixel_shuffle(x, r), lambda x: F.pixel_shuffle(x, r), x)
    against_torch(lambda y: pixel_unshuffle(y, r), lambda y: F.pixel_unshuffle(y, r), y.detach().numpy())
    np.testing.assert_array_equal(pixel_unshuffle(pixel_shuffle(x, r), r), x)


X = np.zeros((2, 3, 4, 4))
MISTAKES = [
    (lambda: interpolate(X), ValueError, "give either size or scale_factor"),
    (lambda: interpolate(X, 2, 2.0), ValueError, "give either size or scale_factor"),
    (lambda: interpolate(X, 2, mode="lanczos"), ValueError, "unknown mode 'lanczos'; there are nearest"),
    (lambda: interpolate(X, 2, mode="linear"), ValueError, "mode 'linear' needs an input of 3 axes, got shape"),
    (lambda: interpolate(X, 2, mode="nearest", align_corners=True), ValueError, "align_corners has no meaning"),
    (lambda: interpolate(X, (2, 2, 2)), ValueError, "size must be one number or 2 numbers"),
    (lambda: interpolate(X, scale_factor=0.1), ValueError, r"the output would have the sizes \(0, 0\)"),
    (lambda: interpolate(X, 2, recompute_scale_factor=True), ValueError, "recompute_scale_factor needs scale_factor"),
    (lambda: interpolate(X, 2, mode="bilinear", antialias=True), NotImplementedError, "antialias is not supported"),
    (lambda: interpolate(X.astype(int), 2, mode="bilinear"), RuntimeError, "needs a floating-point input, got int64"),
    (lambda: pixel_shuffle(X, 2), ValueError, "3 channels are not a multiple of upscale_factor² = 4"),
    (lambda: pixel_unshuffle(X, 3), ValueError, "height 4 and width 4 are not multiples of downscale_factor 3"),
    (lambda: pixel_shuffle(np.zeros((4, 4)), 2), ValueError, "at least 3 axes"),
    (lambda: pixel_shuffle(X, 0), ValueError, "at least 1"),
]


@pytest.mark.parametrize("mistake, error, message", MISTAKES, ids=[m for _, _, m in MISTAKES])
def test_errors_say_what_was_given(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()
