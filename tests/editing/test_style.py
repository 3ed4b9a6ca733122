"""Style transfer: Gram matrices by loops, and what the two terms pull towards."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.editing import gram, transfer
from nnscratch.editing.style import rectified
from nnscratch.models import CNN


def test_gram_equals_a_loop():
    a = np.random.default_rng(0).random((2, 3, 4, 5))
    found = gram(nns.tensor(a)).numpy()
    for n in range(2):
        for i in range(3):
            for j in range(3):
                assert found[n, i, j] == pytest.approx(
                    sum(a[n, i, y, x] * a[n, j, y, x] for y in range(4) for x in range(5)) / 20
                )


def test_style_pulls_to_the_textures_and_content_to_the_picture():
    nns.manual_seed(0)
    model = CNN(3, 16, 10, channels=(8, 8, 8), pools=1, hidden=8, dropout=0.0).eval()
    rng = np.random.default_rng(0)
    content = np.zeros((3, 20, 24), np.float32)
    content[:, 5:15, 8:16] = 0.8
    texture = (
        np.repeat(np.tile(np.array([0.1, 0.9], np.float32), 8)[None, None], 12, 1).repeat(3, 0)
        + rng.random((3, 12, 16), np.float32) * 0.05
    )

    def distance(x):
        ours, theirs = (rectified(model.features, nns.as_tensor(p[None])) for p in (x, texture))
        return sum(((gram(a) - gram(b)).square().sum() / gram(b).square().sum()).item() for a, b in zip(ours, theirs)) / 3

    styled = transfer(model, content, texture, strength=10.0, steps=60)
    assert styled.shape == content.shape and 0 <= styled.min() and styled.max() <= 1
    assert distance(styled) < 0.3 * distance(content)
    np.testing.assert_array_equal(transfer(model, content, texture, strength=0.0, smoothness=0.0, steps=5), content)
    little = transfer(model, content, texture, strength=0.01, smoothness=0.0, steps=60)
    assert np.abs(little - content).mean() < 0.7 * np.abs(styled - content).mean()


def test_models_and_weights_that_do_not_do():
    picture = np.zeros((3, 16, 16), np.float32)
    with pytest.raises(ValueError, match="such as a cnn, not Linear"):
        transfer(nn.Linear(2, 2), picture, picture)
    with pytest.raises(ValueError, match="expected 3 numbers"):
        transfer(CNN(3, 16, channels=(2, 2, 2), pools=1, hidden=2), picture, picture, weights=[1.0])
