"""The convolution kernels on the CPU against the naive loops: every version, and threads in three orders with the same bits."""

import re
import types

import numpy as np
import pytest
from cuda_shim.library import Function
from cuda_shim.orders import in_every_order
from kernel_cases import conv_arrays
from nnscratch.kernels import ConvSpec, precision
from nnscratch.kernels.cuda import columns, loader, versions
from nnscratch.kernels.cuda import convolution as plans
from nnscratch.kernels.cuda.launch import launch

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch import kernels, nn


def case(x_shape, w_shape, dtype=np.float32, **geometry):
    spec = ConvSpec.of(x_shape, w_shape, **geometry)
    return spec, conv_arrays(spec, x_shape[0], 3, dtype)


# name: (shape of x, of w, geometry), small but with remainders in every tile
CASES = {
    "3x3": ((2, 8, 7, 6), (20, 8, 3, 3), {"padding": 1}),
    "3x3 / 2": ((2, 4, 9, 7), (20, 4, 3, 3), {"stride": 2, "padding": 1}),
    "4x4 / 2": ((1, 8, 10, 8), (12, 8, 4, 4), {"stride": 2, "padding": 1}),
    "1x1 / 2": ((2, 8, 5, 4), (8, 8, 1, 1), {"stride": 2}),
    "5x5, unequal": ((1, 4, 8, 11), (18, 4, 5, 3), {"stride": (3, 1), "padding": ((2, 0), (1, 2)), "dilation": (1, 2)}),
    "from an image": ((2, 3, 9, 8), (20, 3, 3, 3), {"padding": 1}),
    "to an image": ((2, 20, 6, 5), (3, 20, 3, 3), {"padding": 1}),
    "groups": ((2, 8, 6, 5), (12, 4, 3, 3), {"padding": 1, "groups": 2}),
    "depthwise": ((1, 6, 5, 5), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    "one dimension": ((2, 4, 19), (8, 4, 5), {"stride": 2, "padding": 2}),
    "stride beyond the kernel": ((1, 4, 9, 9), (4, 4, 2, 2), {"stride": 3}),
}
TOLERANCE = {"tf32": (5e-3, 5e-3), "f32": (2e-5, 2e-5), "f64": (1e-12, 1e-12)}


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_all_three_directions(on_shim, name, kind):
    x_shape, w_shape, geometry = CASES[name]
    spec, (_, x, w, g) = case(x_shape, w_shape, np.float64 if kind == "f64" else np.float32, **geometry)
    rtol, atol = TOLERANCE[kind]
    with kernels.use("reference"):
        exact = [a.astype(np.float64) for a in (x, w, g)]
        expected = [
            kernels.conv(exact[0], exact[1], spec=spec),
            kernels.conv_input(exact[2], exact[1], spec=spec),
            kernels.conv_weight(exact[0], exact[2], spec=spec),
        ]

    def run(xp):
        a, b, c = (xp.asarray(v) for v in (x, w, g))
        with precision("fast" if kind == "tf32" else "strict"):
            return [kernels.conv(a, b, spec=spec), kernels.conv_input(c, b, spec=spec), kernels.conv_weight(a, c, spec=spec)]

    for got, wanted in zip(in_every_order(on_shim, run), expected):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol * np.sqrt(np.mean(wanted**2)))
        assert got.dtype == x.dtype
    assert all(kind in name for name in Function.launches if not name.startswith("sum_parts"))
    assert {name.split("_")[0] for name in Function.launches} == {"gather", "weight", "sum"}


@pytest.mark.parametrize("version", [*versions.GATHER, *versions.WEIGHT])
def test_every_version(on_shim, monkeypatch, version):
    """The one that is named, on sizes with remainders in all directions and more tiles than stages."""
    chosen = versions.GATHER.get(version) or versions.WEIGHT[version]
    monkeypatch.setattr(plans, "choose_gather", lambda *_, **__: chosen)
    monkeypatch.setattr(plans, "choose_weight", lambda *_, **__: chosen)
    dtype, tf32 = (np.float64 if chosen.itemsize == 8 else np.float32), "tf32" in version
    # Narrow tiles need several columns of blocks here, and wide ones rows that one block does not fill.
    spec, (_, x, w, g) = case((2, 12, 9, 9), (20, 12, 3, 3), dtype, padding=1)
    bias = np.random.default_rng(0).standard_normal(20).astype(dtype)
    exact = [a.astype(np.float64) for a in (x, w, g)]
    if version in versions.WEIGHT:
        run = lambda xp: [kernels.conv_weight(xp.asarray(x), xp.asarray(g), spec=spec)]
        with kernels.use("reference"):
            expected = kernels.conv_weight(exact[0], exact[2], spec=spec)
    else:
        run = lambda xp: [kernels.conv(xp.asarray(x), xp.asarray(w), xp.asarray(bias), spec=spec, slope=0.2)]
        with kernels.use("reference"):
            expected = kernels.conv(exact[0], exact[1], spec=spec) + bias.reshape(-1, 1, 1).astype(np.float64)
        expected = np.where(expected > 0, expected, 0.2 * expected)
    got = in_every_order(on_shim, run, version)[0]
    error = 5e-3 if tf32 else 2e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(got, expected, rtol=error, atol=error * np.sqrt(np.mean(expected**2)))


def test_tf32_rounds_operands_and_nothing_else(on_shim):
    """Against float64 sums of operands rounded to ten bits: what is left is float32 summation."""
    spec, (_, x, w, _) = case((1, 16, 8, 8), (16, 16, 3, 3), padding=1)
    rounded = [((a.view(np.uint32) + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64) for a in (x, w)]
    with kernels.use("reference"):
        expected = kernels.conv(*rounded, spec=spec)
    xp = on_shim()
    got = kernels.conv(xp.asarray(x), xp.asarray(w), spec=spec).get()
    assert Function.launches == {"gather_tf32_few": 1}
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=3e-5)


@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("forward", [True, False], ids=["convolution", "transposed"])
def test_moments_of_the_epilogue(on_shim, forward, slope):
    """What a following batch norm needs, far from zero: no cancellation, several tiles, and phases of unequal sizes."""
    spec, (_, x, w, g) = case((3, 8, 11, 7), (20, 8, 4, 4), stride=2, padding=1)
    bias = np.full(20 if forward else 8, 300, np.float32)

    def run(xp):
        given, weights, shift = (xp.asarray(v) for v in (x if forward else g, w, bias))
        y, sums = plans.gather(given, weights, shift, spec, slope, forward, moments=True)
        mean, variance = columns.merge_moments(sums[None])
        return [y, mean[0], variance[0]]

    y, mean, variance = in_every_order(on_shim, run, "merge_moments")
    exact = np.moveaxis(y.astype(np.float64), 1, -1).reshape(-1, y.shape[1])
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)


def test_operands_that_lie_anywhere(on_shim):
    """Views with gaps, other orders, and ones that do not begin on 16 bytes."""
    spec, (_, x, w, g) = case((2, 4, 5, 5), (8, 4, 3, 3), np.float32, padding=1)
    with kernels.use("reference"):
        expected = kernels.conv(x, w, spec=spec), kernels.conv_weight(x, g, spec=spec)

    def shifted(xp, a):
        memory = xp.asarray(np.concatenate([np.zeros(1, a.dtype), np.moveaxis(a, 1, -1).ravel()]))
        return np.moveaxis(memory[1:].reshape(len(a), *a.shape[2:], a.shape[1]), -1, 1)

    def run(xp):
        a, b = shifted(xp, x), shifted(xp, g)
        assert a.data.ptr % 16 and b.data.ptr % 16
        strided = xp.asarray(np.repeat(w, 2, axis=3))[..., ::2]
        with precision("strict"):
            return [kernels.conv(a, strided, spec=spec), kernels.conv_weight(a, b, spec=spec)]

    for got, wanted in zip(in_every_order(on_shim, run), expected):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


def test_weights_that_do_not_begin_on_16_bytes(on_shim):
    """A 1x1 kernel lies as the kernels want it, so that a parameter that is a view of a flat buffer is read where it lies."""
    spec, (_, x, w, g) = case((2, 8, 3, 3), (8, 8, 1, 1))
    with kernels.use("reference"):
        expected = kernels.conv(x, w, spec=spec), kernels.conv_input(g, w, spec=spec)

    def run(xp):
        b = xp.asarray(np.concatenate([np.zeros(1, w.dtype), w.ravel()]))[1:].reshape(w.shape)
        assert b.data.ptr % 16
        with precision("strict"):
            return [kernels.conv(xp.asarray(x), b, spec=spec), kernels.conv_input(xp.asarray(g), b, spec=spec)]

    for got, wanted in zip(in_every_order(on_shim, run, "gather_f32_few"), expected):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


def test_a_bias_of_another_type(on_shim):
    spec, (_, x, w, _) = case((1, 4, 3, 3), (8, 4, 1, 1))
    xp = on_shim()
    with precision("strict"):
        y = kernels.conv(xp.asarray(x), xp.asarray(w), xp.asarray(np.full(8, 2.0)), spec=spec).get()
        np.testing.assert_allclose(y, kernels.conv(xp.asarray(x), xp.asarray(w), spec=spec).get() + 2, rtol=1e-6)


def test_arrays_on_another_device_than_the_current_one(on_shim):
    xp = on_shim()
    here, there = xp.asarray(np.zeros(3, np.float32)), xp.asarray(np.zeros(3, np.float32))
    there.__class__ = type("Elsewhere", (xp.ndarray,), {"data": types.SimpleNamespace(ptr=0, device_id=1)})
    with pytest.raises(RuntimeError, match=r"on cuda:1, the current device is cuda:0: .*nnscratch.cuda.device\(1\)"):
        launch("elementwise", "forward_exp_f32", (1,), 256, (here, there, np.int64(3), *[np.float32(0)] * 3))
    assert not Function.launches


def test_what_is_too_large_is_left_to_cupy():
    fits = lambda spec, n: plans.takes(
        spec, *(np.broadcast_to(np.float32(0), s) for s in (spec.input_shape(n), spec.weight_shape))
    )
    image = ConvSpec.of((1, 64, 1024, 1024), (64, 64, 3, 3), padding=1)
    assert fits(image, 31)
    assert not fits(image, 32)
    assert not fits(ConvSpec.of((1, 4, 4, 4), (1 << 20, 4, 1, 1)), 1)
    assert not fits(ConvSpec.of((1, 2048, 32, 32), (1, 2048, 32, 32)), 1)
    assert fits(ConvSpec.of((1, 8, 32, 32), (1, 8, 32, 32)), 1)


def test_what_has_no_kernel_is_computed_by_array_operations(on_shim):
    xp = on_shim()
    for shapes in (((1, 2, 3, 4, 4), (2, 2, 2, 2, 2)), ((0, 2, 4, 4), (3, 2, 3, 3))):
        spec, (_, x, w, _) = case(*shapes)
        got = kernels.conv(xp.asarray(x), xp.asarray(w), spec=spec)
        np.testing.assert_allclose(got.get(), kernels.conv(x, w, spec=spec), rtol=1e-5, atol=1e-5)
    half = nns.Tensor(xp.asarray(np.ones((1, 2, 4, 4), np.float16)))
    assert F.conv2d(half, nns.Tensor(xp.asarray(np.ones((1, 2, 3, 3), np.float16)))).data.get().tolist() == [[[[18] * 2] * 2]]
    assert not Function.launches


def test_the_table_of_versions_is_the_source_s():
    text = loader.source("convolution")
    gathers = {m[0]: m[1].split(", ") for m in re.findall(r"^GATHER\((\w+), ([^)T][^)]*)\)", text, re.MULTILINE)}
    weights = {m[0]: m[1].split(", ") for m in re.findall(r"^WEIGHT\((\w+), ([^)T][^)]*)\)", text, re.MULTILINE)}
    sizes = {"float": 4, "double": 8}
    assert {
        name: versions.Gather(name, int(m), int(n), int(k), (int(wm), int(wn)), int(stages), int(vector), sizes[t])
        for name, (t, m, n, k, wm, wn, stages, vector, *_) in gathers.items()
    } == versions.GATHER
    assert {
        name: versions.Weight(name, int(m), int(n), int(k), (int(wm), int(wn)), int(stages), (int(g), int(x)), sizes[t])
        for name, (t, m, n, k, wm, wn, stages, g, x, _) in weights.items()
    } == versions.WEIGHT
    for version in (*versions.GATHER.values(), *versions.WEIGHT.values()):
        shared = version.shared(49) if isinstance(version, versions.Gather) else version.shared
        assert shared <= loader.LARGEST_SHARED


def test_choices():
    f4, f8 = np.dtype(np.float32), np.dtype(np.float64)
    chosen = lambda *args, exact=False, **limit: versions.choose_gather(*args, exact=exact, **limit).name
    assert chosen(128 * 32 * 32, 128, 64, f4) == "gather_tf32_large"
    assert chosen(128 * 16 * 16, 64, 64, f4) == "gather_tf32"
    assert chosen(128 * 4 * 4, 128, 128, f4) == "gather_tf32_small"
    assert chosen(128 * 32 * 32, 64, 3, f4) == "gather_tf32_v1"
    assert chosen(128 * 32 * 32, 3, 64, f4) == "gather_tf32_few"
    assert chosen(128 * 32 * 32, 3, 3, f4) == "gather_tf32_few_v1"
    assert chosen(4096, 64, 64, f4, exact=True) == "gather_f32"
    assert chosen(4096, 64, 3, f8) == "gather_f64_v1"
    picked = lambda *args, exact=False, **limit: versions.choose_weight(*args, exact=exact, **limit).name
    assert picked(128, 9 * 64, 64, f4) == "weight_tf32_large"
    assert picked(64, 9 * 32, 32, f4) == "weight_tf32"
    assert picked(64, 27, 3, f4) == "weight_tf32_xv1"
    assert picked(3, 27, 3, f4) == "weight_tf32_v1"
    assert picked(64, 27, 3, f8) == "weight_f64_v1"
    small = 99 << 10  # bytes of shared memory, which sm_86, sm_89 and sm_120 have
    assert chosen(128 * 32 * 32, 128, 64, f4, shared=small) == "gather_tf32"
    assert picked(128, 9 * 64, 64, f4, shared=small) == "weight_tf32"
    for version in (*versions.GATHER.values(), *versions.WEIGHT.values()):
        if "large" not in version.name:
            assert (version.shared(1024) if isinstance(version, versions.Gather) else version.shared) <= small
    assert versions.parts(versions.WEIGHT["weight_tf32_xv1"], 64, 27, 128 * 32 * 32, 1) == 264
    assert versions.parts(versions.WEIGHT["weight_tf32"], 64, 64, 40, 1) == 1


@pytest.mark.parametrize("norm", [False, True])
def test_networks_are_the_cpu_s(on_shim, norm):
    """A small network of all the families: values, gradients, and parameters after a step of Adam."""

    def net():
        nns.manual_seed(0)
        layers = [
            nn.Conv2d(3, 8, 3, padding=1, bias=not norm),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.MaxPool2d(2),
        ]
        return nn.Sequential(
            *layers, nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)
        )

    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((3, 3, 8, 8)).astype(np.float32), rng.integers(0, 5, 3)
    on_shim()

    def trained(device):
        model = net().to(device)
        optimizer = nns.optim.Adam(model.parameters(), lr=1e-2)
        with precision("strict"):
            loss = F.cross_entropy(model(nns.tensor(x, device=device)), nns.tensor(labels, device=device))
            loss.backward()
        gradients = [nns.to_numpy(p.grad) for p in model.parameters()]
        optimizer.step()
        assert all(p.device.startswith(device) for p in model.parameters())
        return [nns.to_numpy(t) for t in (loss, *model.buffers(), *model.parameters())], gradients

    got, gradients = trained("cuda")
    ran = set(Function.launches)
    convolutions = {"gather_f32_few_v1", "gather_f32_few", "weight_f32_v1"}
    assert {*convolutions, "max_pool_f32", "unpool_f32", "nll_f32", "nll_vjp_f32", "adam_f32"} <= ran
    assert ("merge_moments" in ran) == norm and ("affine_f32" in ran) == norm
    assert "moments_f32" not in ran  # the convolution's epilogue has found them
    expected, reference = trained("cpu")
    for a, b in zip(gradients, reference):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5 * max(1e-3, np.abs(b).max()) + 2e-7)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=3e-4)
