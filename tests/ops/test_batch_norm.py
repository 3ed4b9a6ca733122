"""Batch norm against PyTorch, against its own definition, and at the edges of single precision."""

import numpy as np
import pytest
from nnscratch.kernels.channels import rows_together
from support import against_torch, check_grads, rand

import nnscratch as nns
from nnscratch.ops.batchnorm import _batch_norm, batch_norm, batch_norm_block
from nnscratch.ops.channels import channel_affine, channel_sum

SHAPES = [(5, 3), (2, 3, 4), (3, 4, 2, 5), (2, 2, 3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_batch_norm_and_its_running_statistics_are_torchs(shape, affine, training, momentum):
    torch = pytest.importorskip("torch")
    c = shape[1]
    mean, var = rand(c, seed=3), rand(c, seed=4) ** 2 + 0.5
    ours, theirs = (nns.tensor(mean), nns.tensor(var)), (torch.tensor(mean), torch.tensor(var))
    arrays = [3 + 2 * rand(*shape), *([rand(c, seed=1), rand(c, seed=2)] if affine else [])]
    against_torch(
        lambda x, *wb: batch_norm(x, *ours, *(wb or (None, None)), training, momentum, 1e-3),
        lambda x, *wb: torch.nn.functional.batch_norm(x, *theirs, *(wb or (None, None)), training, momentum, 1e-3),
        *arrays,
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("given", ["xwb", "xw", "xb", "x"])
@pytest.mark.parametrize("outputs", [(0,), (0, 1, 2), (1, 2)])
@pytest.mark.parametrize("slope", [1.0, 0.0, 0.3])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_fused_op_is_its_definition(shape, given, outputs, slope, compiled, monkeypatch):
    if compiled:
        pytest.importorskip("numba")
        monkeypatch.setattr("nnscratch.kernels.compiled.LARGE", 1)
    c, (u, h) = shape[1], (rand(*shape, seed=8), rand(*shape, seed=9))

    def derivatives(op):
        x = nns.tensor(1 + rand(*shape), requires_grad=True)
        w = nns.tensor(rand(c, seed=1), requires_grad=True) if "w" in given else None
        b = nns.tensor(rand(c, seed=2), requires_grad=True) if "b" in given else None
        leaves = [t for t in (x, w, b) if t is not None and (0 in outputs or t is x)]
        ys = op(x, w, b, eps=0.1, slope=slope)
        loss = sum((ys[i] * nns.tensor(u if i == 0 else u.flat[:c].copy())).sum() for i in outputs)
        first = nns.grad(loss, leaves, retain_graph=True)
        again = nns.grad(loss, leaves, create_graph=True)
        total = (again[0] * nns.tensor(h)).sum() + sum((g * g).sum() for g in again[1:])
        second = nns.grad(total, leaves, allow_unused=True)
        return [*ys, *first, *again, *second]

    for a, b in zip(derivatives(_batch_norm), derivatives(_batch_norm.definition), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_third_order():
    def f(x, w, b):
        return batch_norm(x, None, None, w, b, training=True, eps=0.1)

    check_grads(f, rand(3, 2, 2), rand(2, seed=1), rand(2, seed=2), order=3)


@pytest.mark.parametrize("positions", [1, 3, 4096, 33000])
def test_single_precision_far_from_zero(positions):
    # 1e4 + noise in float32 is known to 1e-3; its mean and variance must still be right to the last digits.
    x = (1e4 + rand(2, 3, positions)).astype(np.float32)
    exact = x.astype(np.float64)
    mean, var = np.zeros(3, np.float32), np.zeros(3, np.float32)
    y = batch_norm(x, mean, var, training=True, momentum=1.0, eps=0.0)
    np.testing.assert_allclose(mean, exact.mean((0, 2)), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var((0, 2), ddof=1), rtol=1e-5)
    np.testing.assert_allclose(y, batch_norm(exact, None, None, training=True, eps=0.0), atol=2e-3)


def test_a_batch_whose_first_images_are_black():
    x = np.zeros((40, 2, 64, 64), np.float32)
    x[20:] = 1e4 + rand(20, 2, 64, 64)
    mean, var = np.zeros(2, np.float32), np.zeros(2, np.float32)
    batch_norm(x, mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3), ddof=1), rtol=1e-5)


def test_single_precision_gradients():
    x, w, b, g = rand(8, 6, 20, 20) + 2, rand(6, seed=1), rand(6, seed=2), rand(8, 6, 20, 20, seed=3)

    def gradients(dtype):
        leaves = [nns.tensor(a.astype(dtype), requires_grad=True) for a in (x, w, b)]
        y = batch_norm(leaves[0], None, None, *leaves[1:], training=True)
        return [t.numpy() for t in nns.grad(y, leaves, nns.tensor(g.astype(dtype)))]

    for single, double in zip(gradients(np.float32), gradients(np.float64)):
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-4)


def test_half_precision_computes_in_single():
    x = nns.tensor((300 + 50 * rand(4, 3, 8, 8)).astype(np.float16), requires_grad=True)
    y = batch_norm(x, None, None, training=True)
    assert y.dtype == np.float16 and np.isfinite(y.detach().numpy()).all()
    y.sum().backward()
    assert x.grad.dtype == np.float16


@pytest.mark.parametrize("training", [False, True])
def test_memory_layouts(training):
    x, w, b = rand(4, 3, 5, 6), rand(3, seed=1), rand(3, seed=2)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    expected = batch_norm(x, np.zeros(3), np.ones(3), w, b, training)
    for given in (last, np.asfortranarray(x), np.repeat(x, 2, axis=3)[..., ::2], x[::-1].copy()[::-1]):
        before = given.copy()
        y = batch_norm(given, np.zeros(3), np.ones(3), w, b, training)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(given, before)
        assert np.moveaxis(y, 1, -1).flags.c_contiguous


def test_an_empty_batch_teaches_nothing():
    mean, var = nns.tensor(np.zeros(3)), nns.tensor(np.ones(3))
    x = nns.tensor(np.zeros((0, 3, 4, 4)), requires_grad=True)
    y = batch_norm(x, mean, var, training=True)
    assert y.shape == (0, 3, 4, 4) and not mean.numpy().any() and var.numpy().all()
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert batch_norm(x, mean, var).shape == x.shape


def test_chunks_of_rows_change_nothing(monkeypatch):
    x, w, b, g = rand(5, 6, 7, 3), rand(6, seed=1), rand(6, seed=2), rand(5, 6, 7, 3, seed=3)

    def everything():
        leaves = [nns.tensor(a, requires_grad=True) for a in (x, w, b)]
        y = batch_norm(leaves[0], None, None, *leaves[1:], training=True)
        return [y, *nns.grad(y, leaves, nns.tensor(g))]

    whole = everything()
    monkeypatch.setattr("nnscratch.ops.channels.CHUNK", 90)
    monkeypatch.setattr("nnscratch.kernels.channels.LONG_ROW", 20)
    rows_together.cache_clear()
    for a, b in zip(everything(), whole):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-13)
    rows_together.cache_clear()


def test_running_statistics_are_written_not_recorded():
    mean, var = nns.tensor(np.zeros(3)), nns.tensor(np.ones(3))
    memory = mean.data
    x = nns.tensor(rand(4, 3) + 5, requires_grad=True)
    evaluated = batch_norm(x, mean, var)
    batch_norm(x, mean, var, training=True)
    assert mean.data is memory and memory.all() and not mean.requires_grad
    assert evaluated.requires_grad


def test_the_node_keeps_two_numbers_per_channel_beside_its_arguments():
    x = nns.tensor(rand(4, 3, 2, 2), requires_grad=True)
    y, _, _ = _batch_norm(x, None, None, eps=1e-5)
    residuals = y.grad_fn.edges[0][1].extra["residuals"]
    assert [r.shape for r in residuals] == [(3,), (3,)]


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (2, 3, 64, 65), (1, 1, 1), (0, 3, 4), (2, 3000, 2)])
def test_channel_ops(shape):
    x, s, t = rand(*shape), rand(shape[1], seed=1), rand(shape[1], seed=2)
    axes, across = (0, *range(2, len(shape))), (-1, *(1,) * (len(shape) - 2))
    np.testing.assert_allclose(channel_sum(x), x.sum(axes), atol=1e-10)
    np.testing.assert_allclose(channel_affine(x, s, t), x * s.reshape(across) + t.reshape(across), rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(channel_affine(x, s, None), x * s.reshape(across))
    np.testing.assert_array_equal(channel_affine(x, None, t), x + t.reshape(across))
    if 0 < x.size < 100:
        check_grads(channel_affine, x, s, t, order=3)
        check_grads(lambda x: channel_sum(x).tanh(), x, order=3)


def test_half_precision_channel_sums_do_not_overflow_on_the_way():
    x = np.full((2, 1, 3000), 20, np.float16)
    x[1] = -20
    np.testing.assert_array_equal(channel_sum(x), np.zeros(1, np.float16))


X = np.zeros((2, 3, 4))
MISTAKES = [
    (lambda: batch_norm(np.zeros((1, 3)), None, None, training=True), ValueError, "more than one value per channel"),
    (lambda: batch_norm(np.zeros(3), None, None, training=True), ValueError, "at least 2 axes"),
    (lambda: batch_norm(X, None, None), ValueError, "running_mean is needed in evaluation"),
    (lambda: batch_norm(X, np.zeros(4), np.zeros(3)), ValueError, r"running_mean has shape \(4,\), expected \(3,\)"),
    (lambda: batch_norm(X, None, None, np.zeros(4), training=True), ValueError, r"weight has shape \(4,\), expected \(3,\)"),
    (
        lambda: batch_norm(X, None, None, np.zeros(3, np.float32), training=True),
        RuntimeError,
        "input is float64, weight is float32",
    ),
    (lambda: batch_norm(X.astype(int), None, None, training=True), RuntimeError, "must be floating-point, got int64"),
]


@pytest.mark.parametrize("mistake, error, message", MISTAKES, ids=[m for _, _, m in MISTAKES])
def test_errors_say_what_was_given(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


@pytest.mark.parametrize("shape", [(40, 24, 6, 6), (9, 7, 13, 5), (64, 33)])
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("training", [False, True])
def test_compiled_and_not(shape, training, slope, monkeypatch):
    """The kernels against the NumPy passes: values, gradients of x, w, b, and running statistics."""
    pytest.importorskip("numba")
    from nnscratch.kernels import compiled, use

    monkeypatch.setattr(compiled, "LARGE", 1)
    x, g, w, b = 2 + rand(*shape), rand(*shape, seed=3), rand(shape[1], seed=1), rand(shape[1], seed=2)

    def results():
        mean, var = np.zeros(shape[1]), np.ones(shape[1])
        leaves = [nns.tensor(a, requires_grad=True) for a in (x, w, b)]
        y = batch_norm_block(leaves[0], mean, var, *leaves[1:], training, 0.1, 1e-5, slope)
        return [y.detach().numpy(), mean, var, *(t.numpy() for t in nns.grad(y, leaves, nns.tensor(g)))]

    fast = results()
    with use("im2col"):
        slow = results()
    for p, q in zip(fast, slow, strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-11, atol=1e-12)
