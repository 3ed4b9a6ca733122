"""Sequences and mappings of modules and parameters, with torch's behaviour."""

from collections import OrderedDict

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn


def test_sequential():
    a, b, c = nn.Identity(), nn.ReLU(), nn.Tanh()
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert list(net) == [a, b, c]
    assert len(net) == 3
    assert net[-1] is c
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]._modules) == ["1", "2"]
    assert net(nns.tensor(-1.0)).item() == 0
    assert net[::2](nns.tensor(1.0)).item() == pytest.approx(np.tanh(1.0), rel=1e-6)
    net[1] = nn.Identity()
    assert net(nns.tensor(-1.0)).item() < 0
    del net[0]
    assert [n for n, _ in net.named_children()] == ["0", "1"]
    net.insert(0, b)
    assert net[0] is b
    assert net.pop(0) is b
    assert len(net.extend([a, b])) == 4
    assert list(nn.Sequential(a, b) + nn.Sequential(c)) == [a, b, c]
    with pytest.raises(IndexError, match="length 4"):
        net[4]
    with pytest.raises(TypeError, match="Module"):
        nn.Sequential(3)
    with pytest.raises(TypeError, match="Module"):
        net.insert(0, 3)
    named = nn.Sequential(OrderedDict([("x", a), ("y", b)]))
    assert list(named._modules) == ["x", "y"]
    assert named.y is b
    assert nn.Sequential()(5) == 5


def test_module_list():
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    assert len(list(layers.parameters())) == 6
    assert list(layers.state_dict())[2] == "1.weight"
    assert isinstance(layers[:2], nn.ModuleList)
    assert list(layers[1:].state_dict())[0] == "0.weight"
    layers += [nn.ReLU()]
    assert len(layers) == 4
    assert len(layers + [nn.ReLU()]) == 5
    del layers[1:3]
    assert [type(m).__name__ for m in layers] == ["Linear", "ReLU"]
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict_keeps_its_order():
    table = nn.ModuleDict([("b", nn.ReLU()), ("a", nn.Tanh())])
    table["c"] = nn.Linear(1, 1)
    table.update({"b": nn.Identity()})
    assert list(table) == list(table.keys()) == ["b", "a", "c"]
    assert isinstance(table["b"], nn.Identity)
    assert [type(m).__name__ for m in table.values()] == ["Identity", "Tanh", "Linear"]
    assert "a" in table
    assert isinstance(table.pop("a"), nn.Tanh)
    assert "a" not in table
    assert dict(table.items())["c"] is table["c"]
    assert list(table.state_dict()) == ["c.weight", "c.bias"]
    del table["b"]
    assert len(table) == 1
    table.clear()
    assert len(table) == 0
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(KeyError, match="cannot contain"):
        table["a.b"] = nn.ReLU()


def test_parameter_containers():
    params = nn.ParameterList([nns.tensor([1.0]), nn.Parameter(np.ones(2))])
    params.append(nns.tensor(3.0))
    assert list(params.state_dict()) == ["0", "1", "2"]
    assert all(isinstance(p, nn.Parameter) for p in params)
    assert params[-1].item() == 3
    assert len(params[1:]) == 2
    params[0] = nns.tensor([9.0])
    assert params[0].tolist() == [9]
    params += [nns.tensor([1.0])]
    assert len(params) == 4
    assert "(1): Parameter containing: [float64 of size 2]" in repr(params)
    table = nn.ParameterDict({"w": nns.tensor([1.0, 2.0])})
    table["b"] = nn.Parameter(nns.tensor([0.0]))
    assert list(table.state_dict()) == ["w", "b"]
    assert isinstance(table["w"], nn.Parameter)
    assert "(w): Parameter containing" in repr(table)
    with pytest.raises(TypeError, match="tensor"):
        table["x"] = 3
