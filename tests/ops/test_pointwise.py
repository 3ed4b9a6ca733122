"""Activations by compiled kernels against the ops that define them: values, first and second derivatives, any memory order."""

import numpy as np
import pytest
from nnscratch.kernels import compiled, pointwise

import nnscratch as nns
from nnscratch import kernels

pytest.importorskip("numba")

OPS = {
    "relu": nns.relu,
    "leaky_relu": lambda x: nns.leaky_relu(x, 0.2),
    "relu6": nns.relu6,
    "exp": nns.exp,
    "log": lambda x: nns.log(x * x + 0.5),
    "tanh": nns.tanh,
    "sigmoid": nns.sigmoid,
    "elu": lambda x: nns.elu(x, 0.7),
    "selu": nns.selu,
    "celu": lambda x: nns.celu(x, 2.0),
    "softplus": lambda x: nns.softplus(x, 2.0, 3.0),
    "logsigmoid": nns.logsigmoid,
    "silu": nns.silu,
    "mish": nns.mish,
    "gelu": nns.gelu,
    "gelu_tanh": lambda x: nns.gelu(x, "tanh"),
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "strided": lambda x: x,  # as a leaf; the op gets every second column
}


@pytest.fixture
def calls(monkeypatch):
    """All arrays are large; the names of the kernels that took them."""
    monkeypatch.setattr(compiled, "LARGE", 1)
    names = []
    for direction in ("forward", "backward"):
        real = getattr(pointwise, direction)

        def spy(name, *args, _real=real, _direction=direction, **kwargs):
            result = _real(name, *args, **kwargs)
            names.append((name, _direction, result is not None))
            return result

        monkeypatch.setattr(pointwise, direction, spy)
    return names


def derivatives(op, array, g, order):
    x = nns.tensor(array, requires_grad=True)
    y = op(x)
    first = nns.grad(y * y, [x], nns.tensor(g), create_graph=order > 1)[0]
    if order == 1:
        return y.detach().numpy(), first.numpy()
    return y.detach().numpy(), first.detach().numpy(), nns.grad((first * first).sum(), [x])[0].numpy()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPS)
def test_kernels_against_definitions(name, layout, order, calls):
    rng = np.random.default_rng(0)
    op, shape = OPS[name], (2, 3, 5, 4)
    x, g = LAYOUTS[layout](rng.standard_normal(shape) * 2), rng.standard_normal(shape)
    if layout == "strided":
        op, g = lambda x: OPS[name](x[..., ::2]), g[..., ::2]
    fast = derivatives(op, x, g, order)
    expected_kernel = {"relu6": "hardtanh", "selu": "elu", "celu": "elu", "logsigmoid": "softplus"}.get(name, name)
    forward_taken = (expected_kernel, "forward", True) in calls
    # log's argument is computed, without gaps; a composite does not try where its argument has them
    assert forward_taken == (layout != "strided" or name == "log")
    if order == 1:
        backward_taken = forward_taken or expected_kernel in READS_OUTPUT
        assert ((expected_kernel, "backward", True) in calls) == backward_taken
    with kernels.use("im2col"):
        slow = derivatives(op, x, g, order)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


READS_OUTPUT = ("relu", "leaky_relu", "hardtanh", "exp", "tanh", "sigmoid", "elu")


def test_what_kernels_do_not_take(calls):
    for array in (np.ones(5, np.float16), np.arange(5), np.ones(5, np.longdouble), np.ones(0)):
        np.testing.assert_array_equal(nns.relu(nns.tensor(array) if array.dtype != np.longdouble else array), array)
    assert not any(taken for *_, taken in calls)
    with kernels.use("reference"):
        nns.tanh(nns.tensor(np.ones(5)))
    assert not any(taken for *_, taken in calls)


def test_small_arrays_do_not_go_to_kernels(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a small array reached the kernels")

    monkeypatch.setattr(pointwise, "forward", forbidden)
    monkeypatch.setattr(pointwise, "backward", forbidden)
    x = nns.tensor(np.ones(100), requires_grad=True)
    nns.gelu(nns.tanh(nns.relu(x))).sum().backward()
