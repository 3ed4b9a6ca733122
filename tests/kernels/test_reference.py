"""The naive loops against PyTorch, over a grid of geometries."""

import itertools

import numpy as np
import pytest
from kernel_cases import conv_arrays, conv_case
from nnscratch.kernels import ConvSpec, PoolSpec, reference

torch = pytest.importorskip("torch")
F = torch.nn.functional

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def close(actual, expected):
    np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=1e-12, atol=1e-12)


GEOMETRIES = [
    # x, w, geometry
    ((2, 3, 7), (4, 3, 3), {}),
    ((2, 3, 7), (4, 3, 3), {"stride": 2, "padding": ((2, 1),), "dilation": 2}),
    ((2, 4, 6), (6, 2, 2), {"stride": 3, "groups": 2}),
    ((2, 3, 1), (4, 3, 1), {}),
    ((2, 3, 1), (4, 3, 3), {"padding": 1, "stride": 2}),
    ((0, 3, 5), (4, 3, 2), {}),
    ((2, 3, 5, 6), (4, 3, 3, 2), {"padding": 1}),
    ((2, 4, 7, 6), (4, 1, 3, 3), {"padding": (1, 2), "stride": (2, 1), "groups": 4}),
    ((1, 2, 7, 8), (6, 1, 2, 3), {"padding": ((0, 2), (3, 1)), "stride": (3, 2), "dilation": (2, 1), "groups": 2}),
    ((1, 2, 5, 5), (3, 2, 5, 5), {}),
    ((1, 3, 4, 4), (2, 3, 1, 1), {"stride": 2}),
    ((1, 2, 3, 4, 3), (3, 2, 2, 2, 2), {}),
    ((1, 2, 4, 3, 4), (4, 1, 2, 3, 1), {"padding": ((1, 0), (1, 1), (0, 2)), "stride": (2, 1, 2), "groups": 2}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "geometry"), GEOMETRIES)
def test_conv_and_its_adjoints(x_shape, w_shape, geometry):
    spec, x, w, g = conv_case(x_shape, w_shape, **geometry)
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    sides = [side for pair in reversed(spec.padding) for side in pair]
    y = CONV[spec.rank](F.pad(tx, sides), tw, stride=spec.stride, dilation=spec.dilation, groups=spec.groups)
    close(reference.conv(x, w, spec=spec), y)
    y.backward(torch.tensor(g))
    close(reference.conv_input(g, w, spec=spec), tx.grad)
    close(reference.conv_weight(x, g, spec=spec), tw.grad)


@pytest.mark.parametrize(
    ("rank", "stride", "padding", "output_padding", "dilation", "groups"),
    [
        (1, 1, 0, 0, 1, 1),
        (1, 3, 2, 2, 1, 1),
        (1, 1, 0, 1, 2, 1),  # output padding from dilation alone, beyond the stride
        (1, 2, 1, 2, 3, 2),
        (2, 1, 1, 0, 1, 2),
        (2, 2, 1, 1, 1, 1),
        (2, (2, 3), (0, 1), (1, 0), (2, 1), 4),
        (3, 2, 1, 1, 1, 2),
    ],
)
def test_conv_input_is_conv_transpose(rank, stride, padding, output_padding, dilation, groups):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, *(3, 4, 2)[:rank]))
    w = rng.standard_normal((4, 2, *(3, 2, 2)[:rank]))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    spec = ConvSpec.transposed(x.shape, w.shape, output_padding=output_padding, **options)
    y = TRANSPOSED[rank](torch.tensor(x), torch.tensor(w), output_padding=output_padding, **options)
    close(reference.conv_input(x, w, spec=spec), y)
    if np.all(np.less(output_padding, stride)):
        assert ConvSpec.transposed(x.shape, w.shape, output_size=y.shape[2:], **options) == spec


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_pool(rank, ceil_mode):
    rng = np.random.default_rng(rank)
    for size, (kernel, padding), stride, dilation in itertools.product(
        [5, 8] if rank < 3 else [5], [(2, 0), (2, 1), (3, 1)], [None, 1, 2, 3], [1, 2]
    ):
        x = rng.integers(-3, 4, (2, 1, size, 5, 6)[: rank + 2]).astype(np.float64)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
        spec = PoolSpec.of(x.shape, kernel_size=kernel, **options)
        tx = torch.tensor(x, requires_grad=True)
        expected, places = MAX_POOL[rank](tx, kernel, return_indices=True, **options)
        y, indices = reference.max_pool(x, spec=spec)
        close(y, expected)
        np.testing.assert_array_equal(indices, places.numpy())
        close(reference.gather(x, indices, spec=spec), expected)
        g = rng.standard_normal(y.shape)
        expected.backward(torch.tensor(g))
        close(reference.scatter(g, indices, spec=spec), tx.grad)


def test_max_pool_of_infinities_and_nan():
    x = np.array([[[-np.inf, -np.inf, 3.0, np.nan, 1.0, np.nan, np.nan, np.inf]]])
    spec = PoolSpec.of(x.shape, kernel_size=4, stride=1, padding=2)
    y, indices = reference.max_pool(x, spec=spec)
    expected, places = F.max_pool1d(torch.tensor(x), 4, 1, 2, return_indices=True)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, places.numpy())


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_avg_pool(rank, ceil_mode, count_include_pad):
    rng = np.random.default_rng(rank)
    for size, (kernel, padding), stride, override in itertools.product(
        [5, 8] if rank < 3 else [5], [(2, 0), (2, 1), (3, 1)], [None, 1, 2, 3], [None, 5]
    ):
        x = rng.standard_normal((2, 1, size, 5, 6)[: rank + 2])
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        spec = PoolSpec.of(x.shape, kernel_size=kernel, divisor_override=override if rank > 1 else None, **options)
        if rank > 1:
            options["divisor_override"] = override
        tx = torch.tensor(x, requires_grad=True)
        y = AVG_POOL[rank](tx, kernel, **options)
        close(reference.avg_pool(x, spec=spec), y)
        g = rng.standard_normal(y.shape)
        y.backward(torch.tensor(g))
        close(reference.avg_pool_input(g, spec=spec), tx.grad)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [((2, 3), 1, 0, 1), ((3, 2), (2, 1), (1, 2), (1, 2)), ((1, 1), 2, 0, 1)]
)
def test_unfold_and_fold(kernel, stride, padding, dilation):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    spec = ConvSpec.of(x.shape, (1, 3, *kernel), **options)
    cols = F.unfold(torch.tensor(x), kernel, **options)
    close(reference.unfold(x, spec=spec), cols)
    close(reference.fold(cols.numpy(), spec=spec), F.fold(cols, (6, 5), kernel, **options))


def test_sums_are_kept_in_the_type_of_the_arguments():
    spec = ConvSpec.of((1, 1, 3), (1, 1, 3))
    case = conv_arrays(spec, 1, dtype=np.int64)
    assert reference.conv(case.x, case.w, spec=spec).dtype == np.int64
    assert reference.conv(case.x.astype(np.float32), case.w.astype(np.float32), spec=spec).dtype == np.float32
    assert reference.conv(case.x.astype(np.float32), case.w.astype(np.float64), spec=spec).dtype == np.float64
