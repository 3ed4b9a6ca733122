"""The command line as a person meets it: output, exit status, files."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.data import Digits
from nnscratch.training import Run


def run_cli(*args, **options):
    command = [sys.executable, "-m", "nnscratch", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def train(folder, *more, model="cnn"):
    return main(["train", model, "--data", "digits", "--limit", "200", "--out", str(folder), "--epochs", "2", *more])


def error_of(capsys):
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nnscratch: error: "), captured.err
    return lines[0]


def test_version_and_help_in_a_process():
    version = run_cli("--version")
    assert version.returncode == 0 and re.fullmatch(r"nnscratch \d+\.\d+\.\d+\n", version.stdout)
    for args in (["--help"], ["train", "--help"]):
        text = run_cli(*args)
        assert text.returncode == 0 and "examples:" in text.stdout and "--resume" in text.stdout


def test_training_leaves_pictures_metrics_and_checkpoints(tmp_path, capsys):
    assert train(tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert "epoch 2/2   train loss " in out and "test accuracy" in out
    assert f"pictures in {tmp_path / 'run'}/:" in out
    for name in ("curves.png", "predictions.png", "confusion.png", "metrics.csv", "config.json"):
        assert (tmp_path / "run" / name).stat().st_size > 0
        assert name.endswith("png") <= (name in out)
    assert [c.step for c in Run(tmp_path / "run").checkpoints()] == [7, 14]
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 3

    assert main(["evaluate", str(tmp_path / "run")]) == 0
    evaluated = capsys.readouterr().out
    last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    row = dict(zip(last[0].split(","), last[-1].split(",")))
    for name in ("loss", "accuracy", "f1"):
        assert f"{name:<15} {float(row['test_' + name]):.6g}" in evaluated


def test_the_vae_draws_grids_each_epoch(tmp_path, capsys):
    assert train(tmp_path / "run", "--ema", "0.9", "--quiet", model="vae") == 0
    out = capsys.readouterr().out
    assert "epoch 1" not in out and "training.gif" in out, "quiet: only the pictures are listed"
    names = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*.png")}
    assert names >= {"curves.png", "samples.png", "reconstructions.png"}
    assert names >= {"epochs/samples-001.png", "epochs/reconstructions-002.png"}
    assert "ema" in Run(tmp_path / "run").latest().parts
    assert main(["evaluate", str(tmp_path / "run"), "--best"]) == 0


def test_the_same_seed_gives_the_same_run_and_resuming_extends_it(tmp_path, capsys):
    train(tmp_path / "a", "--epochs", "3", "--augment")
    train(tmp_path / "b", "--augment")
    again = ["--resume", "--augment"]
    assert train(tmp_path / "b", *again, "--epochs", "3") == 0
    assert "continuing at step 14, epoch 3 of 3" in capsys.readouterr().out
    assert Run(tmp_path / "b").config["training"] == Run(tmp_path / "a").config["training"]
    train(tmp_path / "c", "--epochs", "3", "--augment", "--seed", "1")
    metrics = {name: (tmp_path / name / "metrics.csv").read_bytes() for name in "abc"}
    assert metrics["a"] == metrics["b"] != metrics["c"]


def test_resuming_a_finished_run_says_so(tmp_path, capsys):
    train(tmp_path / "run", "--quiet")
    capsys.readouterr()
    assert main(["train", "cnn", "--out", str(tmp_path / "run"), "--resume"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("all 2 epochs are done; --epochs 7 would add 5\npictures in ")


def test_a_damaged_checkpoint_is_named_with_the_one_before(tmp_path, capsys):
    train(tmp_path / "run", "--quiet")
    capsys.readouterr()
    latest = Run(tmp_path / "run").latest().folder / "model.safetensors"
    latest.write_bytes(b"x" * latest.stat().st_size)
    assert main(["train", "cnn", "--out", str(tmp_path / "run"), "--resume"]) == 1
    message = error_of(capsys)
    assert str(latest) in message
    assert message.endswith(f"(without the folder {latest.parent} the run continues from step 7)")


@pytest.mark.filterwarnings("default")
def test_what_is_used_in_the_place_of_a_damaged_checkpoint_is_said(tmp_path, capsys):
    folder = tmp_path / "run"
    train(folder, "--quiet")
    before, latest = Run(folder).checkpoints()
    (latest.folder / "model.safetensors").write_bytes(b"")
    for command in (["evaluate", str(folder)], ["train", "cnn", "--out", str(folder), "--resume", "--quiet"]):
        capsys.readouterr()
        assert main(command) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"nnscratch: warning: {latest.folder}: the sizes of its files are ")
        assert line.endswith(f"; the last whole one, {before.folder}, is used instead")
    assert main(["evaluate", str(folder)]) == 0 and not capsys.readouterr().err, "the second epoch was done again"
    for checkpoint in Run(folder).checkpoints():
        (checkpoint.folder / "state.json").write_text("")
    for command in (["evaluate", str(folder)], ["train", "cnn", "--out", str(folder), "--resume"]):
        assert main(command) == 1
        assert f"this run has no whole checkpoint: {latest.folder}: incomplete or damaged" in error_of(capsys)


@pytest.mark.filterwarnings("default")
def test_a_best_checkpoint_that_is_gone_is_missed(tmp_path, capsys):
    run = Run(tmp_path / "run")
    train(run.folder, "--quiet")
    first, second = run.checkpoints()
    state = second.folder / "state.json"
    state.write_text(state.read_text().replace('"best_step": 14', '"best_step": 7'))
    capsys.readouterr()
    assert main(["evaluate", str(run.folder), "--best"]) == 0
    captured = capsys.readouterr()
    assert "at step 7" in captured.out and not captured.err
    shutil.rmtree(first.folder)
    assert main(["evaluate", str(run.folder), "--best"]) == 0
    captured = capsys.readouterr()
    assert "at step 14" in captured.out
    assert f"the best checkpoint, that of step 7, is damaged or gone; {second.folder} is used instead" in captured.err


def test_quiet_runs_still_warn(tmp_path, capsys):
    assert train(tmp_path / "run", "--quiet", "--lr", "1e-9", "--epochs", "3") == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("nnscratch: warning: guessing: after 3 epochs ") and "warning" not in captured.out


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "the task is None, expected one of cnn, "),
        ('{"task": "gru"}', "the task is 'gru'"),
        ('{"task": "cnn", "model": {}}', "'data' is missing or incomplete"),
        ('{"task": "cnn", "model": {}, "data": {"name": "digits"}}', "an object with name, size, limit"),
    ],
)
@pytest.mark.parametrize("command", [["evaluate"], ["summary"], ["train", "cnn", "--resume", "--out"]])
def test_a_strange_configuration_is_named(tmp_path, capsys, command, text, fault):
    (tmp_path / "config.json").write_text(text)
    assert main([*command, str(tmp_path)]) == 1
    message = error_of(capsys)
    assert str(tmp_path / "config.json") in message and fault in message


@pytest.mark.parametrize(("part", "key", "value"), [("data", "limit", [3]), ("data", "size", 0), ("training", "epochs", "many")])
def test_a_number_of_a_configuration_that_is_none(tmp_path, capsys, part, key, value):
    train(tmp_path / "run", "--quiet")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config[part][key] = value
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    assert f"'{key}' of '{part}' is {value!r}, expected a whole number of at least 1" in error_of(capsys)


def test_help_names_the_defaults(capsys):
    from nnscratch.training.tasks import TASKS

    for name, task in TASKS.items():
        with pytest.raises(SystemExit):
            main(["train", name, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        for option in ("epochs", "batch_size", "lr"):
            assert f"(default: {task.large_set[option]:g}; {task.small_set[option]:g} for up to 5000 images)" in text


def test_options_of_a_system(tmp_path, capsys, monkeypatch):
    from nnscratch.training.recipe import saved_config
    from nnscratch.training.tasks import TASKS, Option

    options = {
        "kind": Option("plain", "a name", choices=("plain", "fancy")),
        "share": Option(0.5, "a number", most=1),
        "count": Option(3, "a whole number", least=1),
        "on": Option(False, "a switch"),
    }
    own = TASKS["cnn"].options
    monkeypatch.setattr(TASKS["cnn"], "options", {**own, **options})
    run = tmp_path / "run"
    given = ["--share", "1", "--on"]
    assert train(run, "--epochs", "1", "--quiet", *given) == 0
    expected = {name: option.default for name, option in own.items()} | {"kind": "plain", "share": 1.0, "count": 3, "on": True}
    assert saved_config(Run(run))["options"] == expected
    capsys.readouterr()
    assert train(run, "--resume", "--epochs", "1", "--quiet", *given) == 0
    assert train(run, "--resume", "--kind", "fancy") == 2
    assert "was started with --kind plain, which cannot become fancy" in error_of(capsys)
    for wrong, words in (
        (("--kind", "other"), "expected one of plain, fancy, got 'other'"),
        (("--share", "1.5"), "expected a number from 0 to 1, got '1.5'"),
        (("--count", "0"), "expected a number at least 1, got '0'"),
        (("--count", "x"), "expected a number, got 'x'"),
    ):
        with pytest.raises(SystemExit):
            train(tmp_path / "other", *wrong)
        assert words in capsys.readouterr().err
    config = json.loads((run / "config.json").read_text())
    for wrong_options, words in (
        ({"kind": "other"}, "expected one of plain, fancy, got 'other'"),
        ({"what": 1}, ", ".join([f"cnn has no option what; its options: {', '.join(own)}", "kind, share, count, on"])),
        ({"on": 1}, "expected true or false, got 1"),
        ([], "'options'"),
    ):
        (run / "config.json").write_text(json.dumps({**config, "options": wrong_options}))
        assert main(["evaluate", str(run)]) == 1
        assert words in error_of(capsys)


def test_a_plateau_is_judged_by_a_tenth_held_out(tmp_path):
    assert train(tmp_path / "run", "--schedule", "plateau", "--quiet") == 0
    assert "validation_loss" in (tmp_path / "run" / "metrics.csv").read_text()


def test_patience_holds_out_a_tenth(tmp_path):
    assert train(tmp_path / "run", "--patience", "1", "--quiet") == 0
    assert "validation_loss" in (tmp_path / "run" / "metrics.csv").read_text()
    assert Run(tmp_path / "run").latest().state["_sums"] == {}
    assert Run(tmp_path / "run").latest().step <= 2 * 6


def test_too_few_images_to_hold_any_out(tmp_path, capsys):
    args = ["train", "cnn", "--data", "digits", "--limit", "9", "--out", str(tmp_path / "run"), "--patience", "1"]
    assert main(args) == 1
    assert "hold out a tenth: 9 training images are too few" in error_of(capsys)
    assert not (tmp_path / "run").exists()


def test_refuses_to_overwrite_or_to_resume_nothing(tmp_path, capsys):
    assert train(tmp_path / "run", "--resume") == 2
    assert "there is no run to resume" in error_of(capsys)
    train(tmp_path / "run", "--quiet")
    capsys.readouterr()
    assert train(tmp_path / "run") == 2
    assert "already holds a run; continue it with --resume, or start again with --force" in error_of(capsys)
    assert train(tmp_path / "run", "--resume", "--lr", "0.5") == 2
    assert "was started with --lr 0.002, which cannot become 0.5" in error_of(capsys)
    assert train(tmp_path / "run", "--resume", model="vae") == 2
    assert "model cnn, which cannot become vae" in error_of(capsys)
    assert train(tmp_path / "run", "--force", "--quiet") == 0
    capsys.readouterr()
    for checkpoint in Run(tmp_path / "run").checkpoints():
        shutil.rmtree(checkpoint.folder)
    assert train(tmp_path / "run", "--resume") == 2
    assert "has no checkpoint yet" in error_of(capsys)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert train(tmp_path / "mine", "--force") == 2
    assert "is not a run directory" in error_of(capsys)


@pytest.mark.filterwarnings("default")
def test_bad_pictures_can_be_left_out(tmp_path, capsys):
    from PIL import Image

    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    bad = tmp_path / "photos" / "cats" / "3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    data = ["--data", f"folder:{tmp_path / 'photos'}", "--size", "8"]
    args = ["train", "cnn", *data, "--out", str(tmp_path / "run"), "--epochs", "1", "--quiet"]
    assert main(args) == 1
    message = error_of(capsys)
    assert f"{bad}: cannot be read as a picture" in message and "--skip-bad, leaves out such pictures" in message
    assert main([*args, "--skip-bad"]) == 0
    warning, *more = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"nnscratch: warning: {tmp_path / 'photos'}: left out 1 of 20 pictures; the first: {bad}: ")
    assert not more
    assert Run(tmp_path / "run").config["data"]["skip_bad"] is True
    assert main(["train", "cnn", "--out", str(tmp_path / "run"), "--resume", "--epochs", "2", "--quiet"]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert main(["summary", "cnn", *data, "--skip-bad"]) == 0
    assert "Conv2d" in capsys.readouterr().out


def test_the_classes_of_a_folder_stay_with_the_run(tmp_path, capsys):
    from PIL import Image

    photos, run = tmp_path / "photos", tmp_path / "run"
    for name in ("wei\u00dfe Katzen", "dogs"):
        (photos / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(photos / name / f"{i}.png")
    assert main(["train", "cnn", "--data", f"folder:{photos}", "--out", str(run), "--epochs", "1", "--quiet"]) == 0
    picture, moved = photos / "dogs" / "1.png", tmp_path / "elsewhere"
    (photos / "ants").mkdir()
    shutil.copy(picture, photos / "ants")
    for command in (["evaluate", str(run)], ["train", "cnn", "--out", str(run), "--resume", "--epochs", "2"]):
        capsys.readouterr()
        assert main(command) == 1
        assert "has the classes ants, dogs, wei\u00dfe Katzen; the run was trained on dogs, wei\u00dfe Katzen" in error_of(capsys)
    shutil.rmtree(photos / "ants")
    photos.rename(moved)
    assert main(["evaluate", str(run)]) == 2
    message = error_of(capsys)
    assert f"{run} was trained on the pictures in {photos}" in message and "--data FOLDER" in message
    assert main(["evaluate", str(run), "--data", str(tmp_path / "not here")]) == 2
    assert f"--data {tmp_path / 'not here'}: no such folder; {run} was trained on the pictures in {photos}" in error_of(capsys)
    for name in (str(moved), f"folder:{moved}"):
        assert main(["evaluate", str(run), "--data", name]) == 0
        assert f"on 2 test images of folder:{moved}\n" in capsys.readouterr().out
    resume = ["train", "cnn", "--out", str(run), "--resume", "--epochs", "2", "--quiet"]
    assert main(resume) == 2
    assert f"{run} was trained on the pictures in {photos}" in error_of(capsys)
    assert main([*resume, "--data", f"folder:{moved}"]) == 0
    assert main(resume) == 0, "and the run knows the new place"
    capsys.readouterr()
    photos.mkdir()
    assert main([*resume, "--data", f"folder:{photos}"]) == 2
    assert f"with --data folder:{moved}, which cannot become" in error_of(capsys)
    explain = ["explain", str(run), str(moved / "dogs" / "1.png"), "--out", str(tmp_path / "out")]
    assert main([*explain, "--target", "wei\u00dfe Katzen"]) == 0
    assert "explained: wei\u00dfe Katzen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["train", "cnn", "--out", "OUT"], 2, "--data is needed for a new run: one of digits"),
        (["train", "cnn", "--data", "imagenet", "--out", "OUT"], 2, "unknown data set 'imagenet': expected one of digits"),
        (["train", "cnn", "--data", "moving-shapes", "--limit", "2", "--out", "OUT"], 1, "does not hold labelled images"),
        (["train", "cnn", "--data", "folder:OUT/none", "--out", "OUT"], 1, "none"),
        (["train", "cnn", "--data", "digits", "--out", "OUT", "--device", "tpu"], 1, "unknown device 'tpu'"),
        (["evaluate", "OUT"], 1, "is not a run directory"),
        (["summary", "OUT/nothing"], 2, "neither a kind of model"),
        (["summary", "cnn", "--data", "imagenet"], 2, "unknown data set 'imagenet'"),
        (["train", "cnn", "--data", "folder:", "--out", "OUT"], 2, "needs the path of a folder of pictures"),
        (["train", "cnn", "--data", "digits", "--skip-bad", "--out", "OUT"], 2, "--skip-bad is for folders of pictures"),
        (["train", "cnn", "--data", ".", "--out", "OUT"], 2, "for the pictures in that folder write folder:."),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, args, status, message):
    assert main([a.replace("OUT", str(tmp_path / "run")) for a in args]) == status
    assert message in error_of(capsys)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--epochs", "0"], "--epochs: expected a whole number of at least 1, got '0'"),
        (["--lr", "-1"], "--lr: expected a positive number, got '-1'"),
        (["--lr", "nan"], "--lr: expected a positive number"),
        (["--ema", "1"], "--ema: expected a number from 0 to below 1"),
        (["--seed", "x"], "--seed"),
        (["--resume", "--force"], "not allowed with"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path, capsys, option, message):
    with pytest.raises(SystemExit) as stop:
        train(tmp_path / "run", *option)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(RuntimeError, match="not a run directory"):
        main(["--debug", "evaluate", str(tmp_path)])
    with pytest.raises(RuntimeError, match="not a run directory"):
        main(["evaluate", "--debug", str(tmp_path)])


def test_a_diverging_run_says_so(tmp_path, capsys):
    with np.errstate(all="ignore"):
        assert train(tmp_path / "run", "--lr", "1e30", "--quiet", model="vae") == 1
    assert re.search(r"the loss became (nan|inf|-inf) at step \d+", error_of(capsys))


def test_the_label_of_shapes(tmp_path, capsys):
    command = ["train", "cnn", "--limit", "40", "--epochs", "1", "--size", "8", "--quiet", "--out", str(tmp_path / "run")]
    for name in ("mnist", f"folder:{tmp_path}"):
        assert main([*command, "--data", name, "--label", "colour"]) == 2
        assert f"--label is for shapes, which have several attributes, not for {name}" in error_of(capsys)
    with pytest.raises(SystemExit):
        main([*command, "--data", "shapes", "--label", "weight"])
    assert main([*command, "--data", "shapes", "--label", "size"]) == 0
    config = Run(tmp_path / "run").config
    assert config["data"]["label"] == "size" and config["model"]["classes"] == 3
    capsys.readouterr()
    assert main([*command, "--resume", "--label", "colour"]) == 2
    assert "was started with --label size, which cannot become colour" in error_of(capsys)
    assert main(["summary", "map-vae", "--data", "shapes", "--label", "size", "--size", "8"]) == 0
    assert "mu: Conv2d            (1, 4, 2, 2)                             272" in capsys.readouterr().out, "4 (64 + 3) + 4"


def test_summaries(tmp_path, capsys):
    assert main(["summary", "cnn"]) == 0
    assert "mult-adds:   6,047,488" in capsys.readouterr().out
    assert main(["summary", "vae", "--data", "digits"]) == 0
    assert main(["summary", "conv-lstm", "--data", "moving-digits"]) == 0
    assert "ConvLSTMCell" in capsys.readouterr().out
    assert main(["summary", "conv-lstm"]) == 1
    assert "'mnist' does not hold films (T, C, H, W)" in error_of(capsys)
    assert main(["summary", "vae", "--data", "digits"]) == 0
    assert "((1, 1, 28, 28), (1, 20), (1, 20))" in capsys.readouterr().out, "the size that train would use"
    train(tmp_path / "run", "--quiet")
    capsys.readouterr()
    assert main(["summary", str(tmp_path / "run")]) == 0
    assert "(1, 32, 8, 8)" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_leaves_in_order(tmp_path, signum, status):
    folder = tmp_path / "run"
    args = ["train", "cnn", "--data", "digits", "--out", str(folder), "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nnscratch", *args, "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (folder / "metrics.csv").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    advice = f"the run is saved, continue it with: nnscratch train cnn --out {folder} --resume"
    assert err == f"nnscratch: stopped by {signal.Signals(signum).name}; {advice}\n"
    latest = Run(folder).latest()
    assert latest is not None
    done = latest.state["epoch"]
    again = run_cli(*args[:-1], "--resume", "--epochs", done + 1)
    assert again.returncode == 0, again.stderr
    assert f"continuing at step {latest.step}" in again.stdout


def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(tmp_path):
    """A limit on the size of files stands in for the full disk."""
    resource = pytest.importorskip("resource")
    folder = tmp_path / "run"
    args = ("train", "vae", "--data", "digits", "--size", "8", "--limit", "100", "--out", folder, "--quiet")
    assert run_cli(*args, "--epochs", "1").returncode == 0
    limited = run_cli(
        *args, "--resume", "--epochs", "2", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    )
    assert limited.returncode == 1
    assert re.fullmatch(r"nnscratch: error: could not write .*; the checkpoint of step 4 is still usable\n", limited.stderr)
    assert run_cli(*args, "--resume", "--epochs", "2").returncode == 0


def test_demo(tmp_path, capsys, monkeypatch):
    from nnscratch.training import tasks

    for task in tasks.TASKS.values():
        monkeypatch.setattr(task, "small_set", {**task.small_set, "epochs": 1})
    for _ in range(2):  # a second demo replaces the first
        assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    for name in ("cnn/curves.png", "cnn/predictions.png", "cnn/confusion.png", "vae/reconstructions.png", "vae/samples.png"):
        assert os.path.getsize(tmp_path / "demo" / name) > 0
        assert name in out


def test_the_defaults_learn(tmp_path):
    """What the first commands of a new user reach: digits read, and digits drawn better than their average picture."""

    def last(folder):
        header, *rows = (folder / "metrics.csv").read_text().splitlines()
        return dict(zip(header.split(","), map(float, rows[-1].split(","))))

    accuracies = []  # of 300 images, so a seed more or less is worth a percent: the mean of three
    for seed in ("0", "1", "2"):
        folder = tmp_path / f"cnn{seed}"
        assert main(["train", "cnn", "--data", "digits", "--out", str(folder), "--quiet", "--seed", seed]) == 0
        accuracies.append(last(folder)["test_accuracy"])
    assert sum(accuracies) / 3 > 0.97
    assert main(["train", "vae", "--data", "digits", "--out", str(tmp_path / "vae"), "--quiet", "--epochs", "4"]) == 0
    images = Digits(train=False, size=28).images
    mean = np.clip(Digits(train=True, size=28).images.mean(0), 1e-6, 1 - 1e-6)
    average = -(images * np.log(mean) + (1 - images) * np.log(1 - mean)).sum((1, 2, 3)).mean()
    row = last(tmp_path / "vae")
    assert row["test_loss"] < average - 30
    assert row["test_kl"] > 5
