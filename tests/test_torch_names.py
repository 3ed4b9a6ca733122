"""What scripts written for torch use beside tensors and layers: a script runs after `torch` is replaced in its imports."""

import copy
import json
import sys
import types

import numpy as np
import pytest

import nnscratch as nns

SCRIPT = """
import torch
from torch import nn
from torch.autograd import grad
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

device = torch.device("cuda" if torch.cuda.is_available() and False else "cpu")
torch.manual_seed(0)
torch.cuda.manual_seed_all(0)
generator = torch.Generator(device=device).manual_seed(0)

x = torch.arange(6, dtype=torch.float, device=device).reshape(2, 3)
a = torch.tensor([1.0, -2.0, 0.5], dtype=torch.double, requires_grad=True)
b = torch.tensor([0.5, 1.5, 2.0], dtype=torch.double)


def f(x):
    return (x**3 * b).sum() * x.prod()


def g(x, y):
    return x * y, (x * x).sum() + y[0]


out = {
    "devices": (str(x.device), x.device.type, x.device.index, x.device == device, repr(device)),
    "cuda": (str(torch.device("cuda:1")), torch.device("cuda", 1).index, torch.device("cuda").index),
    "dtypes": [str(torch.zeros(1, dtype=d).dtype).split(".")[-1] for d in (
        torch.float, torch.double, torch.half, torch.long, torch.int, torch.short, torch.bool, torch.uint8)],
    "limits": (float(torch.finfo(torch.float32).eps), float(torch.finfo(x.dtype).max), torch.iinfo(torch.long).max),
    "masked": x.masked_fill(x > 3, torch.finfo(x.dtype).min).tolist(),
    "kinds": (torch.is_tensor(x), torch.is_tensor(1), torch.is_floating_point(x), isinstance(x.dtype, torch.dtype)),
    "numel": torch.numel(x),
    "size": isinstance(x.shape, torch.Size) and x.shape == torch.Size([2, 3]),
    "moved": x.to(device, non_blocking=True).to(torch.device("cpu"), torch.long, non_blocking=True, copy=True).tolist(),
    "grad": [t.tolist() for t in grad(f(a), [a])],
    "jacobian": jacobian(f, a).tolist(),
    "pairs": [[block.tolist() for block in row] for row in jacobian(g, (a, b))],
    "hessian": hessian(f, a, vectorize=True).tolist(),
    "vjp": [t.tolist() for t in vjp(f, a)],
    "vjp of several": [t.tolist() for t in vjp(g, (a, b), (b, torch.tensor(2.0, dtype=torch.double)))[1]],
    "jvp": [t.tolist() for t in jvp(f, a, b)],
    "jvp of one": [t.tolist() for t in jvp(lambda t: t * b, torch.tensor(2.0, dtype=torch.double))],
    "hvp": [t.tolist() for t in hvp(f, a, b)],
    "vhp": [t.tolist() for t in vhp(f, (a,), (b,))[1]],
    "recorded": [hvp(f, a, b, create_graph=c)[1].requires_grad for c in (False, True)]
    + [jacobian(f, a, create_graph=c).requires_grad for c in (False, True)]
    + [vjp(f, a, create_graph=c)[0].requires_grad for c in (False, True)],
}

w = torch.ones(3, dtype=torch.double, requires_grad=True)
checkpoint(lambda t: torch.sin(t * w).sum(), a, use_reentrant=False).backward()
out["checkpoint"] = (a.grad.tolist(), w.grad.tolist())


class Squares(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.tensor(float(i * i)), i


out["loaded"] = [(u.tolist(), v.tolist()) for u, v in DataLoader(Squares(), batch_size=4)]
out["split"] = [len(part) for part in random_split(TensorDataset(torch.zeros(10, 2)), [7, 3], generator=generator)]

model = nn.Linear(3, 2).to(device, non_blocking=True)
torch.save(model.state_dict(), path)
state = torch.load(path, map_location=device, weights_only=True)
out["keys"] = str(model.load_state_dict(torch.load(path, map_location="cpu", weights_only=False)))
out["same"] = torch.equal(state["weight"], model.weight)

before = torch.get_rng_state()
first = torch.rand(3)
torch.set_rng_state(before)
out["rng"] = torch.equal(first, torch.rand(3)), torch.initial_seed()

out["anomaly"] = []
for context in (torch.autograd.detect_anomaly, lambda: torch.autograd.set_detect_anomaly(True)):
    with context():
        try:
            z = torch.zeros(2, requires_grad=True)
            (torch.sqrt(z * 0) * 0).sum().backward()
        except RuntimeError as fault:
            out["anomaly"].append("nan" in str(fault))
torch.autograd.set_detect_anomaly(False)
torch.sqrt(torch.zeros(2, requires_grad=True) - 1).sum().backward()
"""


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
def test_a_script(tmp_path):
    pytest.importorskip("torch")
    theirs, ours = {"path": str(tmp_path / "a")}, {"path": str(tmp_path / "b")}
    exec(SCRIPT, theirs)
    exec(SCRIPT.replace("from torch", "from nnscratch").replace("import torch\n", "import nnscratch as torch\n"), ours)
    assert ours["out"].keys() == theirs["out"].keys()
    for name, expected in theirs["out"].items():
        assert close(ours["out"][name], expected), (name, ours["out"][name], expected)


def close(a, b):
    if isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(close, a, b))
    return a == pytest.approx(b, rel=1e-12) if isinstance(b, float) else a == b


def test_a_device_is_the_string_that_it_prints():
    for d, text in ((nns.device("cpu"), "cpu"), (nns.device(2), "cuda:2"), (nns.device(nns.device("cuda")), "cuda")):
        assert d == text == str(d) and hash(d) == hash(text) and {text: 1}[d]
        assert json.dumps(d) == f'"{text}"' and copy.deepcopy(d).type == d.type
    assert repr(nns.device("cuda:3")) == "device(type='cuda', index=3)"
    for wrong in ("gpu", "cuda:", "cuda:x", "cuda:-1", "", "cuda:0:1"):
        with pytest.raises(RuntimeError, match="unknown device .*: expected 'cpu', 'cuda' or"):
            nns.device(wrong)


def test_on_another_device(xp):
    x = nns.Tensor(xp.asarray([1.0, 2.0]))
    where = "cpu" if xp is np else "cuda:0"
    assert x.device == where and x.device.type == where[:4].rstrip(":") and nns.device(where) == x.device
    assert nns.zeros(2, device=x.device).device == where
    assert nns.tensor([1.0]).to(x.device).device == where


def test_cuda_asks_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not nns.cuda.is_available() and nns.cuda.device_count() == 0
    nns.cuda.synchronize(), nns.cuda.empty_cache(), nns.cuda.manual_seed(1), nns.cuda.manual_seed_all(1)
    with pytest.raises(RuntimeError, match="needs CuPy"):
        nns.zeros(1).cuda()
    calls = []
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 2)
    device = lambda: types.SimpleNamespace(synchronize=lambda: calls.append("wait"))
    cupy = types.SimpleNamespace(
        is_available=lambda: True,
        cuda=types.SimpleNamespace(runtime=runtime, Device=device),
        get_default_memory_pool=lambda: types.SimpleNamespace(free_all_blocks=lambda: calls.append("free")),
        ndarray=types.SimpleNamespace,
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert nns.cuda.is_available() and nns.cuda.device_count() == 2
    nns.cuda.synchronize(), nns.cuda.empty_cache()
    assert calls == ["wait", "free"]


def test_aliases_stay_out_of_the_namespace():
    assert "float" not in vars(nns) and "long" not in vars(nns)
    assert nns.float is nns.float32 and nns.double is nns.float64 and nns.long is nns.int64 and nns.bool is nns.bool_
    with pytest.raises(AttributeError, match="no attribute 'quaternion'"):
        nns.quaternion


def test_what_is_refused(tmp_path):
    nns.save({"w": nns.ones(2)}, tmp_path / "w")
    with pytest.raises(TypeError, match="map_location is a device such as 'cpu', got function"):
        nns.load(tmp_path / "w", map_location=lambda storage, place: storage)
    functional = nns.autograd.functional
    with pytest.raises(RuntimeError, match="returns one number"):
        functional.vjp(lambda x: x * 2, nns.ones(2))
    with pytest.raises(RuntimeError, match="input is one number"):
        functional.jvp(lambda x: x * 2, nns.ones(2))


def test_detect_anomaly_lets_infinities_through():
    x = nns.tensor([0.0, 1.0], requires_grad=True)
    with nns.autograd.detect_anomaly():
        nns.log(x)
        with pytest.raises(nns.AnomalyError, match="sub produced nan from inputs of shape"):
            nns.log(x) - nns.log(x)
    with nns.autograd.detect_anomaly(check_nan=False):
        nns.log(x) - nns.log(x)
    with nns.autograd.set_detect_anomaly(True), nns.autograd.set_detect_anomaly(False):
        nns.log(x) - nns.log(x)
    nns.log(x) - nns.log(x)
