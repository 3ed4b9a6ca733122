"""vjp, jvp, hvp, jacobian, hessian against torch.func and against their definitions."""

import numpy as np
import pytest

import nnscratch as nns

rng = np.random.default_rng(0)
A = rng.standard_normal((4, 3))
x0 = rng.standard_normal(3)


def f(x):
    return nns.tanh(nns.tensor(A) @ x) * 2.0


def numeric_jacobian(f, x, eps=1e-6):
    columns = []
    for k in range(x.size):
        d = np.zeros_like(x)
        d[k] = eps
        columns.append((f(x + d) - f(x - d)) / (2 * eps))
    return np.stack(columns, -1)


J = numeric_jacobian(lambda x: np.tanh(A @ x) * 2.0, x0)


def test_vjp():
    y, pull = nns.vjp(f, x0)
    np.testing.assert_allclose(y.numpy(), np.tanh(A @ x0) * 2)
    for seed in range(2):  # as often as one likes
        u = np.random.default_rng(seed).standard_normal(4)
        np.testing.assert_allclose(pull(u).numpy(), J.T @ u, rtol=1e-7)
    with pytest.raises(RuntimeError, match="cotangent has shape"):
        pull(np.ones(3))
    with pytest.raises(RuntimeError, match="1 outputs, got 2"):
        pull(u, u)


def test_vjp_of_several_inputs_and_outputs():
    y, pull = nns.vjp(lambda a, b: (a * b, a + 1.0), 2.0, 3.0)
    assert [t.item() for t in y] == [6.0, 3.0]
    ga, gb = pull(1.0, 10.0)
    assert ga.item() == 13.0 and gb.item() == 2.0


def test_jvp():
    v = rng.standard_normal(3)
    y, t = nns.jvp(f, (x0,), (v,))
    np.testing.assert_allclose(t.numpy(), J @ v, rtol=1e-7)
    y, (t1, t2) = nns.jvp(lambda a, b: (a * b, a * 1.0), (2.0, 3.0), (1.0, 10.0))
    assert t1.item() == 23.0 and t2.item() == 1.0
    with pytest.raises(RuntimeError, match="tangent has shape"):
        nns.jvp(f, (x0,), (np.ones(2),))
    _, zero = nns.jvp(lambda x: nns.tensor(np.ones(2)), (x0,), (v,))  # does not depend on x
    np.testing.assert_array_equal(zero.numpy(), 0)


def test_adjoint_identity():
    for _ in range(5):
        u, v = rng.standard_normal(4), rng.standard_normal(3)
        _, t = nns.jvp(f, (x0,), (v,))
        _, pull = nns.vjp(f, x0)
        assert float(u @ t.numpy()) == pytest.approx(float(pull(u).numpy() @ v), rel=1e-12)


def test_jacobian():
    np.testing.assert_allclose(nns.jacobian(f, x0).numpy(), J, rtol=1e-7)
    ja, jb = nns.jacobian(lambda a, b: a * b, (np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    np.testing.assert_array_equal(ja.numpy(), np.diag([3.0, 4.0]))
    np.testing.assert_array_equal(jb.numpy(), np.diag([1.0, 2.0]))
    assert nns.jacobian(lambda x: (x * x).sum(), np.ones((2, 3))).shape == (2, 3)


def test_hessian_and_hvp():
    def g(x):
        return (nns.tanh(nns.tensor(A) @ x) * (x * x).sum()).sum()

    H = nns.hessian(g, x0).numpy()
    np.testing.assert_allclose(H, H.T, rtol=1e-10)
    expected = numeric_jacobian(lambda x: nns.jacobian(g, x).numpy(), x0)
    np.testing.assert_allclose(H, expected, rtol=1e-6)
    v = rng.standard_normal(3)
    y, h = nns.hvp(g, x0, v)
    np.testing.assert_allclose(h.numpy(), H @ v, rtol=1e-10)
    (haa, hab), (hba, hbb) = nns.hessian(lambda a, b: (a * a * b).sum(), (np.array([2.0]), np.array([3.0])))
    assert [haa.item(), hab.item(), hba.item(), hbb.item()] == [6.0, 4.0, 4.0, 0.0]
    linear = nns.hessian(lambda x: x.sum(), x0)
    np.testing.assert_array_equal(linear.numpy(), np.zeros((3, 3)))
    with pytest.raises(RuntimeError, match="one number"):
        nns.hessian(f, x0)


def test_transforms_compose():
    # The derivative of x -> J(x) v along x, through a leaf outside.
    x = nns.tensor(x0, requires_grad=True)
    _, t = nns.jvp(f, (x,), (np.ones(3),))
    t.sum().backward()
    expected = numeric_jacobian(lambda x: nns.jvp(f, (x,), (np.ones(3),))[1].numpy().sum(), x0)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
    x = nns.tensor(x0, requires_grad=True)
    y, pull = nns.vjp(f, x)
    pull(np.ones(4)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected_grad_of_vjp(), rtol=1e-6)


def expected_grad_of_vjp():
    return numeric_jacobian(lambda x: nns.vjp(f, x)[1](np.ones(4)).numpy().sum(), x0)


def test_against_torch_func():
    torch = pytest.importorskip("torch")
    from torch.func import hessian, jvp

    def g(x):
        return (x.sin() * x.exp()).prod()

    v = rng.standard_normal(3)
    H = hessian(g)(torch.tensor(x0)).numpy()
    np.testing.assert_allclose(nns.hessian(g, x0).numpy(), H, rtol=1e-9)
    _, expected = jvp(g, (torch.tensor(x0),), (torch.tensor(v),))
    np.testing.assert_allclose(nns.jvp(g, (x0,), (v,))[1].item(), expected.item(), rtol=1e-12)
