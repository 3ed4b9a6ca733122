"""Channels-last copies of arrays, against NumPy's own moveaxis."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from nnscratch.kernels.cpu import layout
from nnscratch.kernels.cpu.layout import operand

SHAPES = [
    *((4, 3, 40, 41), (2, 3, 5000), (1, 2, 90, 90), (3, 9, 8, 6, 5), (2, 40, 7, 33), (3, 2000, 3), (70, 65), (5, 16, 16, 16)),
    *((2, 3, 1, 1), (0, 3, 4, 4), (2, 0, 4, 4)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_operand(shape, dtype, monkeypatch):
    monkeypatch.setattr(layout, "SMALL", 0)
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    wide = np.stack([x, -x], -1)
    for given in (x, read_only, x[::-1], wide[..., 0], np.asfortranarray(x)):
        last = operand(given)
        assert last.flags.carray
        np.testing.assert_array_equal(last, np.moveaxis(given, 1, -1))


def test_what_lies_right_is_not_copied():
    last = np.zeros((2, 5, 6, 3), np.float32)
    assert np.shares_memory(operand(np.moveaxis(last, -1, 1)), last)
