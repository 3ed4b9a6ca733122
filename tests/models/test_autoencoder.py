"""Autoencoders: sizes, purposes, what they keep; and the row classifier."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models
from nnscratch.models import Autoencoder, RowClassifier
from nnscratch.training.corruption import corrupt, plain_repair, random_masks


def images(*shape, seed=0):
    return nns.tensor(np.random.default_rng(seed).random(shape).astype(np.float32))


SMALL = {"widths": (4, 6)}


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (31, 5), (1, 3)])
@pytest.mark.parametrize("purpose", ["reconstruct", "denoise", "enhance", "inpaint", "colourise"])
def test_every_purpose_takes_every_size(purpose, size):
    model = Autoencoder(3, 28, purpose, **SMALL).eval()
    x = images(2, 1 if purpose == "colourise" else 3, *size)
    known = nns.tensor(random_masks(1, *size).astype(np.float32)) if purpose == "inpaint" else None
    y = model.restore(x, known).detach().numpy()
    factor = 2 if purpose == "enhance" else 1
    assert y.shape == (2, 3, factor * size[0], factor * size[1])
    assert y.min() >= 0 and y.max() <= 1
    again = models.build("autoencoder", model.config).eval()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again.restore(x, known).detach().numpy(), y)


def test_a_picture_in_the_middle_of_a_larger_one_is_restored_alike():
    """Convolutions do not know where they are: far from the edges, and shifted by whole strides, the result is the same."""
    model = Autoencoder(1, 28, "reconstruct", **SMALL).eval()
    x = images(1, 1, 64, 64)
    whole = model.restore(x).detach().numpy()
    part = model.restore(x[:, :, 8:56, 12:60]).detach().numpy()
    np.testing.assert_allclose(part[:, :, 12:36, 12:36], whole[:, :, 20:44, 24:48], atol=1e-5)


def test_inpainting_keeps_the_known_and_does_not_look_at_the_hidden():
    model = Autoencoder(1, 8, "inpaint", **SMALL).eval()
    x, known = images(3, 1, 8, 8), np.ones((3, 1, 8, 8), np.float32)
    known[:, :, 4:] = 0
    y = model.restore(x, nns.tensor(known)).detach().numpy()
    np.testing.assert_array_equal(y[:, :, :4], x.numpy()[:, :, :4])
    other = x.numpy().copy()
    other[:, :, 4:] = np.nan
    np.testing.assert_array_equal(model.restore(nns.tensor(other), nns.tensor(known)).detach().numpy(), y)


def test_the_code_is_narrow():
    model = Autoencoder(1, 28, code=3)
    middle = [layer for layer in model.network if getattr(layer, "kernel_size", None) == (1, 1)]
    assert middle[0].weight.shape[:2] == (3, 64) and middle[1].weight.shape[:2] == (64, 3)
    dense = Autoencoder(1, 28, architecture="dense")
    widths = [p.shape[0] for p in dense.parameters() if p.ndim == 2]
    assert widths == [128, 32, 128, 784]


def test_the_anomaly_score_is_the_error_of_each_image():
    model = Autoencoder(1, 8, **SMALL).eval()
    x = images(4, 1, 8, 8)
    expected = ((model.restore(x).detach().numpy() - x.numpy()) ** 2).reshape(4, -1).mean(1)
    np.testing.assert_allclose(model.anomaly_score(x).detach().numpy(), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="needs a model that reconstructs or denoises, not one to enhance"):
        Autoencoder(1, 8, "enhance", **SMALL).anomaly_score(x)


def test_wrong_arguments():
    for call, message in [
        (lambda: Autoencoder(purpose="sharpen"), "unknown purpose 'sharpen', expected one of reconstruct, denoise"),
        (lambda: Autoencoder(architecture="deep"), "unknown architecture 'deep'"),
        (lambda: Autoencoder(purpose="enhance", architecture="dense"), "it cannot enhance"),
        (lambda: Autoencoder(1, purpose="colourise"), "need 3 channels, these have 1"),
        (lambda: Autoencoder(3).restore(images(1, 1, 8, 8)), r"expected images \(N, 3, H, W\), got \(1, 1, 8, 8\)"),
        (lambda: Autoencoder(1, purpose="inpaint").restore(images(1, 1, 8, 8)), "give the mask `known`"),
        (lambda: Autoencoder(1).restore(images(1, 1, 8, 8), nns.ones(1, 1, 8, 8)), "give no mask"),
        (lambda: Autoencoder(1, architecture="dense").restore(images(1, 1, 8, 8)), r"images of \(28, 28\), got 8x8"),
        (lambda: RowClassifier()(images(1, 1, 28, 27)), r"expected images \(N, 1, H, 28\), got \(1, 1, 28, 27\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_damage_is_what_it_says():
    x = images(400, 1, 8, 8)
    noisy, none = corrupt(x, "denoise", amount=0.3, generator=nns.Generator(0))
    assert none is None
    level = (noisy - x).numpy().reshape(400, -1).std(1)
    assert level.max() < 0.45 and level.min() < 0.03 and level.mean() == pytest.approx(0.15, abs=0.02)
    peppered = corrupt(x, "denoise", noise="salt-and-pepper", amount=0.3, generator=nns.Generator(0))[0].numpy()
    changed = peppered != x.numpy()
    assert set(np.unique(peppered[changed])) == {0.0, 1.0}
    assert changed.mean() == pytest.approx(0.15, abs=0.02) and peppered[changed].mean() == pytest.approx(0.5, abs=0.03)
    small, _ = corrupt(x, "enhance")
    np.testing.assert_allclose(small.numpy()[5, 0, 1, 2], x.numpy()[5, 0, 2:4, 4:6].mean(), rtol=1e-6)
    holed, known = corrupt(x, "inpaint", generator=nns.Generator(0))
    assert (holed.numpy()[known.numpy() == 0] == 0).all()
    hidden = 1 - known.numpy().reshape(400, -1).mean(1)
    halves = hidden == 0.5
    assert 0.4 < halves.mean() < 0.6 and hidden.min() >= 4 / 64 and hidden.max() == 0.5
    colour = images(2, 3, 4, 4)
    grey, _ = corrupt(colour, "colourise")
    np.testing.assert_allclose(grey.numpy()[0, 0, 1, 1], colour.numpy()[0, :, 1, 1] @ [0.299, 0.587, 0.114], rtol=1e-6)
    with pytest.raises(ValueError, match="unknown purpose 'blur'"):
        corrupt(x, "blur")


def test_repairs_without_training():
    x = nns.tensor(np.array([[0.2, 0.4], [0.6, 0.0]], np.float32)[None, None])
    known = nns.tensor(np.array([[1, 1], [1, 0]], np.float32)[None, None])
    np.testing.assert_allclose(plain_repair(x, known, "inpaint")[0, 0], [[0.2, 0.4], [0.6, 0.4]], rtol=1e-6)
    np.testing.assert_array_equal(plain_repair(x * 4 - 1, None, "denoise"), np.clip(x.numpy() * 4 - 1, 0, 1))
    assert plain_repair(x, None, "colourise").shape == (1, 3, 2, 2) and plain_repair(x, None, "enhance").shape == (1, 1, 4, 4)


def test_each_half_is_hidden_at_times():
    masks = random_masks(300, 6, 8, nns.Generator(0))[:, 0]
    halves = {m.tobytes() for m in masks if (~m).sum() == 24 and ((~m).all(0).any() or (~m).all(1).any())}
    for rows, columns in (
        (slice(3), slice(None)),
        (slice(3, None), slice(None)),
        (slice(None), slice(4)),
        (slice(None), slice(4, None)),
    ):
        wanted = np.ones((6, 8), bool)
        wanted[rows, columns] = False
        assert wanted.tobytes() in halves


def test_the_row_classifier_reads_rows_in_order():
    nns.manual_seed(0)
    model = RowClassifier(2, (5, 3), classes=4, hidden=6).eval().double()
    x = np.random.default_rng(0).random((3, 2, 5, 3))
    logits = model(nns.tensor(x)).detach().numpy()
    assert logits.shape == (3, 4)
    output, _ = model.lstm(nns.tensor(x.transpose(0, 2, 3, 1).reshape(3, 5, 6)))
    last = output.detach().numpy()[:, -1]
    w, b = (p.detach().numpy() for p in model.classifier[1].parameters())
    np.testing.assert_allclose(logits, last @ w.T + b, rtol=1e-10)
    again = models.build("lstm", model.config).eval().double()
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(nns.tensor(x)).detach().numpy(), logits)
