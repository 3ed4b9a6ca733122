import subprocess
import sys

import numpy as np
import pytest

from nnscratch.data import Digits


def test_values_are_the_published_ones():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    ours = Digits(train=None)
    np.testing.assert_array_equal(ours.images[:, 0] * 16, theirs.images)
    np.testing.assert_array_equal(ours.labels, theirs.target)


def test_split_is_fixed_stratified_and_disjoint():
    train, test, whole = Digits(), Digits(train=False), Digits(train=None)
    assert (len(train), len(test), len(whole)) == (1497, 300, 1797)
    assert np.bincount(test.labels).tolist() == [30] * 10
    rows = lambda d: sorted(image.tobytes() + bytes([label]) for image, label in zip(d.images, d.labels))
    assert sorted(rows(train) + rows(test)) == rows(whole)
    assert test.labels[:5].tolist() == Digits(train=False).labels[:5].tolist()


@pytest.mark.parametrize("size", [8, 16, 28, 32, (10, 12)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_sizes(size, interpolation):
    digits = Digits(train=False, size=size, interpolation=interpolation)
    image, label = digits[0]
    assert image.shape == (1, *(size if isinstance(size, tuple) else (size, size)))
    assert image.dtype == np.float32 and label.dtype == np.int64
    assert digits.images.min() >= 0 and digits.images.max() <= 1
    if size == 16 and interpolation == "nearest":
        np.testing.assert_array_equal(digits.images, Digits(train=False).images.repeat(2, 2).repeat(2, 3))


def test_items_equal_batches_and_transforms_apply():
    digits = Digits(transform=lambda x: 1 - x, target_transform=lambda y: y + 100)
    x, y = digits.batch([3, 7])
    for k, i in enumerate([3, 7]):
        image, label = digits[i]
        np.testing.assert_array_equal(x[k], image)
        assert y[k] == label == digits.labels[i] + 100
        np.testing.assert_array_equal(image, 1 - digits.images[i])
    assert digits.classes[3] == "3"


def test_importing_data_imports_no_optional_package():
    code = "import sys, nnscratch.data; print([m for m in ('PIL', 'pooch', 'tqdm', 'numba', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
