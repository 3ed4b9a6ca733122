"""`benchmarks/gpu.py` as far as it goes without a GPU: its tasks on small sizes, by the kernels on the CPU; and what may fail."""

import importlib
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from cuda_shim.library import Function

from nnscratch import kernels

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not (FOLDER / "gpu.py").exists(), reason="needs the checkout")
MODULES = ("checkout", "gpu", "gpu_checks", "gpu_layers", "gpu_library", "gpu_sanitizer", "gpu_steps", "gpu_suite")


@pytest.fixture
def script(monkeypatch):
    """The modules of the script, by name."""
    monkeypatch.syspath_prepend(FOLDER)
    try:
        yield types.SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)


# ---------------------------------------------------------------------------------------------------------------- the tasks


def test_its_checks_pass_on_small_sizes(script, on_shim):
    rows = list(script.gpu_checks.checks(on_shim(), small=True))
    assert len(rows) > 80
    assert [row for row in rows if not row["right"]] == []
    families = {"gather", "weight", "sum", "uniform", "normal", "dropout", "adam", "forward", "nll", "affine", "max", "avg"}
    assert families <= {name.split("_")[0] for name in Function.launches}


def test_its_checks_find_faults(script, on_shim, monkeypatch):
    xp, right = on_shim(), kernels.conv_weight
    monkeypatch.setattr(
        kernels, "conv_weight", lambda x, g, *, spec: right(x, g, spec=spec) * (1.02 if type(x) is xp.ndarray else 1)
    )
    wrong = {row["check"] for row in script.gpu_checks.checks(xp, small=True) if not row["right"]}
    assert {f"{name}, {kind}, weight" for name, *_ in script.gpu_checks.SMALL for kind in ("tf32", "f32", "f64")} <= wrong
    assert not any("forward" in name for name in wrong)


def test_all_ops_and_layers_are_tasks(script, on_shim):
    from nnscratch.gradcheck.audit import entries

    names = script.gpu_checks.tasks(on_shim(), small=False)
    assert {entry.label for entry in entries()} <= names.keys()
    assert {f"convolution, {layer[0]}" for layer in script.gpu_checks.LAYERS} <= names.keys()


@pytest.mark.parametrize("with_torch", [True, False])
def test_layers_and_steps_are_timed(script, on_shim, monkeypatch, with_torch):
    """With the CPU in the place of PyTorch's GPU, and without PyTorch."""
    if with_torch:
        pytest.importorskip("torch")
    xp = on_shim()
    monkeypatch.setattr(script.gpu_steps, "milliseconds", lambda run, wait, seconds: (run(), wait(), 2.0)[2])
    monkeypatch.setattr(script.gpu_layers, "milliseconds", lambda run, wait, seconds=0: (run(), wait(), 2.0)[2])
    monkeypatch.setattr(script.gpu_library, "DEVICE", "cpu")
    if not with_torch:
        for module in (script.gpu_steps, script.gpu_layers):
            monkeypatch.setattr(module, "torch_or_none", lambda: None)
    layers = [row for task in script.gpu_layers.tasks(xp, small=True).values() for row in task()]
    assert len(layers) == 3 * len(script.gpu_checks.SMALL)
    assert all(row["ms"] == 2 and row["TFLOP/s"] > 0 and row["of the ceiling"] > 0 for row in layers)
    steps = [row for name, task in script.gpu_steps.tasks(xp, small=True).items() if "12288" not in name for row in task()]
    assert len(steps) == 6  # the seventh is large at any scale
    for row in (*layers, *steps):
        assert row.get("times cuDNN" if "layer" in row else "times eager") == (1.0 if with_torch else None)
        assert row.get("notes", "") == (
            "PyTorch, graph: RuntimeError: no CUDA graphs on the CPU" if "step" in row and with_torch else ""
        )


def test_every_training_step_runs_on_the_device(script, on_shim):
    on_shim()
    from nnscratch.bench.steps import WORKLOADS

    for name, workload in WORKLOADS.items():
        if "12288" not in name:
            training = workload(script.gpu_library.OnGPU("nnscratch"), batch=2, scale=0.07)
            loss = training.run()
            assert np.isfinite(float(loss.item())) and loss.device == "cuda:0", name


def test_timing_takes_the_median_of_calls(script):
    calls = []
    assert script.gpu_library.milliseconds(lambda: calls.append(1), lambda: calls.append(2), seconds=0) >= 0
    assert calls[:6] == [1] * 5 + [2] and len(calls) == 36


@pytest.mark.parametrize("tool", ["", "passes", "fails", "stops early"])
def test_compute_sanitizer(script, monkeypatch, tmp_path, tool):
    program = tmp_path / "compute-sanitizer"
    text = f"""#!{sys.executable}
import sys
assert sys.argv[1:5] == ["--tool", sys.argv[2], "--error-exitcode", "9"] and "--small" in sys.argv
open(sys.argv[sys.argv.index("--to") + 1], "w").write({'""' if tool == "stops early" else repr('{"row": {}}' + chr(10))})
print("Invalid __global__ read")
sys.exit({9 if tool == "fails" else 0})
"""
    if tool:
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setattr(script.gpu_sanitizer.shutil, "which", lambda name: str(program) if tool else None)
    rows = [row for task in script.gpu_sanitizer.tasks(None, True).values() for row in task()]
    assert [row["tool"] for row in rows] == ["memcheck", "racecheck"]
    expected = {"": "not run: compute-sanitizer", "passes": "no errors in 1 checks"}.get(tool, "Invalid __global__ read")
    assert all(
        row["outcome"].startswith(expected) and row.get("right") == {"": None, "passes": True}.get(tool, False) for row in rows
    )


def test_the_suite_is_run_from_the_checkout(script, monkeypatch):
    run = []
    done = types.SimpleNamespace(
        stdout="..\nFAILED tests/x.py::test[cupy] - why\n1 failed, 3 passed in 2s\n", stderr="", returncode=1
    )
    monkeypatch.setattr(script.gpu_suite.subprocess, "run", lambda command, **options: (run.append((command, options)), done)[1])
    rows = [row for task in script.gpu_suite.tasks(None, False).values() for row in task()]
    assert [row["tests"] for row in rows] == list(script.gpu_suite.FILES)
    assert all((script.checkout.ROOT / row["tests"]).exists() and not row["right"] for row in rows)
    assert rows[0]["outcome"] == "1 failed, 3 passed in 2s; FAILED tests/x.py::test[cupy] - why"
    monkeypatch.setattr(script.gpu_suite.importlib.util, "find_spec", lambda name: None)
    assert list(script.gpu_suite._tests("a.py")) == [{"tests": "a.py", "outcome": "not run: pytest and hypothesis not installed"}]


# ------------------------------------------------------------------------------------------------------------- the processes

PARTS = """
import os, sys
sys.path.insert(0, {folder!r})
import gpu
class CuPy:
    lost = False
    @staticmethod
    def arange(n):
        if CuPy.lost: raise RuntimeError("an illegal memory access was encountered")
        return sum(range(n))
sys.modules["cupy"] = CuPy
def throws(): yield {{"n": 1}}; raise ValueError("told")
def loses_the_gpu(): CuPy.lost = True; raise RuntimeError("illegal"); yield
def dies(): yield {{"n": 4}}; os._exit(11)
def right(n): yield {{"n": n, "x": float("nan")}}
chosen = {{"throws": throws, "lost": loses_the_gpu, "dies": dies, "two": lambda: right(2)}}
chosen["six"] = lambda: right(6)
class Part:
    tasks = staticmethod(lambda xp, small: {{name: chosen[name] for name in {names!r}}})
sys.modules["gpu_checks"] = Part
sys.exit(gpu.main(sys.argv[1:]))
"""


@pytest.fixture
def part(script, tmp_path):
    """The rows of a part with tasks of these names."""

    def rows(*names):
        file = tmp_path / "part.py"
        file.write_text(PARTS.format(folder=str(FOLDER), names=names))
        return list(script.gpu.rows_of("checks", True, [sys.executable, str(file)]))

    return rows


def test_a_task_that_fails_costs_itself(part):
    rows = part("throws", "two", "lost", "six")
    assert [row.get("n") or row["failed"] for row in rows] == [1, "ValueError: told", 2, "RuntimeError: illegal", 6]


def test_a_process_that_ends_costs_its_task(part):
    rows = part("dies", "two", "six")
    assert [row.get("n") or (row["task"], row["failed"]) for row in rows] == [4, ("dies", "the process ended with code 11"), 2, 6]


def test_a_process_that_hangs_costs_its_task(script, monkeypatch):
    told = [[{"task": 0, "name": "hangs"}, {"row": {"n": 5}}], [{"task": 1, "name": "six"}, {"row": {"n": 6}}, {"end": True}]]
    starts = []

    def run(command, timeout):
        starts.append(command[command.index("--start") + 1])
        lines = [json.dumps(record) for record in told.pop(0)]
        Path(command[command.index("--to") + 1]).write_text("\n".join([*lines, '{"row": {"half a li']))
        if told:
            raise subprocess.TimeoutExpired(command, timeout)
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(script.gpu.subprocess, "run", run)
    rows = list(script.gpu.rows_of("steps", False, ["python"]))
    assert rows == [{"n": 5}, {"task": "hangs", "failed": "took more than 1200 s"}, {"n": 6}]
    assert starts == ["0", "1"]


def test_a_part_that_never_gets_anywhere_is_given_up(script, part, monkeypatch):
    assert list(script.gpu.rows_of("checks", True, [sys.executable, "-c", "raise SystemExit(4)"])) == [
        {"task": "checks", "failed": "the process ended with code 4 before its first task"}
    ]
    monkeypatch.setattr(script.gpu, "DEATHS", 1)
    assert [row.get("failed") for row in part("dies", "two")] == [
        None,
        "the process ended with code 11",
        "given up: 1 processes did not come to an end",
    ]


# --------------------------------------------------------------------------------------------------------------- the report


@pytest.fixture
def gpu(script, on_shim, monkeypatch):
    """The script's main module, on a machine that has a GPU."""
    xp = on_shim()
    properties = {"name": b"NVIDIA H200", "totalGlobalMem": 1}
    runtime = types.SimpleNamespace(
        getDeviceProperties=lambda i: properties,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        getDeviceCount=lambda: 1,
    )
    monkeypatch.setattr(xp.cuda, "runtime", runtime)
    monkeypatch.setattr(xp, "__version__", "14.2.0", raising=False)
    monkeypatch.setattr(kernels, "available", lambda: ["cuda"])
    return script.gpu


def test_results_are_written_after_each_part(gpu, monkeypatch, tmp_path, capsys):
    rows = {
        "checks": [
            {"check": "a", "error": float("inf"), "bound": 1.0, "right": False},
            {"check": "b", "error": 0.0, "right": True},
        ],
        "layers": [
            {"layer": "DCGAN", "direction": "forward", "times cuDNN": 0.5},
            {"layer": "DCGAN", "direction": "input", "times cuDNN": 0.9},
        ],
        "steps": [{"step": "VAE", "times eager": 1.5, "times the best": 0.7}],
    }

    def made(part, small, command):
        assert command == [sys.executable, gpu.__file__] and small is False
        if part == "suite":
            raise KeyboardInterrupt
        yield from rows[part]

    monkeypatch.setattr(gpu, "rows_of", made)
    with pytest.raises(KeyboardInterrupt):
        gpu.main(["--output", str(tmp_path)])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["gpu"] == "NVIDIA H200" and found["checks"][0]["error"] is None
    text = (tmp_path / "gpu.md").read_text()
    for line in (
        "- gpu: NVIDIA H200",
        "- checks: 1 of 2 rows failed",
        "- layers: 1 of 2 at least 0.7 of cuDNN; the slowest 0.50, DCGAN forward",
        "- steps: 1 of 1 at least 1.0 of PyTorch eager; the slowest 1.50, VAE",
        "- steps: 0 of 1 at least 0.8 of PyTorch's best setting; the slowest 0.70, VAE",
        "| a | inf | 1 | False |",
    ):
        assert line in text.splitlines(), line
    assert "| b |" not in text and sorted(os.listdir(tmp_path)) == ["gpu.json", "gpu.md"]
    assert gpu.main(["--only", "layers", "--no-write"]) == 0
    assert gpu.main(["--only", "checks", "--no-write"]) == 1
    assert "1 of 2 rows failed" in capsys.readouterr().out


def test_without_a_gpu_it_says_that_it_did_not_run(script, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert script.gpu.main([]) == 2
    assert "not run: this needs CuPy" in capsys.readouterr().err


BARE = """
import sys
for name in ("numba", "scipy", "matplotlib", "PIL", "tqdm", "pooch", "safetensors", "hypothesis", "torch", "nnscratch.absent"):
    sys.modules[name] = None
sys.path[:] = [p for p in sys.path if p not in ("", {root!r})]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", str(f)).lower() + str(f).lower()]
sys.path_hooks[:] = [h for h in sys.path_hooks if "editable" not in str(h).lower()]
import importlib.util
assert importlib.util.find_spec("nnscratch") is None, "is installed"
sys.path.insert(0, {folder!r})
import checkout
checkout.use()
import gpu, gpu_checks, gpu_layers, gpu_steps, gpu_suite, gpu_sanitizer
import nnscratch
print(nnscratch.kernels.__file__, gpu_steps.OnGPU("nnscratch").name)
"""


def test_it_runs_from_a_checkout_with_little_installed():
    code = BARE.format(folder=str(FOLDER), root=str(FOLDER.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == [str(FOLDER.parent / "kernels" / "__init__.py"), "nnscratch"], done.stderr
