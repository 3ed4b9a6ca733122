"""Module: the names in its tree, modes, moving, state, hooks, and errors that name the layer."""

import copy
import pickle

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(nns.tensor([2.0]))
        self.register_buffer("table", nns.tensor([1.0, 2.0]))
        self.register_buffer("cache", nns.tensor([3.0]), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


KEYS = [
    "scale", "table", "first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.0.running_mean", "rest.0.running_var",
    "rest.0.num_batches_tracked", "rest.2.weight",
]  # fmt: skip


def test_names():
    net = Net()
    parameters = ["scale", "first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.2.weight"]
    assert [n for n, _ in net.named_parameters()] == parameters
    assert [n for n, _ in net.named_parameters(prefix="net")] == ["net." + n for n in parameters]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert len(list(net.parameters())) == 6
    assert [n for n, _ in net.named_buffers()][:3] == ["table", "cache", "rest.0.running_mean"]
    assert len(list(net.buffers(recurse=False))) == 2
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1", "rest.2"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert list(net.children()) == [net.first, net.rest]
    assert list(net.modules())[0] is net
    assert list(net.state_dict()) == KEYS
    assert {"scale", "table", "first", "forward"} <= set(dir(net))


def test_get_by_path():
    net = Net()
    assert net.get_submodule("rest.2") is net.rest[2]
    assert net.get_submodule("") is net
    assert net.get_parameter("rest.2.weight") is net.rest[2].weight
    assert net.get_buffer("rest.0.running_mean") is net.rest[0].running_mean
    for call, path in [(net.get_submodule, "rest.7"), (net.get_parameter, "rest.2.bias"), (net.get_buffer, "scale")]:
        with pytest.raises(AttributeError, match=path):
            call(path)


def test_shared_parts_appear_once_in_the_tree_and_twice_in_the_state():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    other = nn.Linear(2, 2)
    other.weight = layer.weight
    pair = nn.ModuleList([layer, other])
    assert [n for n, _ in pair.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    twin = copy.deepcopy(pair)
    assert twin[0].weight is twin[1].weight
    assert twin[0].weight is not layer.weight


def test_attributes_go_to_their_tables():
    net = Net()
    net.scale = None
    assert net.scale is None
    assert "scale" not in net.state_dict()
    net.scale = nn.Parameter(np.ones(2))
    assert net.scale.dtype == np.float64
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = nns.tensor([1.0])
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="as buffer 'table'"):
        net.table = 3
    net.table = nns.tensor([5.0])
    assert net.state_dict()["table"].tolist() == [5.0]
    net.first = nn.Parameter(np.ones(2))  # a parameter in the place of a module
    assert "first" not in dict(net.named_modules())
    assert "first" in net.state_dict()
    net.first = nn.Identity()
    assert "first" not in dict(net.named_parameters())
    del net.first
    del net.cache
    with pytest.raises(AttributeError, match="no attribute 'first'"):
        net.first  # noqa: B018
    net.plain = nns.tensor([1.0])  # a plain tensor is a plain attribute
    assert "plain" not in net.state_dict()
    net.plain = nn.Parameter(np.ones(1))
    assert "plain" in net.state_dict()
    net.buffer = nn.Buffer(nns.tensor([1.0]), persistent=False)
    assert "buffer" in dict(net.named_buffers())
    assert "buffer" not in net.state_dict()


def test_registration_errors():
    net = Net()
    for name, error in [("a.b", KeyError), ("", KeyError), (3, TypeError), ("forward", KeyError)]:
        with pytest.raises(error):
            net.register_parameter(name, nn.Parameter(np.ones(1)))
        with pytest.raises(error):
            net.add_module(name, nn.ReLU())
        with pytest.raises(error):
            net.register_buffer(name, nns.tensor([1.0]))
    with pytest.raises(TypeError, match="Parameter or None"):
        net.register_parameter("w", nns.tensor([1.0]))
    with pytest.raises(TypeError, match="not a Module"):
        net.register_module("m", 3)
    with pytest.raises(TypeError, match="tensor or None"):
        net.register_buffer("b", np.ones(2))
    with pytest.raises(RuntimeError, match="floating-point"):
        nn.Parameter(np.ones(2, int))

    class Late(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(1))

    class Never(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match="before Late"):
        Late()
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Never().weight  # noqa: B018
    with pytest.raises(NotImplementedError, match="Empty"):
        type("Empty", (nn.Module,), {})()(1)


def test_ops_on_a_parameter_give_plain_tensors():
    p = nn.Parameter(nns.tensor([1.0, 2.0]))
    assert type(p * 2) is nns.Tensor
    assert type(p.detach()) is nns.Tensor
    assert isinstance(copy.deepcopy(p), nn.Parameter)
    assert repr(p).startswith("Parameter containing:\ntensor(")
    assert not nn.Parameter(p, requires_grad=False).requires_grad
    assert nn.Parameter(p).data is p.data


def test_modes_and_gradients():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train().rest[0].training
    with pytest.raises(ValueError, match="bool"):
        net.train(1)
    net(nns.tensor(np.ones((3, 3), np.float32))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Sequential", "Net"]


def test_to_casts_what_is_floating_point_and_keeps_identity():
    net = Net()
    weight = net.first.weight
    net(nns.tensor(np.ones((3, 3), np.float32))).sum().backward()
    assert net.double() is net
    assert net.first.weight is weight
    assert weight.dtype == weight.grad.dtype == net.rest[0].running_mean.dtype == np.float64
    assert net.rest[0].num_batches_tracked.dtype == np.int64
    net(nns.tensor(np.ones((3, 3)))).sum().backward()
    assert net.half().scale.dtype == np.float16
    assert net.float().scale.dtype == np.float32
    assert net.to(nns.tensor(np.ones(1))).scale.dtype == np.float64
    assert net.to("cpu", np.float32).scale.dtype == np.float32
    assert net.cpu().scale.device == "cpu"
    with pytest.raises(TypeError, match="int64"):
        net.to(np.int64)


# ------------------------------------------------------------------------------------------------------------------ state


def test_state_shares_memory_and_loads_in_place():
    a, b = Net(), Net()
    state = a.state_dict()
    assert not any(v.requires_grad for v in state.values())
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    assert list(a.state_dict(prefix="net."))[0] == "net.scale"
    before = b.first.weight.data
    a.rest[0].num_batches_tracked.data[...] = 7
    result = b.load_state_dict({k: v.numpy() if i % 2 else v for i, (k, v) in enumerate(state.items())})
    assert result.missing_keys == result.unexpected_keys == []
    assert "matched" in repr(result)
    assert b.first.weight.data is before
    assert b.rest[0].num_batches_tracked.item() == 7
    for key, value in b.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    state["scale"].data[0] = 9
    assert a.scale.item() == 9


def test_a_failed_load_lists_everything_and_changes_nothing():
    net = Net()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    bad = {k: v.numpy() + 1 for k, v in net.state_dict().items()}
    del bad["scale"], bad["rest.2.weight"]
    bad.update({"first.weight": np.ones((4, 2)), "first.bias": "text", "extra": np.ones(1)})
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(bad)
    for part in [
        "Net",
        "missing key(s): 'scale', 'rest.2.weight'",
        "unexpected key(s): 'extra'",
        "(4, 2)",
        "(4, 3)",
        "first.bias",
    ]:
        assert part in str(caught.value)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(bad, strict=False)
    del bad["first.weight"], bad["first.bias"]
    missing, unexpected = net.load_state_dict(bad, strict=False)
    assert unexpected == ["extra"]
    assert missing == ["scale", "first.weight", "first.bias", "rest.2.weight"]
    np.testing.assert_array_equal(net.table.numpy(), before["table"] + 1)
    with pytest.raises(TypeError, match="mapping"):
        net.load_state_dict([1])


def test_loading_casts_to_the_model_and_assign_adopts():
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": np.array([[1, 2]]), "bias": np.array([0.5])})
    assert net.weight.dtype == np.float32
    assert net.weight.tolist() == [[1, 2]]
    given = {"weight": nns.tensor(np.ones((1, 2))), "bias": np.zeros(1)}
    net.load_state_dict(given, assign=True)
    assert net.weight.data is given["weight"].data
    assert net.weight.requires_grad
    assert isinstance(net.weight, nn.Parameter)


def test_a_load_between_forward_and_backward_is_noticed():
    net = nn.Linear(2, 1)
    x = nns.tensor([[1.0, 2.0]], requires_grad=True)
    y = net(x)
    net.load_state_dict({k: v.numpy() * 2 for k, v in net.state_dict().items()})
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_copies_and_pickle():
    net = Net()
    twin = copy.deepcopy(net)
    twin.scale.data[0] = 5
    assert net.scale.item() == 2
    shallow = copy.copy(net)
    assert shallow.scale is net.scale
    shallow.scale = None
    assert net.scale is not None
    with pytest.raises(TypeError, match="nnscratch.save"):
        pickle.dumps(net)


# ------------------------------------------------------------------------------------------------------------------ hooks


def test_forward_hooks():
    layer, log = nn.ReLU(), []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: log.append("b")),
        layer.register_forward_pre_hook(lambda m, args: log.append("a"), prepend=True),
        layer.register_forward_pre_hook(lambda m, args: args[0] + 1),
        layer.register_forward_pre_hook(lambda m, args, kwargs: ((args[0] * 2,), kwargs), with_kwargs=True),
        layer.register_forward_hook(lambda m, args, y: log.append(args[0].item())),
        layer.register_forward_hook(lambda m, args, kwargs, y: y + 10, with_kwargs=True),
    ]
    assert layer(nns.tensor(1.0)).item() == 14
    assert log == ["a", "b", 4.0]
    for handle in handles:
        handle.remove()
        handle.remove()
    assert layer(nns.tensor(1.0)).item() == 1
    with layer.register_forward_hook(lambda m, args, y: y * 0):
        assert layer(nns.tensor(1.0)).item() == 0
    assert layer(nns.tensor(1.0)).item() == 1
    layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="args, kwargs"):
        layer(nns.tensor(1.0))
    with pytest.raises(TypeError, match="callable"):
        layer.register_forward_hook(3)


class Pair(nn.Module):
    def forward(self, a, n, b):
        return a * b * n, a + b, n


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_hooks_as_torch(create_graph):
    torch = pytest.importorskip("torch")

    class TorchPair(torch.nn.Module):
        forward = Pair.forward

    seen = []
    for lib, module in [(nns, Pair()), (torch, TorchPair())]:
        log = []

        def hook(m, gi, go, log=log):
            log.append([g.detach().numpy().tolist() for g in (*gi, *go) if g is not None and g.abs().sum() > 0])
            return tuple(None if g is None else g * 3 for g in gi)

        module.register_full_backward_hook(hook)
        module.register_full_backward_pre_hook(lambda m, go: tuple(None if g is None else g * 2 for g in go))
        a, b = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0, 5.0], requires_grad=True)
        p, q, _ = module(a, 2, b)
        loss = (p * p).sum() + (q * 7).sum()
        grad = lib.grad if lib is nns else lib.autograd.grad
        gs = grad(loss, [a, b], create_graph=create_graph)
        log.append([g.detach().numpy().tolist() for g in gs])
        if create_graph:
            log.append([g.detach().numpy().tolist() for g in grad((gs[0] * gs[1]).sum(), [a, b])])
        seen.append(log)
    assert seen[0] == seen[1]


def test_backward_hook_without_input_gradients_and_wrong_returns():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(nns.tensor([[1.0, 2.0]])).sum().backward()
    assert seen == [((None,), [[1.0]])]
    layer.register_full_backward_hook(lambda m, gi, go: (1, 2, 3))
    with pytest.raises(RuntimeError, match="1 gradients, got 3"):
        layer(nns.tensor([[1.0, 2.0]], requires_grad=True)).sum().backward()
    layer(nns.tensor([[1.0, 2.0]])).detach()
    with nns.no_grad():
        layer(nns.tensor([[1.0, 2.0]]))


# ----------------------------------------------------------------------------------------------------------------- errors


def notes(error):
    return getattr(error, "__notes__", [])


def test_an_error_names_the_layer_once_by_its_path():
    net = nn.Sequential(nn.Identity(), nn.ModuleDict({"block": nn.Sequential(nn.Identity(), nn.Linear(3, 4))}))
    net[1].forward = lambda x: net[1]["block"](x)
    with pytest.raises(Exception) as caught:
        net(nns.tensor(np.ones((2, 5), np.float32)))
    assert notes(caught.value) == ["in 1.block.1 (Linear(in_features=3, out_features=4, bias=True))"]
    with pytest.raises(Exception) as caught:
        net[1]["block"][1](nns.tensor(np.ones((2, 5), np.float32)))
    assert notes(caught.value) == ["in Linear(in_features=3, out_features=4, bias=True)"]


def test_an_error_from_hooks_and_odd_exceptions_keep_their_type():
    class Odd(Exception):
        __slots__ = ()

    class Raises(nn.Module):
        def forward(self, x):
            raise Odd("bad")

    net = nn.Sequential(Raises())
    with pytest.raises(Odd) as caught:
        net(1)
    assert notes(caught.value) == ["in 0 (Raises())"]
    error = ValueError("kept")
    error.add_note("a note of its own")
    net = nn.Sequential(nn.ReLU())
    net[0].register_forward_hook(lambda m, args, y: (_ for _ in ()).throw(error))
    for _ in range(2):  # the same exception object raised twice still has one note
        with pytest.raises(ValueError, match="kept"):
            net(nns.tensor(1.0))
    assert notes(error) == ["a note of its own", "in 0 (ReLU())"]


def test_repr_is_torchs():
    torch = pytest.importorskip("torch")

    def make(nn):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
                self.heads = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 4)])
                self.empty = nn.ModuleList()
                self.named = nn.ModuleDict({"a": nn.Tanh(), "b": nn.LSTM(2, 3)})

            def extra_repr(self):
                return "depth=2"

        return repr(Net())

    assert make(nn) == make(torch.nn)
