"""Recomputation: same gradients, less memory."""

import weakref

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns

rng = np.random.default_rng(0)


def block(x, w):
    return nns.tanh(nns.tanh(x * w) * x)


def test_same_values_and_derivatives():
    x, w = rng.standard_normal((2, 5))
    check_grads(lambda x, w: nns.checkpoint(block, x, w), x, w, order=2)
    a, b = (nns.tensor(v, requires_grad=True) for v in (x, w))
    direct = nns.grad(block(a, b).sum(), [a, b])
    again = nns.grad(nns.checkpoint(block, a, b).sum(), [a, b])
    for p, q in zip(direct, again):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_intermediate_values_are_dropped():
    alive = []

    def f(x):
        h = nns.tanh(x)
        alive.append(weakref.ref(h.data))
        return nns.tanh(h * 2.0)

    x = nns.tensor(rng.standard_normal(5), requires_grad=True)
    y = nns.checkpoint(f, x)
    assert alive[0]() is None
    y.sum().backward()
    assert len(alive) == 2 and x.grad is not None


def test_parameters_inside_are_reached():
    w = nns.tensor(rng.standard_normal(3), requires_grad=True)
    x = nns.tensor(rng.standard_normal(3))
    nns.checkpoint(lambda x: (x * w).tanh(), x).sum().backward()
    expected = nns.grad((x * w).tanh().sum(), [w])[0]
    np.testing.assert_array_equal(w.grad.numpy(), expected.numpy())


def test_nested_and_retained():
    x = nns.tensor(rng.standard_normal(3), requires_grad=True)
    inner = lambda x: nns.checkpoint(nns.tanh, x * 2.0) * x
    y = nns.checkpoint(inner, x).sum()
    (expected,) = nns.grad((nns.tanh(x * 2.0) * x).sum(), [x])
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * expected.numpy(), rtol=1e-14)


def test_dropout_draws_the_same_mask():
    x = nns.tensor(np.ones(1000), requires_grad=True)
    nns.manual_seed(3)
    y = nns.checkpoint(lambda x: nns.dropout(x, 0.5) * x, x)
    after = nns.rand(3).numpy()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy() > 0, y.detach().numpy() > 0)
    nns.manual_seed(3)
    nns.dropout(x, 0.5)
    np.testing.assert_array_equal(nns.rand(3).numpy(), after)  # the stream is not disturbed


def test_a_function_that_changes_is_refused():
    count = []

    def fickle(x):
        count.append(1)
        return x * 2.0 if len(count) == 1 else nns.tanh(x) * 3.0

    x = nns.tensor([1.0], requires_grad=True)
    y = nns.checkpoint(fickle, x)
    with pytest.raises(RuntimeError, match="fickle recorded other operations"):
        y.sum().backward()
