"""The Hypothesis strategies give valid cases, and shrink to small ones."""

import numpy as np
import pytest

import nnscratch.nn.functional as F
from nnscratch.gradcheck import check_vjp, gradcheck, strategies

hypothesis = pytest.importorskip("hypothesis")
given, settings, find = hypothesis.given, hypothesis.settings, hypothesis.find
few = settings(max_examples=12, deadline=None)


@few
@given(strategies.arrays(low=0.0, scales=(1e-8, 1.0, 1e8)))
def test_arrays_in_a_domain(x):
    assert x.dtype == np.float64 and (x > 0).all()
    if x.size:
        assert check_vjp(np.log, lambda g, y, x: (g / x,), [x])


@few
@given(strategies.broadcast_cases(3))
def test_broadcast_cases(arrays):
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    assert len(arrays) == 3 and all(len(a.shape) <= len(shape) for a in arrays)
    assert gradcheck(lambda a, b, c: a * b + c, arrays)


@few
@given(strategies.conv_cases(dims=2))
def test_conv_cases(case):
    assert gradcheck(lambda x, w, b: F.conv2d(x, w, b, **case.options), case.inputs, projections=2)


@few
@given(strategies.pool_cases(dims=2))
def test_pool_cases(case):
    assert gradcheck(lambda x: F.max_pool2d(x, **case.options), case.inputs, projections=2)


@few
@given(strategies.rnn_cases("lstm"))
def test_rnn_cases(case):
    def cell(x, h, c, w, u, a, b):
        for step in x:
            i, f, g, o = (step @ w.T + h @ u.T + a + b).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h

    assert case.inputs[3].shape[0] == 4 * case.options["hidden_size"]
    assert gradcheck(cell, case.inputs, projections=2)


def test_failures_shrink_to_readable_geometries():
    case = find(strategies.conv_cases(dims=2), lambda c: c.options["stride"][0] == 2, settings=settings(database=None))
    assert case.options == {"stride": (2, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    assert case.inputs[0].size <= 4
    with pytest.raises(ValueError, match="mode"):
        strategies.rnn_cases("transformer")
