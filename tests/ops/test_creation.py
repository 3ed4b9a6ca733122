import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as nns

torch = pytest.importorskip("torch")


def same(ours, theirs, rtol=1e-6):
    assert isinstance(ours, nns.Tensor)
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.detach().numpy(), theirs.numpy(), rtol=rtol, atol=1e-6)


CASES = {
    "zeros": lambda m: m.zeros(2, 3),
    "zeros of a tuple": lambda m: m.zeros((2, 3)),
    "zeros of a list": lambda m: m.zeros([2, 0]),
    "zeros 0-d": lambda m: m.zeros(()),
    "ones": lambda m: m.ones(4, dtype=m.int64),
    "full float": lambda m: m.full((2, 2), 1.5),
    "full int": lambda m: m.full((2,), 7),
    "full bool": lambda m: m.full((2,), True),
    "full dtype": lambda m: m.full((2,), 7, dtype=m.float64),
    "arange": lambda m: m.arange(5),
    "arange from": lambda m: m.arange(2, 9),
    "arange step": lambda m: m.arange(2, 9, 3),
    "arange down": lambda m: m.arange(5, 0, -2),
    "arange empty": lambda m: m.arange(3, 3),
    "arange float": lambda m: m.arange(0, 1, 0.1),
    "arange float end": lambda m: m.arange(2.5),
    "arange dtype": lambda m: m.arange(4, dtype=m.float64),
    "linspace": lambda m: m.linspace(-1, 1, 7),
    "linspace one": lambda m: m.linspace(3, 9, 1),
    "linspace none": lambda m: m.linspace(3, 9, 0),
    "logspace": lambda m: m.logspace(-2, 2, 5),
    "logspace base": lambda m: m.logspace(0, 3, 4, base=2),
    "eye": lambda m: m.eye(3),
    "eye wide": lambda m: m.eye(2, 4),
    "eye empty": lambda m: m.eye(0),
    "zeros_like": lambda m: m.zeros_like(m.tensor([[1, 2]])),
    "ones_like": lambda m: m.ones_like(m.tensor([1.0, 2.0])),
    "full_like": lambda m: m.full_like(m.tensor([1.0, 2.0]), 3),
    "zeros_like dtype": lambda m: m.zeros_like(m.tensor([1.0]), dtype=m.int32),
}


@pytest.mark.parametrize("case", CASES)
def test_against_torch(case):
    same(CASES[case](nns), CASES[case](torch))


@settings(max_examples=80, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7).filter(bool))
def test_arange_is_range(start, end, step):
    if (end - start) * step < 0:
        with pytest.raises(RuntimeError, match="leads away"):
            nns.arange(start, end, step)
    else:
        assert nns.arange(start, end, step).tolist() == list(range(start, end, step))


def test_default_dtype_decides_floats():
    with nns.default_dtype(nns.float64):
        for t in (
            nns.zeros(2),
            nns.ones(2),
            nns.empty(2),
            nns.full((2,), 0.5),
            nns.arange(0.5),
            nns.linspace(0, 1, 3),
            nns.eye(2),
        ):
            assert t.dtype == np.float64
        assert nns.arange(3).dtype == np.int64


def test_leaves_that_require_grad():
    x = nns.ones(3, requires_grad=True)
    nns.sum(nns.mul(x, nns.full((3,), 2.0))).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    like = nns.zeros_like(x, requires_grad=True)
    assert like.is_leaf and like.requires_grad and not nns.zeros_like(x).requires_grad


def test_like_keeps_the_layout_and_takes_arrays():
    a = np.zeros((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2)
    assert nns.empty_like(nns.tensor(a)).numpy().strides == a.strides
    assert isinstance(nns.ones_like(a), nns.Tensor)


ERRORS = {
    "negative": (lambda: nns.zeros(-1), RuntimeError, "negative"),
    "float size": (lambda: nns.ones(2.0), TypeError, "integers"),
    "step 0": (lambda: nns.arange(0, 3, 0), RuntimeError, "step"),
    "steps": (lambda: nns.linspace(0, 1, -1), RuntimeError, "negative"),
    "integers and gradients": (lambda: nns.zeros(2, dtype=nns.int64, requires_grad=True), RuntimeError, "floating"),
    "device": (lambda: nns.zeros(2, device="tpu"), ValueError, "tpu"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    f, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        f()
