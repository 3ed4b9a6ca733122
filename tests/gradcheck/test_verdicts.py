"""Every verdict on functions whose right answer is known."""

import numpy as np
import pytest

from nnscratch.gradcheck import BudgetError, Verdict, check_vjp

X = np.random.default_rng(0).standard_normal((6, 5))


def relu(x):
    return np.maximum(x, 0)


def relu_vjp(g, y, x):
    return (g * (x > 0),)


def mirrored_vjp(g, y, x):
    """Of max(x, x reversed), a tie split evenly."""
    share = (x > x[::-1]) + 0.5 * (x == x[::-1])
    return (g * share + (g * (1 - share))[::-1],)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_vjp(g, y, x):
    return (y * (g - (g * y).sum(axis=-1, keepdims=True)),)


def batch_norm(x):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)


def batch_norm_vjp(g, y, x):
    return ((g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5),)


def take(x):
    return x[[0, 2, 0]]


def take_vjp(g, y, x):
    gx = np.zeros_like(x)
    np.add.at(gx, [0, 2, 0], g)
    return (gx,)


SOUND = {
    "tanh": (np.tanh, lambda g, y, x: (g * (1 - y * y),), [X]),
    "one gradient, no tuple": (np.sin, lambda g, y, x: g * np.cos(x), [X]),
    "matmul": (np.matmul, lambda g, y, a, b: (g @ b.T, a.T @ g), [X, X.T.copy()]),
    "broadcast": (np.multiply, lambda g, y, a, b: (g * b, (g * a).sum(axis=0)), [X, X[0]]),
    "add returns its cotangent twice": (np.add, lambda g, y, a, b: (g, g), [X, X + 1]),
    "softmax": (softmax, softmax_vjp, [X]),
    "batch norm": (batch_norm, batch_norm_vjp, [X]),
    "sum": (np.sum, lambda g, y, x: (np.full_like(x, g),), [X]),
    "norm": (lambda x: np.sqrt((x * x).sum()), lambda g, y, x: (g * x / y,), [X]),
    "index with repeats": (take, take_vjp, [X]),
    "view of the input": (lambda x: x.T[1:], lambda g, y, x: (np.vstack([np.zeros((1, 6)), g]).T,), [X]),
    "two outputs": (
        lambda x: (np.sin(x), x.sum()),
        lambda g, y, x: (g[0] * np.cos(x) + g[1],),
        [X],
    ),
    "a small output beside a large one": (
        lambda x: (1e8 * x, 1e-8 * np.sin(x)),
        lambda g, y, x: (1e8 * g[0] + 1e-8 * g[1] * np.cos(x),),
        [X],
    ),
    "integer input and output": (
        lambda x, i: (x[i], np.argmax(x, axis=0)),
        lambda g, y, x, i: (np.add.at(gx := np.zeros_like(x), i, g[0]) or gx, None),
        [X, np.array([1, 1, 4])],
    ),
    "a Python float": (lambda x: x * x, lambda g, y, x: (2 * g * x,), [3.0]),
    "zeros": (np.sin, lambda g, y, x: (g * np.cos(x),), [np.zeros((3, 2))]),
    "transposed memory": (np.exp, lambda g, y, x: (g * y,), [X.T]),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_sound_gradients_are_correct(name):
    report = check_vjp(*SOUND[name])
    assert report.verdict is Verdict.CORRECT, report
    assert report and not report.findings and report.resolution < 1e-6


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e-7, 1.0, 1e7, 1e12, 1e30])
def test_no_scale_is_special(scale):
    out = lambda x: scale * np.sin(x)
    assert check_vjp(out, lambda g, y, x: (scale * g * np.cos(x),), [X]).verdict is Verdict.CORRECT
    assert check_vjp(out, lambda g, y, x: (25 * scale * g * np.cos(x),), [X]).verdict is Verdict.WRONG
    inside = lambda x: ((x / scale) ** 3).sum()
    assert check_vjp(inside, lambda g, y, x: (3 * g * (x / scale) ** 2 / scale,), [scale * X]).verdict is Verdict.CORRECT
    wrong = check_vjp(inside, lambda g, y, x: (3.003 * g * (x / scale) ** 2 / scale,), [scale * X])
    assert wrong.verdict is Verdict.WRONG and wrong.findings[0].ratio == pytest.approx(1.001, rel=1e-6)


@pytest.mark.parametrize("offset", [1.0, 1e6, 1e12])
def test_a_right_gradient_on_top_of_a_large_constant(offset):
    assert check_vjp(lambda x: x + offset, lambda g, y, x: (g,), [X]).verdict is Verdict.CORRECT
    assert check_vjp(lambda x: x + offset, lambda g, y, x: (2 * g,), [X]).verdict is Verdict.WRONG


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "f, vjp",
    [
        (relu, relu_vjp),
        (np.abs, lambda g, y, x: (g * np.sign(x),)),
        (lambda x: relu(x).sum(), relu_vjp),
        (lambda x: x.max(axis=1), lambda g, y, x: (g[:, None] * (x == y[:, None]) / (x == y[:, None]).sum(1, keepdims=True),)),
        (lambda x: np.maximum(x, x[::-1]), mirrored_vjp),
    ],
)  # fmt: skip
def test_right_gradients_on_kinks(f, vjp, seed):
    x = np.round(np.random.default_rng(seed).standard_normal((20, 20)), 1)
    report = check_vjp(f, vjp, [x], seed=seed)
    assert report.verdict in (Verdict.CORRECT, Verdict.KINK), report
    wrong = check_vjp(f, lambda *a: (1.001 * vjp(*a)[0],), [x], seed=seed)
    assert wrong.verdict is Verdict.WRONG, wrong


def test_kinks_without_escape():
    stairs = lambda x: np.abs(np.sin(1e9 * x) * 1e-9 + x)  # the kink at 0 is one of many
    assert check_vjp(np.abs, lambda g, y, x: (g * np.sign(x),), [np.zeros(4)]).verdict is Verdict.CORRECT
    assert check_vjp(stairs, lambda g, y, x: (g * np.sign(x),), [np.zeros(4)]).verdict is not Verdict.CORRECT


def test_a_value_outside_the_one_sided_derivatives():
    both = lambda g, y, x: (g * (x == x.max()),)  # the full gradient to every tied maximum
    x = np.array([1.0, 3.0, 3.0, -2.0])
    report = check_vjp(lambda x: x.max(), both, [x])
    assert report.verdict is Verdict.KINK and not report
    assert check_vjp(lambda x: x.max(), both, [x], subgradient=True).verdict is Verdict.WRONG
    even = lambda g, y, x: (g * (x == x.max()) / 2,)
    assert check_vjp(lambda x: x.max(), even, [x], subgradient=True).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    "slope, verdict", [(0.0, "CORRECT"), (0.5, "CORRECT"), (1.0, "CORRECT"), (1.5, "WRONG"), (-0.2, "WRONG")]
)
def test_subgradients_of_relu_at_zero(slope, verdict):
    vjp = lambda g, y, x: (g * np.where(x == 0, slope, x > 0),)
    assert check_vjp(relu, vjp, [np.zeros(3)], subgradient=True).verdict.name == verdict


def test_noise_limited():
    def single(x):
        return np.sin(x.astype(np.float32)).astype(np.float64)

    report = check_vjp(single, lambda g, y, x: (g * np.cos(x),), [X])
    assert report.verdict is Verdict.NOISE_LIMITED and "float32" in report.findings[0].hint
    assert check_vjp(single, lambda g, y, x: (1.01 * g * np.cos(x),), [X]).verdict is Verdict.WRONG


@pytest.mark.parametrize("seed", range(5))
def test_noise_limited_scalar(seed):
    def single(x):
        return np.float64(np.sin(x.astype(np.float32)).sum(dtype=np.float32))

    assert check_vjp(single, lambda g, y, x: (g * np.cos(x),), [X], seed=seed).verdict is Verdict.NOISE_LIMITED
    assert check_vjp(single, lambda g, y, x: (2 * g * np.cos(x),), [X], seed=seed).verdict is Verdict.WRONG


def test_vacuous():
    tiny = check_vjp(lambda x: 1 + 1e-20 * np.sin(x), lambda g, y, x: (1e-20 * g * np.cos(x),), [X])
    assert tiny.verdict is Verdict.VACUOUS and tiny.findings[0].input == 0
    assert check_vjp(np.floor, lambda g, y, x: (0 * g,), [X]).verdict is Verdict.VACUOUS
    for scale in (1e3, 1e6, 1e8):
        assert check_vjp(np.round, lambda g, y, x: (0 * g,), [scale * X]).verdict is Verdict.VACUOUS
    straight_through = check_vjp(np.floor, lambda g, y, x: (g,), [X])
    assert straight_through.verdict is Verdict.WRONG


def test_empty_batch():
    product = (np.matmul, lambda g, y, a, b: (g @ b.T, a.T @ g), [np.zeros((0, 3)), np.ones((3, 4))])
    assert check_vjp(*product).verdict is Verdict.VACUOUS
    inner = (np.matmul, lambda g, y, a, b: (g @ b.T, a.T @ g), [np.zeros((2, 0)), np.ones((0, 4))])
    assert check_vjp(*inner).verdict is Verdict.VACUOUS
    made_up = check_vjp(np.matmul, lambda g, y, a, b: (g @ b.T, b), product[2])
    assert made_up.verdict is Verdict.WRONG


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_arrays(shape):
    x = np.zeros(shape)
    assert check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [x]).verdict is Verdict.VACUOUS
    bad = check_vjp(np.sin, lambda g, y, x: (np.zeros(7),), [x])
    assert bad.verdict is Verdict.WRONG


def test_dead():
    report = check_vjp(lambda x: np.ones(3), lambda g, y, x: (np.zeros_like(x),), [X])
    assert report.verdict is Verdict.DEAD
    half = check_vjp(lambda x, b: np.sin(x), lambda g, y, x, b: (g * np.cos(x), None), [X, np.ones(5)])
    assert half.verdict is Verdict.DEAD and half.findings[0].input == 1
    lying = check_vjp(lambda x, b: np.sin(x), lambda g, y, x, b: (g * np.cos(x), g.sum(axis=0)), [X, np.ones(5)])
    assert lying.verdict is Verdict.WRONG and lying.findings[0].input == 1


def test_nondeterministic():
    rng = np.random.default_rng(0)
    noisy = check_vjp(lambda x: x * rng.random(x.shape), lambda g, y, x: (g,), [X])
    assert noisy.verdict is Verdict.NONDETERMINISTIC
    vjp = check_vjp(np.sin, lambda g, y, x: (g * rng.random(x.shape),), [X])
    assert vjp.verdict is Verdict.NONDETERMINISTIC

    calls = []

    def drifting(x):
        calls.append(1)
        return x * (1.0 + (len(calls) > 50))

    assert check_vjp(drifting, lambda g, y, x: (g,), [X]).verdict in (Verdict.NONDETERMINISTIC, Verdict.WRONG)


def test_side_effects():
    def doubles(x):
        x *= 2
        return x

    def spoils_cotangent(g, y, x):
        g *= 2
        return (g,)

    def spoils_input(g, y, x):
        gx = 2 * g * x
        x[...] = 0
        return (gx,)

    buffer = np.zeros_like(X)

    def reuses(g, y, x):
        np.multiply(g, np.cos(x), out=buffer)
        return (buffer,)

    work = np.zeros_like(X)
    cases = {
        "function writes into its input": (doubles, lambda g, y, x: (2 * g,)),
        "writes into its cotangent": (lambda x: 2 * x, spoils_cotangent),
        "VJP writes into its input": (np.square, spoils_input),
        "overwrites a gradient": (np.sin, reuses),
        "later call overwrites": (lambda x: np.sin(x, out=work), lambda g, y, x: (g * np.cos(x),)),
    }
    for message, (f, vjp) in cases.items():
        report = check_vjp(f, vjp, [X])
        assert report.verdict is Verdict.SIDE_EFFECT, message
        assert message in report.findings[0].message
    wrong_too = check_vjp(doubles, lambda g, y, x: (g,), [X])
    assert wrong_too.verdict is Verdict.WRONG  # the gravest wins
    assert Verdict.SIDE_EFFECT in [f.verdict for f in wrong_too.findings]


def test_not_finite():
    x = X.copy()
    x[2, 3], x[4, 1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        assert check_vjp(np.tanh, lambda g, y, x: (g * (1 - y * y),), [x]).verdict is Verdict.CORRECT
        assert check_vjp(np.tanh, lambda g, y, x: (2 * g * (1 - y * y),), [x]).verdict is Verdict.WRONG
        assert check_vjp(np.tanh, lambda g, y, x: (g * y,), [np.full(3, np.nan)]).verdict is Verdict.VACUOUS

    def nan_vjp(g, y, x):
        gx = g * np.cos(x)
        gx[1, 2] = np.nan
        return (gx,)

    report = check_vjp(np.sin, nan_vjp, [X])
    assert report.verdict is Verdict.WRONG and report.findings[0].index == (1, 2)
    with np.errstate(divide="ignore"):
        edge = check_vjp(np.sqrt, lambda g, y, x: (g / (2 * y),), [np.array([0.0, 1.0, 4.0])])
    assert edge.verdict in (Verdict.CORRECT, Verdict.KINK)


def test_budget_refuses_with_the_count():
    with pytest.raises(BudgetError, match=r"\d{4,} evaluations .* budget is 1000"):
        check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [np.zeros(500)], projections="full", budget=1000)
    assert check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [X], projections="full").verdict is Verdict.CORRECT


def test_full_jacobian_finds_what_hides_in_noise():
    def vjp(g, y, x):
        gx = g * np.exp(x)
        gx[0] *= 2
        return (gx,)

    x = np.array([-40.0, 1.0, 2.0])
    report = check_vjp(np.exp, vjp, [x], projections="full")
    assert report.verdict is Verdict.WRONG and report.findings[0].index == (0,)


def test_what_raises_is_passed_on():
    def fails(x):
        raise ZeroDivisionError("by the function")

    with pytest.raises(ZeroDivisionError, match="by the function"):
        check_vjp(fails, lambda g, y, x: (g,), [X])
    with pytest.raises(KeyError):
        check_vjp(np.sin, lambda g, y, x: {}["gradient"], [X])

    def sometimes(x):
        if (x < 0).any():
            raise ValueError("math domain error")
        return np.sqrt(x)

    report = check_vjp(sometimes, lambda g, y, x: (g / (2 * y),), [np.array([1e-3, 1.0, 2.0])])
    assert report.verdict is Verdict.CORRECT


@pytest.mark.parametrize("error", [AssertionError, IndexError, KeyError, TypeError, OSError, ValueError])
@pytest.mark.parametrize("first", [0.0, 1e-3])
def test_whatever_is_raised_off_the_point_ends_the_domain(error, first):
    def root(x):
        if (x < 0).any():
            raise error("expected numbers from 0")
        return np.sqrt(x)

    report = check_vjp(root, lambda g, y, x: (g / (2 * y),), [np.array([first, 1.0, 2.0])])
    assert report.verdict in (Verdict.CORRECT, Verdict.KINK)
    wrong = check_vjp(root, lambda g, y, x: (1.01 * g / (2 * y),), [np.array([first, 1.0, 2.0])])
    assert wrong.verdict is Verdict.WRONG


def test_a_vjp_that_knows_one_point_only():
    def stale(g, y, x):
        if not np.array_equal(x, X):
            raise RuntimeError("backward of another call")
        return (g * np.cos(x),)

    assert check_vjp(np.sin, stale, [X]).verdict is Verdict.CORRECT
    assert check_vjp(np.sin, lambda g, y, x: (1.001 * stale(g, y, x)[0],), [X]).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "options, error",
    [({"projections": 0}, ValueError), ({"projections": "all"}, ValueError), ({"names": ["a", "b"]}, ValueError)],
)
def test_bad_options(options, error):
    with pytest.raises(error):
        check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [X], **options)


def test_complex_is_refused():
    with pytest.raises(TypeError, match="complex128"):
        check_vjp(np.sin, lambda g, y, x: (g,), [X * 1j])


def test_the_seed_decides_everything():
    reports = [check_vjp(*SOUND["softmax"], seed=s) for s in (3, 3, 4)]
    assert reports[0].curve == reports[1].curve and reports[0].curve != reports[2].curve
