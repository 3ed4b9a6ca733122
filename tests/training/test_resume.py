"""Killed, interrupted and resumed runs end with the same bits as one that was left alone."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnscratch.training import CheckpointError, Interrupted, Run

HERE = Path(__file__).parent
EPOCHS = 5


def start(folder, script):
    return subprocess.Popen(
        [sys.executable, str(HERE / script), str(folder), str(EPOCHS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    return process.returncode, output.decode()


def result(folder):
    """Everything that a finished run has computed."""
    latest = Run(folder).latest()
    files = {path.name: path.read_bytes() for path in sorted(latest.folder.iterdir())}
    return {"step": latest.step, "metrics": (folder / "metrics.csv").read_bytes(), **files}


def undisturbed(folder, script):
    code, output = finish(start(folder, script))
    assert (code, output) == (0, "")
    return result(folder)


def wait_for(process, condition):
    while not condition():
        assert process.poll() is None, "it ended before it could be stopped: " + process.communicate()[0].decode()
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("script", ["resumable.py", "resumable_gan.py"])
def test_kill_at_random_moments(tmp_path, script):
    """Three kills, at steps that the seed chooses; a saved step in three."""
    folder, rng = tmp_path / "run", random.Random(0)
    for target in sorted(rng.sample(range(5, 20 * EPOCHS - 15), 3)):
        process = start(folder, script)
        try:
            wait_for(process, lambda: (latest := Run(folder).latest()) is not None and latest.step >= target)  # noqa: B023
            time.sleep(rng.random() * 0.02)
        finally:
            process.kill()
        code, _ = finish(process)
        assert code in (-signal.SIGKILL, 0)  # 0: a fast machine was done before the signal came
    code, output = finish(start(folder, script))
    assert (code, output) == (0, "")
    ours = result(folder)
    for name, content in undisturbed(tmp_path / "undisturbed", script).items():
        assert ours[name] == content, f"{name} differs"


@pytest.fixture
def build(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import resumable

    return resumable.build


@pytest.mark.parametrize("stop_at", [1, 7, 20, 21, 40])
def test_an_interrupt_at_any_step_saves_and_resumes(tmp_path, build, stop_at):
    """The signal is sent by the loss function itself, so that it arrives at a known step; 20 steps are an epoch."""
    whole = build(tmp_path / "whole", 3, save_every=None)
    whole.run.create({})
    whole.fit()

    first = build(tmp_path / "parts", 3, save_every=None)
    first.run.create({})
    loss = first.loss

    def interrupting(model, batch):
        if first.step + 1 == stop_at:
            signal.raise_signal(signal.SIGINT)
        return loss(model, batch)

    first.loss = interrupting
    with pytest.raises(Interrupted) as stop:
        first.fit()
    assert stop.value.signum == signal.SIGINT
    assert first.run.latest().step == stop_at == first.step

    second = build(tmp_path / "parts", 3, save_every=None)
    second.resume(second.run.latest())
    second.fit()
    assert second.history == whole.history
    assert result(tmp_path / "whole") == result(tmp_path / "parts")


def test_a_second_interrupt_is_not_held_back(tmp_path, build):
    trainer = build(tmp_path / "run", 1)
    trainer.run.create({})

    def loss(model, batch):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainer.loss = loss
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_of_another_model_is_refused(tmp_path, build):
    trainer = build(tmp_path / "run", 1)
    trainer.run.create({})
    trainer.fit()
    other = build(tmp_path / "other", 1)
    other.model[5] = type(other.model[5])(384, 11)
    with pytest.raises(CheckpointError, match=r"(?s)step-00000020 does not fit.*5\.weight"):
        other.resume(trainer.run.latest())
