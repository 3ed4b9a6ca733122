import numpy as np
import pytest
from nnscratch.kernels.select import select

VALUES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 6e4, 6e-8])


@pytest.mark.parametrize("n", [1, 9, 5000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64, np.int8, np.bool_])
def test_the_bits_are_those_of_where(dtype, n):
    rng = np.random.default_rng(n)
    with np.errstate(invalid="ignore"):
        a, b = rng.choice(VALUES, n).astype(dtype), rng.choice(VALUES, n).astype(dtype)
    c = rng.random(n) < 0.5
    for one, other in [(a, b), (a, 0), (0, b), (a, dtype(1)), (a[:1], b), (a, b[0]), (a, True)]:
        y, expected = select(c, one, other), np.where(c, one, other)
        assert y.dtype == expected.dtype and y.tobytes() == expected.tobytes()
    if np.dtype(dtype).kind == "f":
        for one, other in [(a, -0.0), (a, 0.25), (np.nan, b), (-np.inf, b), (2, b)]:
            y, expected = select(c, one, other), np.where(c, one, other)
            assert y.dtype == expected.dtype and y.tobytes() == expected.tobytes()


def test_layouts_broadcasting_and_other_dtypes():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40, 50, 3)).transpose(0, 3, 1, 2), rng.standard_normal((2, 3, 40, 50))
    c = rng.random((2, 3, 40, 50)) < 0.5
    for one, other in [(a, b), (a, b[:, :, :, ::-1]), (a, 0), (a, b[0]), (a, b[:, :, :1]), (a, b.astype(np.float32)), (b[0], a)]:
        np.testing.assert_array_equal(select(c, one, other), np.where(c, one, other))
    flat = a.reshape(-1)
    np.testing.assert_array_equal(select(c.reshape(1, -1), flat, flat * 2), np.where(c.reshape(1, -1), flat, flat * 2))
    for mask in (c[:1], c[..., :1], c[0, 0, 0, 0], True, np.array(False)):
        np.testing.assert_array_equal(select(mask, a, b), np.where(mask, a, b))
    assert select(a > 0, a, 0).strides == a.strides == select(a > 0, a, a * 2).strides
