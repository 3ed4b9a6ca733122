"""Cases of an adversary: many functions at every scale, right ones and wrong ones, judged one by one.

Wrong by a constant, by a thousandth in one element, at any magnitude, with a detached statistic, seeded with ones: WRONG.
Right at 1e12 or 1e-30, on kinks, in float32: no fault.
"""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.gradcheck import Verdict, check_vjp, gradcheck
from nnscratch.gradcheck.report import FAULTS


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(x):
    m = x.max(-1, keepdims=True)
    return x - m - np.log(np.exp(x - m).sum(-1, keepdims=True))


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def layer_norm_vjp(g, y, x):
    inner = g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)
    return inner / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def norm(x):
    top = np.abs(x).max()
    return top * np.sqrt(((x / top) ** 2).sum())


SMOOTH = {
    "sin": (np.sin, lambda g, y, x: g * np.cos(x)),
    "exp": (np.exp, lambda g, y, x: g * y),
    "tanh": (np.tanh, lambda g, y, x: g * (1 - y * y)),
    "square": (lambda x: x * x, lambda g, y, x: 2 * g * x),
    "cube": (lambda x: x**3, lambda g, y, x: 3 * g * x * x),
    "sigmoid": (sigmoid, lambda g, y, x: g * y * (1 - y)),
    "arctan": (np.arctan, lambda g, y, x: g / (1 + x * x)),
    "reciprocal": (lambda x: 1 / x, lambda g, y, x: -g * y * y),
    "sum": (lambda x: x.sum(), lambda g, y, x: np.full_like(x, g)),
    "mean": (lambda x: x.mean(), lambda g, y, x: np.full_like(x, g / x.size)),
    "sum of squares": (lambda x: (x * x).sum(), lambda g, y, x: 2 * g * x),
    "sum of cubes": (lambda x: (x**3).sum(), lambda g, y, x: 3 * g * x * x),
    "norm": (norm, lambda g, y, x: g * x / y),
    "variance": (lambda x: x.var(), lambda g, y, x: 2 * g * (x - x.mean()) / x.size),
    "softmax": (softmax, lambda g, y, x: y * (g - (g * y).sum(-1, keepdims=True))),
    "log-softmax": (log_softmax, lambda g, y, x: g - np.exp(y) * g.sum(-1, keepdims=True)),
    "layer norm": (layer_norm, layer_norm_vjp),
    "gram": (lambda x: x @ x.T, lambda g, y, x: (g + g.T) @ x),
    "cumsum": (lambda x: x.cumsum(-1), lambda g, y, x: g[..., ::-1].cumsum(-1)[..., ::-1]),
}  # fmt: skip
KINKED = {
    "relu": (lambda x: np.maximum(x, 0), lambda g, y, x: g * (x > 0)),
    "abs": (np.abs, lambda g, y, x: g * np.sign(x)),
    "log abs": (lambda x: np.log(np.abs(x)), lambda g, y, x: g / x),
    "row maxima": (lambda x: x.max(-1), lambda g, y, x: g[..., None] * (x == x.max(-1, keepdims=True))),
}
FUNCTIONS = {**SMOOTH, **KINKED}


def times(vjp, factor):
    return lambda g, y, x: (factor * vjp(g, y, x),)


def spotted(vjp, k):
    """Element k of the gradient off by a thousandth."""

    def wrong(g, y, x):
        gx = np.array(vjp(g, y, x))
        gx.flat[k] *= 1.001
        return (gx,)

    return wrong


def draw(seed, shape=(5, 7)):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("magnitude", [1e-30, 1e-7, 1e12, 1e30])
def test_outputs_of_any_magnitude(name, magnitude):
    f, vjp = FUNCTIONS[name]
    scaled, pull = lambda x: magnitude * f(x), lambda g, y, x: vjp(g * magnitude, y / magnitude, x)
    for dtype in (np.float64, np.float32):
        report = check_vjp(scaled, times(pull, 1), [draw(7).astype(dtype)])
        assert report.verdict is Verdict.CORRECT, report
    for factor in (25, 1.001, -1):
        assert check_vjp(scaled, times(pull, factor), [draw(7)]).verdict is Verdict.WRONG
    ones = lambda g, y, x: (pull(np.ones_like(g), y, x),)
    assert check_vjp(scaled, ones, [draw(7)]).verdict is Verdict.WRONG


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_inputs_of_any_magnitude(name, dtype):
    """What saturates, overflows or oscillates there may be inconclusive; but nothing that is found right hides a fault."""
    f, vjp = FUNCTIONS[name]
    for magnitude in (1e-30, 1e-10, 1e-5, 1e3, 1e5, 1e10, 1e12, 1e20, 1e30):
        x = (magnitude * draw(3)).astype(dtype)
        report = check_vjp(f, times(vjp, 1), [x], seed=2)
        assert report.verdict not in FAULTS, (magnitude, report)
        if report:
            assert check_vjp(f, times(vjp, 1.5), [x], seed=2).verdict is Verdict.WRONG, magnitude


HEAVY = {
    "exp(3x)": (lambda x: np.exp(3 * x), lambda g, y, x: 3 * g * y),
    "softmax(5x)": (lambda x: softmax(5 * x), lambda g, y, x: 5 * y * (g - (g * y).sum(-1, keepdims=True))),
    "tanh(4x)": (lambda x: np.tanh(4 * x), lambda g, y, x: 4 * g * (1 - y * y)),
    "x^5": (lambda x: x**5, lambda g, y, x: 5 * g * x**4),
    "sum of bells": (lambda x: np.exp(-x * x).sum(), lambda g, y, x: -2 * g * x * np.exp(-x * x)),
}
SEEDS = [pytest.param(s, marks=pytest.mark.slow if s > 1 else ()) for s in range(60)]


@pytest.mark.parametrize("name", [*SMOOTH, *HEAVY])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_element_of_1600_off_by_a_thousandth(name, seed):
    f, vjp = {**SMOOTH, **HEAVY}[name]
    x = draw(seed, (40, 40))
    report = check_vjp(f, spotted(vjp, np.random.default_rng(seed + 99).integers(1600)), [x], seed=seed)
    assert report.verdict is Verdict.WRONG, report


@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow if s > 5 else ()) for s in range(30)])
def test_one_small_element_among_elements_of_sixteen_decades(seed):
    rng = np.random.default_rng(seed)
    x = 10.0 ** rng.uniform(-8, 8, 300) * rng.choice([-1, 1], 300)
    f, vjp = SMOOTH["square"]
    assert check_vjp(f, times(vjp, 1), [x], seed=seed).verdict is Verdict.CORRECT
    assert check_vjp(f, spotted(vjp, 7 * seed), [x], seed=seed).verdict is Verdict.WRONG


def test_a_small_output_beside_a_large_one():
    f = lambda x: (1e9 * x, 1e-9 * np.sin(x))
    vjp = lambda factor: lambda g, y, x: (1e9 * g[0] + factor * 1e-9 * g[1] * np.cos(x),)
    assert check_vjp(f, vjp(1), [draw(0)]).verdict is Verdict.CORRECT
    assert check_vjp(f, vjp(1.01), [draw(0)]).verdict is Verdict.WRONG


@pytest.mark.parametrize("magnitude", [1e5, 1e7, 1e9, 1e12])
def test_oscillations_far_below_the_first_steps(magnitude):
    """Found by smaller steps; no such steps are left beyond 1e12."""
    wrapped = lambda f: lambda x: f(np.asarray(x, float))  # takes no complex numbers
    for sin in (np.sin, wrapped(np.sin)):
        x = magnitude * draw(0, (40, 40))
        report = check_vjp(sin, lambda g, y, x: (g * np.cos(x),), [x])
        assert report.verdict in (Verdict.CORRECT, Verdict.NOISE_LIMITED), report
        assert check_vjp(sin, lambda g, y, x: (1.5 * g * np.cos(x),), [x]).verdict is Verdict.WRONG


@pytest.mark.parametrize("magnitude", [1.0, 1e5, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_stairs_of_any_height_have_no_slope(magnitude, dtype):
    x = (magnitude * draw(3, (3,))).astype(dtype)
    assert check_vjp(np.round, lambda g, y, x: (0 * g,), [x], seed=2).verdict in (Verdict.VACUOUS, Verdict.DEAD)
    assert check_vjp(lambda x: 1.0 * x, lambda g, y, x: (0 * g,), [x], seed=2).verdict is Verdict.WRONG


@pytest.mark.parametrize("seed", range(10))
def test_kinks_with_and_without_subgradients(seed):
    x = np.round(draw(seed, (40, 40)), 1)
    f, vjp = KINKED["relu"]
    for dtype in (np.float64, np.float32):
        for subgradient in (False, True):
            report = check_vjp(f, times(vjp, 1), [x.astype(dtype)], seed=seed, subgradient=subgradient)
            assert report.verdict in (Verdict.CORRECT, Verdict.KINK), report
        assert check_vjp(f, times(vjp, 2), [x.astype(dtype)], seed=seed, subgradient=True).verdict is Verdict.WRONG


def test_a_subgradient_of_three_equal_elements_that_are_sorted():
    x = np.array([1.0, 1.0, 0.0, 0.5, 1.0])
    back = lambda g, y, x: g[np.argsort(np.argsort(x, kind="stable"))]
    assert check_vjp(np.sort, times(back, 1), [x], subgradient=True).verdict is not Verdict.WRONG
    assert check_vjp(np.sort, times(back, 3), [x], subgradient=True).verdict is Verdict.WRONG


def power(x):
    z = np.fft.rfft(x)
    return (z * z.conj()).real


def power_vjp(g, y, x):
    whole = np.zeros((*g.shape[:-1], x.shape[-1]), complex)
    whole[..., : g.shape[-1]] = (2 * g * np.fft.rfft(x)).conj()
    return np.fft.fft(whole).real


def rosenbrock_vjp(g, y, x):
    rest = x[:, 1:] - x[:, :-1] ** 2
    gx = np.zeros_like(x)
    gx[:, 1:] += 200 * rest
    gx[:, :-1] -= 400 * rest * x[:, :-1] + 2 * (1 - x[:, :-1])
    return g * gx


def rms_norm(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def rms_norm_vjp(g, y, x):
    return (g - y * (g * y).mean(-1, keepdims=True)) / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


LEFT = np.linalg.qr(draw(1, (8, 8)))[0] * np.logspace(0, -10, 8)
MORE = {
    "power spectrum": (power, power_vjp),
    "inverse": (np.linalg.inv, lambda g, y, x: -y.T @ g @ y.T),
    "log-determinant": (lambda x: np.linalg.slogdet(x)[1], lambda g, y, x: g * np.linalg.inv(x).T),
    "Rosenbrock": (
        lambda x: (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(),
        rosenbrock_vjp,
    ),
    "RMS norm": (rms_norm, rms_norm_vjp),
    "ill-conditioned map": (lambda x: LEFT @ x, lambda g, y, x: LEFT.T @ g),
    "oscillation": (
        lambda x: np.sin(30 * x) * np.exp(-x * x),
        lambda g, y, x: g * (30 * np.cos(30 * x) - 2 * x * np.sin(30 * x)) * np.exp(-x * x),
    ),
    "trace of the cube": (lambda x: np.einsum("ij,jk,ki->", x, x, x), lambda g, y, x: 3 * g * (x @ x).T),
    "on top of 1e8": (lambda x: 1e8 + np.sin(x), lambda g, y, x: g * np.cos(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow if s else ()) for s in range(20)])
def test_more_functions_and_faults(name, seed):
    f, vjp = MORE[name]
    x = draw(seed, (8, 8)) + 2 * np.eye(8)
    assert check_vjp(f, times(vjp, 1), [x], seed=seed).verdict is Verdict.CORRECT
    assert check_vjp(f, times(vjp, 1), [x.astype(np.float32)], seed=seed).verdict not in FAULTS
    largest = int(np.argmax(np.abs(vjp(np.ones_like(f(x)), f(x), x))))
    faults = {
        "a constant": lambda g, y, x: (vjp(g, y, x) + 0.01 * np.abs(vjp(g, y, x)).mean(),),
        "ones": lambda g, y, x: (vjp(np.ones_like(g), y, x),),
        "one element": spotted(vjp, largest),
        "a little, by place": lambda g, y, x: (vjp(g, y, x) * (1 + 1e-3 * np.tanh(x)),),
        "1.001": times(vjp, 1.001),
    }
    for fault, wrong in faults.items():
        assert check_vjp(f, wrong, [x], seed=seed).verdict is Verdict.WRONG, fault


DETACHED = {
    "log-sum-exp, maximum detached": (lambda x: (x - x.max().detach()).exp().sum().log() + x.max().detach(), True),
    "unit vector, norm detached": (lambda x: x / (x * x).sum().sqrt().detach(), False),
    "layer norm, mean detached": (lambda x: (x - x.mean(1, keepdim=True).detach()) / x.std(1, keepdim=True), False),
    "layer norm, deviation detached": (lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).detach(), False),
    "softmax, sum detached": (lambda x: x.exp() / x.exp().sum(1, keepdim=True).detach(), False),
    "straight through": (lambda x: x + (x.round() - x).detach(), False),
    "square root, guarded": (lambda x: nns.where(x > 0, nns.sqrt(nns.where(x > 0, x, 1.0)), 0.0), True),
    "square root, unguarded": (lambda x: nns.where(x > 0, nns.sqrt(x), 0.0), False),
}


@pytest.mark.parametrize("name", DETACHED)
def test_detached_values(name):
    f, right = DETACHED[name]
    verdict = gradcheck(f, draw(0), raise_exception=False).verdict
    assert verdict is (Verdict.CORRECT if right else Verdict.WRONG)


def test_whatever_memory_a_gradient_comes_in():
    f, vjp = SMOOTH["tanh"]
    read_only = np.array(draw(0))
    read_only.flags.writeable = False

    def frozen(g, y, x):
        gx = np.array(vjp(g, y, x))
        gx.flags.writeable = False
        return (gx,)

    for x in (read_only, draw(0)[::-1, ::2], np.asfortranarray(draw(0)), draw(0).astype(">f8"), 0.3, draw(0).tolist()):
        for pull in (times(vjp, 1), frozen, lambda *a: [np.asarray(vjp(*a), order="F")], vjp):
            assert check_vjp(f, pull, [x]).verdict is Verdict.CORRECT
    assert check_vjp(np.sum, lambda g, y, x: (np.broadcast_to(g, x.shape),), [draw(0)]).verdict is Verdict.CORRECT
    assert check_vjp(np.sum, lambda g, y, x: (float(g) * np.ones(x.shape),), [draw(0)]).verdict is Verdict.CORRECT


def test_a_gradient_that_is_narrower_than_its_input():
    f, vjp = SMOOTH["tanh"]
    narrow = lambda factor: lambda *args: ((factor * vjp(*args)).astype(np.float32),)
    report = check_vjp(f, narrow(1), [draw(0)])
    assert report.verdict is Verdict.CORRECT and "float32" in report.notes[0]
    assert check_vjp(f, narrow(1.001), [draw(0)]).verdict is Verdict.WRONG


@pytest.mark.parametrize("seed", range(20))
def test_what_is_random_now_and_then(seed):
    rng = np.random.default_rng(seed)
    moody = lambda x: x * (2 if rng.random() > 0.2 else 3)
    assert check_vjp(moody, lambda g, y, x: (2 * g,), [draw(0)]).verdict is Verdict.NONDETERMINISTIC


@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow if s > 3 else ()) for s in range(60)])
def test_one_element_of_a_torch_function_off_by_a_thousandth(seed):
    torch = pytest.importorskip("torch")
    from nnscratch.gradcheck import from_torch

    class Off(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(y := torch.tanh(x))
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            gx = g * (1 - y * y)
            gx.view(-1)[25 * seed] *= 1.001
            return gx

    x = draw(seed, (40, 40))
    assert check_vjp(*from_torch(torch.tanh), [x], seed=seed).verdict is Verdict.CORRECT
    report = check_vjp(*from_torch(Off.apply), [x], seed=seed)
    assert report.verdict is Verdict.WRONG and np.ravel_multi_index(report.findings[0].index, x.shape) == 25 * seed


def test_layers_of_torch_with_states():
    torch = pytest.importorskip("torch")
    from nnscratch.gradcheck import from_torch

    lstm = torch.nn.LSTM(3, 4).double()
    assert check_vjp(*from_torch(lstm), [draw(0, (5, 2, 3))]).verdict is Verdict.CORRECT
    assert check_vjp(*from_torch(lambda x: list(x.unbind(0))), [draw(0)]).verdict is Verdict.CORRECT
