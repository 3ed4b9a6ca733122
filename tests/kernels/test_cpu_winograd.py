"""Winograd convolution against NumPy in float64, its error bounds, and when it is chosen."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import conv_arrays, conv_case, dot
from nnscratch.kernels import ConvSpec, cpu, im2col
from nnscratch.kernels.cpu import conv_winograd, winograd_apart, winograd_weight
from nnscratch.kernels.cpu.chooser import _choose, choose
from nnscratch.kernels.cpu.epilogue import Epilogue
from nnscratch.kernels.cpu.linear_maps import MAPS
from nnscratch.kernels.precision import precision

from nnscratch import kernels

# Largest error of outputs of unit variance, as multiples of float32's epsilon (1.2e-7): measured 42 and 165, with a margin.
BOUNDS = {2: 75, 4: 300}
VARIANTS = [(2, 3), (4, 3), (2, 2), (4, 2)]
GEOMETRIES = [(3, 1), (4, 2), (2, 1), (6, 2), ((4, 2), (2, 1)), ((6, 9), (2, 3))]  # kernel and stride, of 3 or 2 taps a phase
FUNCTIONS = {"conv": conv_winograd.conv, "conv_input": conv_winograd.conv_input, "conv_weight": winograd_weight.conv_weight}


@pytest.mark.parametrize(("m", "r"), VARIANTS)
def test_the_maps_are_an_exact_convolution(m, r):
    rng = np.random.default_rng(0)
    x, w = ([Fraction(int(v)) for v in rng.integers(-9, 9, size)] for size in (m + r - 1, r))
    apply = lambda name, v: [sum(a * b for a, b in zip(row, v)) for row in MAPS[f"{name}{m}{r}"]]
    products = [a * b for a, b in zip(apply("input", x), apply("filter", w))]
    assert apply("output", products) == [sum(x[i + k] * w[k] for k in range(r)) for i in range(m)]


def check_all_directions(case, m):
    spec, x, w, g = case
    for function, a, b in (("conv", x, w), ("conv_input", g, w), ("conv_weight", x, g)):
        actual = FUNCTIONS[function](a, b, spec=spec, m=m)
        exact = getattr(im2col, function)(a.astype(np.float64), b.astype(np.float64), spec=spec)
        assert actual.dtype == x.dtype
        assert actual.shape == exact.shape
        deviation = max(1.0, np.sqrt(np.square(exact).mean())) if exact.size else 1.0
        assert np.all(np.abs(actual - exact) <= BOUNDS[m] * np.finfo(x.dtype).eps * deviation)


@st.composite
def cases(draw):
    kernel, stride = draw(st.sampled_from(GEOMETRIES))
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    size = st.integers(1, 14)
    padding = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2)]
    image = [max(draw(size), k - sum(pair)) for k, pair in zip(kernel, padding)]
    channels, outputs = draw(st.sampled_from([1, 3, 8, 16, 19])), draw(st.sampled_from([1, 7, 16, 33, 70]))
    shapes = (draw(st.integers(0, 3)), channels, *image), (outputs, channels, *kernel)
    return conv_case(*shapes, seed=draw(st.integers(0, 99)), dtype=np.float32, padding=padding, stride=stride)


@contextmanager
def step_by_step(limit=10**9):
    """Layers of up to `limit` tiles are done by winograd_apart, whatever their weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_apart, "MOST_TILES", limit)
        patch.setattr(winograd_apart, "LEAST_WEIGHTS", 0)
        yield


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from([2, 4]), st.booleans())
def test_any_size(case, m, apart):
    with step_by_step(10**9 if apart else 0):
        check_all_directions(case, m)


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_few_tiles_and_many_weights(kernel, stride, m):
    """More outputs than an item has panels, and channels that do not fill the last tile of the sums."""
    options = {"dtype": np.float32, "padding": 1, "stride": stride}
    case = conv_case((3, 283, 9, 7), (266, 283, kernel, kernel), **options)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("convolve", "correlate"):
            patch.setattr(winograd_apart, name, counted := Counted(getattr(winograd_apart, name)))
            check_all_directions(case, m)
            assert counted.calls


class Counted:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *args):
        self.calls += 1
        return self.function(*args)


@pytest.mark.parametrize("m", [2, 4])
def test_step_by_step_with_bias_activation_and_pool(m):
    spec, x, w, _ = conv_case((3, 20, 10, 13), (70, 20, 3, 3), dtype=np.float32, padding=1)
    bias = np.linspace(-1, 1, 70, dtype=np.float32)
    whole, pooled = [], []
    for limit in (0, 10**9):
        with step_by_step(limit):
            epilogue = Epilogue.of(bias, 0.25, 70, x.dtype)
            whole.append(conv_winograd.conv(x, w, epilogue, spec=spec, m=m))
            y, argmax = np.empty((3, 5, 6, 70), x.dtype), np.empty((3, 5, 6, 70), np.uint8)
            conv_winograd.conv_pool(x, w, y, Epilogue.of(bias, 0.25, 70, x.dtype, argmax), spec=spec, m=m)
            pooled.append((y, argmax))
    exact = im2col.conv(x.astype(np.float64), w.astype(np.float64), spec=spec) + bias[:, None, None]
    exact = np.where(exact > 0, exact, 0.25 * exact)
    np.testing.assert_allclose(whole[1], exact, atol=BOUNDS[m] * 1.2e-7 * exact.std())
    np.testing.assert_array_equal(whole[0], whole[1])
    for a, b in zip(*pooled):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(("size", "kernel", "stride"), [((17, 15), 3, 1), ((32, 30), 4, 2)])
def test_many_blocks(size, kernel, stride, m):
    options = {"dtype": np.float32, "padding": 1, "stride": stride}
    check_all_directions(conv_case((9, 130, *size), (66, 130, kernel, kernel), **options), m)


@pytest.mark.parametrize("m", [2, 4])
def test_transposed(m):
    """The positions of an input gradient that no output reaches, and outputs of odd sizes, whose phases differ."""
    for size, extra in ((1, 1), (5, 0), (4, 1)):
        spec = ConvSpec.transposed((2, 16, size, size + 1), (16, 24, 4, 4), stride=2, padding=1, output_padding=extra)
        check_all_directions(conv_arrays(spec, dtype=np.float32), m)


# Root mean square and largest error of outputs of unit variance, 128 channels deep: what conv_winograd's docstring promises.
ERRORS = {(2, 3): (5e-7, 4e-6), (4, 3): (2e-6, 3e-5), (2, 2): (8e-7, 8e-6), (4, 2): (2e-6, 3e-5)}


@pytest.mark.parametrize(("m", "r"), VARIANTS)
def test_documented_errors(m, r):
    kernel, stride, size = (3, 1, 16) if r == 3 else (4, 2, 32)
    options = {"dtype": np.float32, "padding": 1, "stride": stride}
    spec, x, w, _ = conv_case((4, 128, size, size), (64, 128, kernel, kernel), **options)
    w /= np.float32(np.sqrt(kernel * kernel * 128))
    error = conv_winograd.conv(x, w, spec=spec, m=m) - im2col.conv(x.astype(np.float64), w.astype(np.float64), spec=spec)
    root_mean_square, largest = ERRORS[m, r]
    assert np.sqrt(np.square(error).mean()) < root_mean_square
    assert np.abs(error).max() < largest


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_adjoint_identity(kernel, stride, m):
    options = {"dtype": np.float32, "padding": 1, "stride": stride}
    spec, x, w, g = conv_case((3, 20, 9, 11), (35, 20, kernel, kernel), **options)
    value = dot(conv_winograd.conv(x, w, spec=spec, m=m).astype(np.float64), g)
    scale = 1e-5 * np.sqrt(dot(g, g) * dot(x, x))
    assert abs(dot(conv_winograd.conv_input(g, w, spec=spec, m=m).astype(np.float64), x) - value) < scale
    assert abs(dot(winograd_weight.conv_weight(x, g, spec=spec, m=m).astype(np.float64), w) - value) < scale


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_nan_and_infinity_pass_through(kernel, stride, value):
    """They reach every output that a direct sum reaches, and nothing beyond the tiles of those."""
    options = {"dtype": np.float32, "padding": 1, "stride": stride}
    spec, x, w, g = conv_case((2, 17, 12 * stride, 12 * stride), (20, 17, kernel, kernel), **options)
    x[1, 16, 2, 3] = value
    y = conv_winograd.conv(x, w, spec=spec)
    with np.errstate(invalid="ignore"):
        direct = im2col.conv(x, w, spec=spec)
    assert not np.isfinite(y[~np.isfinite(direct)]).any()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[1, :, 8:, 8:]).all()
    gradient, direct = (f(x, g, spec=spec)[:, 16] for f in (winograd_weight.conv_weight, im2col.conv_weight))
    assert not np.isfinite(gradient[~np.isfinite(direct)]).any()


LARGE = ConvSpec.of((32, 64, 16, 16), (64, 64, 3, 3), padding=1)


def test_the_choice_by_shape():
    assert choose("conv", 32, LARGE, np.float32).name == "winograd4"
    one_pixel = ConvSpec.of((32, 64, 1, 1), (64, 64, 3, 3), padding=1)
    assert choose("conv", 32, one_pixel, np.float32).name == "direct"
    for change in ({"stride": 2}, {"dilation": 2}, {"groups": 2}):  # of 3 taps, one phase would have 2 and the other 1
        spec = ConvSpec.of((32, 64, 16, 16), (64, 64 // change.get("groups", 1), 3, 3), **change)
        assert choose("conv", 32, spec, np.float32).name == "direct"
    assert choose("conv_weight", 32, ConvSpec.of((32, 3, 16, 16), (64, 3, 3, 3)), np.float32).name == "direct"


def test_weight_gradients_of_deep_layers_are_estimated_step_by_step():
    deep = ConvSpec.of((8, 512, 7, 7), (512, 512, 3, 3), padding=1)
    step_by_step_cost = choose("conv_weight", 8, deep, np.float32).costs["winograd4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_apart, "MOST_TILES", 0)
        _choose.cache_clear()
        assert choose("conv_weight", 8, deep, np.float32).costs["winograd4"] > step_by_step_cost
    _choose.cache_clear()


STRIDED = ConvSpec.of((64, 64, 16, 16), (128, 64, 4, 4), stride=2, padding=1)


def test_phases_are_chosen_too():
    assert choose("conv", 64, STRIDED, np.float32).name == "winograd4"
    deep = ConvSpec.of((4, 512, 4, 4), (512, 512, 4, 4), stride=2, padding=1)  # all weights for 4 tiles
    assert choose("conv", 4, deep, np.float32).name == "direct"


@pytest.mark.parametrize("spec", [LARGE, STRIDED])
def test_float64_and_strict_are_direct(spec):
    for function in FUNCTIONS:
        assert choose(function, 32, spec, np.float64).name == "direct"
        with precision("strict"):
            assert choose(function, 32, spec, np.float32).name == "direct"
        assert choose(function, 32, spec, np.float32).name != "direct"


def test_strict_is_exact_to_rounding():
    spec, x, w, _ = conv_case((4, 64, 16, 16), (64, 64, 3, 3), dtype=np.float32, padding=1)
    exact = im2col.conv(x.astype(np.float64), w.astype(np.float64), spec=spec)
    fast = np.square(cpu.conv(x, w, spec=spec) - exact).mean()
    with precision("strict"):
        strict = np.square(cpu.conv(x, w, spec=spec) - exact).mean()
    assert strict < fast / 4


def test_precision_restores_and_refuses():
    precision("strict")
    try:
        with precision("fast"):
            assert choose("conv", 32, LARGE, np.float32).name == "winograd4"
        assert choose("conv", 32, LARGE, np.float32).name == "direct"
    finally:
        precision("fast")
    with pytest.raises(ValueError, match="one of fast, strict, got 'exact'"):
        precision("exact")


def test_explain():
    text = cpu.explain(LARGE, batch=32)
    assert text.splitlines()[0].startswith("conv: winograd4 (512 tiles of 4x4 with 3x3 taps take 4.0 times fewer")
    with precision("strict"):
        assert 'direct (Winograd is out: precision("strict")' in cpu.explain(LARGE, batch=32)


def test_an_algorithm_can_be_asked_for():
    spec = ConvSpec.of((8, 32, 12, 12), (32, 32, 3, 3))
    for name in ("direct", "winograd4", "winograd2"):
        with kernels.use(f"cpu:{name}"):
            assert kernels.explain(spec).count(f": {name} (asked for by kernels.use") == 3
            assert f": {name} " not in kernels.explain(spec, dtype="float64") or name == "direct"  # where it cannot run
    with kernels.use("cpu:winograd2"), precision("strict"):
        assert "winograd" not in kernels.explain(spec).replace("Winograd", "")
    assert "asked for" not in kernels.explain(spec)
    with pytest.raises(ValueError, match=r"unknown kernel implementation 'cpu:fft'; there are: auto, cpu, .*cpu:winograd4"):
        kernels.use("cpu:fft")
    with pytest.raises(ValueError, match="im2col:direct"):
        kernels.use("im2col:direct")
