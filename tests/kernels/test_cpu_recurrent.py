"""Recurrent layers on the compiled kernels against NumPy's steps and the gates' formulas; the same bits for any threads."""

# ruff: noqa: E402 (without Numba the imports below must not be reached)

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from nnscratch.kernels import recurrent, sequences
from nnscratch.kernels.cpu import recurrent as compiled

import nnscratch as nns
from nnscratch import kernels, ops

KINDS = ("lstm", "gru", "tanh", "relu")
TIGHT = {np.float32: 2e-5, np.float64: 1e-12}


class Case:
    """Random arrays for one layer, and what both implementations make of them."""

    def __init__(self, kind, steps, batch, features, size, dtype=np.float64, biases=True, batch_first=False, seed=0, **order):
        rng = np.random.default_rng(seed)
        gates = recurrent.GATES[kind]
        normal = lambda *shape: rng.standard_normal(shape).astype(dtype)
        self.kind, self.order = kind, order
        self.x = normal(batch, steps, features).swapaxes(0, 1) if batch_first else normal(steps, batch, features)
        self.states = [normal(batch, size) for _ in range(2 if kind == "lstm" else 1)]
        scale = dtype(0.5 / math.sqrt(size))
        self.weights = [normal(gates * size, features) * scale, normal(gates * size, size) * scale, None, None]
        if biases:
            self.weights[2:] = [normal(gates * size), normal(gates * size)]
        shape = (batch, steps, size) if batch_first else (steps, batch, size)
        self.g = [normal(*shape).swapaxes(0, 1) if batch_first else normal(*shape), *(normal(batch, size) for _ in self.states)]

    def run(self, use, needs=None, g=None, keep=True):
        """(outputs, gradients)."""
        needs = [True] * (1 + len(self.states) + 4) if needs is None else needs
        with kernels.use(use):
            ys, residuals = recurrent.forward(self.kind, self.x, self.states, self.weights, keep=keep, **self.order)
        if not keep:
            return ys, []
        assert (residuals[0] is sequences) == (use != "cpu")
        args = (self.x, self.states, self.weights)
        g = self.g if g is None else g
        return ys, recurrent.backward(self.kind, g, residuals, needs, *args, **self.order)

    def check(self, tolerance, **options):
        for ours, theirs in zip(self.run("cpu", **options), self.run("im2col", **options), strict=True):
            needs = options.get("needs") or [True] * len(ours)
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                if ours is theirs or len(ours) != len(needs) or needs[i]:
                    assert a.shape == b.shape
                    assert a.dtype == b.dtype
                    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max(initial=0)))


@pytest.fixture(params=["inside", "outside"])
def products(request, monkeypatch):
    """Products with the input in the kernels, or as matrix products outside, as for few rows or large weights."""
    monkeypatch.setattr(compiled, *(("CACHE", 0) if request.param == "outside" else ("FEW", 0)))


def sizes_of(lengths, steps):
    return tuple(int(n) for n in (np.array(lengths)[None] > np.arange(steps)[:, None]).sum(1))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 5, 20, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_like_numpy_for_any_size(kind, size, dtype):
    for batch, steps, features in ((1, 3, 1), (7, 4, 3), (18, 9, 40)):
        Case(kind, steps, batch, features, size, dtype).check(TIGHT[dtype])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_rows_and_steps(kind):
    """More rows than one item of work, and more steps than are taken together; wide enough for several panels."""
    Case(kind, 11, 75, 70, 66, np.float32).check(TIGHT[np.float32])
    Case(kind, 5, 130, 140, 36, np.float64).check(TIGHT[np.float64])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("lengths", [[9, 9, 5, 5, 1], [4] * 5, [9, 1, 1, 1, 1], [9, 8, 7, 6, 0]])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_and_reverse(kind, reverse, lengths):
    Case(kind, 9, 5, 6, 7, sizes=sizes_of(lengths, 9), reverse=reverse).check(TIGHT[np.float64])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_in_several_blocks(kind):
    lengths = sorted(np.random.default_rng(0).integers(1, 12, 70), reverse=True)
    for reverse in (False, True):
        Case(kind, 12, 70, 6, 20, np.float32, sizes=sizes_of(lengths, 12), reverse=reverse).check(TIGHT[np.float32])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("biases", [False, True])
def test_memory_of_a_batch_first_input(kind, biases):
    for reverse in (False, True):
        Case(kind, 6, 5, 4, 9, biases=biases, batch_first=True, reverse=reverse).check(TIGHT[np.float64])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_any_memory(kind):
    """Strided, reversed and read-only arrays, transposed weights: as contiguous ones, and nothing is written to."""
    case = Case(kind, 6, 5, 4, 9)
    expected = case.run("cpu")
    case.x = np.repeat(case.x, 2, axis=2)[:, :, ::2]
    case.weights = [np.asfortranarray(case.weights[0]), np.flip(np.flip(case.weights[1]).copy()), *case.weights[2:]]
    case.states = [np.repeat(s, 2, axis=0)[::2] for s in case.states]
    case.g = [np.broadcast_to(case.g[0][:1], case.g[0].shape), *case.g[1:]]
    given = [case.x, *case.states, *case.weights, *case.g[1:]]
    before = [a.copy() for a in given]
    for a in given:
        a.flags.writeable = False
    for a, b in zip(case.run("cpu")[0], expected[0]):
        np.testing.assert_array_equal(a, b)
    case.check(TIGHT[np.float64])
    for a, b in zip(given, before):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_only_some_gradients_and_cotangents(kind):
    case = Case(kind, 6, 5, 4, 9)
    count = 1 + len(case.states) + 4
    for wanted in ({0}, {1}, {len(case.states) + 2}, {0, count - 1}, set(range(1, 1 + len(case.states)))):
        case.check(TIGHT[np.float64], needs=[i in wanted for i in range(count)])
    for given in range(len(case.g)):
        case.check(TIGHT[np.float64], g=[g if i == given else None for i, g in enumerate(case.g)])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_share_no_memory(kind):
    case = Case(kind, 6, 5, 4, 9)
    _, grads = case.run("cpu")
    for i, a in enumerate(grads):
        for b in [*grads[:i], *case.g]:
            assert not np.may_share_memory(a, b)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_without_keeping_anything(kind):
    case = Case(kind, 9, 37, 4, 20, np.float32, sizes=sizes_of(sorted(range(1, 38), reverse=True), 9), reverse=True)
    for a, b in zip(case.run("cpu", keep=False)[0], case.run("cpu")[0]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("kind", KINDS)
def test_one_and_two_threads_give_the_same_bits(kind):
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread")
    case = Case(kind, 7, 70, 30, 40, np.float32)
    results = []
    for threads in (1, 2, 2):
        numba.set_num_threads(threads)
        try:
            ys, grads = case.run("cpu")
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        results.append([*ys, *grads])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.usefixtures("products")
def test_several_python_threads_at_once():
    cases = [Case(kind, 7, 40, 30, 40, np.float32, seed=seed) for seed, kind in enumerate(KINDS)]
    alone = [case.run("cpu") for case in cases]

    def again(i):
        return all(
            a.tobytes() == b.tobytes()
            for _ in range(5)
            for part, other in zip(cases[i].run("cpu"), alone[i])
            for a, b in zip(part, other)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(again, [0, 1, 2, 3] * 2))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_stay_in_their_row(kind, value):
    case = Case(kind, 5, 6, 4, 20, np.float32)
    clean = case.run("cpu")
    case.x[2, 3, 1] = value
    with np.errstate(invalid="ignore", over="ignore"):
        ys, grads = case.run("cpu")
        expected, _ = case.run("im2col")
    np.testing.assert_allclose(ys[0], expected[0], rtol=2e-5, atol=2e-5)
    others = [n for n in range(6) if n != 3]
    np.testing.assert_array_equal(ys[0][:, others], clean[0][0][:, others])
    np.testing.assert_array_equal(grads[0][:, others], clean[1][0][:, others])
    if np.isnan(value):
        assert np.isnan(ys[0][2:, 3]).all()
        assert np.isfinite(ys[0][:2]).all()


def test_gates_to_a_few_units_in_the_last_place():
    """One step from x alone, through weights of 1: every gate sees the numbers as they are. Below 2e-38 all are alike to it."""
    values = np.concatenate([np.linspace(-20, 20, 4001), [-1e-3, 0, 1e-30, 1e-40, 80, -80, 100, -100]]).astype(np.float32)
    exact = values.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-exact))
    weights = [np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32), None, None]
    state = np.zeros((len(values), 1), np.float32)
    with kernels.use("cpu"):
        (y, _, c), (_, kept) = recurrent.forward("lstm", values[None, :, None], [state, state], weights)
    gates = kept.gates[0].astype(np.float64)
    for column, expected, ulps in ((0, sigmoid, 4), (1, sigmoid, 4), (2, np.tanh(exact), 4), (3, sigmoid, 4)):
        unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
        assert (np.abs(gates[:, column] - expected) <= np.maximum(ulps * unit, 2e-38)).all()
    cell = sigmoid * np.tanh(exact)
    np.testing.assert_allclose(c[:, 0], cell, rtol=1e-6, atol=2e-38)
    np.testing.assert_allclose(y[0, :, 0], sigmoid * np.tanh(cell), rtol=2e-6, atol=2e-38)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_float32_gradients_against_the_definition_in_float64(kind):
    rng = np.random.default_rng(0)
    gates, units = {"lstm": 4, "gru": 3, "rnn": 1}[kind], 24
    shapes = [(6, 40, 10), (gates * units, 10), (gates * units, units), (gates * units,), (gates * units,)]
    arrays = [0.3 * rng.standard_normal(shape) for shape in shapes]
    cotangent = rng.standard_normal((6, 40, units))
    states = (None, None) if kind == "lstm" else (None,)

    def gradients(dtype, create_graph):
        tensors = [nns.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
        y = getattr(ops, kind)(tensors[0], *states, [tuple(tensors[1:])])[0]
        with kernels.use("cpu"):
            y = getattr(ops, kind)(tensors[0], *states, [tuple(tensors[1:])])[0]
            grads = nns.grad(y, tensors, nns.tensor(cotangent.astype(dtype)), create_graph=create_graph)
        return [g.detach().numpy() for g in grads]

    for ours, exact in zip(gradients(np.float32, False), gradients(np.float64, True)):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=2e-6 * np.abs(exact).max())


def test_what_goes_to_numpy():
    """Small layers, projections, other types and mixed ones; empty ones."""
    case = Case("lstm", 3, 2, 4, 5)
    assert case.run(None)[0][0].shape == (3, 2, 5)
    run = lambda **changes: recurrent.forward(
        *({"kind": "lstm", "x": case.x, "states": case.states} | changes).values(), case.weights
    )
    assert run()[1][0] is sequences  # too small to be worth the import of Numba
    with kernels.use("cpu"):
        assert run()[1][0] is not sequences
        assert run(x=case.x.astype(np.float32))[1][0] is sequences
        assert run(x=case.x[:0])[0][0].shape == (0, 2, 5)
        assert run(x=case.x[:, :0], states=[s[:0] for s in case.states])[0][0].shape == (3, 0, 5)
        half = Case("gru", 3, 2, 4, 5, np.float16)
        assert recurrent.forward("gru", half.x, half.states, half.weights)[1][0] is sequences
    large = Case("gru", 20, 16, 40, 64, np.float32)
    assert recurrent.forward("gru", large.x, large.states, large.weights)[1][0] is not sequences


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((3, 4))}, r"lstm: x has shape \(3, 4\)"),
        ({"x": np.zeros((3, 2, 5))}, r"expect an array of \(20, 5\), got \(20, 4\)"),
        ({"states": [np.zeros((2, 5)), np.zeros((2, 6))]}, r"\(2, 5\), got \(2, 6\)"),
        ({"weights": [np.zeros((20, 4)), np.zeros((21, 5)), None, None]}, r"\(21, 4\)"),
        ({"weights": [np.zeros((20, 4)), np.zeros((20, 5)), np.zeros(5), None]}, r"\(20,\), got \(5,\)"),
        ({"sizes": (2, 2)}, "sizes must be 3 numbers from 0 to 2"),
        ({"sizes": (3, 2, 1)}, "sizes must be 3 numbers from 0 to 2"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    case = Case("lstm", 3, 2, 4, 5)
    given = {"x": case.x, "states": case.states, "weights": case.weights} | change
    with pytest.raises(ValueError, match=message):
        recurrent.forward("lstm", **given)
