"""The audit's table, run: derivatives of everything in it, values against torch; nothing left out.

First derivatives only, and second ones with --gradcheck=audit: `nnscratch gradcheck --order 2` is what checks both, in CI too.
So of the large arrays of training only some are checked here: the others are slow, and marked so.
"""

import collections
import gc

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import cli, kernels, nn
from nnscratch.autograd.primitives import Primitive
from nnscratch.gradcheck import Verdict, gradcheck
from nnscratch.gradcheck.audit import (
    EXCLUDED,
    FAMILIES,
    audit,
    audit_entry,
    case,
    coverage,
    entries,
    layer,
    outdated,
    primitives,
    summary,
    uncovered,
    unreached,
)
from nnscratch.gradcheck.audit.draw import normal
from nnscratch.gradcheck.audit.entry import Fresh, Value, fill, flat

ENTRIES = entries()
TRAINING = FAMILIES["training"]
SPOTS = ("conv2d(2x16", "ops.conv_block", "linear", "nn.LSTM")  # of training, checked in every run; the others on request


def spots(chosen):
    """Entries as parameters of a test, those of training's size slow but for some."""
    slow = [e in TRAINING and not e.label.startswith(SPOTS) for e in chosen]
    return [pytest.param(e, id=e.label, marks=[pytest.mark.slow] * s) for e, s in zip(chosen, slow)]


@pytest.mark.parametrize("entry", spots(ENTRIES))
def test_derivatives(entry, pytestconfig):
    order = 2 if pytestconfig.getoption("gradcheck_level") == "audit" else 1
    outcome = audit_entry(entry, order=order, projections=2)
    assert outcome.passed, summary.explanation(outcome)


WITH_TORCH = [e for e in ENTRIES if e.torch is not None]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("entry", WITH_TORCH, ids=lambda e: e.label)
def test_values_are_those_of_torch(entry):
    torch = pytest.importorskip("torch")
    sample = entry.draw(seed=3)
    with nns.no_grad():
        ours = sample.function(*[nns.tensor(x) for x in sample.inputs])
    convert = lambda tree: fill(fill(tree, Value, lambda v: torch.tensor(v.array)), Fresh, lambda fresh: fresh.make())
    args, kwargs = convert(sample.args), convert(sample.kwargs)
    with torch.no_grad():
        theirs = flat(_torch_callable(torch, entry, sample, convert)(*args, **kwargs))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == tuple(b.shape)
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


def _torch_callable(torch, entry, sample, convert):
    if sample.module is not None:
        built, options = convert(sample.built)
        module = getattr(torch.nn, entry.name.removeprefix("nn."))(*built, **options).double().train(not entry.evaluating)
        module.load_state_dict({k: torch.tensor(v) for k, v in _state(sample).items()})
        return module
    if entry.torch:
        place = torch
        for part in entry.torch.split("."):
            place = getattr(place, part)
        return place
    for place in (torch.nn.functional, torch, torch.Tensor):
        if hasattr(place, entry.name):
            return getattr(place, entry.name)
    raise AssertionError(f"torch has no {entry.name}: mark the entry .alone() or .like(...)")


def _state(sample):
    """The module's state, with the drawn buffers in their places."""
    for table, name, array in sample._buffers:
        table[name] = nns.Tensor(array.copy())
    return {k: v.numpy() for k, v in sample.module.state_dict().items()}


# ------------------------------------------------------------------------------------------------------------ the table


def test_everything_public_has_an_entry_or_a_reason():
    assert uncovered(ENTRIES) == [], "add a line to nnscratch/gradcheck/audit for each, or a reason to EXCLUDED"
    assert outdated(ENTRIES) == []


def test_a_new_op_or_layer_without_entry_is_noticed(monkeypatch):
    monkeypatch.setattr(nns.ops, "brand_new", lambda x: x, raising=False)
    monkeypatch.setattr(nn, "BrandNew", type("BrandNew", (nn.Module,), {}), raising=False)
    assert uncovered(ENTRIES) == ["brand_new", "nn.BrandNew"]
    assert "exp" in uncovered([e for e in ENTRIES if e.name != "exp"])


def test_every_primitive_and_fused_op_is_run_by_some_entry():
    assert unreached(ENTRIES) == [], "add an entry that runs each, at order 1 or 2, or a reason to EXCLUDED"
    assert {"ops.conv_block.conv_block", "ops.pool.put_plane", "ops.recurrent.fused_lstm.lstm_sequence"} <= set(primitives())


def test_no_op_of_the_library_is_hidden_from_the_table():
    """Not even one that a function makes and keeps to itself, as the fused ops of losses were."""
    known = {id(op.primitive) for op in primitives().values()}
    hidden = [o for o in gc.get_objects() if issubclass(type(o), Primitive) and id(o) not in known]
    assert [o.name for o in hidden if o.forward.__module__.startswith(("nnscratch.ops", "nnscratch.nn"))] == []
    assert {"ops.activation._silu.fused", "ops.loss.regression._huber_loss.fused"} <= set(primitives())


def test_an_op_that_no_entry_runs_is_noticed():
    few = [e for e in ENTRIES if "conv" not in e.name and "Conv" not in e.label]
    assert {"ops.conv_block.conv_block", "ops.convolution.conv_weight"} <= set(unreached(few))


def test_a_second_name_of_a_function_is_covered_by_the_first():
    assert nns.ops.absolute is nns.ops.abs
    assert "absolute" not in {e.name for e in ENTRIES}
    assert {"abs", "absolute"} <= set(uncovered([e for e in ENTRIES if e.name != "abs"]))


def test_what_is_excluded_as_integer_or_boolean_is():
    x = nns.tensor(np.array([[0.5, -1.5], [2.0, 0.25]]), requires_grad=True)
    i = nns.tensor([1, 2])
    for name in EXCLUDED:
        if EXCLUDED[name] == "gives integers or booleans":
            for args in ((x,), (x, x), (x, 2), (i,), (i, i), (4,), (0, 4, (2,)), (x, 0, 4), (nns.abs(x), 1)):
                try:
                    y = getattr(nns, name)(*args)
                except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
                    continue
                assert isinstance(y, bool) or y.dtype.kind in "bi", name
                break
            else:
                raise AssertionError(f"no call of {name} works")


def test_labels_are_unique_and_families_hold_everything():
    assert [k for k, n in collections.Counter(e.label for e in ENTRIES).items() if n > 1] == []
    assert sum(map(len, FAMILIES.values())) == len(ENTRIES) > 500


def test_entries_are_chosen_by_regular_expression():
    assert {e.name for e in entries("^conv: conv2d")} == {"conv2d"}
    assert {e.name for e in entries("NN.LSTM")} == {"nn.LSTM", "nn.LSTMCell"}
    for bad in ("no such thing", "("):
        with pytest.raises(ValueError, match="matches|regular"):
            entries(bad)


def test_samples_depend_on_the_seed_alone():
    entry = layer("BatchNorm2d", (3,), normal(2, 3, 2, 2))
    one, two, other = entry.draw(1), entry.draw(1), entry.draw(2)
    assert [x.shape for x in one.inputs] == [(2, 3, 2, 2), (3,), (3,)]
    assert all(np.array_equal(a, b) for a, b in zip(one.inputs, two.inputs))
    assert not any(np.array_equal(a, b) for a, b in zip(one.inputs, other.inputs))
    assert all(x.dtype == np.float32 for x in entry.draw(1, np.float32).inputs)


def test_a_sample_leaves_the_default_generator_alone():
    nns.manual_seed(5)
    sample = layer("Dropout", (0.5,), normal(3, 4)).drawing().draw()
    once, again = [sample.function(nns.tensor(sample.inputs[0]))[0].numpy() for _ in range(2)]
    np.testing.assert_array_equal(once, again)
    drawn = nns.rand(3).numpy()
    nns.manual_seed(5)
    np.testing.assert_array_equal(drawn, nns.rand(3).numpy())


# ----------------------------------------------------------------------------------------------------------- the runner


def test_expected_verdicts_pass_and_others_fail():
    steps = case("floor", normal(2, 3))
    assert not audit_entry(steps).passed
    assert audit_entry(steps).verdict == "VACUOUS"
    assert audit_entry(steps.flat()).passed
    assert not audit_entry(case("exp", normal(2)).flat()).passed


def test_an_entry_that_raises_is_an_outcome():
    (outcome,) = audit([case("matmul", normal(2, 3), normal(2, 3))])
    assert outcome.verdict == "ERROR"
    assert not outcome.passed
    assert "matmul(2x3, 2x3)" in summary.explanation(outcome)
    assert "1 of 1 entries FAILED" in summary.conclusion([outcome])


def test_a_wrong_vjp_fails_its_entries(monkeypatch):
    sound = list(nns.exp.primitive.vjps)
    monkeypatch.setattr(nns.exp.primitive, "vjps", [lambda g, y, x: 1.001 * sound[0](g, y, x)])
    outcomes = audit([case("exp", normal(2, 3)), case("tanh", normal(2, 3))])
    assert [o.passed for o in outcomes] == [False, True]
    text = summary.table(outcomes)
    assert "WRONG" in text
    assert "op exp" in text
    page = summary.html(outcomes, "title")
    assert page.index("exp(2x3)") < page.index("tanh(2x3)")
    assert page.count("<svg") == 2


def test_float32_is_checked_against_float64():
    outcome = audit_entry(case("conv2d", normal(2, 3, 8, 8), normal(4, 3, 3, 3), normal(4), padding=1), dtype=np.float32)
    assert outcome.passed, summary.explanation(outcome)


# ------------------------------------------------------------------------------------------------- what training runs

PICKED = [e for e in TRAINING if any(word in e.label.lower() for word in ("conv", "pool"))]
needs_numba = pytest.mark.skipif("cpu" not in kernels.available(), reason="the compiled kernels need Numba")


def once(entry):
    """An entry and its gradient, run as training runs them."""
    sample = entry.draw()
    xs = [nns.tensor(x, requires_grad=True) for x in sample.inputs]
    nns.grad([y.sum() for y in sample.function(*xs) if y.requires_grad], xs)
    assert all(x.dtype == np.float32 for x in xs)


@needs_numba
@pytest.mark.parametrize("entry", PICKED, ids=lambda e: e.label)
def test_training_runs_on_the_compiled_kernels(entry, monkeypatch):
    pick, picked = kernels.pick, []

    def watched(function, array, spec):
        picked.append(pick(function, array, spec))
        return picked[-1]

    monkeypatch.setattr(kernels, "pick", watched)
    once(entry)
    ran = [(f.__name__, f.__module__) for f in picked if f.__name__ != "scatter"]  # of fewer elements than the pool's input
    assert ran and {module for _, module in ran} == {"nnscratch.kernels.cpu"}, ran


@needs_numba
@pytest.mark.parametrize("entry", [e for e in TRAINING if e not in PICKED], ids=lambda e: e.label)
def test_training_runs_on_the_kernels_for_large_arrays(entry, monkeypatch):
    """A module of nnscratch.kernels.cpu is asked for, which only happens where it computes."""
    part, parts = kernels.compiled.part, []

    def watched(name):
        parts.append(name)
        return part(name)

    for module in vars(kernels).values():
        if getattr(module, "part", None) is part:
            monkeypatch.setattr(module, "part", watched)
    once(entry)
    assert parts


@nns.primitive
def leaning(x, *, factor):
    return x.copy()


nns.defvjp(leaning, lambda g, _y, _x, *, factor: g * factor if g.dtype == np.float32 else g)


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("entry", spots(TRAINING))
def test_a_fault_of_a_thousandth_in_float32_alone_is_caught(entry, everywhere):
    """In every input's gradient, or in one element of it that is not zero."""
    sample = entry.draw()
    leaves = [nns.tensor(x, requires_grad=True) for x in sample.inputs]
    gradients = nns.grad([(y * y).sum() for y in sample.function(*leaves)], leaves)
    for i, (x, g) in enumerate(zip(sample.inputs, gradients)):
        factor = np.full(x.shape, 1.001 if everywhere else 1.0, np.float32)
        factor.flat[np.argsort(np.abs(g.numpy()), axis=None)[g.numpy().size * 3 // 4]] = 1.001
        f = lambda *xs: sample.function(*[leaning(t, factor=factor) if k == i else t for k, t in enumerate(xs)])
        report = gradcheck(f, sample.inputs, projections=4, raise_exception=False, _attribute=False)
        assert report.verdict is Verdict.WRONG, report
        assert "float32" in report.findings[0].message


# ------------------------------------------------------------------------------------------------------ the command line


def test_command_audits_what_matches(capsys, tmp_path):
    page = tmp_path / "audit.html"
    assert cli.main(["gradcheck", r"^arithmetic: (exp|floor)\(", "--order", "2", "--html", str(page), "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "exp(2x3)" in out
    assert "all 3 entries passed, 1 of them step functions" in out
    assert "seed 3" in page.read_text()


def test_command_fails_when_an_entry_does(capsys, monkeypatch):
    monkeypatch.setattr(nns.tanh.primitive, "vjps", [lambda g, y, x: g])
    assert cli.main(["gradcheck", r"^arithmetic: tanh\("]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_command_refuses_nonsense(capsys):
    assert cli.main(["gradcheck", "no such thing"]) == 2
    assert "families: arithmetic" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["gradcheck", "--order", "0"])


def test_command_notices_an_unwritable_page_first(capsys, tmp_path):
    assert cli.main(["gradcheck", "exp", "--html", str(tmp_path / "missing" / "a.html")]) == 1
    assert "CORRECT" not in capsys.readouterr().out


def test_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert cli.main(["gradcheck", r"^arithmetic: exp\("]) == 0
    captured = capsys.readouterr()
    assert "exp(scalar)" in captured.out
    assert "1/2" in captured.err


def test_verdicts_of_step_functions_are_declared():
    assert all(e.expected in ((Verdict.CORRECT,), (Verdict.VACUOUS, Verdict.DEAD)) for e in ENTRIES)
    assert coverage.public_names().keys() >= {"conv2d", "nn.Conv2d", "cross_entropy"}
