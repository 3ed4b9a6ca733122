"""Convolutions against PyTorch, central differences and their own adjoints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import ConvSpec
from support import against_torch, check_grads, functional, rand

import nnscratch as nns
from nnscratch.ops.convolution import (
    conv,
    conv1d,
    conv2d,
    conv3d,
    conv_input,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    conv_weight,
    fold,
    unfold,
)

CONVS = [
    # x, w, bias, options
    ((2, 3, 7), (4, 3, 3), True, {}),
    ((2, 4, 9), (6, 2, 3), False, {"stride": 2, "padding": 1, "groups": 2}),
    ((3, 7), (4, 3, 3), True, {"dilation": 2}),
    ((2, 3, 6, 5), (4, 3, 3, 3), True, {}),
    ((2, 3, 6, 5), (4, 3, 3, 2), True, {"stride": (2, 1), "padding": (1, 0)}),
    ((2, 4, 8, 7), (6, 2, 3, 3), True, {"stride": 2, "padding": 2, "dilation": (2, 1), "groups": 2}),
    ((1, 4, 5, 5), (4, 1, 3, 3), True, {"padding": 1, "groups": 4}),
    ((2, 2, 5, 5), (6, 1, 3, 3), False, {"groups": 2, "stride": 3}),
    ((2, 3, 4, 4), (5, 3, 1, 1), True, {}),
    ((2, 3, 1, 1), (2, 3, 1, 1), True, {}),
    ((2, 3, 1, 1), (2, 3, 3, 3), True, {"padding": 1}),
    ((2, 3, 4, 5), (2, 3, 4, 5), True, {}),
    ((3, 6, 5), (4, 3, 3, 3), True, {"padding": "same"}),
    ((2, 3, 6, 5), (4, 3, 2, 4), False, {"padding": "same", "dilation": (1, 1)}),
    ((2, 3, 6, 5), (4, 3, 3, 3), True, {"padding": "valid", "stride": 2}),
    ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), True, {"stride": (1, 2, 1), "padding": (0, 1, 1)}),
    ((4, 3, 4, 3), (4, 2, 3, 3, 3), True, {"padding": 1, "groups": 2}),
]
FACES = {1: conv1d, 2: conv2d, 3: conv3d}
TRANSPOSED = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("x, w, bias, options", CONVS)
def test_convolution_is_torchs(x, w, bias, options):
    F, rank = functional(), len(w) - 2
    arrays = [rand(*x), rand(*w, seed=1), *([rand(w[0], seed=2)] if bias else [])]
    against_torch(lambda *a: FACES[rank](*a, **options), lambda *a: getattr(F, f"conv{rank}d")(*a, **options), *arrays)


CONV_TRANSPOSES = [
    ((2, 3, 5), (3, 4, 3), True, {"stride": 2, "output_padding": 1}),
    ((3, 5), (3, 2, 2), False, {}),
    ((2, 3, 4, 5), (3, 4, 3, 3), True, {}),
    ((2, 4, 4, 3), (4, 3, 3, 2), True, {"stride": (2, 3), "padding": 1, "output_padding": (1, 0), "groups": 2}),
    ((2, 3, 4, 3), (3, 2, 3, 3), False, {"stride": 2, "padding": 1, "dilation": 2, "output_padding": 1}),
    ((1, 4, 3, 3), (4, 1, 3, 3), True, {"groups": 4, "padding": 1}),
    ((3, 4, 5), (3, 2, 4, 4), True, {"stride": 2, "padding": 1}),
    ((2, 3, 1, 1), (3, 4, 4, 4), True, {}),
    ((1, 2, 3, 2, 3), (2, 3, 2, 3, 2), True, {"stride": (2, 1, 2), "padding": (0, 1, 0), "output_padding": (1, 0, 1)}),
]


@pytest.mark.parametrize("x, w, bias, options", CONV_TRANSPOSES)
def test_transposed_convolution_is_torchs(x, w, bias, options):
    F, rank = functional(), len(w) - 2
    arrays = [rand(*x), rand(*w, seed=1)]
    if bias:
        arrays.append(rand(w[1] * options.get("groups", 1), seed=2))
    against_torch(
        lambda *a: TRANSPOSED[rank](*a, **options), lambda *a: getattr(F, f"conv_transpose{rank}d")(*a, **options), *arrays
    )


def test_output_size_replaces_output_padding():
    x, w = rand(2, 3, 4, 4), rand(3, 2, 3, 3, seed=1)
    assert conv_transpose2d(x, w, stride=2, output_size=(9, 10)).shape == (2, 2, 9, 10)
    np.testing.assert_array_equal(
        conv_transpose2d(x, w, stride=2, output_size=(9, 10)), conv_transpose2d(x, w, stride=2, output_padding=(0, 1))
    )
    with pytest.raises(ValueError, match=r"output_size \(11, 10\) is not within"):
        conv_transpose2d(x, w, stride=2, output_size=(11, 10))
    with pytest.raises(ValueError, match="output_padding"):
        conv_transpose2d(x, w, stride=2, output_padding=2)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel, dilation", [((3, 3), 1), ((2, 4), 1), ((3, 2), 2), ((1, 1), 1)])
def test_same_padding_covers_the_input_at_every_stride(stride, kernel, dilation):
    F = functional()
    h, w = 7, 6
    pads = []
    for size, k in ((h, kernel[0]), (w, kernel[1])):
        total = max((-(-size // stride) - 1) * stride + dilation * (k - 1) + 1 - size, 0)
        pads.append((total // 2, total - total // 2))

    def theirs(x, weight):
        return F.conv2d(F.pad(x, (*pads[1], *pads[0])), weight, stride=stride, dilation=dilation)

    (y,) = against_torch(
        lambda x, weight: conv2d(x, weight, stride=stride, padding="same", dilation=dilation),
        theirs,
        rand(2, 2, h, w),
        rand(3, 2, *kernel, seed=1),
    )
    assert y.shape == (2, 3, -(-h // stride), -(-w // stride))


@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ((0, 0), (2, 1))])
def test_padding_per_side(padding):
    F = functional()
    (top, bottom), (left, right) = padding
    against_torch(
        lambda x, w, b: conv2d(x, w, b, stride=2, padding=padding),
        lambda x, w, b: F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride=2),
        rand(2, 3, 5, 6),
        rand(4, 3, 3, 3, seed=1),
        rand(4, seed=2),
    )


@st.composite
def geometries(draw):
    rank, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilation = [draw(st.integers(1, 2)) for _ in range(rank)]
    padding = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    size = [
        draw(st.integers(max(1, d * (k - 1) + 1 - low - high), max(1, d * (k - 1) + 1 - low - high) + (5 if rank < 3 else 2)))
        for k, d, (low, high) in zip(kernel, dilation, padding)
    ]
    x = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *size)
    w = (groups * draw(st.integers(1, 2)), x[1] // groups, *kernel)
    return (
        x,
        w,
        {
            "stride": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
            "padding": tuple(padding),
            "dilation": tuple(dilation),
            "groups": groups,
        },
    )


@settings(max_examples=40, deadline=None)
@given(geometries(), st.integers(0, 1000))
def test_every_slot_of_the_trilinear_form_is_differentiable(geometry, seed):
    x, w, options = geometry
    spec = ConvSpec.of(x, w, **options)
    xa, wa, ga = rand(*x, seed=seed), rand(*w, seed=seed + 1), rand(*spec.output_shape(x[0]), seed=seed + 2)
    # Linear in each argument, so a coarse step makes central differences exact.
    exact = {"order": 2, "projections": 1, "eps": 0.5, "rtol": 1e-9}
    check_grads(lambda x, w: conv(x, w, None, spec=spec), xa, wa, **exact)
    check_grads(lambda g, w: conv_input(g, w, None, spec=spec), ga, wa, **exact)
    check_grads(lambda x, g: conv_weight(x, g, spec=spec), xa, ga, **exact)
    form = np.vdot(conv(xa, wa, None, spec=spec), ga)
    size = np.vdot(conv(np.abs(xa), np.abs(wa), None, spec=spec), np.abs(ga)) + 1
    assert abs(form - np.vdot(conv_input(ga, wa, None, spec=spec), xa)) < 1e-13 * size
    assert abs(form - np.vdot(conv_weight(xa, ga, spec=spec), wa)) < 1e-13 * size


def test_third_order():
    check_grads(lambda x, w, b: conv2d(x, w, b, padding=1).tanh(), rand(1, 2, 3, 3), rand(2, 2, 3, 3, seed=1), rand(2), order=3)


def layouts(x):
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
    wide[..., ::2] = x
    return {
        "channels-last": np.moveaxis(last, -1, 1),
        "strided": wide[..., ::2],
        "reversed": np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1],
        "fortran": np.asfortranarray(x),
        "read-only": np.broadcast_to(x, x.shape),
    }


@pytest.mark.parametrize("name", list(layouts(np.zeros((1, 1, 1, 1)))))
def test_memory_layout_of_the_input_does_not_matter(name):
    x, w, b = rand(2, 3, 5, 6), rand(4, 3, 3, 3, seed=1), rand(4, seed=2)
    given, same = layouts(x)[name], layouts(w)[name]
    expected = conv2d(np.ascontiguousarray(x), w, b, stride=2, padding=1)
    np.testing.assert_allclose(conv2d(given, same, b, stride=2, padding=1), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(same, w)


def test_results_are_channels_last_and_the_bias_is_added_under_every_kernel():
    x, w, b = rand(2, 3, 5, 6), rand(4, 3, 3, 3, seed=1), rand(4, seed=2)
    y = conv2d(x, w, b)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    with nns.kernels.use("reference"):
        np.testing.assert_allclose(conv2d(x, w, b), y, rtol=1e-12)


def test_an_empty_batch():
    w, b = nns.tensor(rand(4, 3, 3, 3), requires_grad=True), nns.tensor(rand(4), requires_grad=True)
    x = nns.tensor(np.zeros((0, 3, 5, 5)), requires_grad=True)
    y = conv2d(x, w, b)
    assert y.shape == (0, 4, 3, 3)
    y.sum().backward()
    assert x.grad.shape == (0, 3, 5, 5)
    assert not w.grad.numpy().any() and not b.grad.numpy().any()
    assert conv_transpose2d(x, nns.tensor(rand(3, 2, 2, 2))).shape == (0, 2, 6, 6)


def test_the_graph_keeps_the_input_and_the_weight_only():
    x, w, b = (nns.tensor(a, requires_grad=True) for a in (rand(2, 3, 5, 5), rand(4, 3, 3, 3), rand(4)))
    node = conv2d(x, w, b).grad_fn
    assert node.args[0] is x.data and node.args[1] is w.data and node.y is None
    assert not isinstance(node.args[2], np.ndarray)


def test_single_precision_stays_close_to_double():
    x, w, b = rand(4, 16, 12, 12), rand(24, 16, 3, 3, seed=1), rand(24, seed=2)
    y = conv2d(*(a.astype(np.float32) for a in (x, w, b)), padding=1)
    assert y.dtype == np.float32
    exact = conv2d(x, w, b, padding=1)
    np.testing.assert_allclose(y, exact, atol=3e-5 * exact.std())  # the bound of kernels/cpu/conv_winograd.py
    with nns.precision("strict"):
        y = conv2d(*(a.astype(np.float32) for a in (x, w, b)), padding=1)
    np.testing.assert_allclose(y, exact, atol=2e-6 * exact.std())


@pytest.mark.parametrize("positions", [1, 7, 4096, 4099])
def test_the_bias_gradient_sums_without_losing_small_terms(positions):
    x = nns.tensor(np.ones((3, 1, positions), np.float32))
    b = nns.tensor(np.zeros(5, np.float32), requires_grad=True)
    g = rand(3, 5, positions).astype(np.float32) + np.float32(100)
    conv1d(x, nns.tensor(np.ones((5, 1, 1), np.float32)), b).backward(nns.tensor(g))
    np.testing.assert_allclose(b.grad.numpy(), g.astype(np.float64).sum((0, 2)), rtol=2e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1)},
        {"kernel_size": 2, "dilation": (2, 1), "padding": 1, "stride": (1, 2)},
    ],
)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_unfold_and_fold_are_torchs(options, batch):
    F = functional()
    x = rand(*batch, 3, 5, 6)
    (cols,) = against_torch(lambda a: unfold(a, **options), lambda a: F.unfold(a, **options), x)
    against_torch(lambda a: fold(a, (5, 6), **options), lambda a: F.fold(a, (5, 6), **options), rand(*cols.shape))


def test_unfold_and_fold_are_adjoint():
    x = rand(2, 3, 6, 5)
    cols = unfold(x, 3, padding=1, stride=2)
    g = rand(*cols.shape, seed=1)
    np.testing.assert_allclose(np.vdot(cols, g), np.vdot(x, fold(g, (6, 5), 3, padding=1, stride=2)), rtol=1e-12)


X, W = np.zeros((2, 3, 5, 5)), np.zeros((4, 3, 3, 3))
MISTAKES = [
    (lambda: conv2d(np.zeros((2, 1, 5, 5)), W), ValueError, r"conv2d: input has 1 channel, weight expects 3 \(weight shape"),
    (lambda: conv2d(X, W, groups=2), ValueError, "weight expects 6"),
    (lambda: conv2d(X, np.zeros((4, 1, 3, 3)), groups=3), ValueError, "groups 3 does not divide the 4 output channels"),
    (lambda: conv2d(np.zeros((5, 5)), W), ValueError, r"conv2d: input must have 4 axes .* got shape \(5, 5\)"),
    (lambda: conv2d(X, np.zeros((4, 3, 3))), ValueError, r"conv2d: weight must have 4 axes, got shape \(4, 3, 3\)"),
    (lambda: conv2d(X, np.zeros((4, 3, 6, 3))), ValueError, r"more than the padded input \(5, 5\)"),
    (lambda: conv2d(X, W, stride=0), ValueError, "stride must be"),
    (lambda: conv2d(X, W, padding=-1), ValueError, "conv2d: padding must not be negative"),
    (lambda: conv2d(X, W, padding="full"), ValueError, "'valid' or 'same', got 'full'"),
    (lambda: conv2d(X, W, padding=(1, 2, 3)), ValueError, "conv2d: padding must be an int, 2 ints"),
    (lambda: conv2d(X, W, np.zeros(3)), ValueError, r"conv2d: bias has shape \(3,\), expected \(4,\)"),
    (lambda: conv2d(X.astype(np.float32), W), RuntimeError, "conv2d: input is float32, weight is float64"),
    (lambda: conv2d(X, W, np.zeros(4, np.float32)), RuntimeError, "conv2d: bias is float32, weight is float64"),
    (lambda: conv_transpose2d(X, W), ValueError, "conv_transpose2d: input has 3 channels, weight expects 4"),
    (lambda: conv_transpose2d(X, np.zeros((3, 2, 3, 3)), np.zeros(3)), ValueError, r"bias has shape \(3,\), expected \(2,\)"),
    (lambda: unfold(np.zeros((2, 3)), 2), ValueError, "unfold: input must have 4 axes"),
    (lambda: unfold(X, 6), ValueError, "unfold: kernel"),
    (lambda: fold(np.zeros((2, 10, 4)), 4, 3), ValueError, "fold: .* 10 is not a multiple of the kernel's 9"),
    (lambda: fold(np.zeros((2, 9, 5)), 4, 3), ValueError, r"fold: .* has 5 columns, output_size \(4, 4\) has \(2, 2\) windows"),
]


@pytest.mark.parametrize("mistake, error, message", MISTAKES, ids=[m for _, _, m in MISTAKES])
def test_errors_say_what_was_given(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()
