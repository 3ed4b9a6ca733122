"""Batch norm and its activation in a Sequential: one op in training, with the layers' own results."""

import numpy as np
import pytest
from nnscratch.kernels import compiled

import nnscratch as nns
from nnscratch import nn

pytest.importorskip("numba")

LAYERS = {
    "2d relu": (lambda: [nn.BatchNorm2d(6), nn.ReLU()], (4, 6, 5, 5)),
    "2d leaky": (lambda: [nn.BatchNorm2d(6), nn.LeakyReLU(0.2)], (4, 6, 5, 5)),
    "1d": (lambda: [nn.BatchNorm1d(6), nn.ReLU()], (9, 6)),
    "1d length": (lambda: [nn.BatchNorm1d(6), nn.ReLU()], (4, 6, 7)),
    "3d without weights": (lambda: [nn.BatchNorm3d(3, affine=False, momentum=None), nn.ReLU()], (2, 3, 4, 4, 4)),
    "no running statistics": (lambda: [nn.BatchNorm2d(6, track_running_stats=False), nn.LeakyReLU(0.01)], (4, 6, 5, 5)),
}


def recorded(y):
    """Names of the ops that y was computed by, the last first."""
    names, node = [], y._node
    while node is not None and node.edges:
        names.append(node.name)
        node = node.edges[0][1]
    return names


@pytest.mark.parametrize("name", LAYERS)
def test_one_op_with_the_layers_results(name, monkeypatch):
    monkeypatch.setattr(compiled, "LARGE", 1)
    make, shape = LAYERS[name]
    rng = np.random.default_rng(0)
    x, g, h = rng.standard_normal((3, *shape))

    def run(apart):
        with nns.default_dtype(nns.float64):
            layers = make()
        for p in layers[0].parameters():
            p.data[...] = np.random.default_rng(p.data.size).standard_normal(p.shape)
        t = nns.tensor(x, requires_grad=True)
        net = nn.Sequential(*layers)
        y = layers[1](layers[0](t)) if apart else net(t)
        leaves = [t, *net.parameters()]
        first = nns.grad(y, leaves, nns.tensor(g), retain_graph=True)
        again = nns.grad((y * y).sum(), leaves, create_graph=True)
        second = nns.grad((again[0] * nns.tensor(h)).sum(), leaves)
        buffers = [b.numpy() for b in net.buffers() if b is not None]
        return recorded(y), [a.detach().numpy() for a in (y, *first, *again, *second)] + buffers

    (fused_ops, fused), (ops, expected) = run(False), run(True)
    assert [n for n in fused_ops if n != "output"] == ["batch_norm"]
    assert len([n for n in ops if n != "output"]) == 2
    for a, b in zip(fused, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def test_what_is_not_fused(monkeypatch):
    def count(net, x):
        return len([n for n in recorded(net(x)) if n != "output"])

    x = nns.tensor(np.random.default_rng(0).standard_normal((4, 6, 5, 5)), requires_grad=True, dtype=nns.float32)
    net = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())
    assert count(net, x) == 2  # small
    monkeypatch.setattr(compiled, "LARGE", 1)
    assert count(net, x) == 1
    assert count(nn.Sequential(nn.BatchNorm2d(6), nn.Tanh()), x) == 2
    assert count(nn.Sequential(nn.BatchNorm2d(6), nn.LeakyReLU(-0.5)), x) > 1
    net.eval()
    assert count(net, x) > 1
    net.train()
    seen = []
    net[1].register_forward_hook(lambda module, args, output: seen.append(output))
    assert count(net, x) == 2 and len(seen) == 1
    with pytest.raises(ValueError, match="BatchNorm2d: expected 4-d input"):
        nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())(x[0])
