import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import PROFILE
from nnscratch.kernels import ConvSpec, PoolSpec, normalise_padding


def test_sizes():
    spec = ConvSpec.of((8, 4, 10, 11), (6, 2, 3, 2), stride=(2, 3), padding=((1, 0), (2, 3)), dilation=(2, 1), groups=2)
    assert (spec.rank, spec.extent, spec.output, spec.weight_shape) == (2, (5, 2), (4, 5), (6, 2, 3, 2))
    assert spec.input_shape(8) == (8, 4, 10, 11)
    assert spec.output_shape(8) == (8, 6, 4, 5)


def test_equal_arguments_give_the_same_object():
    spec = ConvSpec.of((1, 3, 8, 8), (4, 3, 3, 3), padding=1)
    assert ConvSpec.of([1, 3, 8, 8], [4, 3, 3, 3], padding=np.int64(1)) is spec
    assert hash(spec) == hash(ConvSpec.of((7, 3, 8, 8), (4, 3, 3, 3), padding=(1, 1)))
    with pytest.raises(AttributeError):
        spec.groups = 2


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([[1, 2], [0, 3]], ((1, 2), (0, 3))),
        ((1, (0, 2)), ((1, 1), (0, 2))),
        ((3,), ((3, 3), (3, 3))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_padding_forms(padding, pairs):
    assert normalise_padding(padding, (3, 3), (1, 1), (1, 1), (8, 8)) == pairs


@PROFILE
@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_same_padding(size, kernel, stride, dilation):
    spec = ConvSpec.of((1, 1, size), (1, 1, kernel), stride=stride, padding="same", dilation=dilation)
    ((low, high),) = spec.padding
    assert spec.output == (-(-size // stride),)
    assert high - low in (0, 1)
    needed = (spec.output[0] - 1) * stride + spec.extent[0]
    assert low + high == max(0, needed - size)


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        ((2, 1, 8, 8), (64, 3, 3, 3), {}, r"conv2d: input has 1 channel, weight expects 3 \(weight shape"),
        ((2, 4, 8), (6, 4, 3), {"groups": 2}, "conv1d: input has 4 channels, weight expects 8"),
        ((2, 4, 8), (5, 2, 3), {"groups": 2}, "groups 2 does not divide the 5 output channels"),
        ((2, 4, 8), (5, 4, 3), {"groups": 0}, "groups must be at least 1, got 0"),
        ((2, 3, 2, 9), (4, 3, 3, 3), {}, r"spans \(3, 3\), more than the padded input \(2, 9\)"),
        ((2, 3, 4, 9), (4, 3, 3, 3), {"dilation": 2}, r"spans \(5, 5\)"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"stride": 0}, "stride must be one int or 2 ints, at least 1, got 0"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"dilation": (1, 0)}, r"dilation must be .* got \(1, 0\)"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"stride": (1, 1, 1)}, "stride must be one int or 2 ints"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": -1}, "padding must not be negative, got -1"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": ((1, 2, 3), (0, 0))}, "padding must be an int, 2 ints, 2 .low, high"),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": "full"}, "'valid' or 'same', got 'full'"),
        ((3, 8, 8), (4, 3, 3, 3), {}, r"conv2d: input must have 4 axes .* got shape \(3, 8, 8\)"),
        ((2, 3, 0, 8), (4, 3, 3, 3), {"padding": 2}, "empty axis"),
        ((2, 3, 8, 8), (4, 3, 0, 3), {}, "kernel is empty"),
        ((2, 3), (4, 3), {}, "needs 1 to 3 spatial axes"),
    ],
)
def test_conv_errors(x, w, options, message):
    with pytest.raises(ValueError, match=message):
        ConvSpec.of(x, w, **options)


def test_floats_are_refused_even_when_an_equal_int_was_seen():
    ConvSpec.of((1, 3, 8, 8), (4, 3, 3, 3), stride=2)
    with pytest.raises(TypeError):
        ConvSpec.of((1, 3, 8, 8), (4, 3, 3, 3), stride=2.0)


def test_transposed_sizes():
    spec = ConvSpec.transposed((2, 6, 5, 5), (6, 2, 4, 3), stride=2, padding=1, output_padding=(1, 0), groups=2)
    assert (spec.in_channels, spec.out_channels, spec.input, spec.output) == (4, 6, (11, 9), (5, 5))
    assert spec.weight_shape == (6, 2, 4, 3)
    sized = ConvSpec.transposed((2, 6, 5, 5), (6, 2, 4, 3), stride=2, padding=1, output_size=(11, 9), groups=2)
    assert sized == spec
    assert ConvSpec.transposed((2, 6, 5, 5), (6, 2, 4, 3), stride=2, padding=1, output_size=(2, 4, 11, 9), groups=2) == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_padding": 2, "stride": 2}, r"conv_transpose2d: output_padding \(2, 2\) must be smaller than stride"),
        ({"output_padding": -1}, "output_padding must be one int or 2 ints, at least 0"),
        ({"output_size": (13, 11), "stride": 2}, r"output_size \(13, 11\) is not within \(11, 11\) .. \(12, 12\)"),
        ({"output_size": (10, 11), "stride": 2}, "is not within"),
        ({"output_size": (11,), "stride": 2}, "is not within"),
        ({"padding": 4}, r"the output would have the sizes \(-1, -1\)"),
        ({"padding": "same"}, "padding must be numbers, got 'same'"),
        ({"groups": 4}, "groups 4 does not divide the 6 input channels"),
    ],
)
def test_transposed_errors(options, message):
    with pytest.raises(ValueError, match=message):
        ConvSpec.transposed((2, 6, 5, 5), (6, 3, 3, 3), **options)


def test_transposed_channels():
    with pytest.raises(ValueError, match="conv_transpose2d: input has 5 channels, weight expects 6"):
        ConvSpec.transposed((2, 5, 5, 5), (6, 3, 3, 3))


def test_pool_defaults_and_counts():
    spec = PoolSpec.of((1, 1, 5), kernel_size=2, padding=1, ceil_mode=True)
    assert (spec.stride, spec.padding, spec.output, spec.counts) == ((2,), ((1, 1),), (3,), ((2, 2, 2),))
    spec = PoolSpec.of((1, 1, 5), kernel_size=2, padding=1, ceil_mode=True, count_include_pad=False)
    assert spec.counts == ((1, 2, 2),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 3, "padding": 2}, r"pool2d: padding \(2, 2\) must be at most half of the dilated kernel \(3, 3\)"),
        ({"kernel_size": 6}, r"input \(5, 5\) with padding \(0, 0\) is smaller than the kernel \(6, 6\)"),
        ({"kernel_size": 0}, "kernel_size must be one int or 2 ints, at least 1, got 0"),
        ({"kernel_size": 2, "stride": 0}, "stride must be"),
        ({"kernel_size": 2, "padding": -1}, "padding must be"),
        ({"kernel_size": 2, "divisor_override": 0}, "divisor_override must not be zero"),
    ],
)
def test_pool_errors(options, message):
    with pytest.raises(ValueError, match=message):
        PoolSpec.of((1, 1, 5, 5), **options)


def test_a_pool_window_of_padding_alone_is_refused():
    with pytest.raises(ValueError, match="holds only padding"):
        PoolSpec.of((1, 1, 1), kernel_size=2, padding=1, dilation=2)
