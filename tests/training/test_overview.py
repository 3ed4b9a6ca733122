"""The table of runs: sound ones with their last numbers, broken ones with what is wrong, other folders not at all."""

import json

import numpy as np
import pytest

from nnscratch.training import Run
from nnscratch.training.overview import find_runs, table

CONFIG = {"task": "cnn", "data": {"name": "digits"}, "training": {"epochs": 5}, "model": {}}


def make(folder, rows, *, checkpoint=True):
    run = Run(folder)
    run.create(CONFIG)
    if checkpoint:
        run.save(40, {"model": {"w": np.zeros(2)}}, {})
    if rows:
        run.write_metrics(rows)
    return run


def test_runs_are_found_with_their_last_numbers(tmp_path):
    make(tmp_path / "b", [{"epoch": 1, "test_loss": 2.0, "train_loss": 3.0}, {"epoch": 2, "test_loss": 1.5, "train_loss": 2.5}])
    make(tmp_path / "deep" / "a", [{"epoch": 1, "train_loss": 0.25}])
    make(tmp_path / "fresh", [], checkpoint=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"editor": "tabs"}))
    b, a, fresh = find_runs(tmp_path)
    assert (b.folder, b.system, b.data, b.epochs, b.step, b.numbers, b.problem) == (
        tmp_path / "b", "cnn", "digits", "2/5", 40, {"loss": 1.5}, "",
    )  # fmt: skip
    assert a.numbers == {"loss": 0.25} and fresh.problem == "no usable checkpoint" and fresh.epochs == "0/5"
    lines = table([b, a, fresh], tmp_path).splitlines()
    assert lines[0].split() == ["run", "system", "data", "epochs", "step", "last", "numbers"]
    assert lines[1].split() == ["b", "cnn", "digits", "2/5", "40", "loss", "1.5"]
    assert lines[2].startswith("deep/a ") and lines[3].endswith("-     [no usable checkpoint]")
    assert len({line.index(word) for line, word in zip(lines, ("system", "cnn", "cnn", "cnn"))}) == 1, "columns are aligned"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", b"{", "config.json: not valid JSON"),
        ("config.json", b"[1]", "config.json is not that of a run"),
        ("config.json", b'{"task": "cnn", "data": 3, "training": {}}', "config.json is not that of a run"),
        ("config.json", b"\xff\xfe", "config.json"),
        ("metrics.csv", b"\xff\xfe\x00", "metrics.csv cannot be read"),
    ],
)
def test_broken_runs_are_named_and_do_not_stop_the_list(tmp_path, name, content, problem):
    make(tmp_path / "broken", [{"epoch": 1, "test_loss": 2.0}])
    make(tmp_path / "sound", [{"epoch": 1, "test_loss": 2.0}])
    (tmp_path / "broken" / name).write_bytes(content)
    broken, sound = find_runs(tmp_path)
    assert problem in broken.problem and str(tmp_path) not in broken.problem and sound.problem == ""
    assert "[" + broken.problem in table([broken, sound], tmp_path)


def test_numbers_that_are_none_and_checkpoints_that_are_damaged(tmp_path):
    run = make(tmp_path / "a", [{"epoch": 1, "test_loss": float("nan"), "test_f1": 0.5}])
    (run.folder / "metrics.csv").write_text("epoch,test_loss,test_f1\n1,oops,0.5\n")
    (run.latest().folder / "state.json").write_text("{")
    (entry,) = find_runs(tmp_path)
    assert np.isnan(entry.numbers["loss"]) and entry.numbers["f1"] == 0.5 and entry.problem == "no usable checkpoint"
    assert "loss nan  f1 0.5  [no usable checkpoint]" in table([entry], tmp_path)
    (root,) = find_runs(run.folder)
    assert table([root], run.folder).splitlines()[1].split()[0] == "."
    with pytest.raises(NotADirectoryError, match="no such folder"):
        list(find_runs(tmp_path / "none"))
