"""Random convolutions and pools, in float64 unless said otherwise, for the tests of the kernels."""

from typing import NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from nnscratch.kernels import ConvSpec, PoolSpec

PROFILE = settings(max_examples=60, deadline=None)


class ConvCase(NamedTuple):
    spec: ConvSpec
    x: np.ndarray
    w: np.ndarray
    g: np.ndarray


def conv_arrays(spec, batch=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = spec.input_shape(batch), spec.weight_shape, spec.output_shape(batch)
    if np.dtype(dtype).kind == "i":
        return ConvCase(spec, *(rng.integers(-9, 9, shape).astype(dtype) for shape in shapes))
    return ConvCase(spec, *(rng.standard_normal(shape).astype(dtype) for shape in shapes))


def conv_case(x_shape, w_shape, seed=0, dtype=np.float64, **geometry):
    return conv_arrays(ConvSpec.of(x_shape, w_shape, **geometry), x_shape[0], seed, dtype)


@st.composite
def conv_cases(draw, max_batch=3):
    rank = draw(st.integers(1, 3))
    largest = (9, 4, 2)[rank - 1]

    def axes(low, high):
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.sampled_from([1, 1, 2, 8]))
    outputs = groups * draw(st.sampled_from([1, 1, 2, 8]))
    kernel, dilation = axes(1, 3), axes(1, 2)
    stride = [1] * rank if draw(st.booleans()) else axes(1, 3)
    padding = list(zip(axes(0, 3), axes(0, 3)))
    fits = [d * (k - 1) + 1 - sum(pair) for k, d, pair in zip(kernel, dilation, padding)]
    size = [max(1, least + extra) for least, extra in zip(fits, axes(0, largest))]
    return conv_case(
        (draw(st.integers(0, max_batch)), channels, *size),
        (outputs, channels // groups, *kernel),
        seed=draw(st.integers(0, 99)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@st.composite
def pool_cases(draw):
    """(spec, x) with many equal elements in x."""
    rank = draw(st.integers(1, 3))
    largest = (9, 5, 3)[rank - 1]

    def axes(low, high):
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, dilation = axes(1, 3), axes(1, 2)
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    fits = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 4)), *(a + b for a, b in zip(fits, axes(0, largest))))
    spec = PoolSpec.of(
        shape,
        kernel_size=kernel,
        stride=axes(1, 4),
        padding=padding,
        dilation=dilation,
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
        divisor_override=draw(st.sampled_from([None, None, 3])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return spec, rng.integers(-2, 3, shape).astype(np.float64)


def layouts(x):
    """x with the same elements in several memory layouts, by name."""
    padded = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    padded[..., ::2] = x
    return {
        "contiguous": x.copy(),
        "channels-last": np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1),
        "Fortran": np.asfortranarray(x),
        "strided": padded[..., ::2],
        "reversed": np.flip(np.flip(x).copy()),
    }


def dot(a, b):
    return float((a * b).sum())
