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


def cube(x):
    return (x * x * x).sum()


def test_transforms_nest():
    x = np.array([1.0, 2.0])
    ones = np.ones(2)
    np.testing.assert_array_equal(nns.jacobian(lambda x: nns.jacobian(cube, x), x).numpy(), np.diag(6 * x))
    np.testing.assert_array_equal(nns.jacobian(lambda x: nns.hvp(cube, x, ones)[1], x).numpy(), 6 * np.eye(2))
    np.testing.assert_array_equal(nns.jacobian(lambda x: nns.hessian(cube, x).sum(), x).numpy(), [6, 6])
    _, t = nns.jvp(lambda x: nns.jvp(cube, (x,), (ones,))[1], (x,), (ones,))
    assert t.item() == 6 * x.sum()


def test_an_inner_transform_sees_what_it_closes_over():
    x, v = np.array(3.0), np.array(2.0)
    assert nns.jacobian(lambda w: nns.jvp(lambda x: w * x, (x,), (v,))[1], np.array(5.0)).item() == 2
    assert nns.jacobian(lambda w: nns.vjp(lambda x: w * x, x)[1](v), np.array(5.0)).item() == 2
    assert nns.jacobian(lambda w: nns.vjp(lambda x: w * x, x)[0], np.array(5.0)).item() == 3
    _, pull = nns.vjp(lambda x: x * x, x)
    assert nns.jacobian(pull, v).item() == 6  # made outside, used inside
    y, _ = nns.vjp(lambda x: x * 2.0, x)
    assert not y.requires_grad  # and at the outermost level nothing is recorded without need


def test_inputs_are_independent():
    x = nns.tensor(1.0, dtype=np.float64, requires_grad=True)

    def g(a, b):
        return a * 2.0 + b * 3.0

    for second in (x, x * 5.0):  # the same tensor, and one computed from it
        _, pull = nns.vjp(g, x, second)
        assert [t.item() for t in pull(1.0)] == [2.0, 3.0]
        assert nns.jvp(g, (x, second), (1.0, 1.0))[1].item() == 5.0
        assert [t.item() for t in nns.jacobian(g, (x, second))] == [2.0, 3.0]


def test_under_no_grad():
    with nns.no_grad():
        np.testing.assert_array_equal(nns.hvp(cube, np.ones(2), np.ones(2))[1].numpy(), [6, 6])
        np.testing.assert_array_equal(nns.hessian(cube, np.ones(2)).numpy(), 6 * np.eye(2))
        np.testing.assert_array_equal(nns.jvp(cube, (np.ones(2),), (np.ones(2),))[1].numpy(), 6)


def test_identity_and_integer_outputs():
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(nns.jacobian(lambda x: x, x).numpy(), np.eye(2))
    np.testing.assert_array_equal(nns.jvp(lambda x: x, (x,), (x,))[1].numpy(), x)
    (_, t) = nns.jvp(lambda x: (x * 2.0, (x > 0).long()), (x,), (x,))
    np.testing.assert_array_equal(t[0].numpy(), 2 * x)
    np.testing.assert_array_equal(t[1].numpy(), 0)


def test_an_input_is_not_written_into():
    def f(x):
        x += 1.0
        return x

    for x in (np.ones(2), nns.tensor(np.ones(2), requires_grad=True)):
        with pytest.raises(RuntimeError, match="leaf"):
            nns.vjp(f, x)
        np.testing.assert_array_equal(nns.to_numpy(x), 1)
