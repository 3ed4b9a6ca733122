"""Other frameworks' functions through their adapters."""

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


def test_jax_functions():
    jax = pytest.importorskip("jax")
    assert check_vjp(*from_jax(jax.numpy.tanh), X.astype(np.float32))
    report = check_vjp(*from_jax(lambda x: x * jax.lax.stop_gradient(x)), X.astype(np.float32))
    assert report.verdict is Verdict.WRONG
