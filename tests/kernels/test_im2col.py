"""NumPy + BLAS against the naive loops, and the adjoint identities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import PROFILE, conv_arrays, conv_case, conv_cases, dot, layouts, pool_cases
from nnscratch.kernels import ConvSpec, PoolSpec, depthwise, im2col, pooling, reference


def close(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


def check_all_directions(case):
    spec, x, w, g = case
    close(im2col.conv(x, w, spec=spec), reference.conv(x, w, spec=spec))
    close(im2col.conv_input(g, w, spec=spec), reference.conv_input(g, w, spec=spec))
    close(im2col.conv_weight(x, g, spec=spec), reference.conv_weight(x, g, spec=spec))


@PROFILE
@given(conv_cases())
def test_conv_matches_the_reference(case):
    check_all_directions(case)


@PROFILE
@given(conv_cases())
def test_conv_adjoint_identity(case):
    spec, x, w, g = case
    y, gx = im2col.conv(x, w, spec=spec), im2col.conv_input(g, w, spec=spec)
    value = dot(y, g)
    scale = 1e-12 * max(1.0, math.sqrt(dot(y, y) * dot(g, g)))
    assert abs(dot(gx, x) - value) <= scale
    assert abs(dot(im2col.conv_weight(x, g, spec=spec), w) - value) <= scale


@PROFILE
@given(conv_cases(), st.sampled_from([1, 200, 2000]))
def test_chunks_of_any_size(case, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col, "CHUNK_BYTES", size)
        patch.setattr(depthwise, "CHUNK_BYTES", size)
        check_all_directions(case)


@pytest.mark.parametrize("run", [1, 10**6])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("chunk", [1, 900, 10**6])
def test_both_orders_of_columns(monkeypatch, run, stride, chunk):
    monkeypatch.setattr(im2col, "SHORT_RUN_BYTES", run)
    monkeypatch.setattr(im2col, "CHUNK_BYTES", chunk)
    shapes = (3, 4, 6, 5), (6, 2, 3, 2)
    check_all_directions(conv_case(*shapes, stride=stride, padding=((1, 2), (0, 1)), groups=2))


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 8), (8, 1), (4, 4), (8, 2), (2, 8)])
def test_narrow_and_wide(channels, outputs, padding):
    """Padding beyond the kernel makes the mirror image's padding negative."""
    check_all_directions(conv_case((2, channels, 4, 5), (outputs, channels, 3, 2), padding=padding))
    check_all_directions(conv_case((2, channels, 4, 5), (outputs, channels, 1, 1), padding=padding))


@pytest.mark.parametrize(("stride", "dilation", "output_padding"), [(1, 2, 1), (2, 1, 1), (2, 3, 2), (3, 1, 2)])
def test_transposed(stride, dilation, output_padding):
    spec = ConvSpec.transposed((2, 4, 3, 4), (4, 3, 3, 2), stride=stride, dilation=dilation, output_padding=output_padding)
    check_all_directions(conv_arrays(spec))


@pytest.mark.parametrize("shapes", [((2, 0, 4), (3, 0, 2)), ((0, 2, 4), (3, 2, 2)), ((0, 4, 4), (4, 1, 2))])
def test_empty(shapes):
    (x_shape, w_shape) = shapes
    check_all_directions(conv_case(x_shape, w_shape, groups=4 if w_shape[1] == 1 else 1))


def test_depthwise_stride():
    check_all_directions(conv_case((3, 5, 7, 6), (5, 1, 3, 2), stride=(2, 3), padding=1, groups=5))
    check_all_directions(conv_case((3, 5, 7, 6), (10, 1, 3, 2), padding=2, groups=5))


DIRECTIONS = {
    "gather": {},
    "scatter": {"stride": 2},
    "depthwise": {"groups": 4},
}


@pytest.mark.parametrize("options", DIRECTIONS.values(), ids=DIRECTIONS)
def test_memory_layouts(options):
    groups = options.get("groups", 1)
    spec, x, w, g = conv_case((2, 4, 5, 6), (4, 4 // groups, 3, 2), padding=1, **options)
    y, gx, gw = (
        reference.conv(x, w, spec=spec),
        reference.conv_input(g, w, spec=spec),
        reference.conv_weight(x, g, spec=spec),
    )
    for name, x2 in layouts(x).items():
        for w2, g2 in zip(layouts(w).values(), layouts(g).values()):
            before = x2.copy(), w2.copy(), g2.copy()
            for array in (x2, w2, g2):
                array.flags.writeable = False
            np.testing.assert_allclose(im2col.conv(x2, w2, spec=spec), y, rtol=1e-11, atol=1e-11, err_msg=name)
            np.testing.assert_allclose(im2col.conv_input(g2, w2, spec=spec), gx, rtol=1e-11, atol=1e-11, err_msg=name)
            np.testing.assert_allclose(im2col.conv_weight(x2, g2, spec=spec), gw, rtol=1e-11, atol=1e-11, err_msg=name)
            for array, old in zip((x2, w2, g2), before):
                np.testing.assert_array_equal(array, old)
    read_only = np.broadcast_to(g[:1, :1, :1, :1], g.shape)
    close(im2col.conv_weight(x, read_only, spec=spec), reference.conv_weight(x, read_only, spec=spec))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_results_are_channels_last(stride, groups):
    spec, x, w, g = conv_case((2, 4, 6, 6), (8, 4 // groups, 3, 3), stride=stride, groups=groups)
    assert np.moveaxis(im2col.conv(x, w, spec=spec), 1, -1).flags.c_contiguous
    assert np.moveaxis(im2col.conv_input(g, w, spec=spec), 1, -1).flags.c_contiguous
    assert im2col.conv_weight(x, g, spec=spec).flags.c_contiguous
    pool = PoolSpec.of(x.shape, kernel_size=2)
    y, indices = im2col.max_pool(x, spec=pool)
    for result in (y, indices, im2col.gather(x, indices, spec=pool), im2col.scatter(y, indices, spec=pool)):
        assert np.moveaxis(result, 1, -1).flags.c_contiguous
    assert np.moveaxis(im2col.avg_pool(x, spec=pool), 1, -1).flags.c_contiguous
    assert np.moveaxis(im2col.avg_pool_input(y, spec=pool), 1, -1).flags.c_contiguous


def test_no_result_is_a_view_of_an_argument():
    spec, x, w, _ = conv_case((1, 1, 3, 3), (1, 1, 1, 1))
    pool = PoolSpec.of(x.shape, kernel_size=1)
    assert not np.shares_memory(im2col.conv(x, w, spec=spec), x)
    for result in (*im2col.max_pool(x, spec=pool), im2col.avg_pool(x, spec=pool), im2col.avg_pool_input(x, spec=pool)):
        assert not np.shares_memory(result, x)
    assert not np.shares_memory(im2col.unfold(x, spec=spec), x)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float16, 2e-3)])
@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"groups": 2}, {"groups": 8}])
def test_low_precision(dtype, bound, geometry):
    """Within a few units in the last place of sum |x| |w|."""
    groups = geometry.get("groups", 1)
    spec, x, w, g = conv_case((2, 8, 9, 9), (8, 8 // groups, 3, 3), padding=1, dtype=dtype, **geometry)
    for function, a, b in ((im2col.conv, x, w), (im2col.conv_input, g, w), (im2col.conv_weight, x, g)):
        actual = function(a, b, spec=spec)
        assert actual.dtype == dtype
        a, b = a.astype(np.float64), b.astype(np.float64)
        error = np.abs(actual - function(a, b, spec=spec))
        assert (error <= bound * function(abs(a), abs(b), spec=spec)).all()


@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"groups": 2}, {"groups": 4}])
def test_integers_are_exact(geometry):
    groups = geometry.get("groups", 1)
    check_all_directions(conv_case((2, 4, 5, 5), (4, 4 // groups, 3, 3), padding=1, dtype=np.int64, **geometry))


def test_mixed_types():
    spec, x, w, g = conv_case((2, 2, 5), (3, 2, 3))
    assert im2col.conv(x.astype(np.float32), w, spec=spec).dtype == np.float64
    assert im2col.conv_input(g, w.astype(np.float32), spec=spec).dtype == np.float64
    close(im2col.conv_weight(x, g + 1j * g, spec=spec), reference.conv_weight(x, g + 1j * g, spec=spec))


@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"groups": 4}])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_reach_their_windows_only(value, geometry):
    groups = geometry.get("groups", 1)
    spec, x, w, g = conv_case((2, 4, 5, 5), (4, 4 // groups, 3, 3), padding=1, **geometry)
    x[1, 2, 4, 4] = g[0, 1, 0, 1] = value
    for function, a, b in (("conv", x, w), ("conv_input", g, w)):
        actual, expected = (getattr(module, function)(a, b, spec=spec) for module in (im2col, reference))
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


def test_the_same_call_gives_the_same_bits():
    spec, x, w, g = conv_case((5, 8, 9, 9), (16, 8, 3, 3), padding=1, dtype=np.float32)
    for function, a, b in ((im2col.conv, x, w), (im2col.conv_input, g, w), (im2col.conv_weight, x, g)):
        np.testing.assert_array_equal(function(a, b, spec=spec), function(a.copy(), b.copy(), spec=spec))


@PROFILE
@given(conv_cases())
def test_unfold_and_fold(case):
    spec = ConvSpec.of(
        case.x.shape,
        (1, case.spec.in_channels, *case.spec.kernel),
        stride=case.spec.stride,
        padding=case.spec.padding,
        dilation=case.spec.dilation,
    )
    cols = im2col.unfold(case.x, spec=spec)
    np.testing.assert_array_equal(cols, reference.unfold(case.x, spec=spec))
    back = np.random.default_rng(0).standard_normal(cols.shape)
    close(im2col.fold(back, spec=spec), reference.fold(back, spec=spec))
    assert abs(dot(cols, back) - dot(im2col.fold(back, spec=spec), case.x)) <= 1e-11 * max(1, cols.size)


@PROFILE
@given(pool_cases(), st.sampled_from([1, 10**6]), st.booleans())
def test_max_pool_matches_the_reference(case, chunk, spoil):
    spec, x = case
    if spoil:
        x.flat[::5], x.flat[::7] = np.nan, -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "CHUNK_BYTES", chunk)
        y, indices = im2col.max_pool(x, spec=spec)
    expected, places = reference.max_pool(x, spec=spec)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, places)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(im2col.gather(x, indices, spec=spec), y)
    g = np.random.default_rng(0).standard_normal(y.shape)
    close(im2col.scatter(g, indices, spec=spec), reference.scatter(g, indices, spec=spec))


@pytest.mark.parametrize("lowest", [-np.inf, np.iinfo(np.int64).min])
def test_max_pool_never_points_into_the_padding(lowest):
    x = np.full((2, 1, 3, 4), lowest)
    spec = PoolSpec.of(x.shape, kernel_size=(2, 3), stride=1, padding=1)
    for actual, expected in zip(im2col.max_pool(x, spec=spec), reference.max_pool(x, spec=spec)):
        np.testing.assert_array_equal(actual, expected)


@PROFILE
@given(pool_cases())
def test_avg_pool_matches_the_reference_and_its_adjoint(case):
    spec, x = case
    y = im2col.avg_pool(x, spec=spec)
    close(y, reference.avg_pool(x, spec=spec))
    g = np.random.default_rng(0).standard_normal(y.shape)
    gx = im2col.avg_pool_input(g, spec=spec)
    close(gx, reference.avg_pool_input(g, spec=spec))
    assert abs(dot(gx, x) - dot(y, g)) <= 1e-12 * max(1.0, x.size)


def test_gather_and_scatter_at_any_indices_are_adjoint():
    rng = np.random.default_rng(0)
    spec = PoolSpec.of((2, 3, 4, 5), kernel_size=2)
    x, g = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 7))
    indices = rng.integers(0, 20, g.shape)
    indices[:, :, 1] = indices[:, :, 0]
    y, gx = im2col.gather(x, indices, spec=spec), im2col.scatter(g, indices, spec=spec)
    np.testing.assert_array_equal(y, reference.gather(x, indices, spec=spec))
    close(gx, reference.scatter(g, indices, spec=spec))
    assert abs(dot(y, g) - dot(gx, x)) <= 1e-12


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float16, np.float32])
def test_pools_of_other_types(dtype):
    x = np.random.default_rng(0).integers(0, 5, (2, 3, 6, 5)).astype(dtype)
    spec = PoolSpec.of(x.shape, kernel_size=3, stride=2, padding=1)
    for actual, expected in zip(im2col.max_pool(x, spec=spec), reference.max_pool(x, spec=spec)):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype
    if dtype != np.bool_:
        actual, expected = im2col.avg_pool(x, spec=spec), reference.avg_pool(x, spec=spec)
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=4e-3 if actual.itemsize == 2 else 1e-6)


def test_more_than_a_byte_of_kernel_positions():
    x = np.random.default_rng(0).standard_normal((1, 2, 24, 23))
    spec = PoolSpec.of(x.shape, kernel_size=(18, 17), stride=3)
    for actual, expected in zip(im2col.max_pool(x, spec=spec), reference.max_pool(x, spec=spec)):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["contiguous", "channels-last", "Fortran", "strided", "reversed"])
def test_pools_accept_any_layout(name):
    x = layouts(np.random.default_rng(0).standard_normal((2, 3, 6, 5)))[name]
    x.flags.writeable = False
    spec = PoolSpec.of(x.shape, kernel_size=2, padding=1)
    y, indices = im2col.max_pool(x, spec=spec)
    expected, places = reference.max_pool(x, spec=spec)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(im2col.gather(x, places, spec=spec), expected)
    close(im2col.avg_pool(x, spec=spec), reference.avg_pool(x, spec=spec))
