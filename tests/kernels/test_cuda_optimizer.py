"""Adam and SGD of the CUDA kernels, on the CPU: bit for bit what NumPy's passes compute, all parameters in one launch."""

import numpy as np
import pytest
from cuda_shim.library import ORDERS, Function
from optim_cases import CASES

import nnscratch as nns
from nnscratch import kernels, optim

SHAPES = [(3, 4), (5000,), (1,), (7, 2, 3, 3)]
MINE = [(name, options) for name, options in CASES if name in ("SGD", "Adam", "AdamW")]


def stepped(asarray, name, options, dtype):
    rng = np.random.default_rng(3)
    parameters = [nns.Tensor(asarray(rng.standard_normal(s).astype(dtype)), requires_grad=True) for s in SHAPES]
    optimizer = getattr(optim, name)(parameters, **options)
    for _ in range(3):
        for p in parameters:
            p.grad = nns.Tensor(asarray(rng.standard_normal(p.shape).astype(dtype)))
        optimizer.step()
    state = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, nns.Tensor)]
    return [nns.to_numpy(t) for t in (*parameters, *state)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), MINE, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())))
def test_the_same_bits(on_shim, name, options, dtype):
    with kernels.use("im2col"):
        expected = stepped(np.array, name, options, dtype)
    rule = f"{'sgd' if name == 'SGD' else 'adam'}_{'f64' if dtype is np.float64 else 'f32'}"
    for order in ORDERS:
        got = stepped(on_shim(order).asarray, name, options, dtype)
        assert Function.launches[rule] == 3
        for a, b in zip(got, expected):
            np.testing.assert_array_equal(a, b)


def test_gradients_of_another_order_and_types_side_by_side(on_shim):
    xp = on_shim()
    x = np.arange(24.0).reshape(2, 3, 4)
    p, q = nns.Tensor(xp.asarray(x), requires_grad=True), nns.Tensor(xp.asarray(x.astype(np.float32)), requires_grad=True)
    p.grad, q.grad = nns.Tensor(xp.asarray(np.asfortranarray(x))), nns.Tensor(xp.asarray(x.astype(np.float32)))
    optim.SGD([p, q], lr=0.5).step()
    assert Function.launches == {"sgd_f64": 1, "sgd_f32": 1}
    np.testing.assert_array_equal(nns.to_numpy(p), x - 0.5 * x)
    np.testing.assert_array_equal(nns.to_numpy(q), (x - 0.5 * x).astype(np.float32))


def test_rules_without_a_kernel_run_by_array_operations(on_shim):
    xp = on_shim()
    p = nns.Tensor(xp.asarray(np.ones(3)), requires_grad=True)
    p.grad = nns.Tensor(xp.asarray(np.ones(3)))
    optim.RMSprop([p], lr=0.1).step()
    q = nns.tensor(np.ones(3), requires_grad=True)
    q.grad = nns.tensor(np.ones(3))
    optim.RMSprop([q], lr=0.1).step()
    np.testing.assert_allclose(nns.to_numpy(p), q.detach().numpy(), rtol=1e-15)
