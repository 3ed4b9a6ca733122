"""Direct convolution by Numba against NumPy in float64: values, adjoints, layouts, threads."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import threading

import numpy as np
import pytest

numba = pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import PROFILE, conv_arrays, conv_case, conv_cases, dot, layouts
from nnscratch.kernels import ConvSpec, cpu, im2col, reference
from nnscratch.kernels.cpu import conv_direct
from nnscratch.kernels.epilogue import pool_2x2, unpool_2x2

from nnscratch import kernels

DIRECTIONS = ("conv", "conv_input", "conv_weight")


def operands(case):
    return {"conv": (case.x, case.w), "conv_input": (case.g, case.w), "conv_weight": (case.x, case.g)}


def check_within(actual, function, a, b, spec, units, oracle=im2col):
    """Error of every element at most `units` roundings of the sum of absolute products."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    exact, scale = (getattr(oracle, function)(f(a), f(b), spec=spec) for f in (lambda v: v, np.abs))
    assert actual.shape == exact.shape
    assert np.all(np.abs(actual - exact) <= units * np.finfo(actual.dtype).eps * scale + 1e-300)


def check_all_directions(case, dtype, oracle=im2col):
    case = case._replace(x=case.x.astype(dtype), w=case.w.astype(dtype), g=case.g.astype(dtype))
    for function, (a, b) in operands(case).items():
        actual = getattr(conv_direct, function)(a, b, spec=case.spec)
        assert actual.dtype == dtype
        check_within(actual, function, a, b, case.spec, 64, oracle)


@PROFILE
@given(conv_cases(), st.sampled_from([np.float32, np.float64]))
def test_any_geometry(case, dtype):
    check_all_directions(case, dtype)


def test_against_the_naive_loops():
    case = conv_case((2, 6, 5, 4), (4, 3, 3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2)
    check_all_directions(case, np.float64, reference)
    check_all_directions(case, np.float32, reference)


# Channels around the lanes and tiles of any machine, on both sides; the output's 1 to 4 are dot products.
WIDTHS = [
    (1, 1),
    (1, 70),
    (2, 33),
    (3, 64),
    (3, 17),
    (4, 5),
    (5, 130),
    (7, 9),
    (9, 3),
    (16, 16),
    (33, 4),
    (40, 1),
    (65, 96),
    (600, 8),
]


@pytest.mark.parametrize(("channels", "outputs"), WIDTHS)
def test_channels(channels, outputs):
    check_all_directions(conv_case((2, channels, 7, 9), (outputs, channels, 3, 3), padding=1), np.float32)
    check_all_directions(conv_case((3, channels, 5, 3), (outputs, channels, 2, 2), stride=2), np.float64)


@pytest.mark.parametrize("groups", [2, 4, 40])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_groups(groups, stride, multiplier):
    shapes = (3, 40, 9, 8), (40 * multiplier, 40 // groups, 3, 3)
    check_all_directions(conv_case(*shapes, stride=stride, padding=1, groups=groups), np.float32)


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize(("channels", "outputs"), [(20, 20), (20, 60), (60, 20)])
def test_depthwise_with_several_channels_at_one_end(channels, outputs, stride):
    """Strides up to beyond the kernel; rows short and long; a row above the image that no tap meets."""
    for size, kernel, padding in (((7, 33), (3, 3), 1), ((3, 4), (5, 2), ((4, 4), (0, 3))), ((1, 1), (3, 3), 1)):
        shapes = (2, channels, *size), (outputs, channels // 20, *kernel)
        check_all_directions(conv_case(*shapes, stride=stride, padding=padding, groups=20), np.float32)
    check_all_directions(conv_case((2, channels, 30), (outputs, channels // 20, 4), stride=stride, groups=20), np.float64)


@pytest.mark.parametrize("outputs", [1, 3, 8])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"stride": (1, 3), "dilation": (2, 1)}, {"groups": 3}])
def test_few_outputs(outputs, options):
    """Images of one and of several bands, and a kernel that reaches beyond them."""
    groups = options.get("groups", 1)
    for batch, size in ((3, (9, 8)), (1, (90, 70)), (20, (1, 2))):
        shapes = (batch, 18 * groups, *size), (outputs * groups, 18, 4, 3)
        check_all_directions(conv_case(*shapes, padding=((3, 4), (2, 4)), **options), np.float32)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(1, 4, 1), (2, 4, 1), (2, 4, 2), (3, 9, 1)])
@pytest.mark.parametrize("ends", [(40, 36), (3, 40)])
def test_input_gradients_that_mostly_meet_padding(size, kernel, stride, ends):
    """With few channels at the first end, the weight gradient runs over the same positions."""
    spec = ConvSpec.transposed((5, ends[0], size, size + 1), (*ends, kernel, kernel), stride=stride)
    check_all_directions(conv_arrays(spec), np.float32)


@pytest.mark.parametrize(("channels", "outputs"), [(300, 20), (20, 300), (9, 9), (10, 24), (11, 40)])
def test_weight_gradients_in_several_shares(channels, outputs):
    """More channels and outputs than an item of work takes, and rows that tiles of 12, 9 and 8 cover with an overlap."""
    check_all_directions(conv_case((4, channels, 6, 5), (outputs, channels, 3, 2), padding=1), np.float32)
    check_all_directions(conv_case((2, channels, 25), (outputs, channels, 3), dilation=2), np.float64)


def test_groups_do_not_mix_in_a_weight_gradient():
    spec, x, _, g = conv_case((2, 24, 5, 5), (24, 3, 3, 3), dtype=np.float32, padding=1, groups=8)
    x[0, 4, 2, 2] = g[1, 20, 1, 1] = np.inf
    with np.errstate(invalid="ignore"):
        actual, expected = (module.conv_weight(x, g, spec=spec) for module in (conv_direct, im2col))
    np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
    assert np.isfinite(actual[:3]).all()


def test_many_blocks_of_pixels():
    check_all_directions(conv_case((5, 3, 30, 31), (20, 3, 3, 3), padding=2), np.float32)
    check_all_directions(conv_case((300, 19, 1, 1), (70, 19, 1, 1)), np.float32)
    check_all_directions(conv_case((1, 2, 2000), (8, 2, 9), dilation=3, padding=5), np.float32)


@pytest.mark.parametrize(("stride", "dilation", "output_padding"), [(1, 2, 1), (2, 1, 1), (2, 3, 2), (3, 1, 2)])
def test_transposed(stride, dilation, output_padding):
    spec = ConvSpec.transposed((2, 4, 3, 4), (4, 3, 3, 2), stride=stride, dilation=dilation, output_padding=output_padding)
    check_all_directions(conv_arrays(spec), np.float32)


@pytest.mark.parametrize(
    "shapes", [((2, 0, 4), (3, 0, 2)), ((0, 2, 4), (3, 2, 2)), ((2, 2, 4), (0, 2, 2)), ((0, 4, 4), (4, 1, 2))]
)
def test_empty(shapes):
    x_shape, w_shape = shapes
    check_all_directions(conv_case(x_shape, w_shape, groups=4 if w_shape[1] == 1 else 1), np.float32)


def test_a_stride_beyond_the_kernel_leaves_zeros():
    spec, _, w, g = conv_case((1, 3, 10, 10), (20, 3, 1, 1), stride=3)
    gx = conv_direct.conv_input(g, w, spec=spec)
    assert not gx[:, :, 1::3].any()
    assert gx[:, :, ::3, ::3].all()


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 20}])
def test_adjoint_identity(options):
    spec, x, w, g = conv_case((2, 20, 9, 9), (20, 20 // options.get("groups", 1), 3, 3), padding=1, **options)
    value = dot(conv_direct.conv(x, w, spec=spec), g)
    assert dot(conv_direct.conv_input(g, w, spec=spec), x) == pytest.approx(value, rel=1e-11)
    assert dot(conv_direct.conv_weight(x, g, spec=spec), w) == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize("options", [{}, {"groups": 4}])
def test_memory_layouts(options):
    case = conv_case((2, 4, 5, 6), (4, 4 // options.get("groups", 1), 3, 2), padding=1, **options)
    for function, (a, b) in operands(case).items():
        plain = getattr(conv_direct, function)(a, b, spec=case.spec)
        for (name, a2), b2 in zip(layouts(a).items(), layouts(b).values()):
            before = a2.copy(), b2.copy()
            a2.flags.writeable = b2.flags.writeable = False
            np.testing.assert_array_equal(getattr(conv_direct, function)(a2, b2, spec=case.spec), plain, err_msg=name)
            np.testing.assert_array_equal(a2, before[0])
            np.testing.assert_array_equal(b2, before[1])


def test_results_are_channels_last_and_their_own():
    spec, x, w, g = conv_case((2, 4, 6, 6), (8, 4, 1, 1), dtype=np.float32)
    y, gx, gw = cpu.conv(x, w, spec=spec), cpu.conv_input(g, w, spec=spec), cpu.conv_weight(x, g, spec=spec)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    assert np.moveaxis(gx, 1, -1).flags.c_contiguous
    assert gw.flags.c_contiguous
    assert not any(np.shares_memory(result, array) for result in (y, gx, gw) for array in (x, w, g))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("outputs", [3, 20])
def test_nan_and_infinity_pass_through(value, outputs):
    spec, x, w, g = conv_case((2, 17, 6, 6), (outputs, 17, 3, 3), dtype=np.float32, padding=1)
    x[1, 16, 2, 3] = g[0, 0, 1, 1] = value
    for function, (a, b) in {"conv": (x, w), "conv_input": (g, w), "conv_weight": (x, g)}.items():
        with np.errstate(invalid="ignore"):
            actual, expected = (getattr(module, function)(a, b, spec=spec) for module in (conv_direct, im2col))
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))


THREADED = {
    "direct": conv_case((4, 20, 13, 13), (70, 20, 3, 3), dtype=np.float32, stride=2),
    "winograd": conv_case((4, 20, 13, 13), (70, 20, 3, 3), dtype=np.float32, padding=1),
    "phases": conv_case((4, 20, 26, 26), (70, 20, 4, 4), dtype=np.float32, padding=1, stride=2),
    "few inputs": conv_case((4, 3, 13, 13), (70, 3, 3, 3), dtype=np.float32, padding=1),
    "few outputs": conv_case((4, 20, 13, 13), (3, 20, 3, 3), dtype=np.float32),
    "depthwise": conv_case((4, 20, 13, 13), (20, 1, 3, 3), dtype=np.float32, groups=20),
    "groups": conv_case((4, 20, 13, 13), (20, 4, 3, 3), dtype=np.float32, groups=5),
}


@pytest.fixture
def threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)


@pytest.mark.parametrize("case", THREADED.values(), ids=THREADED)
def test_the_number_of_threads_changes_no_bit(threads, case):
    for function, (a, b) in operands(case).items():
        threads(1)
        one = getattr(cpu, function)(a, b, spec=case.spec)
        threads(2)
        np.testing.assert_array_equal(getattr(cpu, function)(a, b, spec=case.spec), one)


def test_concurrent_callers():
    cases = list(THREADED.values())
    expected = [getattr(cpu, f)(*operands(case)[f], spec=case.spec) for case in cases for f in DIRECTIONS]
    wrong = []

    def work():
        for _ in range(5):
            results = [getattr(cpu, f)(*operands(case)[f], spec=case.spec) for case in cases for f in DIRECTIONS]
            wrong.extend(i for i, (a, b) in enumerate(zip(results, expected)) if not np.array_equal(a, b))

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_other_types_go_to_numpy(dtype):
    spec, x, w, g = conv_case((2, 4, 5, 5), (3, 4, 2, 2), dtype=dtype)
    for function, (a, b) in {"conv": (x, w), "conv_input": (g, w), "conv_weight": (x, g)}.items():
        np.testing.assert_array_equal(getattr(cpu, function)(a, b, spec=spec), getattr(im2col, function)(a, b, spec=spec))
    mixed = cpu.conv(x.astype(np.float32), w.astype(np.float64), spec=spec)
    assert mixed.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("batch", "outputs"), [(3, 5), (1, 1), (0, 2)])
def test_a_kernel_as_large_as_the_input_is_a_product(batch, outputs, dtype):
    case = conv_case((batch, 7, 4, 3), (outputs, 7, 4, 3))
    assert "matrix product" in cpu.explain(case.spec)
    bias = np.arange(7, dtype=dtype)
    for function, (a, b) in operands(case).items():
        a, b = a.astype(dtype), b.astype(dtype)
        expected = getattr(im2col, function)(a.astype(np.float64), b.astype(np.float64), spec=case.spec)
        np.testing.assert_allclose(getattr(cpu, function)(a, b, spec=case.spec), expected, rtol=1e-4, atol=1e-4)
    expected = im2col.conv_input(case.g, case.w, spec=case.spec) + bias[:, None, None]
    actual = cpu.conv_input(case.g.astype(dtype), case.w.astype(dtype), bias, spec=case.spec, slope=0.0)
    np.testing.assert_allclose(actual, np.maximum(expected, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 260, 5, 7), (1, 260, 1, 1), (0, 260, 4, 4), (2, 260, 9)], ids=str)
@pytest.mark.parametrize("layout", [lambda x: x, lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)])
def test_one_tap_and_many_weights_are_a_product(shape, layout, dtype):
    rank = len(shape) - 2
    rng = np.random.default_rng(0)
    spec = ConvSpec.of(shape, (255, 260, *[1] * rank))
    assert "matrix product" in cpu.explain(spec, batch=max(1, shape[0]))
    draw = lambda *size: rng.standard_normal(size).astype(dtype)
    x, w, g = layout(draw(*shape)), draw(*spec.weight_shape), layout(draw(*spec.output_shape(shape[0])))
    for function, (a, b) in {"conv": (x, w), "conv_input": (g, w), "conv_weight": (x, g)}.items():
        check_within(getattr(cpu, function)(a, b, spec=spec), function, a, b, spec, 64)
    bias = draw(255)
    y = cpu.conv(x, w, bias, spec=spec, slope=0.2)
    plain = im2col.conv(x, w, spec=spec) + bias.reshape(-1, *[1] * rank)
    np.testing.assert_allclose(y, np.where(plain > 0, plain, 0.2 * plain), rtol=2e-4, atol=2e-4)
    if rank == 2 and shape[0] and shape[2] > 1:
        pooled, argmax = cpu.conv_pool(x, w, bias, spec=spec, slope=0.0)
        expected, places = pool_2x2(np.maximum(plain, 0))
        np.testing.assert_allclose(pooled, expected, rtol=2e-4, atol=2e-4)
        assert argmax.shape == places.shape


def test_tables_of_parts_of_an_axis_are_contiguous():
    # Dilation leaves kinds of positions with some of the taps only; tables of chosen columns came out in Fortran's order.
    check_all_directions(conv_case((1, 1, 1, 8), (1, 1, 1, 3), dilation=(1, 2)), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "filters", "padding", "slope"),
    [
        ((4, 3, 10, 10), (64, 3, 3, 3), 1, 0.0),
        ((3, 1, 11, 9), (16, 1, 3, 3), 1, 0.2),  # an odd row and column that no window reaches
        ((2, 3, 12, 15), (20, 3, 5, 5), 2, 1.0),
        ((5, 3, 7, 6), (300, 3, 3, 3), 0, 0.0),  # many outputs of few images
        ((5, 2, 7, 6), (30, 2, 3, 3), 0, 0.0),
        ((40, 1, 20, 20), (70, 1, 3, 3), 0, 0.2),  # images in parts, rows in bands
        ((1, 1, 4, 4), (1, 1, 3, 3), 0, 0.0),
        ((1, 1, 2, 2), (1, 1, 1, 1), 0, 0.0),  # and what is left to unpool and conv_weight: one tap,
        ((2, 8, 9, 9), (17, 8, 3, 3), 1, 0.0),  # more channels,
        ((0, 3, 6, 6), (16, 3, 3, 3), 1, 0.0),  # nothing,
        ((2, 3, 6, 1), (16, 3, 3, 1), 1, 0.0),  # no window,
        ((2, 40, 8, 8), (48, 40, 5, 5), 1, 0.0),  # many weights
    ],
    ids=str,
)
def test_weights_behind_a_pool(shape, filters, padding, slope, dtype):
    rng = np.random.default_rng(0)
    spec = ConvSpec.of(shape, filters, padding=padding)
    draw = lambda *size: rng.standard_normal(size).astype(dtype)
    x, w, bias = draw(*shape), draw(*filters), draw(filters[0])
    with kernels.use("cpu"):
        y, argmax = kernels.conv_pool(x, w, bias, spec=spec, slope=slope)
        g = draw(*y.shape)
        for layout in (lambda v: v, np.ascontiguousarray, lambda v: np.repeat(v, 2, axis=1)[:, ::2]):
            given = layout(x), layout(g), layout(y), layout(argmax)
            gw, gb = kernels.conv_pool_weight(*given, spec=spec, slope=slope, bias=True)
            whole, total = unpool_2x2(g, y, argmax, spec, slope, True)
            check_within(gw, "conv_weight", x, whole, spec, 64)
            np.testing.assert_allclose(gb, total, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
            assert gw.dtype == gb.dtype == dtype
        assert kernels.conv_pool_weight(x, g, y, argmax, spec=spec, slope=slope)[1] is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [1, 16, 20, 37, 64, 130])
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding"), [(1, 3, 1, 1), (3, 3, 1, 0), (3, 4, 2, 1), (2, 7, 2, 3), (3, (1, 5), 1, (0, 2))]
)
def test_images_of_few_channels(channels, kernel, stride, padding, outputs, dtype):
    rng = np.random.default_rng(0)
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    for shape in ((3, channels, 13, 10), (1, channels, 31, 9), (20, channels, 7, 8)):
        spec = ConvSpec.of(shape, (outputs, channels, *kernel), stride=stride, padding=padding)
        x, w, bias = (rng.standard_normal(s).astype(dtype) for s in (shape, spec.weight_shape, outputs))
        with kernels.use("cpu"):
            check_within(kernels.conv(x, w, spec=spec), "conv", x, w, spec, 64)
            y = kernels.conv(x, w, bias, spec=spec, slope=0.2)
            pooled, argmax = kernels.conv_pool(x, w, bias, spec=spec, slope=0.2)
        plain = im2col.conv(x, w, spec=spec) + bias.reshape(-1, 1, 1)
        np.testing.assert_allclose(y, np.where(plain > 0, plain, 0.2 * plain), rtol=2e-4, atol=2e-4)
        expected, places = pool_2x2(y)
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-5)
        assert (argmax == places).mean() > 0.99  # another order of sums may move a maximum


def test_windows_of_images_with_nans_infinities_and_ties():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 12, 12)).astype(np.float32)
    x[0, 1, 3, 4], x[1, 0, 5, 5], x[2, 2, 0, 0], x[3] = np.nan, np.inf, -np.inf, 0
    w, bias = rng.standard_normal((20, 3, 3, 3)).astype(np.float32), rng.standard_normal(20).astype(np.float32)
    spec = ConvSpec.of(x.shape, w.shape, padding=1)
    for slope in (0.0, 0.2, 1.0):
        with kernels.use("cpu"):
            pooled, argmax = kernels.conv_pool(x, w, bias, spec=spec, slope=slope)
            y = kernels.conv(x, w, bias, spec=spec)
        expected, places = pool_2x2(y)
        np.testing.assert_array_equal(argmax, places)  # of equals the first
        expected = np.where(expected <= 0, expected * np.float32(slope) if slope else 0, expected)
        np.testing.assert_allclose(pooled, expected, rtol=1e-6)
