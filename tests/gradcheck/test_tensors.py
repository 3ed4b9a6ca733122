"""`gradcheck` on functions of nnscratch tensors: orders, modes, and which op is wrong."""

import numpy as np
import pytest

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch.gradcheck import GradcheckError, Verdict, assert_detects_wrong_gradient, gradcheck, gradgradcheck

R = np.random.default_rng(0).standard_normal


@nns.primitive
def crooked(x):
    return x * x


nns.defvjp(crooked, lambda g, _y, x: g * (2.002 * x))


@nns.primitive
def captured(x):
    return x * x * x


def _captured_vjp(g, _y, x):
    slope = 3 * (x.data if isinstance(x, nns.Tensor) else x) ** 2  # an array: the second derivative does not see it
    return g * (nns.tensor(slope) if isinstance(g, nns.Tensor) else slope)


nns.defvjp(captured, _captured_vjp)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_sound_functions(order, mode):
    assert gradcheck(lambda x, y: nns.tanh(x @ y).exp(), (R((2, 3)), R((3, 2))), order=order, mode=mode)


def test_layers_at_order_two():
    image = R((2, 3, 5, 5))
    assert gradgradcheck(lambda x, w, b: F.conv2d(x, w, b, padding=1, stride=2), (image, R((4, 3, 3, 3)), R(4)))
    assert gradgradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (image, R(3), R(3)))
    assert gradgradcheck(lambda x: F.max_pool2d(x, 2), np.round(image, 1)).verdict is Verdict.CORRECT
    assert gradgradcheck(lambda x, t: F.cross_entropy(x, t), (R((6, 4)), np.arange(6) % 4))


def test_the_wrong_op_is_named_with_its_line():
    def f(x):
        return nns.tanh(crooked(nns.exp(x))).sum()  # the line

    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, R((3, 4)))
    finding = caught.value.report.findings[0]
    assert finding.op == "crooked" and finding.verdict is Verdict.WRONG
    assert "test_tensors.py" in finding.line and "# the line" in finding.line
    assert "times 1.001" in finding.hint
    first = str(caught.value).splitlines()[0]
    assert first.startswith("WRONG: f, input 0[") and "op crooked" in first and len(first) <= 88


def test_a_captured_array_is_wrong_at_order_two_only():
    f = lambda x: captured(nns.sin(x))
    assert gradcheck(f, R((2, 3)))
    report = gradcheck(f, R((2, 3)), order=2, raise_exception=False)
    assert report.verdict is Verdict.WRONG and report.order == 2
    assert report.findings[0].op == "captured" and report.findings[0].order == 2


def test_a_detached_value_is_no_op_at_fault():
    report = gradcheck(lambda x: (x * x.detach()).sum(), R(5), raise_exception=False)
    assert report.verdict is Verdict.WRONG and report.findings[0].op is None
    assert "times 1/2" in report.findings[0].hint
    assert any("detached" in note for note in report.notes)


def test_detached_statistics_of_batch_norm():
    def f(x):
        mean, var = x.mean(0), x.var(0, unbiased=False)
        return (x - mean) / (var.detach() + 1e-5).sqrt()

    assert gradcheck(f, R((6, 3)), raise_exception=False).verdict is Verdict.WRONG


def test_random_functions():
    report = gradcheck(lambda x: F.dropout(x, 0.5), R((5, 5)), raise_exception=False)
    assert report.verdict is Verdict.NONDETERMINISTIC
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: F.dropout(x, 0.5), R((5, 5)))


def test_inconclusive_verdicts_do_not_raise_but_are_not_true():
    dead = gradcheck(lambda x: nns.zeros(3), R(3))
    assert dead.verdict is Verdict.DEAD and not dead and dead.ok


def test_kinks():
    assert gradcheck(nns.relu, np.zeros(3)).verdict is Verdict.CORRECT
    assert gradcheck(nns.relu, np.zeros(3), subgradient=True).verdict is Verdict.CORRECT
    assert gradcheck(lambda x: nns.amax(x, 0), np.round(R((20, 4)), 1)).verdict is Verdict.CORRECT


def test_inputs_that_do_not_require_grad_are_held_fixed():
    x, w = nns.tensor(R((2, 3)), requires_grad=True), nns.tensor(R((3, 2)))
    f = lambda x, w: (x @ crooked(w)).sum()
    assert gradcheck(f, (x, w))
    report = gradcheck(f, (x.detach(), w.detach()), raise_exception=False)
    assert report.verdict is Verdict.WRONG and report.findings[0].input == 1
    assert x.grad is None and x.requires_grad


def test_the_numbering_of_inputs_counts_integers_too():
    f = lambda i, x, j, y: x[i] * crooked(y)[j]
    report = gradcheck(f, (np.array([0, 1]), R(3), np.array([2, 0]), R(3)), raise_exception=False)
    assert report.findings[0].input == 3 and "input 3[" in str(report).splitlines()[0]


def test_float32_kernels_are_tested_as_they_are():
    args = [a.astype(np.float32) for a in (R((2, 3, 6, 6)), R((4, 3, 3, 3)), R(4))]
    conv = lambda x, w, b: F.conv2d(x, w, b, padding=1)
    assert gradcheck(conv, args)

    @nns.primitive
    def half(x):
        return x * x

    nns.defvjp(half, lambda g, _y, x: g * (2 * x if x.dtype == np.float64 else 2.002 * x))
    report = gradcheck(half, R(6).astype(np.float32), raise_exception=False)
    assert report.verdict is Verdict.WRONG and "float32" in report.findings[0].message
    assert report.findings[0].ratio == pytest.approx(1.001, rel=1e-4)


def test_forward_mode_is_tested_too():
    @nns.primitive
    def lopsided(x):
        return x * x

    # right for a first VJP on arrays, wrong in the VJP of the VJP, which is what the forward mode is made of
    nns.defvjp(
        lopsided, lambda g, _y, x: g * (2 * x) if not isinstance(g, nns.Tensor) else (g * 1.5).detach() * 2 * x + g * 0.5 * x
    )
    assert gradcheck(lopsided, R(4))
    report = gradcheck(lopsided, R(4), mode="forward", raise_exception=False)
    assert report.verdict is Verdict.WRONG and "forward mode" in report.findings[0].message


def test_tuples_and_functions_that_mix_outputs():
    assert gradcheck(lambda x: (nns.sin(x), x.sum(), nns.argmax(x)), R(5), order=2)
    with pytest.raises(TypeError, match="must return a tensor"):
        gradcheck(lambda x: 3.0, R(5))


@pytest.mark.parametrize("options", [{"order": 0}, {"order": True}, {"mode": "backward"}, {"projections": -1}])
def test_bad_options(options):
    with pytest.raises(ValueError):
        gradcheck(nns.sin, R(3), **options)


def test_faults_are_detected_in_functions_of_tensors():
    assert all(assert_detects_wrong_gradient(lambda x, w: nns.tanh(x @ w), [R((3, 4)), R((4, 2))]).values())


def test_third_order_of_a_scalar():
    assert gradcheck(lambda x: nns.exp(x).sum(), np.linspace(-1, 1, 4), order=3)


def test_a_function_that_raises_beyond_its_domain():
    target = nns.tensor(np.array([0.0, 1.0, 1.0]))
    assert gradcheck(lambda x: nns.nn.functional.binary_cross_entropy(x, target), np.array([1e-3, 0.999, 0.4]))
