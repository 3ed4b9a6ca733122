"""Convolution, bias, activation and pool as one op, against its definition; and where Sequential takes it."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nnscratch.kernels import ConvSpec

import nnscratch as nns
from nnscratch import kernels, nn
from nnscratch.nn import functional as F
from nnscratch.ops.conv_block import conv_block, conv_transpose_block

IMPLEMENTATIONS = [name for name in ("cpu", "im2col") if name in kernels.available()]
GEOMETRIES = [
    ((2, 3, 9, 11), (5, 3, 3, 3), {"padding": 1}),  # odd sizes: a row and a column outside all windows
    ((3, 16, 8, 8), (20, 16, 3, 3), {"padding": 1}),  # Winograd in float32
    ((2, 9, 13, 6), (70, 9, 3, 3), {}),
    ((2, 4, 10, 10), (6, 2, 4, 4), {"stride": 2, "padding": 1, "groups": 2}),
    ((1, 1, 2, 2), (1, 1, 1, 1), {}),
    ((2, 8, 5, 5), (3, 8, 2, 2), {"dilation": 2}),
    ((2, 6, 7, 7), (6, 1, 3, 3), {"groups": 6}),
]


def arrays(x_shape, w_shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    return [a.astype(dtype) for a in (x, w, rng.standard_normal(w_shape[0]))]


def tolerance(dtype, w_shape):
    return {"rtol": 1e-12, "atol": 1e-11} if dtype == np.float64 else {"rtol": 1e-3, "atol": 1e-4 * np.sqrt(np.prod(w_shape[1:]))}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("slope", "pool"), list(itertools.product([1.0, 0.0, 0.2], [False, True])))
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_values_and_gradients_are_the_definitions(geometry, slope, pool, dtype, implementation):
    x_shape, w_shape, options = geometry
    spec = ConvSpec.of(x_shape, w_shape, **options)
    tensors = [nns.tensor(a, requires_grad=True) for a in arrays(x_shape, w_shape, dtype)]
    options = {"spec": spec, "slope": slope, "pool": pool}
    with kernels.use(implementation):
        y = conv_block(*tensors, **options)
        g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
        actual = nns.grad(y, tensors, g)
        first = nns.grad(conv_block(tensors[0].detach(), *tensors[1:], **options), tensors[1:], g)  # as in a first layer
    for a, b in zip(first, actual[1:]):
        np.testing.assert_allclose(a.numpy(), b.numpy(), **tolerance(dtype, w_shape))
    with kernels.use("im2col"):
        expected = conv_block.definition(*tensors, **options)
        gradients = nns.grad(expected, tensors, g)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), **tolerance(dtype, w_shape))
    if dtype == np.float64 or slope == 1.0 and not pool:  # in float32 a rounding error may move a maximum or a sign
        for a, b in zip(actual, gradients):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=tolerance(dtype, w_shape)["atol"] * 30)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("pool", [False, True])
def test_second_derivatives(pool, implementation):
    x, w, b = (nns.tensor(a, requires_grad=True) for a in arrays((2, 3, 6, 7), (4, 3, 3, 3), np.float64))
    spec = ConvSpec.of(x.shape, w.shape, padding=1)

    def second(f):
        (gx,) = nns.grad((f(x, w, b) ** 2).sum(), [x], create_graph=True)
        return nns.grad((gx**2).sum(), [x, w, b])

    with kernels.use(implementation):
        fused = second(lambda *args: conv_block(*args, spec=spec, slope=0.0, pool=pool))
    definition = second(lambda *args: conv_block.definition(*args, spec=spec, slope=0.0, pool=pool))
    for a, b in zip(fused, definition):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("slope", [1.0, 0.0, 0.2])
@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2, "padding": 1, "output_padding": 1}, {"stride": 3}], ids=str)
def test_transposed(options, slope, implementation):
    x, w, _ = (nns.tensor(a, requires_grad=True) for a in arrays((2, 6, 5, 4), (6, 10, 3, 3), np.float64))
    b = nns.tensor(np.random.default_rng(2).standard_normal(10), requires_grad=True)
    spec = ConvSpec.transposed(x.shape, w.shape, **options)
    with kernels.use(implementation):
        y = conv_transpose_block(x, w, b, spec=spec, slope=slope)
        g = np.random.default_rng(1).standard_normal(y.shape)
        actual = nns.grad(y, [x, w, b], g, retain_graph=True)
        (gx,) = nns.grad((y**2).sum(), [x], create_graph=True)
        actual += nns.grad((gx**2).sum(), [x, w, b])
    z = conv_transpose_block.definition(x, w, b, spec=spec, slope=slope)
    expected = nns.grad(z, [x, w, b], g, retain_graph=True)
    (gx,) = nns.grad((z**2).sum(), [x], create_graph=True)
    expected += nns.grad((gx**2).sum(), [x, w, b])
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-11)
    for one, other in zip(actual, expected):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_nan_and_infinities_as_in_the_definition(slope, implementation):
    x = np.zeros((1, 1, 4, 6), np.float32)
    x[0, 0, 0, :4] = [np.nan, 1, np.inf, -np.inf]
    x[0, 0, 2:, 4:] = -np.inf
    w, b = np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)
    spec = ConvSpec.of(x.shape, w.shape)
    g = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3) + 1
    for pool in (False, True):
        options = {"spec": spec, "slope": slope, "pool": pool}
        leaf, other = nns.tensor(x, requires_grad=True), nns.tensor(x, requires_grad=True)
        with kernels.use(implementation):
            y = conv_block(leaf, w, b, **options)
            (a,) = nns.grad(y, [leaf], g if pool else np.ones_like(x))
        expected = conv_block.definition(other, w, b, **options)
        (c,) = nns.grad(expected, [other], g if pool else np.ones_like(x))
        np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
        np.testing.assert_array_equal(a.numpy(), c.numpy())


def test_only_what_is_asked_for_and_empty_batches():
    for batch in (0, 2):
        x, w, b = (nns.tensor(a) for a in arrays((batch, 3, 8, 8), (4, 3, 3, 3), np.float64))
        w.requires_grad_()
        y = conv_block(x, w, b, spec=ConvSpec.of(x.shape, w.shape), slope=0.0, pool=True)
        y.sum().backward()
        assert y.shape == (batch, 4, 3, 3) and w.grad.shape == w.shape and x.grad is None


needs_compiled = pytest.mark.skipif("cpu" not in kernels.available(), reason="without Numba nothing fuses")


def network():
    nns.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 24, 3), nn.LeakyReLU(0.2)]
    up = [nn.ConvTranspose2d(8, 12, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(12, 3, 2, stride=2), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Conv2d(24, 8, 3), nn.MaxPool2d(2), *up)


def ops_of(y):
    names, stack = [], [y.grad_fn]
    while stack:
        node = stack.pop()
        names.append(node.name)
        stack += [parent for _, parent in node.edges]
    return names


@needs_compiled
def test_sequential_fuses_and_computes_the_same():
    net, x = network(), nns.tensor(np.random.default_rng(0).standard_normal((16, 3, 32, 32)).astype(np.float32))
    fused = net(x)
    assert [ops_of(fused).count(name) for name in ("conv_block", "conv_transpose_block")] == [3, 2]
    one_by_one = x
    for layer in net:
        one_by_one = layer(one_by_one)
    np.testing.assert_allclose(fused.detach().numpy(), one_by_one.detach().numpy(), atol=1e-4)


@needs_compiled
def test_sequential_does_not_fuse_what_somebody_watches():
    x = nns.tensor(np.random.default_rng(0).standard_normal((16, 3, 32, 32)).astype(np.float32))
    net, seen = network(), []
    net[1].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert ops_of(net(x)).count("conv_block") == 2 and seen == [(16, 16, 32, 32)]
    net = network()
    net[0].forward = lambda input: F.conv2d(input, net[0].weight, net[0].bias, padding=1)
    assert ops_of(net(x)).count("conv_block") == 2
    with nns.anomaly_mode():
        assert "conv_block" not in ops_of(net(x))
    with kernels.use("im2col"):
        assert "conv_block" not in ops_of(net(x))


@needs_compiled
def test_errors_name_the_layer():
    with pytest.raises(ValueError, match="input has 4 channels, weight expects 3"):
        network()(nns.zeros(16, 4, 32, 32))


def results(net, x):
    x = nns.tensor(x, requires_grad=True)
    y = net(x)
    y.backward(np.random.default_rng(1).standard_normal(y.shape).astype(np.float32))
    grads = [p.grad.numpy().copy() for p in net.parameters()]
    net.zero_grad()
    return [y.detach().numpy(), x.grad.numpy(), *grads]


@needs_compiled
def test_the_same_bits_on_one_thread_and_on_several():
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    net, x = network(), np.random.default_rng(0).standard_normal((16, 3, 33, 35)).astype(np.float32)
    many, before = results(net, x), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = results(net, x)
    finally:
        numba.set_num_threads(before)
    for a, b in zip(many, one):
        np.testing.assert_array_equal(a, b)


@needs_compiled
def test_any_memory_layout_and_many_threads_of_python():
    net, x = network(), np.random.default_rng(0).standard_normal((16, 3, 32, 32)).astype(np.float32)
    expected = results(net, x)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    strided = np.repeat(x, 2, axis=3)[..., ::2]
    for layout in (last, strided):
        for a, b in zip(results(net, layout), expected):
            np.testing.assert_array_equal(a, b)
    with ThreadPoolExecutor(3) as pool:
        for run in pool.map(lambda _: net(nns.tensor(x)).detach().numpy(), range(6)):
            np.testing.assert_array_equal(run, expected[0])
