"""Wrong gradients are caught, and placed: the element, the ratio, the likely cause."""

import numpy as np
import pytest

from nnscratch.gradcheck import Verdict, assert_detects_wrong_gradient, check_vjp

X = np.random.default_rng(1).standard_normal((40, 40))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_vjp(g, y, x):
    return y * (g - (g * y).sum(axis=-1, keepdims=True))


FUNCTIONS = {
    "tanh": (np.tanh, lambda g, y, x: g * (1 - y * y)),
    "softmax": (softmax, softmax_vjp),
    "cubes": (lambda x: (x**3).sum(), lambda g, y, x: g * 3 * x * x),
    "matmul": (lambda x: np.tanh(x @ X[:, :7]), lambda g, y, x: (g * (1 - y * y)) @ X[:, :7].T),
    "relu": (lambda x: np.maximum(x, 0), lambda g, y, x: g * (x > 0)),
}


def one_off(vjp, index, factor):
    def wrong(g, y, x):
        gx = np.array(vjp(g, y, x))
        gx[index] *= factor
        return (gx,)

    return wrong


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_one_element_of_1600_wrong_by_a_thousandth(name, seed):
    f, vjp = FUNCTIONS[name]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 40))
    live = np.argwhere(vjp(np.ones_like(f(x)), f(x), x) != 0) if name == "relu" else np.argwhere(np.ones_like(x))
    index = tuple(live[rng.integers(len(live))])
    report = check_vjp(f, one_off(vjp, index, 1.001), [x], seed=seed)
    assert report.verdict is Verdict.WRONG
    finding = report.findings[0]
    assert finding.input == 0 and finding.index == index
    assert finding.ratio == pytest.approx(1.001, rel=1e-5)
    assert abs(finding.analytic - finding.numeric) > finding.bound


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_element_of_1600_wrong_by_a_thousandth_for_sixty_seeds(name):
    f, vjp = FUNCTIONS[name]
    missed = []
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        x = rng.standard_normal((40, 40))
        live = np.argwhere(vjp(np.ones_like(f(x)), f(x), x) != 0) if name == "relu" else np.argwhere(np.ones_like(x))
        index = tuple(live[rng.integers(len(live))])
        report = check_vjp(f, one_off(vjp, index, 1.001), [x], seed=seed)
        if report.verdict is not Verdict.WRONG or report.findings[0].index != index:
            missed.append(seed)
        assert check_vjp(f, lambda *a: (vjp(*a),), [x], seed=seed).verdict is Verdict.CORRECT
    assert not missed


@pytest.mark.parametrize(
    "factor, hint",
    [(2, "times 2"), (7, "times 7"), (25, "times 25"), (-1, "sign"), (0, "missing"), (0.5, "times 1/2"), (1.001, "times 1.001")],
)
def test_a_constant_factor_everywhere(factor, hint):
    for f, vjp in FUNCTIONS.values():
        report = check_vjp(f, lambda *a: (factor * vjp(*a),), [X])
        assert report.verdict is Verdict.WRONG
        assert hint in report.findings[0].hint
        assert hint in str(report).splitlines()[0]


def test_at_a_magnitude_of_1e_minus_7():
    f = lambda x: 1e-7 * np.sin(x).sum()
    report = check_vjp(f, lambda g, y, x: (25e-7 * g * np.cos(x),), [X])
    assert report.verdict is Verdict.WRONG and report.findings[0].ratio == pytest.approx(25)


def test_seeded_with_ones():
    report = check_vjp(softmax, lambda g, y, x: (softmax_vjp(np.ones_like(g), y, x),), [X])
    assert report.verdict is Verdict.WRONG
    report = check_vjp(np.sin, lambda g, y, x: (np.cos(x),), [X])
    assert report.verdict is Verdict.WRONG and "cotangent is ignored" in report.findings[0].hint
    seven = check_vjp(softmax, lambda g, y, x: (7 * softmax_vjp(g, y, x),), [X])  # which a cotangent of ones cannot see
    assert seven.verdict is Verdict.WRONG


def test_not_linear_in_the_cotangent():
    report = check_vjp(np.sin, lambda g, y, x: (np.clip(g, -1, 1) * np.cos(x),), [X])
    assert report.verdict is Verdict.WRONG
    assert any("linear" in f.message for f in report.findings)


def test_detached_statistic():
    f = lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
    detached = {
        "variance": lambda g, y, x: ((g - g.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5),),
        "mean": lambda g, y, x: ((g - y * (g * y).mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5),),
    }
    for vjp in detached.values():
        assert check_vjp(f, vjp, [X]).verdict is Verdict.WRONG
        assert check_vjp(f, vjp, [1e4 * X[:, :3]]).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "name, f, vjp, inputs, hint",
    [
        ("transposed", lambda x: np.sin(x).T @ X[0], lambda g, y, x: ((np.cos(x) * np.outer(X[0], g)).T,), [X], "transposed"),
        ("flipped", lambda w: np.sum(w * X[:3, :3]), lambda g, y, w: (g * X[:3, :3][::-1, ::-1],), [X[3:6, 3:6]], "flipped"),
        ("shifted", lambda x: x * X[0], lambda g, y, x: (np.roll(g * X[0], 1),), [X[1]], "shifted"),
        ("missing batch sum", lambda x, b: x + b, lambda g, y, x, b: (g, g), [X, X[0]], "sum over broadcast"),
        ("mean for sum", lambda x: x.sum(axis=0), lambda g, y, x: (g / 40 + 0 * x,), [X], "size 40"),
        ("depends where it does not", lambda x, b: x + 0 * b, lambda g, y, x, b: (g, g), [X, X], "does not depend"),
    ],
)  # fmt: skip
def test_hints(name, f, vjp, inputs, hint):
    report = check_vjp(f, vjp, inputs)
    assert report.verdict is Verdict.WRONG
    assert hint in (report.findings[0].hint or ""), report


def test_malformed_results():
    assert check_vjp(np.add, lambda g, y, a, b: (g,), [X, X]).verdict is Verdict.WRONG
    assert check_vjp(np.sin, lambda g, y, x: (np.ones(3),), [X]).verdict is Verdict.WRONG
    assert check_vjp(np.sin, lambda g, y, x: (None,), [X]).verdict is Verdict.WRONG
    assert check_vjp(np.sin, lambda g, y, x: ((g * np.cos(x)).astype(int),), [X]).verdict is Verdict.WRONG


def test_only_one_of_several_inputs_is_wrong():
    f = lambda x, w, b: np.tanh(x @ w + b)

    def vjp(g, y, x, w, b):
        h = g * (1 - y * y)
        gw = x.T @ h
        gw[3, 2] += 1e-4 * gw[3, 2]
        return h @ w.T, gw, h.sum(axis=0)

    report = check_vjp(f, vjp, [X[:9, :8], X[:8, :5], X[0, :5]])
    assert {f.input for f in report.findings} == {1}
    assert report.findings[0].index == (3, 2)


def test_several_wrong_elements():
    bad = {(3, 4), (17, 20), (39, 39)}

    def vjp(g, y, x):
        gx = g * np.cos(x)
        for index in bad:
            gx[index] *= 1.5
        return (gx,)

    report = check_vjp(np.sin, vjp, [X])
    assert {f.index for f in report.findings} == bad


@pytest.mark.parametrize(
    "f, slope",
    [(lambda x: (x**3).sum(), lambda x: 3 * x * x), pytest.param(np.sin, np.cos, marks=pytest.mark.slow)],
)
def test_one_wrong_element_in_200_000(f, slope):
    x = np.random.default_rng(5).standard_normal(200_000)
    calls = []

    def counted(x):
        calls.append(1)
        return f(x)

    report = check_vjp(counted, one_off(lambda g, y, x: g * slope(x), 123_456, 1.5), [x], projections=4)
    assert report.findings[0].index == (123_456,)
    assert len(calls) <= 400 and report.evaluations <= 400


def test_the_memory_layout_must_not_matter():
    def vjp(g, y, x):
        flat = x.ravel(order="K") if not x.flags.c_contiguous else x.ravel()
        return ((g.ravel() * np.cos(flat)).reshape(x.shape),)

    x = np.random.default_rng(0).standard_normal((4, 5))
    report = check_vjp(np.sin, vjp, [x])
    assert report.verdict is Verdict.WRONG and "layout" in report.findings[0].message


class Dense:
    """A layer that remembers its last input, as many do."""

    def __init__(self, w):
        self.w = w

    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.w.astype(x.dtype))

    def backward(self, g, y):
        return (g * (1 - y * y)) @ self.w.T.astype(g.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_that_keeps_its_input(dtype):
    layer = Dense(X[:6, :4])
    square = lambda x: layer.forward(x * x)
    x = X[6:11, :6].astype(dtype)
    right = lambda g, y, x: (2 * np.sqrt(layer.x) * np.sign(x) * layer.backward(g, y),)
    assert check_vjp(square, right, [x]).verdict is Verdict.CORRECT
    assert check_vjp(square, lambda g, y, x: (1.01 * right(g, y, x)[0],), [x]).verdict is Verdict.WRONG


def test_a_function_may_refuse_a_layout():
    def strict(x):
        if not x.flags.c_contiguous:
            raise ValueError("contiguous arrays only")
        return np.sin(x)

    assert check_vjp(strict, lambda g, y, x: (g * np.cos(x),), [X[:3, :3].copy()]).verdict is Verdict.CORRECT


def test_the_faults_that_come_with_the_checker():
    caught = assert_detects_wrong_gradient()
    assert len(caught) > 40 and all(caught.values())
    for f, vjp in list(FUNCTIONS.values())[:2]:
        assert_detects_wrong_gradient(f, lambda *a, vjp=vjp: (vjp(*a),), [X[:6, :6]])


def test_another_checker_can_be_put_to_the_test():
    def blind(f, vjp, xs):
        return True

    with pytest.raises(AssertionError, match="not detected"):
        assert_detects_wrong_gradient(np.sin, lambda g, y, x: (g * np.cos(x),), [X], check=blind)
    with pytest.raises(AssertionError, match="refused"):
        assert_detects_wrong_gradient(np.sin, lambda g, y, x: (g * np.sin(x),), [X])
