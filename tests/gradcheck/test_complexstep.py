"""The complex step: where the function is analytic it sees through roundoff, elsewhere it has no say."""

import numpy as np
import pytest

from nnscratch.gradcheck import Verdict, check_vjp
from nnscratch.gradcheck.complexstep import Analytic, slope
from nnscratch.gradcheck.problem import Problem

X = np.random.default_rng(0).standard_normal((4, 5))
V = np.random.default_rng(1).standard_normal((4, 5))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_slope(x):
    y = softmax(x)
    return y * (V - (y * V).sum(axis=-1, keepdims=True))


def exact(f, x=X):
    problem = Problem(f, lambda *_: None)
    y = problem.at([x])
    return slope(problem, [x], 0, V, y)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (np.tanh, lambda x: V * (1 - np.tanh(x) ** 2)),
        (lambda x: x**3 / (1 + x * x), lambda x: V * (3 * x**2 + x**4) / (1 + x * x) ** 2),
        (softmax, softmax_slope),
        (lambda x: np.where(x > 0, np.sin(x), 0.5 * x), lambda x: V * np.where(x > 0, np.cos(x), 0.5)),
        (lambda x: np.maximum(x, 0).sum(), lambda x: np.sum(V * (x > 0))),
        (lambda x: (x @ x.T)[0], lambda x: (V @ x.T + x @ V.T)[0]),
        (lambda x: np.concatenate([x[0], np.einsum("ij,j->i", x, x[1])]),
         lambda x: np.concatenate([V[0], V @ x[1] + x @ V[1]])),
        (lambda x: (np.exp(x), x.mean()), lambda x: np.append(V * np.exp(x), V.mean())),
        (lambda x: np.linalg.inv(x[:, :4] + 4 * np.eye(4)),
         lambda x: -np.linalg.inv(x[:, :4] + 4 * np.eye(4)) @ V[:, :4] @ np.linalg.inv(x[:, :4] + 4 * np.eye(4))),
    ],
)  # fmt: skip
def test_analytic_functions_to_the_last_digits(f, expected):
    value, error = exact(f)
    truth = np.ravel(expected(X))
    np.testing.assert_allclose(value, truth, rtol=1e-13, atol=1e-14)
    assert np.all(error < 1e-13)


@pytest.mark.parametrize(
    "f",
    [
        np.abs,
        np.sign,
        np.round,
        np.floor,
        np.var,
        np.linalg.norm,
        lambda x: x.real,
        lambda x: x * x.conj(),
        lambda x: np.vdot(x, x),
        lambda x: x.astype(np.float32),
        lambda x: np.sin(x) + 1e-9 * np.abs(x),
        lambda x: np.hypot(x, 1.0),
        lambda x: np.array([abs(a) for a in x.ravel()]),
        lambda x: np.abs(np.where(X > 0, x, 0.0)),
        lambda x: np.abs(x[0]),
        lambda x: np.asarray(x) * 2,
        lambda x: float(x[0, 0]) * x,
    ],
)
def test_what_is_not_analytic_is_refused(f):
    assert exact(f) is None


def test_arrays_stay_guarded():
    z = X.astype(complex).view(Analytic)
    for y in (
        z + 1,
        z[0],
        z[0, 0],
        z.sum(),
        z.T,
        np.where(X > 0, z, 0),
        np.concatenate([z, z]),
        z.mean(0),
        np.dot(z, X.T),
        z.copy(),
    ):
        assert isinstance(y, Analytic)


def test_it_sees_through_an_offset_that_differences_drown_in():
    f = lambda x: 1e9 + np.sin(x)
    report = check_vjp(f, lambda g, y, x: (g * np.cos(x),), [X])
    assert report.verdict is Verdict.CORRECT and report.resolution < 1e-7

    def off(g, y, x):
        gx = g * np.cos(x)
        gx[2, 3] *= 1.0001
        return (gx,)

    report = check_vjp(f, off, [X])
    assert report.verdict is Verdict.WRONG and report.findings[0].index == (2, 3)
    assert report.findings[0].ratio == pytest.approx(1.0001, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_no_scale_is_too_small_or_large(scale):
    f = lambda x: 1e9 * scale**2 + x * x
    assert check_vjp(f, lambda g, y, x: (2 * g * x,), [X * scale])
    assert check_vjp(f, lambda g, y, x: (2.001 * g * x,), [X * scale]).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("f", "df"),
    [
        (lambda x: 1e9 + np.abs(x), np.sign),
        (lambda x: 1e9 + np.asarray(x).real + np.sin(x), lambda x: 1 + np.cos(x)),
        (lambda x: 1e9 + np.abs(np.asarray(x)) + np.sin(x), lambda x: np.sign(x) + np.cos(x)),
        (lambda x: (np.sin(x), 1e9 + np.abs(np.asarray(x))), None),
    ],
)
def test_a_right_gradient_is_never_wrong_for_the_complex_step_alone(f, df):
    """The last ones escape the guard: then the differences object."""
    vjp = (lambda g, y, x: (g * df(x),)) if df else (lambda g, y, x: (g[0] * np.cos(x) + g[1] * np.sign(x),))
    for seed in range(10):
        assert check_vjp(f, vjp, [X], seed=seed).ok
