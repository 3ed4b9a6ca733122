import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import against_torch, check_grads

import nnscratch as nns

torch = pytest.importorskip("torch")
F = torch.nn.functional

CASES = {
    **{n: ((n,), {}) for n in "relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign tanhshrink".split()},
    **{n: ((n,), {}) for n in "hardtanh hardsigmoid hardswish hardshrink softshrink logsigmoid glu".split()},
    "leaky_relu 0.3": (("leaky_relu", 0.3), {}),
    "leaky_relu -0.3": (("leaky_relu", -0.3), {}),
    "leaky_relu 0": (("leaky_relu", 0.0), {}),
    "elu 0.5": (("elu", 0.5), {}),
    "elu -0.5": (("elu", -0.5), {}),
    "elu 0": (("elu", 0.0), {}),
    "celu 2": (("celu", 2.0), {}),
    "celu -2": (("celu", -2.0), {}),
    "gelu tanh": (("gelu",), {"approximate": "tanh"}),
    "softplus 3": (("softplus", 3, 2.0), {}),
    "softplus threshold": (("softplus",), {"beta": 0.5, "threshold": 0.5}),
    "hardtanh -2 0.5": (("hardtanh", -2, 0.5), {}),
    "hardshrink 1": (("hardshrink", 1.0), {}),
    "softshrink 1": (("softshrink", 1.0), {}),
    "softshrink 0": (("softshrink", 0), {}),
    "threshold": (("threshold", 0.2, -3.0), {}),
    "glu 0": (("glu", 0), {}),
    "rrelu": (("rrelu",), {}),
    **{f"{n} {d}": ((n, d), {}) for n in ("softmax", "log_softmax", "softmin") for d in (0, 1, -1)},
}
ELEMENTWISE = [c for c, (args, _) in CASES.items() if args[0] not in ("glu", "softmax", "log_softmax", "softmin")]
TOLERANCE = {np.float64: {}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}


def both(case):
    (name, *args), kwargs = CASES[case]
    if name == "hardsigmoid":  # torch's own has float32 constants in its float64 derivative, and no second derivative
        return nns.hardsigmoid, lambda x: F.relu6(x + 3) / 6
    return lambda x: getattr(nns, name)(x, *args, **kwargs), lambda x: getattr(F, name)(x, *args, **kwargs)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_against_torch(case, dtype):
    x = np.random.default_rng(0).uniform(-3.5, 3.5, (4, 6, 3)).astype(dtype)
    if case == "glu" or case.endswith("-1"):
        x = x.transpose(0, 2, 1).copy()
    against_torch(*both(case), x, **TOLERANCE[dtype])


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 20.0, -20.0, 100.0, -100.0, 1000.0, -1000.0, 1e-30])
# At ±inf torch multiplies infinity by 0 in these, or takes another route to NaN; finite values must agree all the same.
THROUGH_INFINITY = ("silu", "mish", "gelu", "gelu tanh", "hardswish", "softsign", "tanhshrink", "leaky_relu 0", "elu 0")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", ELEMENTWISE)
def test_special_values(case, dtype):
    ours, theirs = both(case)
    points = SPECIAL[np.isfinite(SPECIAL) & (abs(SPECIAL) < 1e10)] if case in THROUGH_INFINITY else SPECIAL
    x, t = nns.tensor(points.astype(dtype), requires_grad=True), torch.tensor(points.astype(dtype), requires_grad=True)
    y, s = ours(x), theirs(t)
    y.backward(nns.ones_like(y))
    s.backward(torch.ones_like(s))
    np.testing.assert_allclose(y.detach().numpy(), s.detach().numpy(), rtol=2e-6, atol=1e-36)
    # torch's gradients at NaN differ between its own float32 and float64. elu's comes from the output, to absolute precision.
    known = ~np.isnan(points)
    atol = 2 * np.finfo(dtype).eps if case.split()[0] in ("elu", "selu", "celu") else 1e-36
    np.testing.assert_allclose(x.grad.numpy()[known], t.grad.numpy()[known], rtol=2e-6, atol=atol)


KINKS = {
    "relu": [0.0, -0.0],
    "relu6": [0.0, 6.0],
    "leaky_relu": [0.0],
    "leaky_relu -0.3": [0.0],
    "hardtanh": [-1.0, 1.0],
    "hardsigmoid": [-3.0, 3.0],
    "hardswish": [-3.0, 3.0],
    "hardshrink": [-0.5, 0.5],
    "softshrink": [-0.5, 0.5],
    "threshold": [0.2],
    "elu": [0.0],
    "elu 0.5": [0.0],
    "elu -0.5": [0.0],
    "selu": [0.0],
    "celu 2": [0.0],
    "celu -2": [0.0],
    "softplus": [20.0, 20.0000001],
    "softplus 3": [2 / 3],
    "softsign": [0.0],
}


@pytest.mark.parametrize("case", KINKS)
def test_kinks(case):
    against_torch(*both(case), np.array(KINKS[case]), order=1)


@pytest.mark.parametrize("case", ["relu", "relu6", "hardtanh"])
def test_nan_passes_its_cotangent(case):
    against_torch(*both(case), np.full(3, np.nan), order=1)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), (2, 4, 3, 2)])
def test_prelu(shape, n):
    rng = np.random.default_rng(0)
    against_torch(nns.prelu, F.prelu, rng.standard_normal(shape), rng.uniform(-0.5, 0.5, n))


def test_prelu_at_zero_infinity_and_one_dimension():
    w = np.array([0.25])
    against_torch(nns.prelu, F.prelu, np.array([0.0, -0.0, 2.0, -2.0]), w, order=1)
    weight, x = nns.tensor(w, requires_grad=True), nns.tensor([np.inf, 1.0])
    nns.sum(nns.prelu(x, weight)).backward()
    assert weight.grad.item() == 0


def test_softmax_is_stable():
    x = nns.tensor(np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], np.float32))
    np.testing.assert_allclose(nns.softmax(x, 1).numpy(), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(nns.log_softmax(x, 1).numpy(), [[0, -1e4, -2e4], [-np.log(3)] * 3], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.data())
def test_softmax_shapes(shape, data):
    dim = data.draw(st.integers(-max(len(shape), 1), max(len(shape), 1) - 1))
    x = np.random.default_rng(len(shape)).standard_normal(shape)
    for name in ("softmax", "log_softmax"):
        against_torch(lambda t: getattr(nns, name)(t, dim), lambda t: getattr(torch, name)(t, dim), x)


def test_softmax_dtype():
    x = np.array([1, 2, 3])
    against_torch(lambda t: nns.softmax(t, 0, dtype=np.float64), lambda t: F.softmax(t, 0, dtype=torch.float64), x, order=0)
    y = nns.log_softmax(nns.tensor(np.ones(3, np.float32), requires_grad=True), 0, dtype=np.float64)
    assert y.dtype == np.float64 and y.requires_grad


@pytest.mark.parametrize("case", ["silu", "mish", "gelu", "softplus", "elu", "log_softmax 1", "softmax 1", "logsigmoid"])
def test_third_derivative(case):
    x = np.random.default_rng(0).uniform(0.3, 1.5, (2, 3, 2)) * np.array([1, -1])
    check_grads(both(case)[0], x, order=3)


@pytest.mark.parametrize("case", CASES)
def test_arrays_in_arrays_out_and_inplace_changes_nothing(case):
    x = np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)
    before = x.copy()
    y = both(case)[0](x)
    assert isinstance(y, np.ndarray) and y.dtype == np.float32
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, both(case)[0](nns.tensor(x)).numpy())


def test_inplace_is_accepted():
    x = nns.tensor([-1.0, 1.0])
    for f in (nns.relu, nns.relu6, nns.leaky_relu, nns.elu, nns.selu, nns.celu, nns.silu, nns.mish, nns.hardtanh, nns.hardswish):
        np.testing.assert_array_equal(f(x, inplace=True).numpy(), f(x).numpy())
    np.testing.assert_array_equal(x.numpy(), [-1, 1])


def test_only_the_output_of_a_rectifier_is_kept():
    for f in (nns.relu, nns.leaky_relu, nns.elu, nns.hardtanh, nns.sigmoid, nns.tanh, nns.exp):
        node = f(nns.tensor([1.0], requires_grad=True)).grad_fn
        assert not isinstance(node.args[0], nns.Tensor)


ERRORS = {
    "gelu": (lambda x: nns.gelu(x, "erf"), ValueError, "'erf'"),
    "glu": (lambda x: nns.glu(x), RuntimeError, "even"),
    "softshrink": (lambda x: nns.softshrink(x, -1), ValueError, "-1"),
    "hardtanh": (lambda x: nns.hardtanh(x, 2, 1), ValueError, "larger"),
    "softmax dim": (lambda x: nns.softmax(x, 2), IndexError, "dim"),
    "softmax of integers": (lambda x: nns.softmax(nns.tensor([1]), 0), RuntimeError, "int64"),
    "prelu": (lambda x: nns.prelu(x, nns.tensor([0.1, 0.2])), RuntimeError, "1 weight or one for each of 3"),
    "rrelu": (lambda x: nns.rrelu(x, 0.5, 0.1), ValueError, "larger"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    f, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        f(nns.tensor(np.zeros((2, 3))))
