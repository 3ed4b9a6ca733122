"""Ops of every family on arrays of each library: nothing but the type of the array says where to compute."""

import numpy as np
import pytest

import nnscratch as nns
import nnscratch.nn as nn
import nnscratch.nn.functional as F

rng = np.random.default_rng(23)
X, Y = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
IMAGES, FILTERS = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((4, 2, 3, 3))
AT, LABELS = rng.integers(0, 4, (3, 5)), rng.integers(0, 5, 4)

CASES = {
    "arithmetic": (lambda x, y: (2 * x - y) / (y * y + 1) ** 0.5, X, Y),
    "functions": (lambda x: nns.exp(x) + nns.tanh(x) * nns.erf(x) + nns.sigmoid(x), X),
    "choice": (lambda x, y: nns.where(x > y, nns.clamp(x, -1, 1), nns.maximum(x, y)), X, Y),
    "activations": (lambda x: F.gelu(x) + F.silu(x) + F.elu(x) + F.softplus(x) + F.leaky_relu(x), X),
    "softmax": (lambda x: F.softmax(x, -1) * F.log_softmax(x, 0), X),
    "reductions": (lambda x: nns.sum(x, 0) + nns.var(x, 0) + nns.amax(x, 0) + nns.logsumexp(x, 0) + nns.prod(x, 0), X),
    "norm": (lambda x: nns.norm(x) + nns.mean(x), X),
    "order": (lambda x: nns.sort(x, 1).values + nns.cummax(x, 1).values + nns.topk(x, 5, 1).values, X),
    "running": (lambda x: nns.cumsum(x, 1) + nns.cumprod(x, 1) + nns.logcumsumexp(x, 1), X),
    "shape": (lambda x, y: nns.cat([nns.flip(x, (0,)), nns.roll(y, 2, 1)], 1).reshape(5, 8), X, Y),
    "padding": (lambda x: F.pad(x, (1, 2), value=3.0) + F.pad(nns.tril(x)[None], (2, 1), "reflect")[0], X),
    "linear algebra": (lambda x, y: x @ y.T + nns.einsum("ij,kj->ik", x, y) + F.linear(x, y), X, Y),
    "index": (lambda x, i: nns.gather(x, 0, i) + x[1:, None, 0] + nns.index_select(x, 0, i[:, 0]), X, AT),
    "no dimensions": (lambda x: x[None] * x[...], np.array(1.5)),
    "scatter": (lambda x, i, y: nns.scatter_add(x, 0, i, y[:3]) + nns.scatter(x, 0, i, 2.0), X, AT, Y),
    "scatter_reduce": (lambda x, i, y: nns.scatter_reduce(x, 0, i, y[:3], "prod"), X, AT, Y),
    "scatter_reduce amax": (lambda x, i, y: nns.scatter_reduce(x, 0, i, y[:3], "amax", include_self=False), X, AT, Y),
    "embedding": (lambda i, x: F.embedding(i, x, padding_idx=2), AT, X),
    "mask": (lambda x: nns.masked_fill(x, x > 0, 1.5), X),
    "conv": (lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=2), IMAGES, FILTERS),
    "conv_transpose": (lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1), IMAGES, FILTERS),
    "conv1d": (lambda x, w: F.conv1d(x, w, padding="same", dilation=2), IMAGES[0], FILTERS[:, 0].repeat(2, 1)[:, :6]),
    "unfold": (lambda x: F.fold(F.unfold(x, 3, padding=1), 6, 3, padding=1), IMAGES),
    "max_pool": (lambda x: F.max_pool2d(x, 2), IMAGES),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGES),
    "adaptive_pool": (lambda x: F.adaptive_avg_pool2d(x, 4) + F.adaptive_max_pool2d(x, 4), IMAGES),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear") + F.interpolate(x, (12, 12)), IMAGES),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), IMAGES),
    "group_norm": (lambda x: F.group_norm(x, 2) + F.layer_norm(x, (6, 6)) + F.local_response_norm(x, 2), IMAGES),
    "cross_entropy": (lambda x, c: F.cross_entropy(x, c, label_smoothing=0.1) + F.nll_loss(x, c), X, LABELS),
    "losses": (lambda x, y: F.mse_loss(x, y) + F.huber_loss(x, y) + F.binary_cross_entropy_with_logits(x, y * y), X, Y),
    "dropout": (lambda x: F.dropout(x, 0.5, generator=nns.Generator(3)), X),
}


def run(xp, f, arrays):
    """f's value and its derivatives of first and second order, as NumPy arrays; all of them must have been xp's."""
    tensors = [nns.Tensor(xp.asarray(a), requires_grad=a.dtype.kind == "f") for a in arrays]
    leaves = [t for t in tensors if t.requires_grad]
    y = f(*tensors)
    first = nns.grad(y.sum(), leaves, create_graph=True)
    second = nns.grad(sum((g * g).sum() for g in first), leaves, allow_unused=True) if first[0].requires_grad else ()
    plain = nns.grad(f(*tensors).sum(), leaves)
    results = [t for t in (y, *first, *plain, *second) if t is not None]
    assert {type(t.data) for t in results} == {xp.ndarray}
    return [nns.to_numpy(t) for t in results]


@pytest.mark.parametrize("name", CASES)
def test_tensors(xp, name):
    f, *arrays = CASES[name]
    got = run(xp, f, arrays)
    with nns.kernels.use("reference"):
        expected = run(np, f, arrays)
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_plain_arrays_give_arrays(xp, name):
    f, *arrays = CASES[name]
    y = f(*[xp.asarray(a) for a in arrays])
    assert isinstance(y, (xp.ndarray, np.generic))
    np.testing.assert_allclose(nns.to_numpy(y), nns.to_numpy(f(*map(nns.tensor, arrays))), rtol=1e-10, atol=1e-10)


RECURRENT = {
    "lstm": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "lstm with projection": lambda: nn.LSTM(3, 4, proj_size=2),
    "gru": lambda: nn.GRU(3, 4),
    "rnn": lambda: nn.RNN(3, 4),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(xp, name):
    layer = RECURRENT[name]()
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    expected = nns.to_numpy(layer(nns.tensor(x))[0])
    for p in layer.parameters():
        p.data = xp.asarray(p.data)
    y, _ = layer(nns.Tensor(xp.asarray(x)))
    y.sum().backward()
    assert all(type(p.grad.data) is xp.ndarray for p in layer.parameters())
    np.testing.assert_allclose(nns.to_numpy(y), expected, rtol=1e-5, atol=1e-6)
