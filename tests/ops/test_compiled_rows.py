"""Softmax, cross-entropy, layer and group norm by kernels against NumPy's passes: values, gradients and their derivatives."""

import numpy as np
import pytest
from nnscratch.kernels import compiled, groups, rows, use

import nnscratch as nns
from nnscratch import ops

pytest.importorskip("numba")

LABELS = np.random.default_rng(2).integers(0, 6, (4, 5, 5))
CASES = {
    "softmax": (lambda x: ops.softmax(x, 1), (9, 6), []),
    "softmax of channels": (lambda x: ops.softmax(x, 1), (4, 6, 5, 5), []),
    "log_softmax": (lambda x: ops.log_softmax(x, -1), (3, 4, 7), []),
    "log_softmax along the first": (lambda x: ops.log_softmax(x, 0), (7, 4), []),
    "cross_entropy": (lambda x: ops.cross_entropy(x, nns.tensor(LABELS[0, 0])), (5, 6), []),
    "cross_entropy of images": (lambda x: ops.cross_entropy(x, nns.tensor(LABELS), reduction="none"), (4, 6, 5, 5), []),
    "cross_entropy summed": (lambda x: ops.cross_entropy(x, nns.tensor(LABELS), reduction="sum"), (4, 6, 5, 5), []),
    "layer_norm": (lambda x, w, b: ops.layer_norm(x, (7,), w, b), (3, 4, 7), [7, 7]),
    "layer_norm of two axes": (lambda x: ops.layer_norm(x, (4, 7)), (3, 4, 7), []),
    "group_norm": (lambda x, w, b: ops.group_norm(x, 3, w, b), (4, 6, 5, 5), [6, 6]),
    "group_norm of one group": (lambda x, w: ops.group_norm(x, 1, w), (4, 6, 3, 4), [6]),
    "instance_norm": (lambda x, w, b: ops.instance_norm(x, None, None, w, b), (4, 6, 5, 5), [6, 6]),
    "group_norm of few positions": (lambda x, w, b: ops.group_norm(x, 3, w, b), (4, 6, 2), [6, 6]),
}
NOT_TAKEN = ("group_norm of few positions", "log_softmax along the first", "softmax of channels", "cross_entropy of images")


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_kernels_against_numpy(name, channels_last, monkeypatch):
    monkeypatch.setattr(compiled, "LARGE", 1)
    taken = []
    for module, function in ((rows, "softmax_vjp"), (rows, "nll_vjp"), (rows, "layer_norm_vjp"), (groups, "backward")):
        real = getattr(module, function)

        def spy(*args, _real=real, **kwargs):
            result = _real(*args, **kwargs)
            taken.append(result is not None)
            return result

        monkeypatch.setattr(module, function, spy)
    op, shape, sizes = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    if channels_last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    arrays = [x, *(rng.standard_normal(n) for n in sizes)]
    h = rng.standard_normal(shape)

    def results():
        leaves = [nns.Tensor(a).requires_grad_() for a in arrays]
        y = op(*leaves)
        g = np.random.default_rng(3).standard_normal(y.shape)
        total = (y * nns.tensor(g)).sum()
        first = nns.grad(total, leaves, retain_graph=True)
        again = nns.grad(total, leaves, create_graph=True)
        second = nns.grad((again[0] * nns.tensor(h)).sum(), leaves, allow_unused=True)
        return [a.detach().numpy() for a in (y, *first, *again, *second) if a is not None]

    fast = results()
    if channels_last and len(shape) == 4 or name not in NOT_TAKEN and not (channels_last and len(shape) < 4):
        assert any(taken)
    with use("im2col"):
        slow = results()
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)
