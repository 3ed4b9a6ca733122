"""Hypothesis strategies for derivatives: arrays, shapes that broadcast, geometries of convolutions, pools and recurrences.

    from hypothesis import given
    from nnscratch.gradcheck import strategies

    @given(strategies.conv_cases(dims=2))
    def test_conv(case):
        assert gradcheck(lambda x, w, b: F.conv2d(x, w, b, **case.options), case.inputs)

Everything shrinks towards small shapes and default options. Needs Hypothesis, which is imported when a strategy is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Case(NamedTuple):
    """Arrays to differentiate at, and the keyword options to call the function with."""

    inputs: tuple[np.ndarray, ...]
    options: dict[str, Any]


def _hypothesis() -> Any:
    try:
        from hypothesis import strategies
    except ImportError:
        raise ImportError("nnscratch.gradcheck.strategies needs Hypothesis: pip install hypothesis") from None
    return strategies


def _values(seed: int, shape: Shape, dtype: Any, low: float | None, high: float | None, scale: float) -> np.ndarray:
    """Values with three decimals, readable in a failure: normal, or uniform between bounds."""
    rng = np.random.default_rng(seed)
    if low is None and high is None:
        values = rng.standard_normal(shape)
    else:
        a = low if low is not None else (high or 0.0) - 4.0
        values = rng.uniform(a, high if high is not None else a + 4.0, shape)
    rounded = np.round(values, 3)
    rounded = np.where((rounded <= (low if low is not None else -np.inf)) | (rounded == 0), values, rounded)
    return (scale * rounded).astype(dtype)


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 1, max_side: int = 5) -> Any:
    """Shapes of small arrays."""
    st = _hypothesis()
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def arrays(
    shape: Shape | Any = None,
    dtype: Any = np.float64,
    *,
    low: float | None = None,
    high: float | None = None,
    scales: Sequence[float] = (1.0,),
) -> Any:
    """Arrays of `shape` (a tuple, or a strategy for one), normal or uniform in (low, high), times one of `scales`."""
    st = _hypothesis()
    shape = shapes() if shape is None else st.just(shape) if isinstance(shape, tuple) else shape
    return st.builds(
        lambda shape, seed, scale: _values(seed, shape, dtype, low, high, scale),
        shape,
        st.integers(0, 2**16),
        st.sampled_from(scales),
    )


def broadcast_cases(count: int = 2, max_dims: int = 3, max_side: int = 4, dtype: Any = np.float64) -> Any:
    """`count` arrays, as a tuple, whose shapes broadcast together."""
    st = _hypothesis()

    @st.composite
    def build(draw: Any) -> tuple[np.ndarray, ...]:
        full = draw(shapes(0, max_dims, 1, max_side))
        result = []
        for _ in range(count):
            own = full[draw(st.integers(0, len(full))) :]
            shape = tuple(1 if draw(st.booleans()) else n for n in own)
            result.append(_values(draw(st.integers(0, 2**16)), shape, dtype, None, None, 1.0))
        return tuple(result)

    return build()


def conv_cases(dims: int = 2, dtype: Any = np.float64, bias: bool = True) -> Any:
    """Inputs (x, weight, bias) and options (stride, padding, dilation, groups) of a convolution in 1, 2 or 3 dimensions."""
    st = _hypothesis()

    @st.composite
    def build(draw: Any) -> Case:
        small = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))
        groups = draw(st.sampled_from([1, 1, 2, 3]))
        n, c, o = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
        kernel, stride, dilation = small(1, 3), small(1, 2), small(1, 2)
        padding = tuple(draw(st.integers(0, k - 1)) for k in kernel)
        fits = [d * (k - 1) + 1 - p for d, k, p in zip(dilation, kernel, padding)]  # so that the kernel meets the input
        size = tuple(f + draw(st.integers(0, 3)) for f in fits)
        seed = draw(st.integers(0, 2**16))
        make = lambda k, shape: _values(seed + k, shape, dtype, None, None, 1.0)
        inputs = [make(0, (n, c, *size)), make(1, (o, c // groups, *kernel))] + ([make(2, (o,))] if bias else [])
        return Case(tuple(inputs), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})

    return build()


def pool_cases(dims: int = 2, dtype: Any = np.float64) -> Any:
    """An input and options (kernel_size, stride, padding, ceil_mode) of a max or average pool; all values of the input differ."""
    st = _hypothesis()

    @st.composite
    def build(draw: Any) -> Case:
        kernel = tuple(draw(st.integers(1, 3)) for _ in range(dims))
        stride = tuple(draw(st.integers(1, 3)) for _ in range(dims))
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        size = tuple(max(1, k - 2 * p) + draw(st.integers(0, 3)) for k, p in zip(kernel, padding))
        shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
        x = np.random.default_rng(draw(st.integers(0, 2**16))).permutation(int(np.prod(shape))).reshape(shape)
        options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
        return Case(((x / 8 - x.mean() / 8).astype(dtype),), options)

    return build()


def rnn_cases(mode: str = "lstm", dtype: Any = np.float64) -> Any:
    """Inputs (x, h0[, c0], w_ih, w_hh, b_ih, b_hh) of one layer, x of shape (time, batch, features); options hidden_size, mode.

    `mode`: 'lstm' (4 gates), 'gru' (3), 'rnn' (1).
    """
    st = _hypothesis()
    gates = {"lstm": 4, "gru": 3, "rnn": 1}
    if mode not in gates:
        raise ValueError(f"mode: expected one of {sorted(gates)}, got {mode!r}")

    @st.composite
    def build(draw: Any) -> Case:
        t, n, i, h = (draw(st.integers(1, 3)) for _ in range(4))
        rows = gates[mode] * h
        sizes = [(t, n, i), *[(n, h)] * (2 if mode == "lstm" else 1), (rows, i), (rows, h), (rows,), (rows,)]
        seed = draw(st.integers(0, 2**16))
        return Case(
            tuple(_values(seed + k, s, dtype, None, None, 0.5) for k, s in enumerate(sizes)), {"hidden_size": h, "mode": mode}
        )

    return build()
