"""Everything public on arrays that are not NumPy's: each op and layer of the audit's table, with its derivatives.

The stand-in for CuPy raises where an op calls NumPy on a device's array or moves data silently.
"""

import subprocess
import sys
import types

import numpy as np
import pytest
from optim_cases import CASES

import nnscratch as nns
from nnscratch import data, kernels, nn, optim
from nnscratch.cli import main
from nnscratch.gradcheck import Verdict, gradcheck
from nnscratch.gradcheck.audit import entries


def derivatives(xp, sample, order):
    """Outputs, and the derivatives up to an order of one or two, of a call on xp's arrays; all of them must have been xp's."""
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
        if again and order > 1:
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
    got = derivatives(xp, entry.draw(seed=1), entry.order or 2)
    with kernels.use("im2col"):  # the stand-in has no compiled kernels, whose rounding in float32 is another
        expected = derivatives(np, entry.draw(seed=1), entry.order or 2)
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        assert a.dtype == b.dtype
        bound = 1e-9 if a.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound * max(1, np.abs(b).max(initial=0)))


def stepped(xp, name, options):
    """Parameters and state of an optimiser after three steps; all arrays must have been xp's."""
    rng = np.random.default_rng(0)
    parameters = [nns.Tensor(xp.asarray(rng.standard_normal(shape)), requires_grad=True) for shape in ((3, 4), (5,), ())]
    optimizer = getattr(optim, name)(parameters, **options)
    for _ in range(3):
        for p in parameters:
            p.grad = nns.Tensor(xp.asarray(rng.standard_normal(p.shape)))
        nn.utils.clip_grad_norm_(parameters, 1.5)
        optimizer.step()
    state = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, nns.Tensor)]
    assert {type(t.data) for t in (*parameters, *state)} == {xp.ndarray}
    again = getattr(optim, name)(parameters, **options)
    again.load_state_dict(optimizer.state_dict())
    return [nns.to_numpy(t) for t in (*parameters, *state)]


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())))
def test_optimizers(xp, name, options):
    for a, b in zip(stepped(xp, name, options), stepped(np, name, options)):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_averages_and_initial_values(xp):
    nns.manual_seed(1)
    device = "cpu" if xp is np else "cuda"
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(device)
    ema = optim.EMA(net, 0.9)
    for p in net.parameters():
        nn.init.normal_(p, generator=nns.Generator(2))
    ema.update()
    for array in (p.data for p in net.parameters()):
        assert type(array) is xp.ndarray
    assert all(type(average) is xp.ndarray for average in ema.averages.values())


SMALL = ("cnn", "vae", "autoencoder", "lstm", "row-lstm", "gan", "dcgan", "wgan-gp")
TRAINED = dict.fromkeys(SMALL, "digits") | {"conv-lstm": "moving-digits", "map-vae": "shapes", "window-vae": "shapes"}
SLOW = ("conv-lstm",)
NARROW = {"dcgan": ["--width", "8"], "wgan-gp": ["--width", "8"]}


def test_no_system_is_left_out():
    assert TRAINED.keys() == nns.models.MODELS.keys()


@pytest.mark.parametrize("task", [pytest.param(t, marks=[pytest.mark.slow] * (t in SLOW)) for t in TRAINED])
def test_systems_train_on_a_device_and_load_on_the_cpu(xp, task, tmp_path):
    """Data, model, loss, optimiser, checkpoints: a run on the device is evaluated on the CPU, and continued from there."""
    if xp is np:
        pytest.skip("what the CPU does is tested with the systems")
    device = "cuda"
    common = ["--data", TRAINED[task], "--limit", "16", "--batch-size", "8", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["train", task, *common, *NARROW.get(task, []), "--epochs", "1", "--device", device]) == 0
    for where in ("cpu", device):
        assert main(["evaluate", str(tmp_path / "run"), "--device", where]) == 0
    again = ["--out", str(tmp_path / "run"), "--resume", "--epochs", "2", "--device", "cpu", "--quiet"]
    assert main(["train", task, *again]) == 0


def test_a_run_of_the_cpu_goes_on_on_a_device(xp, tmp_path):
    """With Adam's state, averages of parameters and the generator's state, and to the same numbers."""
    if xp is np:
        pytest.skip("what the CPU does is tested with the systems")
    common = ["--data", "digits", "--limit", "32", "--batch-size", "8", "--ema", "0.9", "--quiet"]
    weights = {}
    for second in ("cpu", "cuda"):
        run = tmp_path / second
        with kernels.use("im2col"):
            assert main(["train", "cnn", *common, "--out", str(run), "--epochs", "1"]) == 0
            assert main(["train", "cnn", "--out", str(run), "--resume", "--epochs", "2", "--device", second, "--quiet"]) == 0
        newest = max((run / "checkpoints").iterdir())
        weights[second] = nns.load(newest / "model.safetensors")
    for name, tensor in weights["cpu"].items():
        away = np.abs(weights["cuda"][name].numpy() - tensor.numpy())
        assert np.quantile(away, 0.9) < 1e-4, name  # Adam's first steps have the sign of what may be about zero


def test_checkpoints_travel(xp, tmp_path):
    device = "cpu" if xp is np else "cuda"
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    net.to(device)
    nns.save({"net": net.state_dict(), "array": net[0].weight.data}, tmp_path / "a.safetensors")
    on_cpu = nns.load(tmp_path / "a.safetensors")
    assert all(type(t.data) is np.ndarray for t in on_cpu["net"].values())
    back = nns.load(tmp_path / "a.safetensors", device=device)
    assert all(type(t.data) is xp.ndarray for t in back["net"].values())
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    other.load_state_dict(back["net"])  # from the device into a network on the CPU
    net.load_state_dict(on_cpu["net"])  # and the other way round
    for a, b in zip(net.state_dict().values(), other.state_dict().values()):
        assert (type(a.data), type(b.data)) == (xp.ndarray, np.ndarray)
        np.testing.assert_array_equal(nns.to_numpy(a), b.numpy())


def test_generators_are_the_same_everywhere(xp):
    device = "cpu" if xp is np else "cuda"
    for draw in (nns.rand, nns.randn):
        for size in ((3, 4), (300, 300)):
            drawn = draw(*size, generator=nns.Generator(5), device=device)
            assert type(drawn.data) is xp.ndarray
            np.testing.assert_array_equal(nns.to_numpy(drawn), draw(*size, generator=nns.Generator(5)).numpy())


def test_the_checker_checks_on_the_device(xp):
    x = nns.Tensor(xp.asarray(np.random.default_rng(0).standard_normal((3, 4))), requires_grad=True)
    assert gradcheck(lambda t: nns.tanh(t) * t, [x], order=2, raise_exception=False).verdict is Verdict.CORRECT
    wrong = nns.custom_op(lambda t: t * t, lambda g, y, t: 2.001 * g * t) if hasattr(nns, "custom_op") else None
    if wrong is not None:
        assert gradcheck(wrong, [x], raise_exception=False).verdict is not Verdict.CORRECT


def test_loader_with_page_locked_memory(xp, monkeypatch):
    copies = []
    if xp is not np:
        cupyx = sys.modules["cupyx"]
        original = cupyx.empty_pinned
        monkeypatch.setattr(cupyx, "empty_pinned", lambda *a: (copies.append(a), original(*a))[1])
    x, y = np.arange(24.0, dtype=np.float32).reshape(6, 4), np.arange(6)
    loader = data.DataLoader(data.TensorDataset(x, y), 4, pin_memory=True, prefetch=2)
    device = "cpu" if xp is np else "cuda"
    batches = [tuple(t.to(device, non_blocking=True) for t in batch) for batch in loader]
    assert all(type(t.data) is xp.ndarray for batch in batches for t in batch)
    np.testing.assert_array_equal(np.concatenate([nns.to_numpy(b[0]) for b in batches]), x)
    np.testing.assert_array_equal(np.concatenate([nns.to_numpy(b[1]) for b in batches]), y)
    assert len(copies) == (0 if xp is np else 4)


def test_dlpack(xp):
    x = nns.Tensor(xp.asarray(np.arange(6.0).reshape(2, 3)))
    again = nns.from_dlpack(x)
    assert type(again.data) is xp.ndarray
    again.data[0, 0] = 7  # the same memory
    assert nns.to_numpy(x)[0, 0] == 7
    with pytest.raises(BufferError, match="requires grad"):
        nns.from_dlpack(nns.Tensor(x.data, requires_grad=True) * 1)


def test_the_current_device(xp):
    if xp is np:
        pytest.skip("of GPUs")
    assert nns.cuda.is_available() and nns.cuda.current_device() == 0
    nns.cuda.synchronize(), nns.cuda.empty_cache()
    nns.cuda.set_device("cuda:0")
    with nns.cuda.device(0):
        assert nns.zeros(2, device="cuda").device == "cuda:0"
    count = nns.cuda.device_count()
    for wrong in (lambda: nns.zeros(2, device=f"cuda:{count}"), lambda: nns.cuda.set_device(count)):
        with pytest.raises(RuntimeError, match=f"no device 'cuda:{count}': there (is one, cuda:0|are {count}, cuda:0 to)"):
            wrong()
    with pytest.raises(RuntimeError, match="'cpu' is no GPU: expected 'cuda' or 'cuda:<index>'"):
        nns.cuda.device("cpu")


NO_GPU = """
import sys, types
import nnscratch as nns
fake = types.ModuleType("cupy")
fake.is_available, fake.ndarray = (lambda: False), type("ndarray", (), {})
if sys.argv[1] == "cupy": sys.modules["cupy"] = fake
else: sys.modules["cupy"] = None
assert not nns.cuda.is_available() and nns.cuda.device_count() == 0
nns.cuda.synchronize(), nns.cuda.empty_cache()
class OnGPU:
    def __dlpack_device__(self): return 2, 0
for f in (lambda: nns.zeros(2, device="cuda"), lambda: nns.nn.Linear(2, 2).cuda(), lambda: nns.randn(300, 300, device="cuda:1"),
          lambda: nns.tensor([1.0], device="cuda"), lambda: nns.cuda.device(0), nns.cuda.current_device,
          lambda: nns.from_dlpack(OnGPU())):
    try: f()
    except RuntimeError as fault: print(fault)
print("cuda" in nns.kernels.available())
"""


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ("nothing", "device 'cuda' needs CuPy: install nnscratch[cuda13] (or [cuda12] for older drivers)"),
        ("cupy", "device 'cuda' was asked for, but CuPy finds no usable GPU"),
    ],
)
def test_without_a_gpu_it_says_what_is_missing(installed, message):
    done = subprocess.run([sys.executable, "-c", NO_GPU, installed], capture_output=True, text=True)
    assert done.stdout.splitlines() == [message] * 7 + ["False"], done.stderr


def test_the_command_line_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    run = str(tmp_path / "run")
    train = ["train", "cnn", "--data", "digits", "--limit", "16", "--epochs", "1", "--quiet", "--out", run]
    assert main([*train, "--device", "cuda"]) not in (0, None)
    assert "device 'cuda' needs CuPy: install nnscratch[cuda13]" in capsys.readouterr().err
    assert main(train) == 0
    for command in (["evaluate", run], ["train", "cnn", "--resume", "--epochs", "2", "--out", run]):
        assert main([*command, "--device", "cuda"]) not in (0, None)
        assert "device 'cuda' needs CuPy: install nnscratch[cuda13]" in capsys.readouterr().err


def test_without_nvrtc_arrays_are_computed_by_cupy(monkeypatch):
    from nnscratch.kernels.cuda import loader, nvrtc

    loader._usable.cache_clear()

    def missing():
        raise nvrtc.CompilationError("install it")

    cupy = types.ModuleType("cupy")
    cupy.RawModule, cupy.is_available = object, lambda: True
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(nvrtc, "version", missing)
    with pytest.warns(RuntimeWarning, match="without CUDA kernels: install it"):
        assert not loader.usable()
    assert not loader.usable()  # and says so once


def test_an_old_gpu_is_computed_on_by_cupy(monkeypatch):
    from nnscratch.kernels.cuda import loader, nvrtc

    monkeypatch.setattr(nvrtc, "version", lambda: (13, 0))
    for capability, fits in (("75", False), ("80", True), ("120", True)):
        cupy = types.ModuleType("cupy")
        cupy.RawModule, cupy.is_available = object, lambda: True
        cupy.cuda = types.SimpleNamespace(Device=lambda c=capability: types.SimpleNamespace(compute_capability=c))
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        loader._usable.cache_clear()
        if fits:
            assert loader.usable()
        else:
            with pytest.warns(RuntimeWarning, match=r"compute capability 8.0 or later, this one has 7.5"):
                assert not loader.usable()
    loader._usable.cache_clear()
