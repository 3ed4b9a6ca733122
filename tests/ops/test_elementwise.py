"""Elementwise ops against torch: values, first and second derivatives, special values, kinks, broadcasting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import against_torch, check_grads

import nnscratch as nns

torch = pytest.importorskip("torch")

ANY, POSITIVE, UNIT, ABOVE_ONE = (-3.0, 3.0), (0.1, 4.0), (-0.95, 0.95), (1.1, 5.0)
UNARY = {
    **dict.fromkeys("abs neg exp exp2 expm1 square sin cos tan atan sinh cosh tanh asinh sigmoid".split(), ANY),
    **dict.fromkeys("erf erfc floor ceil round trunc frac sign sinc reciprocal deg2rad rad2deg nan_to_num".split(), ANY),
    **dict.fromkeys("absolute negative positive arctan arcsinh fix clone detach".split(), ANY),
    **dict.fromkeys("log log2 log10 log1p sqrt rsqrt".split(), POSITIVE),
    **dict.fromkeys("asin acos atanh erfinv arcsin arccos arctanh".split(), UNIT),
    **dict.fromkeys("acosh arccosh".split(), ABOVE_ONE),
}
BINARY = {
    **dict.fromkeys("add sub mul div subtract multiply divide true_divide maximum minimum fmax fmin".split(), ANY),
    **dict.fromkeys("remainder fmod atan2 arctan2 hypot logaddexp".split(), ANY),
    **dict.fromkeys("pow float_power xlogy".split(), POSITIVE),
}
TOLERANCE = {np.float64: {}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}
DTYPES = (np.float32, np.float64)


def draw(domain, shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(*domain, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    theirs = getattr(torch, name, None) or getattr(torch.Tensor, name)
    against_torch(getattr(nns, name), theirs, draw(UNARY[name], (4, 5), dtype=dtype), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    a, b = draw(BINARY[name], (4, 5), 1, dtype), draw(BINARY[name], (5,), 2, dtype)
    against_torch(getattr(nns, name), getattr(torch, name), a, b, **TOLERANCE[dtype])


COMPOSED = {
    "add alpha": (lambda m, a, b, c: m.add(a, b, alpha=2.5), 2),
    "sub alpha": (lambda m, a, b, c: m.sub(a, b, alpha=-2), 2),
    "div floor": (lambda m, a, b, c: m.div(a, b, rounding_mode="floor"), 2),
    "div trunc": (lambda m, a, b, c: m.div(a, b, rounding_mode="trunc"), 2),
    "lerp": (lambda m, a, b, c: m.lerp(a, b, c), 3),
    "lerp number": (lambda m, a, b, c: m.lerp(a, b, 0.3), 2),
    "lerp far": (lambda m, a, b, c: m.lerp(a, b, 0.7), 2),
    "addcmul": (lambda m, a, b, c: m.addcmul(a, b, c, value=0.5), 3),
    "addcdiv": (lambda m, a, b, c: m.addcdiv(a, b, c, value=2), 3),
    "clamp": (lambda m, a, b, c: m.clamp(a, -0.5, 1), 1),
    "clamp min": (lambda m, a, b, c: m.clamp(a, min=0.5), 1),
    "clamp max": (lambda m, a, b, c: m.clamp(a, max=0.5), 1),
    "clamp tensors": (lambda m, a, b, c: m.clamp(a, b, c), 3),
    "clamp crossed": (lambda m, a, b, c: m.clamp(a, 1.0, -1.0), 1),
    "clip": (lambda m, a, b, c: m.clip(a, -1.0, 1.0), 1),
    "clamp_min": (lambda m, a, b, c: m.clamp_min(a, 0.2), 1),
    "clamp_max": (lambda m, a, b, c: m.clamp_max(a, 0.2), 1),
    "where": (lambda m, a, b, c: m.where(m.gt(c, 0), a, b), 3),
    "where number": (lambda m, a, b, c: m.where(m.gt(b, 0), a, 0.5), 2),
    "masked_fill": (lambda m, a, b, c: m.masked_fill(a, m.gt(b, 0), 2.0), 2),
    "round decimals": (lambda m, a, b, c: m.round(a, decimals=1), 1),
    "remainder number": (lambda m, a, b, c: m.remainder(a, 0.7), 1),
    **{f"pow {p}": (lambda m, a, b, c, p=p: m.pow(a, p), 1) for p in (0, 1, 2, 3, 4, -1, -2)},
    **{f"{n} pow": (lambda m, a, b, c, n=n: m.pow(n, a), 1) for n in (2, 0.5, 1.0)},
    "sqrt pow": (lambda m, a, b, c: m.pow(m.abs(a), 0.5), 1),
    "float_power": (lambda m, a, b, c: m.float_power(a, 2), 1),
}


@pytest.mark.parametrize("case", COMPOSED)
def test_arguments(case):
    f, n = COMPOSED[case]
    arrays = [draw((-2, 2), (3, 4), seed) for seed in range(n)]
    against_torch(lambda *xs: f(nns, *xs, *[None] * (3 - n)), lambda *xs: f(torch, *xs, *[None] * (3 - n)), *arrays)


# --------------------------------------------------------------------------------------------------- special values

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.5, 1e30, -1e30, 1e-30, 89.0, -104.0]


def slopes(module, f, arrays, tensor):
    xs = [tensor(a) for a in arrays]
    y = f(*xs)
    y.backward(module.ones_like(y))
    return [t.detach().numpy() for t in (y, *[module.zeros_like(x) if x.grad is None else x.grad for x in xs])]


def compare_at(f_ours, f_theirs, *arrays, rtol=2e-6):
    ours = slopes(nns, f_ours, arrays, lambda a: nns.tensor(a, requires_grad=True))
    theirs = slopes(torch, f_theirs, arrays, lambda a: torch.tensor(a, requires_grad=True))
    for what, a, b in zip(("value", "gradient", "second gradient"), ours, theirs):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-37, err_msg=what)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("sinc", "detach", "erfinv", "sin", "cos", "tan")])
def test_special_values(name, dtype):
    theirs = getattr(torch, name, None) or getattr(torch.Tensor, name)
    compare_at(getattr(nns, name), theirs, np.array(SPECIAL, dtype))


@pytest.mark.parametrize("name", [n for n in BINARY if n not in ("xlogy", "logaddexp", "hypot", "atan2", "arctan2")])
def test_special_pairs(name):
    a, b = (x.ravel().copy() for x in np.meshgrid(SPECIAL, SPECIAL))
    compare_at(getattr(nns, name), getattr(torch, name), a, b, rtol=1e-12)


@pytest.mark.parametrize("name", ["xlogy", "logaddexp", "hypot", "atan2", "floor_divide"])
def test_special_pairs_values(name):
    a, b = (x.ravel().copy() for x in np.meshgrid(SPECIAL, SPECIAL))
    expected = getattr(torch, name)(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(getattr(nns, name)(nns.tensor(a), nns.tensor(b)).numpy(), expected, rtol=1e-12)


def test_lerp_is_exact_at_its_ends():
    a, b = nns.tensor([0.1, 1e20]), nns.tensor([0.7, 0.3])
    for weight in (1, 1.0, nns.tensor([1.0, 1.0])):
        np.testing.assert_array_equal(nns.lerp(a, b, weight).numpy(), b.numpy())
    np.testing.assert_array_equal(nns.lerp(a, b, 0).numpy(), a.numpy())


def test_what_torch_gives_no_derivative_or_another_name():
    x = nns.tensor([1.5, -2.5], requires_grad=True)
    nns.sum(nns.floor_divide(x, 2.0)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])
    assert nns.sgn is nns.sign


KINKS = {
    "abs": (lambda m, x: m.abs(x), [0.0, -0.0]),
    "maximum tie": (lambda m, x: m.maximum(x, x * 1), [1.0, 2.0]),
    "minimum tie": (lambda m, x: m.minimum(x * 2, x + 1), [1.0, 2.0]),
    "clamp bounds": (lambda m, x: m.clamp(x, -1, 1), [-1.0, 1.0, 0.0]),
    "pow 0": (lambda m, x: m.pow(x, 0), [0.0, 2.0, -1.0]),
    "pow 1": (lambda m, x: m.pow(x, 1), [0.0, 2.0, -1.0]),
    "pow 0.5": (lambda m, x: m.pow(x, 0.5), [0.0, 2.0]),
    "pow of 0": (lambda m, x: m.pow(0.0, x), [0.0, 2.0, 0.5]),
    "pow of 0 tensors": (lambda m, x: m.pow(x * 0, x), [0.0, 2.0, 0.5]),
    "pow negative base": (lambda m, x: m.pow(x, 3), [-2.0, -0.5]),
    "pow tensor exponent 0": (lambda m, x: m.pow(x, x * 0), [0.0, -2.0, 3.0]),
    "sqrt": (lambda m, x: m.sqrt(x), [0.0]),
    "atan2 at the origin": (lambda m, x: m.atan2(x, x * 0), [0.0, 1.0, 1e-200]),
    "remainder": (lambda m, x: m.remainder(x, 2.0), [0.0, 2.0, 4.0, -2.0]),
}


@pytest.mark.parametrize("case", KINKS)
def test_kinks(case):
    f, points = KINKS[case]
    compare_at(lambda x: f(nns, x), lambda x: f(torch, x), np.array(points))


def second_derivative(f, x):
    x = nns.tensor(x, requires_grad=True)
    (g,) = nns.grad(nns.sum(f(x)), [x], create_graph=True)
    return nns.grad(nns.sum(g), [x], allow_unused=True)[0]


def test_masked_forms_do_not_leak_nan():
    x = np.array([0.0, 1.0, np.inf])
    y = nns.tensor(x, requires_grad=True)
    mask = np.array([True, False, True])
    nns.sum(nns.where(mask, 0.0, nns.mul(y, 2.0))).backward()
    np.testing.assert_array_equal(y.grad.numpy(), [0, 2, 0])
    g = second_derivative(lambda t: nns.pow(t, 2), np.array([0.0, -1.0]))
    np.testing.assert_array_equal(g.numpy(), [2, 2])
    assert np.isfinite(second_derivative(lambda t: nns.pow(nns.mul(t, 0.0), t), np.array([2.0])).numpy()).all()
    assert np.isfinite(second_derivative(lambda t: nns.xlogy(t, nns.mul(t, 0.0)), np.array([0.0])).numpy()).all()
    assert np.isfinite(second_derivative(nns.sinc, np.array([0.0, 1.0])).numpy()).all()


@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "exp", "sigmoid", "erf", "asinh", "atan", "log1p", "softplus"])
def test_third_derivative(name):
    check_grads(getattr(nns, name), draw((0.2, 0.9), (2, 3)), order=3)


def test_third_derivatives_of_pairs():
    a, b = draw((0.5, 2), (2, 3)), draw((0.5, 2), (3,), 1)
    for f in (nns.mul, nns.div, nns.pow, nns.hypot, nns.atan2, nns.logaddexp):
        check_grads(f, a, b, order=3)


# ------------------------------------------------------------------------------------------------------ broadcasting


@st.composite
def broadcastable(draw_):
    shape = draw_(st.lists(st.integers(0, 3), max_size=4))
    shapes = []
    for _ in range(2):
        kept = shape[draw_(st.integers(0, len(shape))) :]
        shapes.append(tuple(1 if draw_(st.booleans()) else n for n in kept))
    return shapes


@settings(max_examples=60, deadline=None)
@given(broadcastable(), st.sampled_from(["add", "sub", "mul", "div", "maximum", "pow", "atan2"]))
def test_broadcasting(shapes, name):
    arrays = [draw((0.5, 2), s, i) for i, s in enumerate(shapes)]
    against_torch(getattr(nns, name), getattr(torch, name), *arrays)


@settings(max_examples=40, deadline=None)
@given(broadcastable(), st.integers(0, 9))
def test_broadcasting_where_and_clamp(shapes, seed):
    a, b = [draw((-1, 1), s, i + seed) for i, s in enumerate(shapes)]
    against_torch(lambda x, y: nns.where(nns.lt(x, y), x, y), lambda x, y: torch.where(torch.lt(x, y), x, y), a, b)
    against_torch(lambda x, y: nns.clamp(x, y, 0.5), lambda x, y: torch.clamp(x, y, torch.tensor(0.5)), a, b)


# -------------------------------------------------------------------------------------------------- dtypes and layout

ALL_DTYPES = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64]
FORMS = {
    "tensor": lambda m, d: m.tensor(np.ones(2, d)),
    "0-d": lambda m, d: m.tensor(np.ones((), d)),
    "number": lambda m, d: np.ones((), d).item(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("b", ALL_DTYPES)
@pytest.mark.parametrize("a", ALL_DTYPES)
def test_promotion(a, b, form):
    for first in ("tensor", "0-d"):
        ours = FORMS[first](nns, a), FORMS[form](nns, b)
        theirs = FORMS[first](torch, a), FORMS[form](torch, b)
        expected = str(torch.result_type(*theirs)).removeprefix("torch.")
        assert str(nns.result_type(*ours)) == expected
        assert str(nns.result_type(*ours[::-1])) == expected
        assert str(nns.mul(*ours).dtype) == expected
        assert str(nns.maximum(*ours[::-1]).dtype) == expected
        assert str(nns.where(nns.tensor([True, False]), *ours).dtype) == expected
        assert str(nns.div(*ours).dtype) == str(torch.div(*theirs).dtype).removeprefix("torch.")
        assert nns.eq(*ours).dtype == bool


@pytest.mark.parametrize(
    "name", ["sqrt", "exp", "log2", "sin", "erf", "sigmoid", "tanh", "rsqrt", "reciprocal", "exp2", "softplus", "atanh"]
)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_become_the_default_dtype(name, dtype):
    x = np.array([0, 1, 1], dtype)
    y = getattr(nns, name)(nns.tensor(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), getattr(nns, name)(nns.tensor(x.astype(np.float32))).numpy())
    with nns.default_dtype(np.float64):
        assert getattr(nns, name)(nns.tensor(x)).dtype == np.float64


@pytest.mark.parametrize("name", ["atan2", "hypot", "logaddexp", "xlogy", "pow"])
def test_numbers_and_integers_beside_float64_lose_nothing(name):
    f, a, n = getattr(nns, name), np.array([0.3, 2.0]), np.array([7, 200], np.uint8)
    x, exact = nns.tensor(a, requires_grad=True), [nns.tensor(n.astype(np.float64)), nns.tensor(np.full(2, 0.1))]
    for inexact, b in zip((nns.tensor(n), 0.1), exact):
        for mixed, plain in ((f(x, inexact), f(x, b)), (f(inexact, x), f(b, x))):
            np.testing.assert_allclose(mixed.detach().numpy(), plain.detach().numpy(), rtol=1e-15)
            slopes = [nns.grad(y.sum(), [x])[0].numpy() for y in (mixed, plain)]
            np.testing.assert_allclose(*slopes, rtol=1e-15)


INTEGERS = ["add", "sub", "mul", "floor_divide", "remainder", "fmod", "maximum", "minimum", "pow", "bitwise_and", "eq", "lt"]


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_stay_integers(name):
    a, b = np.array([7, -7, 7, -7, 0, 5]), np.array([2, 2, -2, -2, 3, 5])
    b = np.abs(b) if name == "pow" else b
    against_torch(getattr(nns, name), getattr(torch, name), a, b, order=0)
    if name not in ("maximum", "minimum"):  # torch takes no numbers there
        against_torch(lambda x: getattr(nns, name)(x, 3), lambda x: getattr(torch, name)(x, 3), a, order=0)


def test_integer_division_towards_zero_is_exact():
    big = np.array([2**62 + 1, -(2**62) - 1, 7, -7])
    y = nns.div(nns.tensor(big), nns.tensor(np.array([3, 3, -2, 2])), rounding_mode="trunc")
    np.testing.assert_array_equal(y.numpy(), [(2**62 + 1) // 3, -((2**62 + 1) // 3), -3, -3])


@pytest.mark.parametrize("name", ["exp", "abs", "sqrt", "erf", "sigmoid", "relu", "square", "clone"])
def test_memory_layout_is_kept(name):
    x = np.random.default_rng(0).random((2, 4, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    y = getattr(nns, name)(nns.tensor(x)).numpy()
    assert y.strides == x.strides
    if name != "erf":  # its float64 path is free to choose
        assert nns.mul(nns.tensor(x), nns.tensor(x)).numpy().strides == x.strides


@pytest.mark.parametrize("name", [*UNARY, "logical_not", "isnan"])
def test_arrays_in_arrays_out(name):
    if name == "detach":
        return
    x = draw(UNARY.get(name, ANY), (3, 2))
    before = x.copy()
    y = getattr(nns, name)(x)
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, getattr(nns, name)(nns.tensor(x)).numpy())
    np.testing.assert_array_equal(x, before)


# -------------------------------------------------------------------------------------------- comparisons and logic

PAIRS = "eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor isclose".split()


@pytest.mark.parametrize("name", PAIRS)
def test_comparisons(name):
    a, b = (x.ravel().copy() for x in np.meshgrid(SPECIAL, SPECIAL))
    y = against_torch(getattr(nns, name), getattr(torch, name), a, b, order=0)[0]
    x = nns.tensor(a, requires_grad=True)
    assert not getattr(nns, name)(x, nns.tensor(b)).requires_grad and y.dtype == bool
    if name != "isclose":
        assert not getattr(nns, name)(x, 1.0).requires_grad


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "isposinf", "isneginf", "logical_not"])
def test_predicates(name):
    against_torch(getattr(nns, name), getattr(torch, name), np.array(SPECIAL), order=0)
    against_torch(getattr(nns, name), getattr(torch, name), np.array([0, 1, -2]), order=0)


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.uint8])
@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bitwise(name, dtype):
    a, b = np.array([0, 1, 1, 0], dtype), np.array([0, 0, 1, 1], dtype)
    against_torch(getattr(nns, name), getattr(torch, name), a, b, order=0)
    against_torch(nns.bitwise_not, torch.bitwise_not, a, order=0)


def test_shifts():
    a = np.array([1, 5, -8])
    against_torch(nns.bitwise_left_shift, torch.bitwise_left_shift, a, np.array([1, 2, 3]), order=0)
    against_torch(nns.bitwise_right_shift, torch.bitwise_right_shift, a, np.array([1, 2, 3]), order=0)


def test_whole_comparisons():
    a = nns.tensor([1.0, 2.0])
    assert (
        nns.equal(a, nns.tensor([1.0, 2.0])) and not nns.equal(a, nns.tensor([1.0, 2.5])) and not nns.equal(a, nns.tensor([1.0]))
    )
    assert nns.allclose(a, nns.tensor([1.0, 2.00001])) and not nns.allclose(a, nns.tensor([1.0, 2.1]))
    nan = nns.tensor([np.nan])
    assert not nns.allclose(nan, nan) and nns.allclose(nan, nan, equal_nan=True)
    assert nns.allclose(np.array([1.0]), np.array([1.0]))


# --------------------------------------------------------------------------------------------------------- conversion


def test_astype_carries_the_gradient_and_its_dtype():
    x = nns.tensor(np.array([1.5, -2.5], np.float32), requires_grad=True)
    y = nns.astype(x, dtype=np.float64)
    assert y.dtype == np.float64
    nns.sum(nns.square(y)).backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [3, -5])
    assert not nns.astype(x, dtype=np.int64).requires_grad
    assert not nns.astype(x, dtype=bool).requires_grad
    np.testing.assert_array_equal(nns.astype(nns.tensor([np.nan, 2.7]), dtype=np.int32).numpy()[1:], [2])


def test_mixed_dtypes_give_each_argument_its_own():
    a = nns.tensor(np.ones(3, np.float32), requires_grad=True)
    b = nns.tensor(np.full((2, 3), 2.0), requires_grad=True)
    nns.sum(nns.mul(a, b)).backward()
    assert a.grad.dtype == np.float32 and b.grad.dtype == np.float64
    np.testing.assert_array_equal(a.grad.numpy(), [4, 4, 4])


def test_clone_detach_and_device():
    x = nns.tensor([1.0, 2.0], requires_grad=True)
    y = nns.clone(x)
    assert y.requires_grad and not np.shares_memory(y.data, x.data)
    assert not nns.detach(x).requires_grad and np.shares_memory(nns.stop_gradient(x).data, x.data)
    nns.sum(nns.mul(nns.to_device(x, device="cpu"), 3.0)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_masked_fill_of_integers():
    y = nns.masked_fill(nns.tensor([1, 2, 3]), nns.tensor([True, False, True]), 0)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y.numpy(), [0, 2, 0])


# ------------------------------------------------------------------------------------------------------------- errors

ERRORS = {
    "rounding_mode": (lambda: nns.div(nns.tensor([1.0]), 2.0, rounding_mode="up"), ValueError, "'up'"),
    "integer division by zero": (lambda: nns.floor_divide(nns.tensor([1]), nns.tensor([0])), RuntimeError, "by zero"),
    "integer remainder by zero": (lambda: nns.remainder(nns.tensor([1]), 0), RuntimeError, "by zero"),
    "integer to a negative power": (lambda: nns.pow(nns.tensor([2]), -1), ValueError, "negative"),
    "condition": (lambda: nns.where(nns.tensor([1.0]), 1.0, 2.0), TypeError, "boolean"),
    "no bounds": (lambda: nns.clamp(nns.tensor([1.0])), ValueError, "at least one"),
    "fill with a vector": (lambda: nns.masked_fill(nns.tensor([1.0]), True, nns.tensor([1.0])), RuntimeError, "0-d"),
    "fill integers with a float": (lambda: nns.masked_fill(nns.tensor([1]), True, 0.5), RuntimeError, "int64"),
    "shapes": (lambda: nns.add(nns.tensor([1.0, 2.0]), nns.tensor([1.0, 2.0, 3.0])), ValueError, "broadcast"),
    "a string": (lambda: nns.add(nns.tensor([1]), "1"), TypeError, "str"),
    "complex": (lambda: nns.result_type(np.ones(2, complex), 1.0), TypeError, "complex128"),
    "booleans cannot be subtracted": (lambda: nns.sub(nns.tensor([True]), nns.tensor([True])), TypeError, "boolean"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    f, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        f()


@pytest.mark.parametrize("kernels", ["auto", "im2col"])
def test_arithmetic_of_large_arrays(kernels):
    a, b = np.random.default_rng(0).standard_normal((2, 300, 500)).astype(np.float32)
    with nns.kernels.use(kernels):
        for op in (lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y):
            for other in (b, b[0], np.float32(2), np.float64(2.5) * np.ones(()), 3, 0.5, b.astype(np.float64)):
                t = nns.tensor(other) if isinstance(other, (np.ndarray, np.generic)) else other
                y = op(nns.tensor(a), t)
                expected = op(a, np.float32(other) if np.ndim(other) == 0 else other)
                assert y.dtype == expected.dtype and y.numpy().tobytes() == expected.tobytes()
        assert nns.add(nns.tensor(a), nns.tensor(b), alpha=2).numpy().tobytes() == (a + b * 2).tobytes()
