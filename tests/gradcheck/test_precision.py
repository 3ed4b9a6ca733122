"""How small a fault may be, and what roundoff looks like."""

import numpy as np
import pytest

from nnscratch.gradcheck import Verdict, check_vjp

X = np.random.default_rng(0).standard_normal((6, 5))

LINEAR = {
    "matmul": (np.matmul, lambda g, y, a, b: (g @ b.T, a.T @ g), [X, X.T.copy()]),
    "trilinear": (
        lambda a, b, c: np.einsum("ij,kj,kl->il", a, b, c),
        lambda g, y, a, b, c: (g @ c.T @ b, c @ g.T @ a, b @ a.T @ g),
        [X, X[::-1].copy(), X[:, :3].copy()],
    ),
    "sum of squares": (lambda x: (x * x).sum(), lambda g, y, x: (2 * g * x,), [X]),
    "cumulative sum": (lambda x: x.cumsum(), lambda g, y, x: (g[::-1].cumsum()[::-1].reshape(x.shape),), [1e12 * X]),
}


@pytest.mark.parametrize("name", LINEAR)
def test_multilinear_functions_are_held_to_twelve_digits(name):
    """Their differences are the same at any step: no truncation error hides a fault."""
    f, vjp, inputs = LINEAR[name]
    off = lambda share: lambda *args: [(1 + share) * np.asarray(g) for g in vjp(*args)]
    for seed in range(5):
        report = check_vjp(f, vjp, inputs, seed=seed)
        assert report.verdict is Verdict.CORRECT and report.resolution < 1e-11, report
        assert check_vjp(f, off(1e-10), inputs, seed=seed).verdict is Verdict.WRONG

        def spotted(*args):
            gs = [np.array(g, np.float64) for g in vjp(*args)]
            gs[0][2, 1] *= 1 + 1e-9
            return gs

        assert check_vjp(f, spotted, inputs, seed=seed).findings[0].index == (2, 1)
    assert check_vjp(np.tanh, lambda g, y, x: (g * (1 - y * y) * (1 + 1e-10),), [X]).verdict is Verdict.CORRECT  # out of reach


@pytest.mark.parametrize("seed", range(3))
def test_roundoff_of_a_small_value_from_large_parts_is_no_kink(seed):
    """x (1 + tanh z) is small at -3 and rounded like 3; of many such values some look like a kink's part for a step or two."""
    z = lambda x: 0.8 * x * (1 + 0.045 * x * x)
    f = lambda x: x * (np.tanh(z(x)) * 0.5 + 0.5)

    def vjp(g, y, x):
        t = np.tanh(z(x))
        return (g * (t * 0.5 + 0.5 + x * (1 - t * t) * 0.4 * (1 + 0.135 * x * x)),)

    x = np.random.default_rng(seed).standard_normal(20_000)
    assert check_vjp(f, vjp, [x], seed=seed, projections=2).verdict is Verdict.CORRECT


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e-12])
def test_a_kink_of_outputs_that_are_small_beside_others_is_one(scale):
    f = lambda x: np.concatenate([x, scale * np.abs(x)])
    x = np.array([0.0, 1.0, -2.0])
    report = check_vjp(f, lambda g, y, x: (g[:3] + scale * g[3:] * np.sign(x),), [x])
    assert report.verdict is Verdict.CORRECT and (scale < 1e-20 or "kink" in report.notes[0])
