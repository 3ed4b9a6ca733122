"""Every catalogued fault in the library's own derivatives is caught and put down to its op; the sound originals pass."""

import collections
import doctest

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import kernels
from nnscratch.autograd.fusion import Fused
from nnscratch.gradcheck import Verdict, mutations
from nnscratch.gradcheck.audit import primitives
from nnscratch.gradcheck.mutations import FAMILIES, MUTATIONS, attributed, caught, check_sound
from nnscratch.gradcheck.mutations.inject import DISTORTIONS, in_backward, in_definition, in_vjp

HEAVY = ("lstm: cell state detached in the definition", "gru: hidden state detached in the definition")


def _is_quick(m):
    """Faults of their own kind; of the five distortions of each gradient, one in turn."""
    if m.name in HEAVY:
        return False
    how = m.name.rpartition(": ")[2]
    return how not in DISTORTIONS or list(DISTORTIONS).index(how) == _turn(m) % len(DISTORTIONS)


def _turn(m):
    return list(dict.fromkeys(n.name.rpartition(": ")[0] for n in MUTATIONS)).index(m.name.rpartition(": ")[0])


needs_numba = pytest.mark.skipif("cpu" not in kernels.available(), reason="the compiled kernels need Numba")


def _marks(m):
    return [needs_numba] * m.compiled + [pytest.mark.slow] * (not _is_quick(m))


CASES = [pytest.param(m, id=m.name, marks=_marks(m)) for m in MUTATIONS]


@pytest.mark.parametrize("mutation", CASES)
def test_fault_is_caught_and_attributed(mutation):
    report = mutation.check(projections=3)
    assert caught(report), report
    assert attributed(mutation, report), report


ORIGINALS = list({(m.entry.label, m.options): m for m in sorted(MUTATIONS, key=lambda m: m.order)}.values())


@pytest.mark.parametrize(
    "mutation",
    [pytest.param(m, id=f"{m.entry.label}, order {m.order}", marks=[needs_numba] * m.compiled) for m in ORIGINALS],
)
def test_sound_original_passes(mutation):
    report = check_sound(mutation, projections=3)
    assert report.verdict is Verdict.CORRECT, report


@pytest.mark.parametrize(
    "mutation", [pytest.param(m, id=m.name, marks=_marks(m)) for m in MUTATIONS if m.order == 2 and _is_quick(m)]
)
def test_faults_of_order_two_leave_the_first_derivatives_right(mutation):
    assert mutation.check(order=1, projections=3).verdict is Verdict.CORRECT


def test_catalogue_is_complete():
    assert [name for name, n in collections.Counter(m.name for m in MUTATIONS).items() if n > 1] == []
    assert len(MUTATIONS) > 400
    kinds = """dropped sign times_2 0.1%_off missing_batch_sum mean_instead_of_sum kernel_axes_swapped unflipped_kernel
    padding_off_by_one stride_ignored overwritten,_not_added variance_detached forget_gate_without_its_derivative
    last_time_step_skipped every_tied_maximum cotangent_ignored missing_1/n sum_over_the_wrong_axis sum_over_the_batch_forgotten
    duplicates_overwritten detached_in_its_VJP detached_in_the_definition""".split()
    names = [m.name for m in MUTATIONS]
    assert [kind for kind in kinds if not any(kind.replace("_", " ") in name for name in names)] == []
    assert all(any(m.order == 2 for m in family) for family in FAMILIES.values())


def test_every_fused_op_has_faults_of_both_orders():
    fused = {op.primitive.name for op in primitives().values() if isinstance(op.primitive, Fused)}
    assert {"conv_block", "linear_block", "masked", "dropped", "silu", "huber", "lstm_sequence"} <= fused
    for order in (1, 2):
        assert fused - {name for m in MUTATIONS if m.order == order for name in m.blame} == set(), f"order {order}"


def test_the_library_is_whole_again_after_a_fault():
    x = nns.tensor([0.5], requires_grad=True)
    record = nns.exp.primitive
    before = (record.vjps, record.plans, record.joint)
    with pytest.raises(ZeroDivisionError), in_vjp(nns.exp, 0, lambda right: lambda g, y, x: g * 0)():
        assert nns.grad(nns.exp(x).sum(), [x])[0].item() == 0
        raise ZeroDivisionError
    assert (record.vjps, record.plans, record.joint) == before
    np.testing.assert_allclose(nns.grad(nns.exp(x).sum(), [x])[0].numpy(), np.exp([0.5]), rtol=1e-6)


def test_fused_ops_are_restored_too():
    record = mutations.norms._batch_norm.primitive
    before = (record.backward, record.definition)
    with in_backward(mutations.norms._batch_norm, lambda right: None)(), in_definition(mutations.norms._batch_norm, None)():
        assert (record.backward, record.definition) == (None, None)
    assert (record.backward, record.definition) == before


def test_the_example_in_the_docstring():
    assert doctest.testmod(mutations) == (0, 3)


def test_a_miss_is_a_miss():
    """caught and attributed can say no."""
    m = mutations.find("conv, bias: mean instead of sum")
    report = m.check(projections=3)
    assert not caught(check_sound(m, projections=3))
    assert not attributed(mutations.find("linear, bias: mean instead of sum"), report)
    with pytest.raises(KeyError):
        mutations.find("no such fault")
