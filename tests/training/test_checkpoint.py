"""Run directories: what is complete, what is pruned, what a failing write leaves behind."""

import errno
import json
import shutil

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import serialization
from nnscratch.training import CheckpointError, Run


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run", keep=2)
    run.create({"task": "test"})
    return run


def parts(value):
    return {"model": {"w": nns.tensor(np.full((3, 2), value, np.float32))}}


def test_saves_and_finds_the_newest(run):
    assert run.latest() is None
    run.save(5, parts(5), {"epoch": 1})
    run.save(12, parts(12), {"epoch": 2, "loss": 0.1 + 0.2})
    latest = run.latest()
    assert (latest.step, latest.parts) == (12, ["model"])
    assert latest.state == {"epoch": 2, "loss": 0.1 + 0.2}
    assert latest.load("model")["w"].numpy().tolist() == [[12, 12]] * 3
    with pytest.raises(CheckpointError, match="has no 'ema', only model"):
        latest.load("ema")


def test_prunes_all_but_the_newest_and_the_best(run):
    for step in range(1, 7):
        run.save(step, parts(step), {}, best=2 if step >= 2 else None)
    assert [c.step for c in run.checkpoints()] == [2, 5, 6]


def test_saving_a_step_again_replaces_it(run):
    run.save(3, parts(1), {"n": 1})
    run.save(3, parts(2), {"n": 2})
    run.save(3, parts(3), {"n": 3})
    assert [c.state["n"] for c in run.checkpoints()] == [3]
    assert run.latest().load("model")["w"].numpy()[0, 0] == 3


@pytest.mark.parametrize("damage", ["state gone", "state cut", "part gone", "part cut", "empty"])
def test_passes_over_damaged_checkpoints(run, damage):
    run.save(1, parts(1), {})
    folder = run.save(2, parts(2), {}).folder
    if damage == "state gone":
        (folder / "state.json").unlink()
    elif damage == "state cut":
        text = (folder / "state.json").read_text()
        (folder / "state.json").write_text(text[: len(text) // 2])
    elif damage == "part gone":
        (folder / "model.safetensors").unlink()
    elif damage == "part cut":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:-1])
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    assert run.latest().step == 1
    run.save(2, parts(22), {})  # and the name is free again
    assert run.latest().load("model")["w"].numpy()[0, 0] == 22


def test_what_a_killed_process_left_is_ignored_and_cleaned(run):
    run.save(1, parts(1), {})
    unfinished = run.folder / "checkpoints" / ".step-00000002.4242"
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"half")
    (run.folder / "checkpoints" / "notes.txt").write_text("mine")
    assert run.latest().step == 1
    run.save(2, parts(2), {})
    assert sorted(p.name for p in (run.folder / "checkpoints").iterdir()) == ["notes.txt", "step-00000001", "step-00000002"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_full_disk_leaves_the_previous_checkpoint(run, monkeypatch, at):
    run.save(1, parts(1), {})
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == at:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(serialization.os, "fsync", fsync)
        if at == 2:  # a folder whose names cannot be synced is not an error
            run.save(2, parts(2), {})
            return
        with pytest.raises(OSError, match="step 2 .*No space left.*checkpoint of step 1 is still usable"):
            run.save(2, parts(2), {})
    assert [p.name for p in (run.folder / "checkpoints").iterdir()] == ["step-00000001"]
    assert run.latest().load("model")["w"].numpy()[0, 0] == 1


def test_metrics_are_written_whole_with_all_columns(run):
    run.write_metrics([{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 1 / 3, "accuracy": 0.5}])
    text = (run.folder / "metrics.csv").read_text()
    assert text == "epoch,loss,accuracy\n1,0.1,\n2,0.3333333333333333,0.5\n"


def test_config(run, tmp_path):
    assert run.exists()
    assert run.config == {"task": "test"}
    with pytest.raises(CheckpointError, match="not a run directory"):
        _ = Run(tmp_path / "other").config
    (run.folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config.json: not valid JSON"):
        _ = run.config


def test_creating_again_drops_the_old_checkpoints(run):
    run.save(9, parts(9), {})
    run.create({"task": "new"})
    assert run.latest() is None
    assert json.loads((run.folder / "config.json").read_text()) == {"task": "new"}
