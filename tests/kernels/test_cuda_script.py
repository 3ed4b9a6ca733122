"""`benchmarks/gpu.py` as far as it goes without a GPU: its checks pass on small sizes by the kernels on the CPU, and can fail."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_shim.library import Function

from nnscratch import kernels

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="needs the checkout")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(PATH.parent)
    spec = importlib.util.spec_from_file_location("gpu_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_checks_pass_on_small_sizes(script, on_shim):
    rows = list(script.checks(on_shim(), small=True))
    assert len(rows) > 80
    assert [row for row in rows if not row["right"]] == []
    families = {"gather", "weight", "sum", "uniform", "normal", "dropout", "adam", "forward", "nll", "affine", "max", "avg"}
    assert families <= {name.split("_")[0] for name in Function.launches}


def test_its_checks_find_faults(script, on_shim, monkeypatch):
    xp, right = on_shim(), kernels.conv_weight
    monkeypatch.setattr(
        kernels, "conv_weight", lambda x, g, *, spec: right(x, g, spec=spec) * (1.02 if type(x) is xp.ndarray else 1)
    )
    wrong = {row["check"] for row in script.checks(xp, small=True) if not row["right"]}
    assert {f"{name}, {kind}, weight" for name, *_ in sys.modules["gpu_checks"].SMALL for kind in ("tf32", "f32", "f64")} <= wrong
    assert not any("forward" in name for name in wrong)


def test_every_training_step_runs_on_the_device(script, on_shim):
    on_shim()
    from nnscratch.bench.steps import WORKLOADS

    for name, workload in WORKLOADS.items():
        if "12288" not in name:  # large at any scale
            training = workload(script.OnGPU("nnscratch"), batch=2, scale=0.07)
            assert np.isfinite(float(training.run().item())), name


def test_without_a_gpu_it_says_that_it_did_not_run(script, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert script.main([]) == 2
    assert "not run: this needs CuPy" in capsys.readouterr().err
