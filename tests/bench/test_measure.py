"""Processes that take turns, from end to end: validated, timed, written; and what happens to a case that goes wrong."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nnscratch.bench import chart, command, machine, record, table
from nnscratch.bench.measure import Options, Process, compare
from nnscratch.cli import main

torch_is_here = pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")

CASES = """
import os
from nnscratch.bench import Case, Subject

def product(L):
    x = L.activations(8, 8)
    run = lambda: x @ x
    return Subject(run, lambda: {"output": run()}, products=8**3, traffic=3 * 4 * 64)

def wrong(L):
    x = L.activations(8, 8)
    return Subject(lambda: x + x, lambda: {"sound": x, "output": x * (1.001 if L.name == "torch" else 1.0)})

def raises(L):
    raise ValueError("no such\\n  layer")

def dies(L):
    if L.name == "nnscratch":
        os._exit(3)

def cases():
    return [
        Case("product", product, "sound", alone=True),
        Case("wrong", wrong, "unsound"),
        Case("raises", raises, "unsound"),
        Case("dies", dies, "unsound"),
        Case("product, per element", product, "sound", per=64),
    ]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of results, exit status, and document of a run of CASES from the command line."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "mine.py").write_text(CASES)
    before = os.environ.copy()
    status = main(["bench", str(folder / "mine.py"), "--quick", "--threads", "1", "--output", str(folder / "out")])
    assert os.environ == before
    return folder / "out", status, json.loads((folder / "out" / "mine.json").read_text())


def by_name(document):
    return {case["name"]: case for case in document["cases"]}


def test_the_document_holds_everything(run):
    _, _, document = run
    assert document["schema"] == record.SCHEMA and document["suite"] == "mine"
    assert document["machine"]["cores"] >= 1 and document["machine"]["date"] and document["machine"]["packages"]["numpy"]
    assert document["options"] == {"rounds": 2, "seconds": 0.02, "least": 1, "threads": 1, "cold": False}
    assert set(document["libraries"]) == set(document["settings"]) == set(command.installed())
    assert all(about["version"] for about in document["libraries"].values())
    assert document["ceilings"]["1"]["gflops"] > 0 and document["ceilings"]["1"]["copy_gbs"] > 0
    case = by_name(document)["product"]
    assert (case["products"], case["traffic"], case["threads"], case["status"]) == (512, 768, 1, "timed")
    for side in case["sides"].values():
        assert len(side["ms"]) == 2 and all(turn and min(turn) > 0 for turn in side["ms"])
        assert side["first_ms"] > 0
    assert set(document["means"]) == set(command.installed()) - {"nnscratch"}


def test_times_are_given_for_one_operation(run):
    cases = by_name(run[2])
    alone, shared = (cases[name]["summary"]["nnscratch"] for name in ("product", "product, per element"))
    assert shared["gflops"] == pytest.approx(2e-9 * 512 / (shared["best_ms"] * 64 * 1e-3))
    assert alone["gbs"] == pytest.approx(1e-9 * 768 / (alone["best_ms"] * 1e-3))


@torch_is_here
def test_a_wrong_result_is_not_timed(run):
    _, status, document = run
    case = by_name(document)["wrong"]
    assert status == 1 and case["status"] == "wrong" and "summary" not in case
    assert case["fault"] == "PyTorch eager: output differs by 1.0e-03 (1 of 2)"
    assert case["sides"]["eager"]["errors"]["sound"] == 0


def test_a_case_that_fails_does_not_stop_the_others(run):
    cases = by_name(run[2])
    assert cases["raises"]["fault"] == "nnscratch: ValueError: no such layer"
    assert cases["dies"]["fault"] == "nnscratch: the process ended with exit status 3"
    assert cases["product, per element"]["status"] == "timed"


def test_the_table_tells_it_all(run):
    folder, _, document = run
    text = (folder / "mine.md").read_text()
    assert text == table.markdown(document)
    for part in ("## sound", "| product |", "## Not timed", "- raises: failed, nnscratch: ValueError: no such layer", "GFLOP/s"):
        assert part in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows if "product" in line or line.startswith("| case")}) <= 2


@torch_is_here
def test_charts_are_pictures(run):
    from PIL import Image

    folder, _, _ = run
    for name in ("mine.png", "mine-roofline.png"):
        with Image.open(folder / name) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert picture.format == "PNG" and min(pixels.shape) > 200
        assert 0.002 < (pixels < 200).mean() < 0.6, "neither empty nor black"


def test_without_pytorch_nnscratch_is_timed_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "installed", lambda: ["nnscratch"])
    ceilings = {"threads": 1, "gflops": 100.0, "gflops_by": "hand", "copy_gbs": 10.0, "cache_gbs": 50.0}
    monkeypatch.setattr(command, "measured_ceilings", lambda threads: ceilings)
    (tmp_path / "mine.py").write_text(CASES)
    output = ["--quick", "--threads", "1", "--output", str(tmp_path)]
    assert main(["bench", str(tmp_path / "mine.py"), "--only", "per element", *output]) == 0
    assert "PyTorch is not installed: nnscratch is timed alone, and not validated." in capsys.readouterr().out
    document = json.loads((tmp_path / "mine-per-element.json").read_text())
    assert document["means"] == {} and list(document["libraries"]) == ["nnscratch"]


def test_waiting_processes_are_stopped(tmp_path):
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("needs /proc")
    (tmp_path / "mine.py").write_text(CASES)
    process = Process("nnscratch", str(tmp_path / "mine.py"), 1)
    try:
        process.ask("build", case="product")
        state = lambda: Path(f"/proc/{process._process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        end = time.monotonic() + 60
        while state() != "T" and time.monotonic() < end:
            time.sleep(0.001)
        assert state() == "T"
        assert process.ask("time", seconds=0, least=2)["ms"]
    finally:
        process.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux kills orphans")
def test_a_killed_benchmark_leaves_no_processes(tmp_path):
    (tmp_path / "mine.py").write_text(CASES)
    code = (
        "import sys, time; from nnscratch.bench.measure import Process; p = Process('nnscratch', sys.argv[1], 1);"
        "p.ask('build', case='product'); print(p._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "mine.py")], stdout=subprocess.PIPE, text=True)
    with parent.stdout:
        child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_comparison_sees_what_is_wrong():
    a, b = np.arange(4.0), np.array([0, 1, 2, 3.1])
    inf = float("inf")
    assert compare({"x": a}, {"x": a}) == {"x": 0}
    assert compare({"x": b}, {"x": a})["x"] == pytest.approx(0.1 / np.sqrt(14), rel=1e-2)
    assert compare({"x": a, "y": a}, {"x": a[:3], "z": a}) == {"x": inf, "y": inf, "z": inf}
    assert compare({"x": np.array([1, np.nan])}, {"x": np.array([1, np.nan])}) == {"x": inf}
    assert compare({"x": np.zeros(2)}, {"x": np.zeros(2)}) == {"x": 0}
    assert compare({"x": np.array(3)}, {"x": np.array(0)}) == {"x": 3}


def test_summaries_are_medians_of_rounds_and_bests():
    case = {
        "per": 1,
        "products": 0,
        "traffic": 4e6,
        "sides": {"nnscratch": {"ms": [[2, 9, 4], [6, 6]]}, "eager": {"ms": [[8], [12]]}},
    }
    summary = record.summarise(case)
    assert summary["nnscratch"] == {"median_ms": 5, "best_ms": 2, "gbs": 2}
    assert summary["eager"] == {"median_ms": 10, "best_ms": 8, "gbs": 0.5, "ratio_median": 2, "ratio_best": 4}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.00464, "4.64 µs"),
        (0.0464, "46.4 µs"),
        (0.464, "464 µs"),
        (1.5, "1.50 ms"),
        (123.4, "123 ms"),
        (1808, "1.81 s"),
        (6e4, "60.0 s"),
    ],
)
def test_durations(ms, text):
    assert table.duration(ms) == text


def test_groups_are_spread_over_columns():
    groups = [[0] * n for n in (30, 20, 28, 12, 8, 12)]
    columns = chart.in_columns(groups, 3)
    assert [len(column) for column in columns] == [1, 2, 3] or len(columns) == 3
    assert sum(columns, []) == groups
    assert chart.in_columns([[1]], 3) == [[[1]]]


def test_the_share_of_others():
    share = machine.Others()
    sum(range(200_000))
    value = share.share()
    assert value is None or 0 <= value <= 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing"], "there is no suite 'nothing': expected steps, untuned, layers, scaling, overhead, all, or a Python file"),
        (["missing.py"], "there is no suite 'missing.py'"),
        (["layers", "--only", "attention"], "no case of layers has 'attention' in its name"),
    ],
)
def test_wrong_suites_are_usage_errors(capsys, args, message):
    assert main(["bench", *args]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nnscratch: error: ") and message in error and error.count("\n") == 1


def test_options_are_checked(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "steps", "--rounds", "0"])
    assert "--rounds: expected a whole number of at least 1, got '0'" in capsys.readouterr().err


def test_only_looks_at_groups_too():
    chosen = command.choose("all", "pooling")
    assert list(chosen) == ["layers"] and all("Pool" in case.name for case in chosen["layers"])


def test_a_suite_takes_its_pace():
    assert set(command.PACE) == set(command.SUITES)
    assert Options().rounds == 5
