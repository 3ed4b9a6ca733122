"""Recomputation: same gradients, less memory."""

import gc
import weakref

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns
from nnscratch.autograd.modes import observers

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


def test_a_write_inside_is_recomputed():
    def f(x):
        h = nns.tanh(x) * 1.0
        h += 1.0
        return h * h

    x = nns.tensor(rng.standard_normal(4), requires_grad=True)
    (expected,) = nns.grad(f(x).sum(), [x])
    y = nns.checkpoint(f, x).sum()
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), expected.numpy())
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * expected.numpy())


@pytest.mark.parametrize("which", [0, 1])
def test_what_cannot_be_computed_again_is_refused(which):
    x, w = (nns.tensor(rng.standard_normal(3), requires_grad=True) for _ in range(2))
    y = nns.checkpoint(lambda x: nns.tanh(x + w), x)  # add keeps neither: nothing else would notice
    with nns.no_grad():
        (x, w)[which].add_(1.0)
    with pytest.raises(RuntimeError, match=r"argument or parameter .* changed in place"):
        y.sum().backward()


def test_other_tensors_the_second_time_are_refused():
    x = nns.tensor(rng.standard_normal(3), requires_grad=True)
    h = x * 2.0
    y = nns.checkpoint(lambda x: nns.tanh(x + h), x)
    h += 1.0
    with pytest.raises(RuntimeError, match="used other tensors"):
        y.sum().backward()

    def rewrites(x):
        x *= 2.0
        return nns.tanh(x)

    with pytest.raises(RuntimeError, match="rewrites changes an argument"):
        nns.checkpoint(rewrites, x * 1.0)


def test_an_argument_that_gets_another_history_later():
    x = nns.tensor(rng.standard_normal(3), requires_grad=True)
    h = x * 2.0
    y = nns.checkpoint(nns.tanh, h)
    (expected,) = nns.grad(nns.tanh(x * 2.0).sum(), [x])
    h = h.detach_()  # the tensor, not the argument's place in the graph
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected.numpy())


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x = nns.tensor(rng.standard_normal(3), requires_grad=True)
        nns.checkpoint(block, x, x)  # dropped as it is
        nns.checkpoint(block, x, x).sum().backward()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_fault_in_the_second_run_leaves_nothing_behind():
    runs = []

    def f(x):
        runs.append(1)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return nns.tanh(x)

    x = nns.tensor(rng.standard_normal(3), requires_grad=True)
    y = nns.checkpoint(f, x)
    with pytest.raises(KeyboardInterrupt):
        y.backward(np.ones(3))
    assert nns.is_grad_enabled() and not observers
    y.backward(np.ones(3))
    assert len(runs) == 3 and x.grad is not None
