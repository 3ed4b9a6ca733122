"""Element functions of the CUDA kernels, on the CPU, against their definitions in the library's ops and central differences."""

import numpy as np
import pytest
from cuda_shim.orders import in_every_order
from nnscratch.kernels import pointwise
from nnscratch.kernels.cuda import elementwise

import nnscratch as nns
import nnscratch.nn.functional as F

FUNCTIONS = {
    "relu": (F.relu, {}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), {"slope": 0.2}),
    "hardtanh": (lambda x: F.hardtanh(x, -0.5, 0.75), {"low": -0.5, "high": 0.75}),
    "exp": (nns.exp, {}),
    "log": (nns.log, {}),
    "tanh": (nns.tanh, {}),
    "sigmoid": (nns.sigmoid, {}),
    "elu": (lambda x: F.elu(x, 0.7), {"alpha": 0.7, "scale": 1.0, "rate": 1.0}),
    "softplus": (lambda x: F.softplus(x, 2.0, 3.0), {"beta": 2.0, "threshold": 3.0}),
    "silu": (F.silu, {}),
    "mish": (F.mish, {}),
    "gelu": (F.gelu, {}),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"), {}),
}
READS_OUTPUT = ("relu", "leaky_relu", "hardtanh", "exp", "tanh", "sigmoid", "elu")


def test_all_formulas_are_here():
    assert FUNCTIONS.keys() == elementwise.PARAMETERS.keys()
    cpu = pytest.importorskip("nnscratch.kernels.cpu.elementwise")
    assert {name: f.parameters for name, f in cpu.FORMULAS.items()} == elementwise.PARAMETERS
    assert all((f.reads == "y") == (name in READS_OUTPUT) for name, f in cpu.FORMULAS.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(on_shim, name, dtype):
    function, parameters = FUNCTIONS[name]
    rng = np.random.default_rng(1)
    x, g = (2.5 * rng.standard_normal((6, 5, 11))).astype(dtype), rng.standard_normal((6, 5, 11)).astype(dtype)
    x = np.abs(x) + dtype(0.1) if name == "log" else x
    with nns.kernels.use("im2col"):
        t = nns.tensor(x.astype(np.float64), requires_grad=True)
        y = function(t)
        (expected,) = nns.grad(y, [t], nns.tensor(g.astype(np.float64)))
        y = y.detach().numpy()

    def run(xp):
        a = xp.asarray(x)
        value = pointwise.forward(name, a, **parameters)
        return [value, pointwise.backward(name, xp.asarray(g), value if name in READS_OUTPUT else a, **parameters)]

    kind = "f64" if dtype is np.float64 else "f32"
    got, gradient = in_every_order(on_shim, run, f"forward_{name}_{kind}", f"backward_{name}_{kind}")
    error = 2e-6 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(got, y, rtol=error, atol=error)
    np.testing.assert_allclose(gradient, expected.numpy(), rtol=5 * error, atol=5 * error)
    assert got.dtype == gradient.dtype == dtype


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "gelu", "softplus", "silu", "mish", "tanh", "elu"])
def test_far_values_and_nan(on_shim, name):
    function, parameters = FUNCTIONS[name]
    x = np.array([np.nan, 1e4, -1e4, 0.0, np.inf, 90.0, -90.0], np.float32)
    with nns.kernels.use("im2col"):
        expected = function(nns.tensor(x)).numpy()
    got = in_every_order(on_shim, lambda xp: [pointwise.forward(name, xp.asarray(x), **parameters)])[0]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_order_is_kept(on_shim, dtype):
    x = np.random.default_rng(2).standard_normal((4, 3, 5, 6)).astype(dtype)
    keep = x > 0

    def run(xp):
        channels_last = np.moveaxis(xp.asarray(np.ascontiguousarray(np.moveaxis(x, 1, -1))), -1, 1)
        y = pointwise.masked(channels_last, xp.asarray(keep), 2.0)
        assert y.strides == channels_last.strides
        assert pointwise.forward("relu", channels_last[:, ::2]) is None
        return [y, pointwise.backward("relu", xp.asarray(x), channels_last)]

    y, gx = in_every_order(on_shim, run, "masked_f64" if dtype is np.float64 else "masked_f32")
    np.testing.assert_array_equal(y, np.where(keep, 2 * x, 0))
    np.testing.assert_array_equal(gx, x)
