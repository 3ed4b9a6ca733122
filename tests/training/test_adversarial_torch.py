"""One adversarial step of each kind against PyTorch: the same networks, noise and images; gradients of every weight."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.models import DCGAN, WGANGP
from nnscratch.training.tasks import TASKS

torch = pytest.importorskip("torch")
TF = torch.nn.functional


def twin(network):
    """The layers of one of our Sequentials in torch, with its weights."""
    layers = []
    for layer in network:
        name = type(layer).__name__
        if name == "Unflatten":
            layers.append(torch.nn.Unflatten(1, tuple(layer.unflattened_size)))
        elif name in ("Conv2d", "ConvTranspose2d"):
            sizes = (layer.in_channels, layer.out_channels, layer.kernel_size)
            layers.append(getattr(torch.nn, name)(*sizes, stride=layer.stride, padding=layer.padding, bias=False))
        elif name == "BatchNorm2d":
            layers.append(torch.nn.BatchNorm2d(layer.num_features))
        elif name == "GroupNorm":
            layers.append(torch.nn.GroupNorm(1, layer.num_channels))
        else:
            layers.append(
                {"ReLU": torch.nn.ReLU(), "LeakyReLU": torch.nn.LeakyReLU(0.2), "Tanh": torch.nn.Tanh()}.get(name)
                or torch.nn.Flatten(0)
            )
    net = torch.nn.Sequential(*layers).double()
    net.load_state_dict({k: torch.tensor(v.numpy()) for k, v in network.state_dict().items()})
    return net


def their_loss(kind, r, f):
    if kind == "non-saturating":
        return TF.binary_cross_entropy_with_logits(r, torch.ones_like(r)) + TF.binary_cross_entropy_with_logits(
            f, torch.zeros_like(f)
        )
    return TF.relu(1 - r).mean() + TF.relu(1 + f).mean() if kind == "hinge" else f.mean() - r.mean()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcgan", {}),
        ("dcgan", {"loss": "hinge", "r1": 0.7}),
        ("wgan-gp", {}),
        ("wgan-gp", {"r1": 0.3, "loss": "non-saturating", "gp": 2.0}),
    ],
)
def test_gradients_of_both_sides_are_torchs(name, options, monkeypatch):
    nns.manual_seed(0)
    task = TASKS[name](**options)
    model = {"dcgan": DCGAN, "wgan-gp": WGANGP}[name]((1, 28, 28), latent=5, width=3).double()
    for p in model.parameters():
        p.data[...] *= 5  # larger than at the start, so that no gradient is lost in the tolerances
    g, d = twin(model.generator), twin(model.discriminator)
    images, z = np.random.default_rng(0).random((4, 1, 28, 28)), np.random.default_rng(1).standard_normal((4, 5))
    shares = np.random.default_rng(2).random((4, 1, 1, 1))
    monkeypatch.setattr(model, "noise", lambda n: nns.tensor(z[:n]))
    monkeypatch.setattr("nnscratch.training.penalties.rand", lambda *shape, **_: nns.tensor(shares))

    ours = task.discriminator_loss(model, (nns.tensor(images), None), 0)[0]
    ours.backward()
    real = torch.tensor(2 * images - 1)
    with torch.no_grad():
        fake = g(torch.tensor(z))
    theirs = their_loss(task.chosen["loss"], d(real), d(fake))

    def slope(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(d(x).sum(), x, create_graph=True)[0].flatten(1).norm(dim=1)

    theirs = theirs + task.chosen["r1"] / 2 * (slope(real) ** 2).mean()
    between = torch.tensor(shares) * real + (1 - torch.tensor(shares)) * fake
    if task.chosen["gp"]:
        theirs = theirs + task.chosen["gp"] * ((slope(between) - 1) ** 2).mean()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)
    compare(model.discriminator, d)
    assert all(p.grad is None for p in model.generator.parameters()), "the discriminator's step is none of the generator's"

    ours = task.generator_loss(model, (images,), 0)[0]
    ours.backward()
    f = d(g(torch.tensor(z)))
    target = torch.ones_like(f)
    theirs = TF.binary_cross_entropy_with_logits(f, target) if task.chosen["loss"] == "non-saturating" else -f.mean()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)
    compare(model.generator, g)


def compare(ours, theirs):
    theirs = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        expected = theirs[name].grad.numpy() if theirs[name].grad is not None else np.zeros(p.shape)
        found = p.grad.numpy() if p.grad is not None else np.zeros(p.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * max(1, np.abs(expected).max()), err_msg=name)
        assert np.abs(expected).max() > 1e-6 or name.endswith("bias"), name
