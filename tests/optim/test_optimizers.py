"""Every optimiser against PyTorch's over twenty steps, for every combination of its options."""

import numpy as np
import pytest
from optim_cases import ALL, CASES

import nnscratch as nns
from nnscratch import kernels, optim

SHAPES = [(3, 4), (), (5,), (0, 2), (1, 1)]


def pairs(torch, dtype=np.float64, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]
    return [nns.tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]


def give_grads(torch, ours, theirs, rng):
    for p, q in zip(ours, theirs):
        g = np.asarray(rng.standard_normal(p.shape)).astype(p.dtype)
        p.grad, q.grad = nns.tensor(g), torch.tensor(g)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())))
def test_equals_torch_over_20_steps(name, options):
    torch = pytest.importorskip("torch")
    ours, theirs = pairs(torch)
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    rtol, atol = (1e-6, 1e-9) if name == "NAdam" else (1e-11, 1e-12)  # torch keeps NAdam's mu_product in float32
    rng = np.random.default_rng(1)
    for _ in range(20):
        give_grads(torch, ours, theirs, rng)
        a.step()
        b.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=atol)
    # What is remembered has torch's names and values too.
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"][0]["params"] == other["param_groups"][0]["params"]
    for index, state in mine["state"].items():
        for key, value in state.items():
            expected = other["state"][index][key]
            value = value.numpy() if isinstance(value, nns.Tensor) else value
            np.testing.assert_allclose(value, np.asarray(expected), rtol=rtol, atol=atol, err_msg=key)


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_float32_and_close(name):
    torch = pytest.importorskip("torch")
    ours, theirs = pairs(torch, np.float32)
    a, b = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
    rng = np.random.default_rng(2)
    for _ in range(20):
        give_grads(torch, ours, theirs, rng)
        a.step()
        b.step()
    for p, q in zip(ours, theirs):
        assert p.dtype == np.float32
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("layout", ["channels-last", "strided", "many blocks"])
def test_memory_layout_changes_nothing(name, layout, monkeypatch):
    monkeypatch.setattr("nnscratch.optim.optimizer.BLOCK", 7)
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((4, 3, 2, 5))
    if layout == "channels-last":
        other = np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif layout == "strided":
        other = np.zeros((4, 3, 2, 10))[..., ::2]
        other[...] = plain
    else:
        other = plain.copy()
    p, q = nns.Tensor(plain.copy(), requires_grad=True), nns.Tensor(other, requires_grad=True)
    a, b = getattr(optim, name)([p], weight_decay=0.1), getattr(optim, name)([q], weight_decay=0.1)
    for step in range(4):
        g = rng.standard_normal(plain.shape)
        p.grad = nns.tensor(g)
        q.grad = nns.tensor(g if step % 2 else np.asfortranarray(g))
        a.step()
        b.step()
    assert q.data is other
    np.testing.assert_allclose(q.data, p.data, rtol=1e-14)
    assert not np.array_equal(p.data, plain)


@pytest.mark.parametrize("name", ALL)
def test_state_round_trip_continues_bitwise(name, tmp_path):
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 2)).astype(np.float32)
    grads = rng.standard_normal((12, 3, 2)).astype(np.float32)

    def run(p, optimizer, gs):
        for g in gs:
            p.grad = nns.tensor(g)
            optimizer.step()

    p = nns.tensor(start, requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=0.05)
    run(p, optimizer, grads)

    q = nns.tensor(start, requires_grad=True)
    first = getattr(optim, name)([q], lr=0.05)
    run(q, first, grads[:5])
    from nnscratch.serialization import load, save

    save(first, tmp_path / "optimizer.safetensors")
    second = getattr(optim, name)([q], lr=1.0)
    second.load_state_dict(load(tmp_path / "optimizer.safetensors"))
    assert second.param_groups[0]["lr"] == 0.05
    run(q, second, grads[5:])
    assert p.data.tobytes() == q.data.tobytes()


def test_loads_torchs_state():
    torch = pytest.importorskip("torch")
    ours, theirs = pairs(torch)
    b = torch.optim.Adam(theirs, lr=0.01)
    rng = np.random.default_rng(0)
    for _ in range(3):
        give_grads(torch, ours, theirs, rng)
        b.step()
    a = optim.Adam(ours)
    state = b.state_dict()
    state["state"] = {k: {n: v.numpy() for n, v in s.items()} for k, s in state["state"].items()}
    a.load_state_dict(state)
    for p, q in zip(ours, theirs):
        p.data[...] = q.detach().numpy()
    give_grads(torch, ours, theirs, rng)
    a.step()
    b.step()
    np.testing.assert_allclose(ours[0].data, theirs[0].detach().numpy(), rtol=1e-12)


def test_parameter_groups_override_defaults():
    torch = pytest.importorskip("torch")
    ours, theirs = pairs(torch)

    def build(module, ps):
        optimizer = module.SGD([{"params": ps[:2], "lr": 0.5}, {"params": iter(ps[2:3]), "momentum": 0.9}], lr=0.1)
        optimizer.add_param_group({"params": ps[4], "weight_decay": 0.1})
        return optimizer

    a, b = build(optim, ours), build(torch.optim, theirs)
    assert [[g[k] for k in ("lr", "momentum", "weight_decay")] for g in a.param_groups] == [
        [g[k] for k in ("lr", "momentum", "weight_decay")] for g in b.param_groups
    ]
    rng = np.random.default_rng(0)
    for step in range(4):
        give_grads(torch, ours, theirs, rng)
        a.step()
        b.step()
        a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = 0.1 * step
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-13)


def test_named_parameters():
    p = nns.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([("weight", p)], lr=1)
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
    assert optimizer.param_groups[0]["params"][0] is p


def test_parameters_without_grad_are_skipped_and_zero_grad():
    p, q = nns.tensor([1.0, 2.0], requires_grad=True), nns.tensor([3.0], requires_grad=True)
    optimizer = optim.Adam([p, q], lr=0.1)
    (p * p).sum().backward()
    optimizer.step()
    assert q.data.tolist() == [3.0]
    assert list(optimizer.state) == [p]
    assert not np.array_equal(p.data, [1.0, 2.0])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.data.tolist() == [0.0, 0.0]
    assert q.grad is None
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_is_run_with_gradients_and_its_value_returned():
    p = nns.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with nns.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.data.tolist() == [0.0]


def test_a_step_invalidates_saved_values():
    p = nns.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_replacing_data_or_state_is_noticed():
    p = nns.tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = nns.tensor(np.ones(3))
    optimizer.step()
    p.data = np.full(3, 10.0)
    optimizer.step()
    assert p.data.tolist() == [8.5] * 3
    optimizer.state.clear()
    optimizer.step()
    assert p.data.tolist() == [7.5] * 3


BAD = [
    ("SGD", {"lr": -1}, "lr must be >= 0"),
    ("SGD", {"momentum": -1}, "momentum"),
    ("SGD", {"nesterov": True}, "nesterov needs a momentum"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening of 0"),
    ("Adam", {"betas": (1.0, 0.9)}, r"betas must be in \[0, 1\)"),
    ("Adam", {"betas": (0.9,)}, "two numbers"),
    ("AdamW", {"eps": -1}, "eps"),
    ("RMSprop", {"alpha": -0.1}, "alpha"),
    ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value"),
    ("Adadelta", {"rho": 1.5}, "rho"),
    ("Adamax", {"weight_decay": -1}, "weight_decay"),
    ("NAdam", {"momentum_decay": -1}, "momentum_decay"),
    ("RAdam", {"lr": float("nan")}, "lr"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_options_out_of_range(name, options, message):
    p = nns.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([p], **options)
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([{"params": [p], **options}])


def test_wrong_parameters():
    p = nns.tensor([1.0], requires_grad=True)
    for params, error, message in [
        ([], ValueError, "empty"),
        (p, TypeError, "one tensor"),
        ([p, p], ValueError, "twice"),
        ([p * 2], ValueError, "computed"),
        ([1.0], TypeError, "float"),
        ([{"params": {p}}], TypeError, "order"),
        ([{"lr": 1}], TypeError, "'params'"),
    ]:
        with pytest.raises(error, match=message):
            optim.SGD(params)


def test_wrong_state():
    p, q = nns.tensor([1.0], requires_grad=True), nns.tensor([1.0, 2.0], requires_grad=True)
    one = optim.SGD([p], momentum=0.9)
    p.grad = nns.tensor([1.0])
    one.step()
    with pytest.raises(ValueError, match="2 parameter groups, this optimiser has 1"):
        one.load_state_dict(optim.SGD([{"params": [p]}, {"params": [q]}]).state_dict())
    with pytest.raises(ValueError, match="2 parameters, ours 1"):
        one.load_state_dict(optim.SGD([p, q]).state_dict())
    with pytest.raises(ValueError, match=r"shape \(1,\), the parameter has \(2,\)"):
        optim.SGD([q]).load_state_dict(one.state_dict())


def test_a_user_defined_rule():
    class SignDescent(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        def _coefficients(self, group, state):
            return (group["lr"],)

        def _update(self, c, p, g, t, u):
            p -= c[0] * np.sign(g)

    p = nns.tensor([1.0, -1.0], requires_grad=True)
    p.grad = nns.tensor([5.0, -3.0])
    SignDescent([p]).step()
    np.testing.assert_allclose(p.data, [0.9, -0.9], rtol=1e-6)


@pytest.mark.parametrize("implementation", ["im2col", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_clipping_in_the_step_has_the_bits_of_clipping_before(name, options, dtype, implementation):
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (7,), ()]
    starts = [np.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]
    steps = [[np.asarray(scale * rng.standard_normal(s)).astype(dtype) for s in shapes] for scale in (1.0, 1e-3, 20.0)]

    def run(inside):
        ps = [nns.Tensor(a.copy(), requires_grad=True) for a in starts]
        optimizer = getattr(optim, name)(ps, **options)
        with kernels.use(implementation):
            for gs in steps:  # the second within the bound
                for p, g in zip(ps, gs):
                    p.grad = nns.Tensor(g.copy())
                if inside:
                    optimizer.step(max_norm=0.5)
                    assert all((p.grad.data == g).all() for p, g in zip(ps, gs))
                else:
                    nns.nn.utils.clip_grad_norm_(ps, 0.5)
                    optimizer.step()
        return [p.data.tobytes() for p in ps]

    assert run(True) == run(False)


def test_clipping_to_nothing_is_refused():
    p = nns.Tensor(np.ones(3), requires_grad=True)
    p.grad = nns.Tensor(np.ones(3))
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="max_norm must be > 0"):
            optim.SGD([p], lr=0.1).step(max_norm=wrong)
    optim.SGD([nns.Tensor(np.ones(3), requires_grad=True)], lr=0.1).step(max_norm=1.0)  # no gradient at all
    assert (p.data == 1).all()
