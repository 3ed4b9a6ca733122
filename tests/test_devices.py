"""Everything public on arrays that are not NumPy's: each op and layer of the audit's table, with its derivatives.

The stand-in for CuPy raises where an op calls NumPy on a device's array or moves data silently.
"""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.gradcheck.audit import entries


def derivatives(xp, sample):
    """Outputs, and the derivatives of orders one and two, of a call on xp's arrays; all of them must have been xp's."""
    inputs = [nns.Tensor(xp.asarray(x), requires_grad=x.dtype.kind == "f") for x in sample.inputs]
    leaves = [t for t in inputs if t.requires_grad]
    outputs = sample.function(*inputs)
    assert {type(t.data) for t in outputs} == {xp.ndarray}
    results = list(outputs)
    total = sum((y * y).sum() for y in outputs if y.requires_grad)
    if isinstance(total, nns.Tensor):
        first = nns.grad(total, leaves, create_graph=True, allow_unused=True)
        results += first
        again = [g for g in first if g is not None and g.requires_grad]
        if again:
            results += nns.grad(sum((g * g).sum() for g in again), leaves, allow_unused=True)
        plain = nns.grad(sum((y * y).sum() for y in sample.function(*inputs) if y.requires_grad), leaves, allow_unused=True)
        results += plain
    results = [t for t in results if t is not None]
    assert {type(t.data) for t in results} == {xp.ndarray}
    return [nns.to_numpy(t) for t in results]


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.label)
def test_ops_and_layers(xp, entry):
    if xp is np:
        pytest.skip("this is what the others are compared with")
    got = derivatives(xp, entry.draw(seed=1))
    expected = derivatives(np, entry.draw(seed=1))
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
