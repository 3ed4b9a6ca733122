"""Explanations held against their definitions, computed another way."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.explain import grad_cam, integrated_gradients, overlay, saliency, targets_of
from nnscratch.models import CNN


@pytest.fixture(scope="module")
def model():
    nns.manual_seed(0)
    model = CNN(2, 12, 4, channels=(5, 6, 7), pools=1, hidden=8).double().eval()
    for weight in model.parameters():
        weight.data[...] *= 2  # scores that differ by about 1
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((3, 2, 12, 12))


def scores(model, x):
    with nns.no_grad():
        return model(nns.as_tensor(x)).numpy()


def test_targets_are_given_or_predicted(model, images):
    np.testing.assert_array_equal(targets_of(model, images), scores(model, images).argmax(1))
    assert targets_of(model, images, 2).tolist() == [2, 2, 2] and targets_of(model, images, [0, 1, 3]).tolist() == [0, 1, 3]
    with pytest.raises(TypeError, match="class numbers"):
        targets_of(model, images, 0.5)


def test_saliency_is_the_largest_slope_over_channels(model, images):
    found, eps = saliency(model, images, [0, 1, 2]), 1e-6
    assert found.shape == (3, 12, 12)
    rng = np.random.default_rng(1)
    for _ in range(12):
        n, i, j = rng.integers(3), rng.integers(12), rng.integers(12)
        slopes = []
        for c in range(2):
            up, down = images.copy(), images.copy()
            up[n, c, i, j] += eps
            down[n, c, i, j] -= eps
            slopes.append(abs(scores(model, up)[n, n] - scores(model, down)[n, n]) / (2 * eps))
        assert found[n, i, j] == pytest.approx(max(slopes), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("baseline", [0.0, "noise"])
def test_integrated_gradients_are_complete(model, images, baseline):
    """Their sum is score(x) - score(baseline), ever more exactly the more terms the integral has."""
    base = np.random.default_rng(2).random((1, 2, 12, 12)) if baseline == "noise" else np.float64(baseline)
    target = np.array([3, 0, 1])
    start = scores(model, np.broadcast_to(base, images.shape))
    wanted = (scores(model, images) - start)[np.arange(3), target]
    errors = []
    for steps in (4, 32, 256):
        shares = integrated_gradients(model, images, target, baseline=base, steps=steps, batch=48)
        errors.append(np.abs(shares.sum((1, 2, 3)) - wanted).max())
    assert errors[2] < 0.03 * np.abs(wanted).max() and errors[2] < errors[0] / 4  # ReLU has corners: the error falls as 1/steps


def test_integrated_gradients_of_a_smooth_model_are_exact():
    nns.manual_seed(1)
    smooth = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)).double()
    x = np.random.default_rng(3).random((2, 2, 6, 6))
    shares = integrated_gradients(smooth, x, [2, 0], steps=200)
    wanted = (scores(smooth, x) - scores(smooth, np.zeros_like(x)))[[0, 1], [2, 0]]
    np.testing.assert_allclose(shares.sum((1, 2, 3)), wanted, rtol=1e-4)


def test_integrated_gradients_of_a_linear_model_are_weight_times_difference():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(8, 3)).double()
    x = np.random.default_rng(0).random((2, 2, 2, 2))
    weight = linear[1].weight.detach().numpy().reshape(3, 2, 2, 2)
    np.testing.assert_allclose(
        integrated_gradients(linear, x, [2, 0], baseline=0.5, steps=1), weight[[2, 0]] * (x - 0.5), rtol=1e-6
    )
    with pytest.raises(ValueError, match="does not broadcast"):
        integrated_gradients(linear, x, baseline=np.zeros((5, 2, 2, 2)))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        integrated_gradients(linear, x, steps=0)


def test_grad_cam_equals_a_naive_computation(model, images):
    """Slopes of the score in every number of the feature maps by differences, then the sums as plain loops."""
    target = [1, 2, 3]
    with nns.no_grad():
        rest = nn.Sequential(*list(model.features)[7:])
        maps = nn.Sequential(*list(model.features)[:7])(nns.as_tensor(images)).numpy()  # after the third ReLU
    tail = lambda a: model.classifier(rest(a) if len(rest) else a)
    found, eps = grad_cam(model, images, target), 1e-6
    for n in range(3):
        k, h, w = maps.shape[1:]
        alpha = np.zeros(k)
        for c in range(k):
            for i in range(h):
                for j in range(w):
                    up, down = maps[n : n + 1].copy(), maps[n : n + 1].copy()
                    up[0, c, i, j] += eps
                    down[0, c, i, j] -= eps
                    slope = (scores(tail, up) - scores(tail, down))[0, target[n]] / (2 * eps)
                    alpha[c] += slope / (h * w)
        heat = np.array([[max(0.0, sum(alpha[c] * maps[n, c, i, j] for c in range(k))) for j in range(w)] for i in range(h)])
        # Bilinear by hand: pixel centres at (i + 1/2) h / H, the border repeated.
        for i, j in ((0, 0), (3, 8), (11, 11), (6, 5)):
            y, x = (np.clip((p + 0.5) * side / 12 - 0.5, 0, side - 1) for p, side in ((i, h), (j, w)))
            a, b = int(y), int(x)
            c, d = min(a + 1, h - 1), min(b + 1, w - 1)
            u, v = y - a, x - b
            top, bottom = (1 - v) * heat[a, b] + v * heat[a, d], (1 - v) * heat[c, b] + v * heat[c, d]
            assert found[n, i, j] == pytest.approx((1 - u) * top + u * bottom, rel=1e-4, abs=1e-9)
    assert found.max() > 0


def test_grad_cam_looks_where_it_is_told(model, images):
    first = grad_cam(model, images, 0, layer=model.features[0])
    assert first.shape == (3, 12, 12) and (first >= 0).all()
    frozen = CNN(2, 12, 4, channels=(5, 6, 7), pools=1, hidden=8).double().eval()
    frozen.load_state_dict(model.state_dict())
    frozen.requires_grad_(False)
    np.testing.assert_allclose(grad_cam(frozen, images, 0, layer=frozen.features[0]), first)
    assert not model.features[0]._forward_hooks, "the model is left as it was"
    with pytest.raises(ValueError, match="has no convolutions"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(288, 4)).double(), images)
    with pytest.raises(ValueError, match="expected a layer that the model runs"):
        grad_cam(model, images, layer=nn.Conv2d(1, 1, 1))


def test_overlay_tints_where_the_map_is():
    image, heat = np.full((3, 4, 4), 0.5), np.zeros((4, 4))
    np.testing.assert_allclose(overlay(image, heat), 0.5)
    heat[1, 2], heat[0, 0] = 2.0, 0.5
    red, blue = overlay(image, heat)[:, 1, 2], overlay(image, heat)[:, 0, 0]
    assert red[0] > red[1] and red[0] > red[2] + 0.1 and blue[2] > blue[0] + 0.1
    assert overlay(image[:1], heat).shape == (3, 4, 4)
    with pytest.raises(ValueError, match="expected an image"):
        overlay(image, np.zeros((3, 4)))
