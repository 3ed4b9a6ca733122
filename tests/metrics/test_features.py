"""Distances between sets of features, against loops, closed forms and another road to the same trace."""

import numpy as np
import pytest

from nnscratch.metrics import frechet_distance, inception_score, kid, mode_coverage


def sets(n=40, m=50, d=5, seed=0):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d, d))
    return rng.standard_normal((n, d)) @ mix, rng.standard_normal((m, d)) * rng.uniform(0.5, 2, d) + 0.3


@pytest.mark.parametrize(("n", "m", "d"), [(40, 50, 5), (300, 200, 20), (10, 12, 1)])
def test_frechet_distance_equals_the_eigenvalues_of_the_plain_product(n, m, d):
    a, b = sets(n, m, d)
    c1, c2 = np.cov(a.T).reshape(d, d), np.cov(b.T).reshape(d, d)
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).real.sum()  # of a matrix that is not symmetric
    means = sum((x - y) ** 2 for x, y in zip(a.mean(0), b.mean(0)))
    assert frechet_distance(a, b) == pytest.approx(means + np.trace(c1) + np.trace(c2) - 2 * roots, rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_frechet_distance_in_one_dimension_and_for_equal_sets():
    a, b = np.array([[0.0], [2.0]]), np.array([[10.0], [16.0]])
    expected = (1 - 13) ** 2 + (np.sqrt(2) - np.sqrt(18)) ** 2  # (m - m')² + (s - s')², unbiased deviations
    assert frechet_distance(a, b) == pytest.approx(expected)
    same = sets(30, 30, 8)[0]
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(same, same + 1.0) == pytest.approx(8)


def test_frechet_distance_of_fewer_images_than_features():
    """Both covariances are singular; on disjoint axes nothing is shared, and the traces are all."""
    rng = np.random.default_rng(0)
    a, b = np.zeros((6, 20)), np.zeros((7, 20))
    a[:, :10], b[:, 10:] = rng.standard_normal((6, 10)), rng.standard_normal((7, 10))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_kid_equals_loops():
    a, b = sets(12, 12, 4)

    def k(x, y):
        return (sum(p * q for p, q in zip(x, y)) / 4 + 1) ** 3

    pairs = [(i, j) for i in range(12) for j in range(12)]
    within = sum(k(s[i], s[j]) for s in (a, b) for i, j in pairs if i != j) / (12 * 11)
    between = sum(k(a[i], b[j]) for i, j in pairs) / 144
    value, error = kid(a, b, subsets=3, size=100)  # each subset is the whole set
    assert value == pytest.approx(within - 2 * between, rel=1e-9)
    assert error == pytest.approx(0, abs=1e-12)


def test_kid_is_unbiased_and_repeats():
    rng = np.random.default_rng(0)
    values = [kid(rng.standard_normal((30, 6)), rng.standard_normal((30, 6)), subsets=1)[0] for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20, "the mean over samples of one distribution is 0"
    a, b = sets(200, 300, 5)
    assert kid(a, b, 5, 50) == kid(a, b, 5, 50) != kid(a, b, 5, 50, seed=1)


def test_inception_score_equals_loops_and_its_extremes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4) * 0.3, 21)
    scores = []
    for part in (p[:11], p[11:]):
        mean = part.mean(0)
        divergences = [sum(v * np.log(v / m) for v, m in zip(row, mean)) for row in part]
        scores.append(np.exp(np.mean(divergences)))
    assert inception_score(p, splits=2) == (pytest.approx(np.mean(scores)), pytest.approx(np.std(scores)))
    assert inception_score(np.tile(np.eye(5), (4, 1)), splits=2)[0] == pytest.approx(5)
    assert inception_score(np.tile([0.2, 0.8], (20, 1)))[0] == pytest.approx(1)


def test_mode_coverage():
    assert mode_coverage(np.arange(100) % 10, 10) == (10, pytest.approx(0, abs=1e-12))
    assert mode_coverage(np.full(50, 3), 10) == (1, pytest.approx(np.log(10)))
    almost = np.concatenate([np.zeros(995, int), np.arange(1, 6)])  # 0.1% each of five others: not covered
    assert mode_coverage(almost, 10)[0] == 1
    share = np.array([0.7, 0.2, 0.1])
    assert mode_coverage(np.repeat([0, 1, 2], [70, 20, 10]), 3)[1] == pytest.approx((share * np.log(share * 3)).sum())


def test_wrong_input():
    ok = np.zeros((3, 2))
    for call, message in [
        (lambda: frechet_distance(ok, np.zeros((3, 4))), r"got shapes \(3, 2\) and \(3, 4\)"),
        (lambda: frechet_distance(ok, ok[:1]), "at least 2 images of each kind are needed, got 3 real and 1"),
        (lambda: frechet_distance(ok, ok * np.nan), "not all finite"),
        (lambda: kid(ok, ok, subsets=0), "subsets=0"),
        (lambda: inception_score(ok), "splits=10"),
        (lambda: inception_score(ok, splits=1), "sum to 1"),
        (lambda: mode_coverage(np.array([0.5]), 2), "float64"),
        (lambda: mode_coverage(np.array([0, 7]), 5), r"0\.\.4"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
