"""Other frameworks' functions through their adapters; JAX, where it is not installed, by a stand-in for what is used of it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nnscratch.gradcheck import Verdict, assert_detects_wrong_gradient, check_vjp, from_jax, from_torch

X = np.random.default_rng(0).standard_normal((3, 4))


def test_torch_functions():
    torch = pytest.importorskip("torch")
    assert check_vjp(*from_torch(torch.tanh), X)
    assert check_vjp(*from_torch(lambda x, i: (x[i], x.sum())), [X, np.array([0, 2, 0])])
    assert check_vjp(*from_torch(torch.nn.functional.gelu), X.astype(np.float32))
    assert all(assert_detects_wrong_gradient(*from_torch(lambda x: torch.softmax(x, 1)), [X]).values())


def test_a_wrong_torch_function_is_found():
    torch = pytest.importorskip("torch")

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            gx = g * ctx.saved_tensors[0].cos()
            gx[1, 2] *= 1.001
            return gx

    report = check_vjp(*from_torch(lambda x: Wrong.apply(x).sum()), X)
    assert report.verdict is Verdict.WRONG and report.findings[0].index == (1, 2)
    report = check_vjp(*from_torch(lambda x: (x * x.detach()).sum()), X)
    assert report.verdict is Verdict.WRONG and "1/2" in report.findings[0].hint
    assert check_vjp(*from_torch(torch.nn.functional.dropout), X).verdict is Verdict.NONDETERMINISTIC


class Foreign:
    """An array that NumPy can read and knows nothing else about."""

    def __init__(self, values):
        self.values = np.array(values)

    def __array__(self, dtype=None, copy=None):  # noqa: ARG002
        return self.values.astype(dtype or self.values.dtype)


class Traced:
    """A function of foreign arrays with its pullback: for the stand-in, which differentiates nothing itself."""

    def __init__(self, forward, pullback):
        self.forward, self.pullback = forward, pullback

    def __call__(self, *xs):
        assert all(type(x) is Foreign for x in xs)
        return self.tree(Foreign, self.forward(*[x.values for x in xs]))

    @staticmethod
    def tree(f, y):
        if isinstance(y, dict):
            return {k: f(v) for k, v in y.items()}
        return type(y)(map(f, y)) if isinstance(y, (tuple, list)) else f(y)


def stand_in():
    def leaves(y):
        return list(y.values()) if isinstance(y, dict) else list(y) if isinstance(y, (tuple, list)) else [y]

    def unflatten(structure, parts):
        if isinstance(structure, dict):
            return dict(zip(structure, parts))
        return type(structure)(parts) if isinstance(structure, (tuple, list)) else parts[0]

    def vjp(f, *xs):
        y = f(*xs)

        def pull(u):
            assert type(u) is type(y)
            return tuple(map(Foreign, f.pullback(f.tree(np.asarray, u), *[x.values for x in xs])))

        return y, pull

    tree = SimpleNamespace(leaves=leaves, structure=lambda y: y, unflatten=unflatten)
    return SimpleNamespace(numpy=SimpleNamespace(asarray=Foreign), tree=tree, vjp=vjp)


TREES = {
    "an array": Traced(np.sin, lambda u, x: (u * np.cos(x),)),
    "a tuple": Traced(lambda x: (np.sin(x), x.sum()), lambda u, x: (u[0] * np.cos(x) + u[1],)),
    "a list of one": Traced(lambda x: [2 * x], lambda u, x: (2 * u[0],)),
    "a dict": Traced(lambda x: {"a": x[0], "b": x * x}, lambda u, x: (np.eye(3)[:, :1] * u["a"] + 2 * x * u["b"],)),
}


@pytest.mark.parametrize("result", TREES)
def test_the_jax_adapter_on_a_stand_in(monkeypatch, result):
    monkeypatch.setitem(sys.modules, "jax", stand_in())
    f = TREES[result]
    assert check_vjp(*from_jax(f), X)
    assert check_vjp(*from_jax(f), X.astype(np.float32))
    wrong = Traced(f.forward, lambda u, x: (1.001 * f.pullback(u, x)[0],))
    assert check_vjp(*from_jax(wrong), X).verdict is Verdict.WRONG


def test_jax_functions():
    jax = pytest.importorskip("jax")
    assert check_vjp(*from_jax(jax.numpy.tanh), X.astype(np.float32))
    assert check_vjp(*from_jax(lambda x: {"sum": x.sum(), "rows": [x[0], x[1] ** 2]}), X.astype(np.float32))
    report = check_vjp(*from_jax(lambda x: x * jax.lax.stop_gradient(x)), X.astype(np.float32))
    assert report.verdict is Verdict.WRONG
