"""Metrics against loops, and against scikit-learn where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as nns
from nnscratch.training import metrics

labels = st.integers(1, 30).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n).map(np.array)] * 2))


def counted(predicted, target, c):
    """Precision, recall, F1 and support of class c, by counting."""
    hits = sum(p == c and t == c for p, t in zip(predicted, target))
    said, support = sum(p == c for p in predicted), sum(t == c for t in target)
    missed, false = support - hits, said - hits
    f1 = 2 * hits / (2 * hits + missed + false) if said + support else 0.0
    return hits / said if said else 0.0, hits / support if support else 0.0, f1, support


@settings(max_examples=60, deadline=None)
@given(labels)
def test_classification_equals_counting(pair):
    """Macro averages are over the classes that occur, weighted ones by support, and micro ones all are the accuracy."""
    predicted, target = (x.tolist() for x in pair)
    assert metrics.accuracy(*pair) == pytest.approx(sum(p == t for p, t in zip(predicted, target)) / len(target))
    matrix = [[sum((t, p) == (i, j) for p, t in zip(predicted, target)) for j in range(5)] for i in range(5)]
    np.testing.assert_array_equal(metrics.confusion_matrix(*pair, 5), matrix, err_msg="rows are the true classes")
    each = np.array([counted(predicted, target, c) for c in range(5)])
    np.testing.assert_allclose(metrics.precision_recall_f1(*pair, None, classes=5), each[:, :3].T)
    occurring = each[sorted(set(predicted) | set(target))]
    np.testing.assert_allclose(metrics.precision_recall_f1(*pair), occurring[:, :3].mean(0))
    weighted = (occurring[:, :3] * occurring[:, 3:]).sum(0) / len(target)
    np.testing.assert_allclose(metrics.precision_recall_f1(*pair, "weighted"), weighted)
    np.testing.assert_allclose(metrics.precision_recall_f1(*pair, "micro"), [metrics.accuracy(*pair)] * 3)


@settings(max_examples=60, deadline=None)
@given(labels)
def test_classification_equals_scikit_learn(pair):
    sk = pytest.importorskip("sklearn.metrics")
    predicted, target = pair
    assert metrics.accuracy(predicted, target) == pytest.approx(sk.accuracy_score(target, predicted))
    np.testing.assert_array_equal(
        metrics.confusion_matrix(predicted, target, 5), sk.confusion_matrix(target, predicted, labels=range(5))
    )
    for average in ("macro", "micro", "weighted"):
        expected = sk.precision_recall_fscore_support(target, predicted, average=average, zero_division=0)[:3]
        np.testing.assert_allclose(metrics.precision_recall_f1(predicted, target, average), expected, err_msg=average)
    expected = sk.precision_recall_fscore_support(target, predicted, average=None, labels=range(5), zero_division=0)[:3]
    np.testing.assert_allclose(metrics.precision_recall_f1(predicted, target, None, classes=5), expected)
    assert metrics.precision(predicted, target) == metrics.precision_recall_f1(predicted, target)[0]
    assert metrics.recall(predicted, target) == metrics.precision_recall_f1(predicted, target)[1]
    assert metrics.f1_score(predicted, target) == metrics.precision_recall_f1(predicted, target)[2]


def test_scores_and_tensors_are_taken_too():
    scores = nns.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert metrics.accuracy(scores, nns.tensor([1, 0, 0])) == pytest.approx(2 / 3)
    assert metrics.accuracy([1, 0, 1], [1, 0, 0]) == pytest.approx(2 / 3)


def test_top_k_equals_a_sort():
    rng = np.random.default_rng(0)
    scores, target = rng.integers(0, 4, (50, 6)).astype(float), rng.integers(0, 6, 50)
    for k in range(1, 7):
        hits = [t in sorted(range(6), key=lambda c: (-row[c], c))[:k] for row, t in zip(scores, target)]
        assert metrics.top_k_accuracy(scores, target, k) == np.mean(hits)
    assert metrics.top_k_accuracy(scores, target, 1) == metrics.accuracy(scores, target)


def test_wrong_input():
    for call, message in [
        (lambda: metrics.accuracy([1, 2], [1]), "2 predictions and 1 targets"),
        (lambda: metrics.accuracy([], []), "no targets"),
        (lambda: metrics.accuracy(np.zeros((2, 2, 2)), [1, 2]), r"shape \(2, 2, 2\)"),
        (lambda: metrics.confusion_matrix([0, 5], [0, 1], 3), r"must be in 0\.\.2, got 0\.\.5"),
        (lambda: metrics.precision_recall_f1([0], [0], "mean"), "'mean'"),
        (lambda: metrics.top_k_accuracy(np.zeros((2, 3)), [0, 1], 4), "k=4"),
        (lambda: metrics.mse(np.zeros(3), np.zeros(2)), "one shape"),
        (lambda: metrics.ssim(np.zeros((9, 9)), np.zeros((9, 9)), window=4), "odd window"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_errors_and_psnr():
    a, b = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.25, 0.5])
    assert metrics.mse(a, b) == pytest.approx((0.0625 + 0.25) / 3)
    assert metrics.mae(a, b) == pytest.approx(0.25)
    assert metrics.psnr(a, b) == pytest.approx(10 * np.log10(1 / metrics.mse(a, b)))
    assert metrics.psnr(a * 255, b * 255, data_range=255) == pytest.approx(metrics.psnr(a, b))
    assert metrics.psnr(a, a) == float("inf")


def naive_ssim(a, b, window, sigma, data_range):
    r = window // 2
    weight = np.array([[np.exp(-(i * i + j * j) / (2 * sigma**2)) for j in range(-r, r + 1)] for i in range(-r, r + 1)])
    weight /= weight.sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for i in range(a.shape[0] - window + 1):
        for j in range(a.shape[1] - window + 1):
            p, q = a[i : i + window, j : j + window], b[i : i + window, j : j + window]
            mp, mq = (weight * p).sum(), (weight * q).sum()
            vp, vq = (weight * (p - mp) ** 2).sum(), (weight * (q - mq) ** 2).sum()
            cov = (weight * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


@pytest.mark.parametrize(("shape", "window"), [((16, 13), 11), ((8, 9), 7), ((20, 20), 3)])
def test_ssim_equals_a_loop(shape, window):
    rng = np.random.default_rng(0)
    a = rng.random(shape)
    b = np.clip(a + 0.2 * rng.standard_normal(shape), 0, 1)
    assert metrics.ssim(a, b, window=window) == pytest.approx(naive_ssim(a, b, window, 1.5, 1.0), rel=1e-9)
    batch = np.stack([[a, b]]), np.stack([[b, b]])
    assert metrics.ssim(*batch, window=window) == pytest.approx((metrics.ssim(a, b, window=window) + 1) / 2)


def test_ssim_shrinks_its_window_to_the_image():
    rng = np.random.default_rng(0)
    a, b = rng.random((8, 8)), rng.random((8, 8))
    assert metrics.ssim(a, b) == pytest.approx(naive_ssim(a, b, 7, 1.5, 1.0))
    assert metrics.ssim(a, a) == pytest.approx(1.0)
