"""The CUDA kernels' random numbers, on the CPU: the same bits as NumPy's passes draw from the same key."""

import numpy as np
import pytest
from cuda_shim.library import Function
from cuda_shim.orders import in_every_order
from nnscratch.kernels import random

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch import kernels
from nnscratch.gradcheck import Verdict, gradcheck
from nnscratch.gradcheck.mutations import MUTATIONS

KEY = 0xFEDCBA9876543210, 0x0123456789ABCDEF


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", [random.uniform, random.normal], ids=["uniform", "normal"])
@pytest.mark.parametrize("size", [1, 17, 64, 5003])
def test_numbers_have_the_same_bits(on_shim, draw, dtype, size):
    kind = f"{draw.__name__}_{'f64' if dtype is np.float64 else 'f32'}"
    got = in_every_order(on_shim, lambda xp: [draw(size, np.dtype(dtype), KEY, xp.zeros(0))], kind)[0]
    with kernels.use("im2col"):
        expected = draw(size, np.dtype(dtype), KEY)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_masks_have_the_same_bits(on_shim, p):
    got = in_every_order(on_shim, lambda xp: [random.keep(3001, p, KEY, xp.zeros(0))], "keep")[0]
    with kernels.use("im2col"):
        np.testing.assert_array_equal(got, random.keep(3001, p, KEY))


def test_numbers_are_drawn_on_the_device(on_shim):
    xp = on_shim()
    y = nns.randn(200, 200, generator=nns.Generator(4), device="cuda")
    assert type(y.data) is xp.ndarray
    np.testing.assert_array_equal(nns.to_numpy(y), nns.randn(200, 200, generator=nns.Generator(4)).numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "channels-last"])
def test_dropout_is_the_cpu_s(on_shim, order, dtype):
    x, g = (np.random.default_rng(s).standard_normal((2, 8, 48, 48)).astype(dtype) for s in (1, 2))
    if order == "channels-last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)

    def run(xp):
        t = nns.Tensor(
            np.moveaxis(xp.asarray(np.moveaxis(x, 1, -1)), -1, 1) if order != "C" else xp.asarray(x), requires_grad=True
        )
        y = F.dropout(t, 0.3, generator=nns.Generator(5))
        plain = nns.grad(y, [t], nns.Tensor(xp.asarray(g)))[0]
        again = nns.grad(F.dropout(t, 0.3, generator=nns.Generator(5)), [t], nns.Tensor(xp.asarray(g)), create_graph=True)[0]
        return [y.data, plain.data, again.data]

    y, gx, again = in_every_order(on_shim, run, "dropout_f64" if dtype is np.float64 else "dropout_f32", "keep")
    t = nns.tensor(x, requires_grad=True)
    expected = F.dropout(t, 0.3, generator=nns.Generator(5))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_array_equal(gx, nns.grad(expected, [t], nns.tensor(g))[0].numpy())
    np.testing.assert_array_equal(again, gx)


@pytest.mark.parametrize("implementation", [None, "im2col"], ids=["kernel", "array operations"])
def test_the_checker_sees_faults_in_it(on_shim, implementation):
    """By the kernel, and where it is not to be used; "one element" looks at the gradient with NumPy."""
    faults = [m for m in MUTATIONS if "dropped" in m.blame and "one element" not in m.name]
    assert {m.order for m in faults} == {1, 2} and len(faults) > 6
    sample, xp = faults[0].entry.draw(), on_shim()
    inputs = [nns.Tensor(xp.asarray(x), requires_grad=True) for x in sample.inputs]
    with kernels.use(implementation):
        for order in (1, 2):
            assert gradcheck(sample.function, inputs, order=order, raise_exception=False).verdict is Verdict.CORRECT
        for fault in faults:
            with fault.patch():
                report = gradcheck(sample.function, inputs, order=fault.order, projections=3, raise_exception=False)
            assert report.verdict is Verdict.WRONG, fault.name
    assert ("dropout_f64" in Function.launches) == (implementation is None)


def test_a_gradient_is_there_without_the_kernel_too(on_shim):
    xp, x = on_shim(), np.random.default_rng(1).standard_normal((2, 8, 48, 48))
    t = nns.Tensor(xp.asarray(x), requires_grad=True)
    y = F.dropout(t, 0.3, generator=nns.Generator(5))
    expected = nns.grad(y.sum(), [t], retain_graph=True)[0].data.get()
    with kernels.use("im2col"):
        np.testing.assert_array_equal(nns.grad(y.sum(), [t], retain_graph=True)[0].data.get(), expected)
        np.testing.assert_array_equal(nns.grad(y.sum(), [t], create_graph=True)[0].data.get(), expected)
