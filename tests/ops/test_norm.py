"""Layer, group, instance, RMS, local response and p-norm normalisation against PyTorch; the fused op against its definition."""

import numpy as np
import pytest
from support import against_torch, check_grads, functional, rand

import nnscratch as nns
from nnscratch.ops.groupnorm import (
    _group_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)


def affine(shape, how):
    return [rand(*shape, seed=1), rand(*shape, seed=2)][: {"none": 0, "weight": 1, "both": 2}[how]]


@pytest.mark.parametrize("how", ["none", "weight", "both"])
@pytest.mark.parametrize("shape, normalized", [((4, 5), (5,)), ((2, 3, 4), (3, 4)), ((3,), (3,)), ((2, 3, 2, 2), (3, 2, 2))])
def test_layer_norm_is_torchs(shape, normalized, how):
    F = functional()
    against_torch(
        lambda x, *wb: layer_norm(x, normalized, *wb),
        lambda x, *wb: F.layer_norm(x, normalized, *wb),
        3 + rand(*shape),
        *affine(normalized, how),
    )


@pytest.mark.parametrize("how", ["none", "weight", "both"])
@pytest.mark.parametrize("shape, groups", [((2, 4), 2), ((2, 6, 3), 3), ((2, 4, 3, 2), 1), ((1, 4, 2, 3, 2), 4)])
def test_group_norm_is_torchs(shape, groups, how):
    F = functional()
    against_torch(
        lambda x, *wb: group_norm(x, groups, *wb, eps=1e-3),
        lambda x, *wb: F.group_norm(x, groups, *wb, eps=1e-3),
        3 + rand(*shape),
        *affine(shape[1:2], how),
    )


@pytest.mark.parametrize("how", ["none", "both"])
@pytest.mark.parametrize("use_input_stats", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 3, 2), (1, 2, 2, 3, 2)])
def test_instance_norm_and_its_running_statistics_are_torchs(shape, use_input_stats, how):
    torch = pytest.importorskip("torch")
    c = shape[1]
    mean, var = rand(c, seed=3), rand(c, seed=4) ** 2 + 0.5
    ours, theirs = (nns.tensor(mean), nns.tensor(var)), (torch.tensor(mean), torch.tensor(var))
    against_torch(
        lambda x, *wb: instance_norm(x, *ours, *(wb or (None, None)), use_input_stats, 0.3),
        lambda x, *wb: torch.nn.functional.instance_norm(x, *theirs, *(wb or (None, None)), use_input_stats, 0.3),
        3 + rand(*shape),
        *affine((c,), how),
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.parametrize("eps", [None, 1e-2])
@pytest.mark.parametrize("how", ["none", "weight"])
@pytest.mark.parametrize("shape, normalized", [((4, 5), (5,)), ((2, 3, 4), (3, 4))])
def test_rms_norm_is_torchs(shape, normalized, how, eps):
    F = functional()
    against_torch(
        lambda x, *w: rms_norm(x, normalized, *w, eps=eps),
        lambda x, *w: F.rms_norm(x, normalized, *w, eps=eps),
        rand(*shape),
        *affine(normalized, how),
    )


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 4, 2, 3), (1, 3, 2, 2, 2)])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_local_response_norm_is_torchs(shape, size):
    F = functional()
    options = {"alpha": 0.3, "beta": 0.6, "k": 1.5}
    against_torch(
        lambda x: local_response_norm(x, size, **options), lambda x: F.local_response_norm(x, size, **options), rand(*shape)
    )


@pytest.mark.parametrize("p, dim", [(2.0, 1), (1.0, 0), (3.0, -1), (2.0, (0, 1)), (float("inf"), 1)])
def test_normalize_is_torchs(p, dim):
    F = functional()
    x = rand(3, 4)
    against_torch(lambda x: normalize(x, p, dim), lambda x: F.normalize(x, p, dim), x)


def test_normalize_leaves_zero_rows_finite():
    x = nns.tensor(np.zeros((2, 3)), requires_grad=True)
    y = normalize(x)
    y.sum().backward()
    assert not y.detach().numpy().any()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("given", ["xwb", "xw", "xb", "x"])
@pytest.mark.parametrize("shape, groups", [((3, 4), 1), ((3, 4), 2), ((2, 4, 3), 2), ((2, 3, 2, 3), 1), ((2, 3, 2, 2), 3)])
def test_the_fused_op_is_its_definition(given, shape, groups):
    c, (u, h) = shape[1], (rand(*shape, seed=8), rand(*shape, seed=9))

    def derivatives(op):
        x = nns.tensor(1 + rand(*shape), requires_grad=True)
        w = nns.tensor(rand(c, seed=1), requires_grad=True) if "w" in given else None
        b = nns.tensor(rand(c, seed=2), requires_grad=True) if "b" in given else None
        leaves = [t for t in (x, w, b) if t is not None]
        y = op(x, w, b, groups=groups, eps=0.1)
        loss = (y * nns.tensor(u)).sum()
        first = nns.grad(loss, leaves, retain_graph=True)
        again = nns.grad(loss, leaves, create_graph=True)
        total = (again[0] * nns.tensor(h)).sum() + sum((g * g).sum() for g in again[1:])
        return [y, *first, *again, *nns.grad(total, leaves, allow_unused=True)]

    for a, b in zip(derivatives(_group_norm), derivatives(_group_norm.definition), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_chunks_of_images_change_nothing(monkeypatch):
    x, w, b, g = rand(5, 6, 7, 3), rand(6, seed=1), rand(6, seed=2), rand(5, 6, 7, 3, seed=3)

    def everything():
        leaves = [nns.tensor(a, requires_grad=True) for a in (x, w, b)]
        y = group_norm(leaves[0], 3, *leaves[1:])
        return [y, *nns.grad(y, leaves, nns.tensor(g))]

    whole = everything()
    monkeypatch.setattr("nnscratch.ops.channels.CHUNK", 2 * 6 * 7 * 3)
    for a, b in zip(everything(), whole):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_third_order():
    check_grads(lambda x, w, b: layer_norm(x, 3, w, b, 0.1), rand(2, 3), rand(3, seed=1), rand(3, seed=2), order=3)


@pytest.mark.parametrize("f", [lambda x: layer_norm(x, x.shape[1:], eps=0.0), lambda x: group_norm(x, 2, eps=0.0)])
def test_single_precision_far_from_zero(f):
    x = (1e4 + rand(2, 4, 64, 64)).astype(np.float32)
    np.testing.assert_allclose(f(x), f(x.astype(np.float64)), atol=2e-3)


def test_half_precision_computes_in_single():
    x = (300 + 50 * rand(4, 64)).astype(np.float16)
    y = layer_norm(x, 64)
    assert y.dtype == np.float16 and np.isfinite(y).all()


def test_group_norm_keeps_the_memory_channels_last():
    x = np.moveaxis(rand(2, 5, 6, 4), -1, 1)
    y = group_norm(x, 2, rand(4), rand(4, seed=1))
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    np.testing.assert_allclose(y, group_norm(np.ascontiguousarray(x), 2, rand(4), rand(4, seed=1)), rtol=1e-12, atol=1e-13)


def test_empty_batches():
    assert layer_norm(np.zeros((0, 4)), 4).shape == (0, 4)
    assert group_norm(np.zeros((0, 4, 2)), 2).shape == (0, 4, 2)
    for shape in ((0, 4), (4, 0)):
        x, w = (nns.ones(s, requires_grad=True) for s in (shape, shape[1]))
        layer_norm(x, shape[1], w, w).sum().backward()
        assert x.grad.shape == shape and w.grad.tolist() == [0.0] * shape[1]


X = np.zeros((2, 3, 4))
MISTAKES = [
    (lambda: layer_norm(X, 3), ValueError, r"layer_norm: input has shape \(2, 3, 4\), expected it to end in .* \(3,\)"),
    (lambda: layer_norm(X, 4, np.zeros(3)), ValueError, r"layer_norm: weight has shape \(3,\), expected \(4,\)"),
    (lambda: layer_norm(X, 4, np.zeros(4, np.float32)), RuntimeError, "layer_norm: input is float64, weight is float32"),
    (lambda: layer_norm(X.astype(int), 4), RuntimeError, "layer_norm: input must be floating-point, got int64"),
    (lambda: group_norm(X, 2), ValueError, "group_norm: 2 groups do not divide 3 channels"),
    (lambda: group_norm(np.zeros((1, 3)), 3), ValueError, "group_norm: needs more than one value per group"),
    (lambda: instance_norm(np.zeros((2, 3, 1))), ValueError, "instance_norm: needs more than one spatial element"),
    (lambda: instance_norm(np.zeros((2, 3))), ValueError, "instance_norm: input must have at least 3 axes"),
    (lambda: rms_norm(X, (3,)), ValueError, "rms_norm: input has shape"),
    (lambda: local_response_norm(np.zeros((2, 3)), 2), ValueError, "at least 3 axes"),
    (lambda: local_response_norm(X, 0), ValueError, "size must be at least 1"),
]


@pytest.mark.parametrize("mistake, error, message", MISTAKES, ids=[m for _, _, m in MISTAKES])
def test_errors_say_what_was_given(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()
