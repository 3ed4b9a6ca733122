"""The judges: the package's LeNet is the one it says it is, and the numbers over its features mean something."""

from importlib.resources import files

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.data import Digits, TensorDataset, load
from nnscratch.data.files import DataError
from nnscratch.metrics import frechet_distance, lenet
from nnscratch.metrics.judge import cnn_judge, judge_name, judge_of, lenet_judge, train_judge
from nnscratch.models import CNN


@pytest.fixture(scope="module")
def mnist():
    try:
        return load("mnist", train=False, download=False).batch(range(10_000))
    except DataError:
        pytest.skip("MNIST is not on this machine")


def test_the_weights_are_small_and_hashed(monkeypatch):
    file = files("nnscratch.metrics") / "weights" / "lenet.safetensors"
    assert len(file.read_bytes()) < 1_000_000
    first, second = lenet.pretrained_lenet(), lenet.pretrained_lenet()
    assert not first.training
    for a, b in zip(first.parameters(), second.parameters()):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    monkeypatch.setattr(lenet, "SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match=r"lenet\.safetensors: its SHA-256 is [0-9a-f]{64}, expected 0{64}"):
        lenet.pretrained_lenet()


def test_the_features_are_those_before_the_last_layer():
    model = lenet.pretrained_lenet()
    judge = lenet_judge(model, "lenet")
    x = np.random.default_rng(0).random((501, 1, 28, 28)).astype(np.float32)
    features = judge.features(x)
    assert features.shape == (501, 84)
    with nns.no_grad():
        logits = model.head(nns.tensor(features)).numpy()
        np.testing.assert_allclose(logits, model(nns.tensor(x)).numpy(), atol=1e-4)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(judge.probabilities(x), exponentials / exponentials.sum(1, keepdims=True), atol=1e-5)


def test_the_lenet_reads_digits_and_tells_good_from_bad(mnist):
    images, labels = mnist
    judge = lenet_judge(lenet.pretrained_lenet(), "lenet")
    p = judge.probabilities(images)
    assert (p.argmax(1) == labels).mean() == pytest.approx(lenet.ACCURACY, abs=2e-4)
    assert lenet.ACCURACY > 0.99
    assert (p.max(1) > 0.9).mean() > 0.98
    features = judge.features(images[:4000])
    rng = np.random.default_rng(0)
    worse = [features[2000:]]
    for strength in (0.1, 0.3, 0.6):
        worse.append(judge.features(np.clip(images[2000:4000] + strength * rng.standard_normal((2000, 1, 28, 28)), 0, 1)))
    distances = [frechet_distance(features[:2000], f) for f in worse]
    assert distances == sorted(distances) and distances[1] > 2 * distances[0] and distances[3] > 10 * distances[0]


def test_a_cnn_can_judge():
    model = CNN(3, 8, 7, channels=[4, 5], pools=1, hidden=6)
    judge = cnn_judge(model)
    assert not model.training and (judge.name, judge.classes) == ("cnn", 7)
    x = np.random.default_rng(0).random((9, 3, 8, 8)).astype(np.float32)
    features = judge.features(x)
    assert features.shape == (9, 6) and features.min() >= 0
    with nns.no_grad():
        np.testing.assert_allclose(model.classifier[-1](nns.tensor(features)).numpy(), model(nns.tensor(x)).numpy(), atol=1e-5)


def test_which_judge_belongs_to_which_data(tmp_path):
    assert judge_name("mnist", (1, 28, 28), 10) == "lenet"
    assert judge_name("digits", (1, 28, 28), 10) == "judge", "its numbers are not to be mixed with those of MNIST"
    assert judge_name("folder:x", (3, 32, 32), 1) == "pixel"
    unlabelled = TensorDataset(np.zeros((2, 3, 32, 32)), np.zeros(2))
    judge = judge_of("folder:x", (3, 32, 32), 1, unlabelled, tmp_path / "judge")
    assert (judge.name, judge.classes) == ("pixel", 0) and not (tmp_path / "judge").exists()
    x = np.random.default_rng(0).random((7, 3, 32, 32)).astype(np.float32)
    features, probabilities = judge.look(x)
    assert probabilities is None
    np.testing.assert_allclose(features, x.reshape(7, 3, 8, 4, 8, 4).mean((3, 5)).reshape(7, 192), rtol=1e-5)


def test_a_judge_is_trained_once_and_leaves_the_generator_alone(tmp_path):
    train, test = Digits(train=True), Digits(train=False)
    nns.manual_seed(7)
    before = nns.get_rng_state()
    first = judge_of("digits", (1, 8, 8), 10, train, tmp_path / "judge.safetensors")
    assert nns.get_rng_state() == before
    images, labels = test.batch(range(300))
    accuracy = (first.probabilities(images).argmax(1) == labels).mean()
    assert accuracy > 0.95
    empty = TensorDataset(images[:0], labels[:0])
    again = judge_of("digits", (1, 8, 8), 10, empty, tmp_path / "judge.safetensors")  # nothing to train with: it is read
    np.testing.assert_array_equal(first.probabilities(images), again.probabilities(images))
    assert again.name == "judge"


def test_training_a_judge_repeats():
    train = Digits(train=True)
    a, b = (train_judge(train, (1, 8, 8), 10, steps=3) for _ in range(2))
    for p, q in zip(a.parameters(), b.parameters()):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
