"""The reader of labels from a VAE's code, and an encoder that is trained to leave it nothing."""

import numpy as np
import pytest

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch import optim
from nnscratch.models import VAE, MapVAE, WindowVAE


def make(kind=VAE, **options):
    nns.manual_seed(0)
    return kind((3, 8, 8), classes=3, reader=True, **options)


@pytest.mark.parametrize("kind", [VAE, MapVAE, WindowVAE])
def test_the_terms(kind):
    """Against their formulas; the reader's loss moves the reader alone."""
    model, x, y = make(kind), nns.tensor(np.random.default_rng(0).random((4, 3, 8, 8)).astype(np.float32)), np.array([0, 2, 1, 1])
    z = nns.tensor(np.random.default_rng(1).standard_normal((4, model.latent)).astype(np.float32))
    shares = np.exp(model.reader(z).detach().numpy())
    shares /= shares.sum(1, keepdims=True)
    assert model.unread(z).item() == pytest.approx(-np.log(shares).mean(), rel=1e-5) and model.unread(z).item() >= np.log(3)
    plain, faded = (model.loss(x, nns.Generator(2), labels=y, fader=w)[0].item() for w in (0.0, 2.0))
    mu, logvar = model.encode(x, y)
    sample = model.reparameterize(mu, logvar, nns.Generator(2))
    assert faded - plain == pytest.approx(2 * model.unread(sample).item(), abs=1e-3)  # of a sum over the pixels
    model.reader_loss(x, y, nns.Generator(2)).backward()
    reader = {id(p) for p in model.reader.parameters()}
    assert all((p.grad is not None) == (id(p) in reader) for p in model.parameters())
    shares = np.exp(model.reader(sample).detach().numpy())
    cost = -np.log(shares[np.arange(4), y] / shares.sum(1)).mean()
    assert model.reader_loss(x, y, nns.Generator(2)).item() == pytest.approx(cost, rel=1e-5)


def test_without_a_reader():
    with pytest.raises(ValueError, match="a reader of labels needs a model with 2 classes or more, got 0"):
        VAE(reader=True)
    model = VAE((1, 4, 4), classes=2)
    with pytest.raises(ValueError, match="no reader of labels"):
        model.loss(nns.zeros(1, 1, 4, 4), labels=[0], fader=1.0)


@pytest.mark.parametrize("fader", [0.0, 3.0])
def test_the_label_leaves_the_code(fader):
    """Two pixels: one is the label, one is not. Another network reads the label from the codes, unless the encoder hides it."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=256)
    values = np.stack([0.1 + 0.8 * labels, rng.random(256)], 1).astype(np.float32).reshape(-1, 1, 1, 2)
    nns.manual_seed(0)
    model = VAE((1, 1, 2), 16, 2, likelihood="gaussian", classes=2, reader=True)
    reader = list(model.reader.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith("reader")]
    turns = {"reader": optim.Adam(reader, lr=0.01), "vae": optim.Adam(others, lr=0.01)}
    for step in range(200):
        i = np.arange(64) + step % 4 * 64
        for name, optimizer in turns.items():
            model.zero_grad()
            x, y = nns.tensor(values[i]), labels[i]
            loss = model.reader_loss(x, y) if name == "reader" else model.loss(x, labels=y, beta=0.01, fader=fader)[0]
            loss.backward()
            optimizer.step()
    z = model.encode(nns.tensor(values), labels)[0].detach()
    judge = nns.nn.Sequential(nns.nn.Linear(2, 16), nns.nn.Tanh(), nns.nn.Linear(16, 2))
    optimizer = optim.Adam(judge.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(judge(z), nns.tensor(labels)).backward()
        optimizer.step()
    read = (judge(z).detach().numpy().argmax(1) == labels).mean()
    assert read > 0.95 if fader == 0 else read < 0.75
    kept = np.corrcoef(model.reconstruct(nns.tensor(values), labels).detach().numpy()[:, 0, 0, 1], values[:, 0, 0, 1])[0, 1]
    assert kept > 0.95
