"""Precision, recall, density and coverage of generators against loops over all pairs."""

import math

import numpy as np
import pytest

from nnscratch.metrics import density_coverage, precision_recall_of_generator


def radius(points, i, k):
    return sorted(math.dist(points[i], q) for j, q in enumerate(points) if j != i)[k - 1]


def share_on_manifold(points, manifold, k):
    radii = [radius(manifold, i, k) for i in range(len(manifold))]
    return np.mean([any(math.dist(p, q) <= r for q, r in zip(manifold, radii)) for p in points])


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_equal_loops(k):
    rng = np.random.default_rng(k)
    real, fake = rng.standard_normal((40, 3)) + 100, rng.standard_normal((30, 3)) * 0.8 + 100.6
    expected = share_on_manifold(fake, real, k), share_on_manifold(real, fake, k)
    assert precision_recall_of_generator(real, fake, k) == pytest.approx(expected)
    assert 0 < min(expected) and max(expected) < 1, "neither all nor nothing, so that the comparison says something"


def test_density_and_coverage_equal_loops():
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((40, 3)), rng.standard_normal((50, 3)) * 0.7
    k = 4
    radii = [radius(real, i, k) for i in range(len(real))]
    inside = [[math.dist(p, q) <= r for q, r in zip(real, radii)] for p in fake]
    expected = np.sum(inside) / (k * len(fake)), np.mean(np.any(inside, axis=0))
    assert density_coverage(real, fake, k) == pytest.approx(expected)


def test_what_the_numbers_tell_apart():
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.standard_normal((1100, 4)), rng.standard_normal((400, 4)) + 20])  # more than one block of rows
    equal = np.concatenate([rng.standard_normal((1100, 4)), rng.standard_normal((400, 4)) + 20])
    precision, recall = precision_recall_of_generator(real, equal)
    assert min(precision, recall) > 0.9
    assert min(density_coverage(real, equal)) > 0.9
    collapsed = rng.standard_normal((1000, 4))  # one of two modes
    precision, recall = precision_recall_of_generator(real, collapsed)
    assert precision > 0.9 and 0.65 < recall < 0.75
    assert density_coverage(real, collapsed)[1] < 0.75
    assert precision_recall_of_generator(real, rng.standard_normal((500, 4)) + 50) == (0, 0)


def test_wrong_input():
    with pytest.raises(ValueError, match="at least 4 images of each kind"):
        precision_recall_of_generator(np.zeros((3, 2)), np.zeros((9, 2)))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        density_coverage(np.zeros((9, 2)), np.zeros((9, 2)), 0)
