"""What the audit's table leaves out, on device arrays: functions that give integers or booleans, and what makes tensors."""

import numpy as np
import pytest
from optim_cases import CASES as OPTIMIZERS

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch import optim
from nnscratch.gradcheck.audit.coverage import EXCLUDED

rng = np.random.default_rng(3)
X, Y = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
X[0, 1], X[1, 2], X[2, 0], X[2, 2], Y[1] = np.nan, np.inf, -np.inf, 0, X[1]
I, J = rng.integers(0, 5, (3, 4)), rng.integers(0, 5, (3, 4))

UNARY = "all any argmax argmin argwhere count_nonzero isfinite isinf isnan isneginf isposinf logical_not nonzero"
BINARY = "allclose eq equal ge gt isclose le logical_and logical_or logical_xor lt ne"
INTEGER = "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor"
SIZED = "empty ones zeros rand randn"
LIKE = "empty_like ones_like zeros_like rand_like randn_like"

# name: functions of (a function that gives the tensor of an array, keywords for the device)
CASES = {
    **{name: [lambda t, where, f=getattr(nns, name): f(t(X))] for name in UNARY.split()},
    **{name: [lambda t, where, f=getattr(nns, name): f(t(X), t(Y))] for name in BINARY.split()},
    **{name: [lambda t, where, f=getattr(nns, name): f(t(I), t(J))] for name in INTEGER.split()},
    **{name: [lambda t, where, f=getattr(nns, name): f((2, 3), **where)] for name in SIZED.split()},
    **{name: [lambda t, where, f=getattr(nns, name): f(t(X))] for name in LIKE.split()},
    "argsort": [lambda t, where: nns.argsort(t(X), 1), lambda t, where: nns.argsort(t(I), 0, descending=True)],
    "bitwise_not": [lambda t, where: nns.bitwise_not(t(I)), lambda t, where: nns.bitwise_not(t(I > 2))],
    "multinomial": [lambda t, where: nns.multinomial(t(I + 1.0), 3, generator=nns.Generator(1))],
    "one_hot": [lambda t, where: F.one_hot(t(I), 7), lambda t, where: F.one_hot(t(I))],
    "arange": [lambda t, where: nns.arange(2, 9, 3, **where)],
    "eye": [lambda t, where: nns.eye(3, 4, **where)],
    "full": [lambda t, where: nns.full((2, 3), 1.5, **where)],
    "full_like": [lambda t, where: nns.full_like(t(X), 2)],
    "linspace": [lambda t, where: nns.linspace(0, 1, 5, **where)],
    "logspace": [lambda t, where: nns.logspace(0, 1, 5, **where)],
    "normal": [lambda t, where: nns.normal(0.0, 2.0, (3, 2), **where)],
    "randint": [lambda t, where: nns.randint(0, 9, (4,), **where)],
    "randint_like": [lambda t, where: nns.randint_like(t(I), 0, 9)],
    "randperm": [lambda t, where: nns.randperm(6, **where)],
    "uniform": [lambda t, where: nns.uniform(-1, 1, (3,), **where)],
    "bernoulli": [lambda t, where: nns.bernoulli(t(np.abs(np.tanh(Y))))],
    "stop_gradient": [lambda t, where: nns.stop_gradient(t(X))],
    "unique": [lambda t, where: nns.unique(t(I))],
    "astype": [lambda t, where: nns.astype(t(Y), dtype=nns.int64)],
    "to_device": [lambda t, where: nns.to_device(t(X), device=where.get("device", "cpu"))],
    "result_type": [lambda t, where: nns.result_type(t(X), t(I))],
}
CASES["all"] += [lambda t, where: nns.all(t(I > 0), 0)]
CASES["any"] += [lambda t, where: nns.any(t(I > 3), 1)]
CASES["argmax"] += [lambda t, where: nns.argmax(t(I), 1)]
CASES["argmin"] += [lambda t, where: nns.argmin(t(I), 1)]
CASES["count_nonzero"] += [lambda t, where: nns.count_nonzero(t(I), 0)]


def results(xp, function):
    nns.manual_seed(4)
    tensors, where = [], {} if xp is np else {"device": "cuda"}
    found = function(lambda array: tensors.append(nns.Tensor(xp.asarray(array))) or tensors[-1], where)
    return list(found) if isinstance(found, (tuple, list)) else [found]


def test_nothing_is_left_out():
    left = {name for name in EXCLUDED if "." not in name} - CASES.keys()
    assert left == set()
    names = {name for name, kind in vars(optim).items() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)}
    assert names - {"Optimizer"} == {name for name, _ in OPTIMIZERS}


@pytest.mark.parametrize("name", CASES)
def test_values_are_the_cpu_s(xp, name):
    if xp is np:
        pytest.skip("this is what the others are compared with")
    for function in CASES[name]:
        got, expected = results(xp, function), results(np, function)
        assert len(got) == len(expected)
        for a, b in zip(got, expected):
            if isinstance(b, nns.Tensor):
                assert type(a.data) is xp.ndarray and a.dtype == b.dtype and a.shape == b.shape
                if not name.startswith("empty"):
                    np.testing.assert_array_equal(nns.to_numpy(a), b.numpy())
            else:
                assert a == b
