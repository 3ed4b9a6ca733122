"""Optimisers in compiled kernels: the same bits as NumPy's passes, whatever the options, layouts, sizes and threads."""

import itertools
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from nnscratch.kernels import optimizer as seam
from nnscratch.kernels import use
from nnscratch.kernels.cpu import optimizer as cpu
from optim_cases import CASES

import nnscratch as nns
from nnscratch import optim

COMPILED = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
SHAPES = [(3, 4), (), (5,), (0, 2), (1, 1), (cpu.BLOCK,), (2, cpu.BLOCK + 3), (0,), (7, 11, 2, 3)]


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """The kernels however small the work; and what they did."""
    done = []
    step = cpu.step

    def noted(rule, rows, numbers, dtype):
        done.append((rule, len(rows), dtype))
        step(rule, rows, numbers, dtype)

    monkeypatch.setattr(seam, "LARGE", 0)
    monkeypatch.setattr(seam, "WORTH", 0)
    monkeypatch.setattr(cpu, "step", noted)
    with use(None):  # whatever NNSCRATCH_KERNELS says
        yield done


def arrays(dtype, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]


def train(name, options, starts, gradients, implementation, make=lambda name, ps, options: getattr(optim, name)(ps, **options)):
    """Parameters and state after a step for each list of gradients, as bytes."""
    ps = [nns.Tensor(np.copy(a, order="K"), requires_grad=True) for a in starts]
    optimizer = make(name, ps, options)
    with use(implementation):
        for gs in gradients:
            for p, g in zip(ps, gs):
                p._grad = None if g is None else nns.Tensor(g)  # of any type: the rule must cope
            optimizer.step()
    states = [{k: v.data.tobytes() if isinstance(v, nns.Tensor) else v for k, v in optimizer.state[p].items()} for p in ps]
    return [p.data.tobytes() for p in ps], states


def test_the_cases_are_all_there():
    assert {name for name, _ in CASES} >= set(COMPILED)
    assert {name for name in optim.__all__ if getattr(getattr(optim, name), "compiled", None)} == set(COMPILED)
    rules = {getattr(optim, name).compiled for name in COMPILED}
    assert rules | {"average"} == set(cpu.RULES) == set(seam.RULES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "options"),
    [c for c in CASES if c[0] in COMPILED],
    ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())),
)
def test_the_bits_of_numpy(name, options, dtype, eager):
    gradients = [arrays(dtype, seed=i) for i in range(1, 8)]
    expected = train(name, options, arrays(dtype), gradients, "im2col")
    assert not eager
    found = train(name, options, arrays(dtype), gradients, None)
    assert eager == [(getattr(optim, name).compiled, len(SHAPES), np.dtype(dtype))] * 7
    assert found == expected


@pytest.mark.parametrize("name", COMPILED)
def test_the_bits_of_numpy_over_many_steps(name):
    gradients = ([np.sin(np.arange(40.0) * i)] for i in range(1000))
    gradients = [[g.astype(np.float32) for g in gs] for gs in gradients]
    options = {"lr": 0.01, "weight_decay": 0.01}
    starts = arrays(np.float32, [(40,)])
    assert train(name, options, starts, gradients, "cpu") == train(name, options, starts, gradients, "im2col")


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-42, -1e-40, 3e38, -3e38, 1e-30, 1.0]


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"maximize": True}])
@pytest.mark.parametrize("name", COMPILED)
def test_infinities_nans_and_denormals(name, options):
    p, g = np.array(list(itertools.product(SPECIAL, SPECIAL)), np.float32).T.copy()
    more = [{"amsgrad": True}] if name.startswith("Adam") else [{"momentum": 0.9}] if name in ("SGD", "RMSprop") else []
    for extra in [{}, *more]:
        bits = []
        for implementation in ("cpu", "im2col"):
            values, states = train(name, {**options, **extra}, [p], [[g], [g[::-1].copy()]], implementation)
            found = [np.frombuffer(b, np.float32) for b in (values[0], *[s for s in states[0].values() if isinstance(s, bytes)])]
            bits.append([np.where(np.isnan(a), np.float32(0), a).tobytes() + np.isnan(a).tobytes() for a in found])
        assert bits[0] == bits[1]


@pytest.mark.parametrize("name", COMPILED)
def test_threads_do_not_matter(name):
    shapes = [(5, cpu.BLOCK), (3,), (70000,)]
    gradients = [arrays(np.float32, shapes, seed=i) for i in range(1, 4)]
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        try:
            found.append(train(name, {"lr": 0.1}, arrays(np.float32, shapes), gradients, "cpu"))
        finally:
            numba.set_num_threads(before)
    assert all(f == found[0] for f in found)


LAYOUTS = {
    "transposed": lambda a: a.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
    "channels-last": lambda a: a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[:, ::-1].copy()[:, ::-1],
    "read-only": lambda a: (b := a.copy(), b.setflags(write=False))[0],
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "float64": lambda a: a.astype(np.float64),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_of_any_layout(layout, name):
    shapes = [(4, 3, 2, 5), (1, 3, 1, 2)]
    gradients = [arrays(np.float32, shapes, seed=i) for i in range(1, 4)]
    odd = [[LAYOUTS[layout](g) for g in gs] for gs in gradients]
    plain = [[np.ascontiguousarray(g).astype(np.float32) for g in gs] for gs in odd]
    expected = train(name, {}, arrays(np.float32, shapes), plain, "im2col")
    assert train(name, {}, arrays(np.float32, shapes), odd, "cpu") == expected


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("layout", ["transposed", "channels-last", "strided", "reversed"])
def test_parameters_of_any_layout(layout, name, eager):
    shapes = [(4, 3, 2, 5)] * 2
    gradients = [arrays(np.float32, shapes, seed=i) for i in range(1, 4)]

    def run(implementation):
        odd, plain = arrays(np.float32, shapes)
        ps = [nns.Tensor(a, requires_grad=True) for a in (LAYOUTS[layout](odd), plain)]
        optimizer = getattr(optim, name)(ps)
        with use(implementation):
            for gs in gradients:
                for p, g in zip(ps, gs):
                    p.grad = nns.Tensor(g)
                optimizer.step()
        return [p.data.tobytes() for p in ps]

    assert run("cpu") == run("im2col")
    dense = layout in ("transposed", "channels-last")
    assert [count for _, count, _ in eager] == [1 + dense] * 3


def test_groups_types_and_missing_gradients(eager):
    shapes = [(30,), (4, 5), (6,), (7,), (3, 3)]
    starts = [a.astype(t) for a, t in zip(arrays(np.float64, shapes), ["f4", "f8", "f4", "f2", "f8"])]

    def make(name, ps, options):
        groups = [{"params": ps[:2], "lr": 0.1}, {"params": ps[2:4], "weight_decay": 0.1, "amsgrad": True}]
        return optim.Adam([*groups, {"params": ps[4:], "maximize": True, "betas": (0.5, 0.6)}], lr=0.01)

    gradients = []
    for step in range(5):
        gs = [g.astype(s.dtype) for g, s in zip(arrays(np.float64, shapes, seed=step + 1), starts)]
        gradients.append([None if (i + step) % 3 == 0 else g for i, g in enumerate(gs)])
    found = train("", {}, starts, gradients, "cpu", make)
    assert {dtype.char for _, _, dtype in eager} == {"f", "d"}  # half precision is NumPy's
    assert found == train("", {}, starts, gradients, "im2col", make)
    assert len({s.get("step") for s in found[1]}) > 1


def test_a_change_of_implementation_in_mid_training_changes_nothing():
    gradients = [arrays(np.float32, seed=i) for i in range(1, 9)]
    expected, _ = train("Adam", {}, arrays(np.float32), gradients, "cpu")
    ps = [nns.Tensor(a, requires_grad=True) for a in arrays(np.float32)]
    optimizer = optim.Adam(ps)
    for i, gs in enumerate(gradients):
        for p, g in zip(ps, gs):
            p.grad = nns.Tensor(g)
        with use("cpu" if i % 2 else "im2col"):
            optimizer.step()
    assert [p.data.tobytes() for p in ps] == expected


def test_options_may_change_between_steps(eager):
    def run(implementation):
        (p,) = [nns.Tensor(a, requires_grad=True) for a in arrays(np.float32, [(50,)])]
        optimizer = optim.SGD([p], lr=0.1)
        with use(implementation):
            for step, g in enumerate(arrays(np.float32, [(50,)] * 6, seed=1)):
                optimizer.param_groups[0].update(lr=0.1 / (1 + step), momentum=0.9 * (step > 1), nesterov=step > 3)
                p.grad = nns.Tensor(g)
                optimizer.step()
        return p.data.tobytes()

    assert run("cpu") == run("im2col") and len(eager) == 6


def test_parameters_that_share_memory_are_changed_in_order(eager):
    def run(implementation):
        whole = np.arange(64, dtype=np.float32)
        ps = [nns.Tensor(a, requires_grad=True) for a in (whole, whole[16:32], whole.reshape(8, 8).T)]
        optimizer = optim.SGD(ps, lr=0.1, weight_decay=0.1)
        with use(implementation):
            for _ in range(2):
                for p in ps:
                    p.grad = nns.Tensor(np.ones(p.shape, np.float32))
                optimizer.step()
        return whole.tobytes()

    assert run("cpu") == run("im2col") and not eager
    flat = np.arange(64, dtype=np.float32)
    ps = [nns.Tensor(a, requires_grad=True) for a in (flat[:16], flat[16:])]
    for p in ps:
        p.grad = nns.Tensor(np.ones(p.shape, np.float32))
    optim.SGD(ps, lr=1.0).step()
    assert (flat == np.arange(64) - 1).all() and [count for _, count, _ in eager] == [2]  # beside each other they may lie


def test_read_only_parameters_are_refused_as_ever():
    p = nns.Tensor(np.ones(50, np.float32), requires_grad=True)
    p.data.setflags(write=False)
    p.grad = nns.Tensor(np.ones(50, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        optim.Adam([p]).step()


def test_a_wrong_gradient_is_refused_and_nothing_is_written_beyond_it():
    p = nns.Tensor(np.ones((6, 50), np.float32), requires_grad=True)
    p.grad = nns.Tensor(np.ones((6, 50), np.float32))
    p.grad.data = np.ones((5, 50), np.float32)
    with pytest.raises(ValueError):
        optim.Adam([p]).step()
    assert (p.data == 1).all()


def test_a_step_invalidates_saved_values_and_replaced_data_is_noticed(eager):
    p = nns.tensor(np.ones(50, np.float32), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
    p.grad = nns.Tensor(np.ones(50, np.float32))
    p.data = np.full(50, 10.0, np.float32)
    optimizer.state[p]["momentum_buffer"] = nns.Tensor(np.zeros(50, np.float32))
    optimizer.step()
    assert (p.data == 9).all() and len(eager) == 2


def test_a_rule_of_ones_own_is_not_taken_for_its_parent(eager):
    class Timid(optim.Adam):
        def _update(self, c, p, g, t, u, *buffers):
            p -= 0.5

    class Renamed(optim.Adam):
        pass

    for kind, expected in ((Timid, 0), (Renamed, 1)):
        p = nns.Tensor(np.ones(50, np.float32), requires_grad=True)
        p.grad = nns.Tensor(np.ones(50, np.float32))
        kind([p]).step()
        assert len(eager) == expected and (p.data[0] == 0.5) == (kind is Timid)


@pytest.mark.parametrize("imported", [True, False])
def test_small_work_is_numpys(imported, monkeypatch, eager):
    monkeypatch.setattr(seam, "WORTH", 100 if imported else 0)
    monkeypatch.setattr(seam, "LARGE", 0 if imported else 100)
    if not imported:
        monkeypatch.delitem(sys.modules, "nnscratch.kernels.cpu")
    for size, expected in ((99, 0), (100, 1)):
        p = nns.Tensor(np.ones(size, np.float32), requires_grad=True)
        p.grad = nns.Tensor(np.ones(size, np.float32))
        optim.Adam([p]).step()
        assert len(eager) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_averages_have_the_bits_of_numpy(dtype, eager):
    def run(implementation):
        ps = [nns.Tensor(a, requires_grad=True) for a in arrays(dtype)]
        ema = optim.EMA(ps, decay=0.9, warmup=True)
        with use(implementation):
            for step in range(4):
                for p, a in zip(ps, arrays(dtype, seed=step)):
                    p.data[...] = a if step % 2 else np.asfortranarray(a)
                ema.update()
        return [a.tobytes() for a in ema.averages.values()]

    assert run("cpu") == run("im2col") and [count for _, count, _ in eager] == [len(SHAPES)] * 4


# ----------------------------------------------------------------------------------------------------- norms and scaling


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norm_of_many_arrays(dtype):
    some = [*arrays(dtype), arrays(dtype, [(4, 3, 2, 5)])[0].transpose(0, 2, 3, 1)]
    expected = np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in some))
    np.testing.assert_allclose(seam.norm(some), expected, rtol=1e-13)
    huge = [np.full(3, 1e30, dtype), np.full(2, -1e30, dtype)]
    np.testing.assert_allclose(seam.norm(huge), 1e30 * np.sqrt(5), rtol=1e-7)  # no overflow on the way
    for bad in (np.nan, np.inf):
        assert str(seam.norm([*huge, np.array([bad], dtype)])) == str(bad)


def test_what_norm_and_scale_leave_to_numpy():
    a = np.ones(10, np.float32)
    assert seam.norm([]) is None and seam.norm([a[::2]]) is None and seam.norm([a, a.astype(np.float64)]) is None
    assert not seam.scale([a, a], 2.0) and not seam.scale([a, a[3:]], 2.0) and (a == 1).all()
    with use("im2col"):
        assert seam.norm([a]) is None and not seam.scale([a], 2.0)
    assert seam.scale([a[:3], a[3:]], 0.1) and (a == np.float32(0.1)).all()


@pytest.mark.parametrize("norm_type", [2.0, 1.0, np.inf])
def test_clipping_is_the_same_as_numpys(norm_type):
    results, shapes = [], [s for s in SHAPES if 0 not in s]
    for implementation in ("cpu", "im2col"):
        ps = [nns.Tensor(a, requires_grad=True) for a in arrays(np.float32, shapes)]
        for p, g in zip(ps, arrays(np.float32, shapes, seed=1)):
            p.grad = nns.Tensor(g)
        with use(implementation):
            norm = nns.nn.utils.clip_grad_norm_(ps, 0.5, norm_type)
        assert norm.dtype == np.float32 and norm.shape == ()
        results.append([norm.data, *[p.grad.data for p in ps]])
    for found, expected in zip(*results):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
