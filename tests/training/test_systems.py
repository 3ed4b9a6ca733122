"""Each system has learned after some seconds through the command line: a bound that an untrained or broken one misses."""

import csv
import json
import shutil

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import viz
from nnscratch.cli import main
from nnscratch.data import COLOURS, Digits, MovingShapes, Shapes, render_shapes
from nnscratch.training import Run, metrics
from nnscratch.training.corruption import random_masks
from nnscratch.training.privacy import epsilon
from nnscratch.training.recipe import restore
from nnscratch.training.tasks import TASKS


def train(folder, system, *options, data="digits"):
    assert main(["train", system, "--data", data, "--out", str(folder), "--quiet", *map(str, options)]) == 0
    with open(folder / "metrics.csv") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_the_row_classifier_reads_digits(tmp_path, loss):
    options = ("--hidden", 48, "--epochs", 6, "--lr", 0.006, "--schedule", "cosine", "--loss", loss)
    assert train(tmp_path / "run", "lstm", *options)[-1]["test_accuracy"] > 0.85


def test_the_mse_loss_is_the_brier_score(tmp_path):
    row = train(tmp_path / "run", "cnn", "--limit", 100, "--epochs", 1, "--loss", "mse", "--dropout", 0.1)[0]
    model, _ = restore(Run(tmp_path / "run"))
    x, labels = Digits(train=False).batch(range(100))
    with nns.no_grad():
        p = nns.softmax(model(nns.tensor(x)), 1).numpy()
    assert row["test_loss"] == pytest.approx(((p - np.eye(10)[labels]) ** 2).sum(1).mean(), rel=1e-4)


def test_an_autoencoder_denoises(tmp_path):
    """Better than what it was given, by 4 dB."""
    row = train(tmp_path / "run", "autoencoder", "--purpose", "denoise", "--limit", 300, "--epochs", 3, "--width", 16)[-1]
    noise = -10 * np.log10(0.2**2 / 3)  # the mean square of a level that is uniform on 0..0.2
    assert row["test_plain_psnr"] == pytest.approx(noise, abs=2.5)  # clipped to 0..1, half of it is gone on black
    assert row["test_psnr"] > row["test_plain_psnr"] + 4


def test_an_autoencoder_fills_in(tmp_path):
    """Where a part is missing, the mean of what was seen there in training is the baseline."""
    options = ("--purpose", "inpaint", "--size", 16, "--epochs", 4, "--width", 16, "--lr", 0.004, "--schedule", "linear")
    row = train(tmp_path / "run", "autoencoder", *options)[-1]
    train_images, test = (Digits(train=part, size=16).images for part in (True, False))
    known = np.concatenate([random_masks(n, 16, 16, g) for g in [nns.Generator(0)] for n in (250, 50)])
    filled = np.where(known, test, train_images.mean(0))
    assert row["test_loss"] < 0.9 * metrics.mse(filled, test)
    assert (tmp_path / "run" / "restored.png").stat().st_size > 0


def test_an_autoencoder_finds_what_is_odd(tmp_path):
    """Trained on digits, it scores unseen ones lower than the same grey values elsewhere, which an untrained one cannot tell."""
    row = train(tmp_path / "run", "autoencoder", "--architecture", "dense", "--size", 16, "--epochs", 8)[-1]
    model, _ = restore(Run(tmp_path / "run"))
    known, digits = (Digits(train=part, size=16).images for part in (True, False))
    assert row["test_loss"] < 0.5 * metrics.mse(np.broadcast_to(known.mean(0), digits.shape), digits)
    order = np.random.default_rng(0).permutation(256)
    mixed = digits.reshape(-1, 256)[:, order].reshape(digits.shape)
    with nns.no_grad():
        usual, odd = (model.anomaly_score(nns.tensor(x)).numpy() for x in (digits, mixed))
    assert np.quantile(usual, 0.95) < np.quantile(odd, 0.05)


@pytest.mark.parametrize(("purpose", "epochs", "lr", "gain"), [("enhance", 12, 0.01, 0.5), ("colourise", 6, 0.005, 0.2)])
def test_an_autoencoder_enlarges_and_colours(tmp_path, purpose, epochs, lr, gain):
    """By so many dB better than bicubic enlargement, and than grey: brightness tells little of the colours of shapes."""
    options = ("--purpose", purpose, "--limit", 400, "--epochs", epochs, "--width", 16, "--lr", lr, "--schedule", "cosine")
    row = train(tmp_path / "run", "autoencoder", *options, "--size", 16, data="shapes")[-1]
    assert row["test_psnr"] > row["test_plain_psnr"] + gain


def test_a_map_vae_changes_the_colour_of_a_picture(tmp_path, capsys):
    """Of the same sprite drawn in each colour it is nearest to the one asked for, and near; all through the command line."""
    pytest.importorskip("PIL")
    from nnscratch.editing import read_picture

    run, options = tmp_path / "run", ("--limit", 600, "--size", 16, "--batch-size", 20, "--lr", 0.01)
    row = train(run, "map-vae", "--label", "colour", *options, "--epochs", 16, "--anneal-steps", 100, data="shapes")[-1]
    assert row["test_loss"] == pytest.approx(row["test_reconstruction"] + 0.05 * row["test_kl"])
    assert (run / "edits.png").stat().st_size > 0
    shapes = Shapes(4, seed=1, size=16)  # held out: the first test images
    picture = viz.save_image(shapes.images[3], tmp_path / "shape.png")
    sprite = {name: values[3:4].repeat(len(COLOURS)) for name, values in shapes.attributes.items()}
    truth = render_shapes(**{**sprite, "colour": np.arange(len(COLOURS))}, pixels=16)
    for wanted in {"red", "green", "blue"} - {list(COLOURS)[sprite["colour"][0]]}:
        assert main(["edit", str(run), "attribute", str(picture), "--to", wanted, "--out", str(tmp_path / wanted)]) == 0
        after = read_picture(tmp_path / wanted / "shape-attribute.png").values
        errors = np.square(truth - after).mean((1, 2, 3))
        k = list(COLOURS).index(wanted)
        assert errors.argmin() == k and errors[k] < 0.4 * np.square(truth[k]).mean()
    capsys.readouterr()
    assert main(["evaluate", str(run), "--iwae", "2"]) == 0 and "iwae_nll" in capsys.readouterr().out
    assert main(["generate", str(run), "-n", "3", "--grid", "--attribute", "blue"]) == 0
    assert main(["summary", str(run)]) == 0 and "mu: Conv2d" in capsys.readouterr().out


def test_a_map_vae_without_labels(tmp_path):
    train(tmp_path / "run", "map-vae", "--no-conditional", "--limit", 40, "--epochs", 1, "--size", 8)
    assert restore(Run(tmp_path / "run"))[0].classes == 0 and not (tmp_path / "run" / "edits.png").exists()


def test_a_window_vae_makes_rings_of_circles(tmp_path, capsys):
    """With a hole where the circle has its centre, through the command line; and training can go on."""
    pytest.importorskip("PIL")
    from nnscratch.editing import read_picture

    run, options = tmp_path / "run", ("--limit", 1000, "--size", 16, "--window", 12, "--hidden", 128, "--batch-size", 20)
    options += ("--beta", 1.5, "--annealing", "none", "--lr", 0.004)  # no turns are learned so, but they need none
    numbers = train(run, "window-vae", "--label", "shape", *options, "--epochs", 8, data="shapes")[-1]
    assert numbers["test_loss"] == pytest.approx(numbers["test_reconstruction"] + 1.5 * numbers["test_kl"])
    assert numbers["train_reader_loss"] > 0.5, "not all can be read, of the log 6 = 1.8 of a guess"
    shapes = Shapes(40, seed=1, size=16)
    circles = np.flatnonzero(shapes.attributes["shape"] == 0)[:3]
    names = [str(viz.save_image(shapes.images[k], tmp_path / f"{k}.png")) for k in circles]
    for to, low, high in (("circle", 0.85, 1), ("ring", 0, 0.75)):
        assert main(["edit", str(run), "attribute", *names, "--from", "circle", "--to", to, "--out", str(tmp_path / to)]) == 0
        for k in circles:
            grey = read_picture(tmp_path / to / f"{k}-attribute.png").values.mean(0)
            column, row = (int(shapes.attributes[axis][k] * 16) for axis in "xy")
            assert low <= grey[row, column] / grey.max() <= high
    capsys.readouterr()
    assert main(["train", "window-vae", "--out", str(run), "--resume", "--epochs", "9", "--quiet"]) == 0
    assert main(["summary", str(run)]) == 0 and "mu: Linear" in capsys.readouterr().out


def test_a_window_vae_without_labels(tmp_path):
    options = ("--no-conditional", "--fader", 0, "--limit", 40, "--epochs", 1, "--size", 8)
    train(tmp_path / "run", "window-vae", *options)
    assert restore(Run(tmp_path / "run"))[0].reader is None


def test_a_conditional_vae_draws_what_is_asked_for(tmp_path, capsys):
    options = ("--architecture", "conv", "--conditional", "--binarize", "dynamic", "--size", 16, "--epochs", 8, "--lr", 0.003)
    row = train(tmp_path / "run", "vae", *options, "--annealing", "linear", "--anneal-steps", 200, "--hidden", 64)[-1]
    data = Digits(train=True, size=16)
    mean = np.clip(data.images.mean(0), 1e-3, 1 - 1e-3)
    test = Digits(train=False, size=16).images
    average = -(test * np.log(mean) + (1 - test) * np.log(1 - mean)).sum((1, 2, 3)).mean()
    assert row["test_loss"] < average - 15
    model, _ = restore(Run(tmp_path / "run"))
    with nns.no_grad():
        drawn = model.sample(200, nns.Generator(0), np.arange(200) % 10).numpy()
    centres = np.stack([data.images[data.labels == k].mean(0) for k in range(10)])
    nearest = ((drawn[:, None] - centres) ** 2).sum((2, 3, 4)).argmin(1)
    assert (nearest == np.arange(200) % 10).mean() > 0.7
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--iwae", "20"]) == 0
    lines = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:])
    assert float(lines["loss"]) - 6 < float(lines["iwae_nll"]) < float(lines["loss"]) - 0.1
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "iwae" not in capsys.readouterr().out


def test_importance_weights_train(tmp_path):
    row = train(tmp_path / "run", "vae", "--size", 16, "--importance", 3, "--epochs", 2, "--limit", 500)[-1]
    Image = pytest.importorskip("PIL.Image")
    with Image.open(tmp_path / "run" / "training.gif") as film, Image.open(tmp_path / "run" / "samples.png") as last:
        assert film.n_frames == 2 and film.size == last.size
    assert row["train_loss"] < 150 and row["test_active"] > 0


def test_a_row_lstm_knows_digits_and_completes_them(tmp_path):
    """In nats better than independent pixels by a quarter; and of its completions the own lower half is nearer than another."""
    row = train(
        tmp_path / "run",
        "row-lstm",
        "--binarize",
        "threshold",
        "--hidden",
        64,
        "--epochs",
        10,
        "--lr",
        0.006,
        "--schedule",
        "cosine",
    )[-1]
    ones, test = (Digits(train=part).images > 0.5 for part in (True, False))
    p = np.clip(ones.mean(0), 1e-3, 1 - 1e-3)
    independent = -np.where(test, np.log(p), np.log(1 - p)).sum((1, 2, 3)).mean()
    assert row["test_loss"] < 0.75 * independent
    model, _ = restore(Run(tmp_path / "run"))
    known = np.ones((1, 1, 8, 8), np.float32)
    known[:, :, 4:] = 0
    x = test[:200].astype(np.float32)
    completed = model.complete(nns.tensor(x), nns.tensor(known), nns.Generator(0)).numpy()
    own, other = (np.abs(completed - y).mean() for y in (x, np.roll(x, 1, 0)))
    assert own < 0.75 * other


def test_a_conv_lstm_foresees_motion(tmp_path):
    """Better than expecting the last picture again; on its own, for ten pictures, better than a film that stops, or goes dark."""
    options = ("--size", 16, "--hidden", 24, "--layers", 1, "--reach", 1, "--epochs", 12, "--limit", 96, "--lr", 0.01)
    row = train(tmp_path / "run", "conv-lstm", *options, "--feedback-steps", 72, data="moving-digits")[-1]
    assert row["test_psnr"] > row["test_still_psnr"] + 0.3
    films = MovingShapes(200, seed=1, kind="digits", size=16).data[:96] / 255
    after = films[:, 10:]
    assert row["test_still_psnr"] == pytest.approx(metrics.psnr(films[:, 9:-1], after), abs=0.02)
    stopped = np.broadcast_to(films[:, 9:10], after.shape)
    assert row["test_continued_still_psnr"] == pytest.approx(metrics.psnr(stopped, after), abs=0.02)
    plain = max(metrics.psnr(x, after) for x in (stopped, np.zeros_like(after), np.full_like(after, after.mean())))
    assert row["test_continued_psnr"] > plain + 0.8
    model, _ = restore(Run(tmp_path / "run"))
    with nns.no_grad():
        continued = model.predict(nns.tensor(films[:, :10].astype(np.float32)), 10).numpy()
    assert row["test_continued_psnr"] == pytest.approx(metrics.psnr(continued, after), abs=0.02)
    assert (tmp_path / "run" / "films.gif").read_bytes()[:4] == b"GIF8"


def test_own_pictures_come_in_from_the_end_of_films():
    task = TASKS["conv-lstm"](feedback_steps=100)
    assert [task.seen(20, step) for step in (0, 11, 12, 50, 99, 100, 5000)] == [19, 19, 18, 15, 11, 10, 10]
    assert task.seen(2, 100) == 1 and task.seen(3, 100) == 1 and TASKS["conv-lstm"](feedback=False).seen(20, 100) is None


def test_a_conv_lstm_resumes_with_the_same_bits(tmp_path):
    """Also while its own pictures come in."""
    options = ("--size", 8, "--limit", 24, "--hidden", 4, "--layers", 1, "--epochs", 3, "--feedback-steps", 8)
    train(tmp_path / "whole", "conv-lstm", *options, data="moving-digits")
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    shutil.rmtree(Run(tmp_path / "again").latest().folder)
    train(tmp_path / "again", "conv-lstm", "--resume", data="moving-digits")
    files = [{p.name: p.read_bytes() for p in Run(tmp_path / name).latest().folder.iterdir()} for name in ("whole", "again")]
    assert files[0] == files[1]


def test_resuming_gives_the_same_bits(tmp_path):
    """With everything that changes over a training: annealing, a schedule, random binarisation, averages of weights."""
    options = ("--size", 8, "--limit", 200, "--epochs", 3, "--annealing", "cyclic", "--anneal-steps", 18, "--schedule", "cosine")
    more = ("--binarize", "dynamic", "--ema", 0.9, "--hidden", 16, "--l1", 1e-4, "--weight-decay", 1e-3)
    train(tmp_path / "whole", "vae", *options, *more)
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    checkpoints = Run(tmp_path / "again").checkpoints()
    assert [c.step for c in checkpoints] == [14, 21]
    shutil.rmtree(checkpoints[-1].folder)
    train(tmp_path / "again", "vae", "--resume")
    files = [{p.name: p.read_bytes() for p in Run(tmp_path / name).latest().folder.iterdir()} for name in ("whole", "again")]
    assert files[0] == files[1]
    assert (tmp_path / "whole" / "metrics.csv").read_bytes() == (tmp_path / "again" / "metrics.csv").read_bytes()


def test_weights_shrink_where_asked(tmp_path):
    sizes = {}
    for name, options in {"plain": (), "l1": ("--l1", 0.01), "l2": ("--weight-decay", 0.1)}.items():
        train(tmp_path / name, "cnn", "--limit", 64, "--epochs", 6, *options)
        weights = [p.detach().numpy() for p in restore(Run(tmp_path / name))[0].parameters() if p.ndim > 1]
        sizes[name] = np.mean(np.abs(np.concatenate([w.ravel() for w in weights])))
    assert sizes["l1"] < 0.8 * sizes["plain"] and sizes["l2"] < 0.9 * sizes["plain"]


def test_a_private_run_tells_its_epsilon(tmp_path):
    options = ("--limit", 64, "--epochs", 2, "--hidden", 8, "--private-noise", 1.5, "--batch-size", 16)
    rows = train(tmp_path / "run", "lstm", *options, "--private-clip", 0.5)
    assert [row["epsilon"] for row in rows] == pytest.approx([epsilon(0.25, 1.5, steps, 1e-5) for steps in (4, 8)])


def test_a_run_without_the_newer_options_goes_on(tmp_path):
    train(tmp_path / "run", "cnn", "--limit", 64, "--epochs", 1)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("schedule", "l1", "weight_decay", "private_noise", "private_clip"):
        del config["training"][name]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert len(train(tmp_path / "run", "cnn", "--resume", "--epochs", 2)) == 2


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("vae", ["--importance", "3", "--beta", "2"], "has no KL term"),
        ("vae", ["--fader", "3"], "it needs --conditional"),
        ("vae", ["--binarize", "dynamic", "--likelihood", "gaussian"], "need the bernoulli likelihood"),
        ("vae", ["--architecture", "conv", "--size", "10"], "multiples of 4"),
        ("autoencoder", ["--purpose", "enhance", "--size", "9"], "even sides, got 9x9; choose a --size"),
        ("autoencoder", ["--purpose", "colourise"], "need 3 channels, these have 1"),
        ("autoencoder", ["--architecture", "dense", "--purpose", "inpaint"], "cannot inpaint"),
        ("conv-lstm", [], "'digits' does not hold films (T, C, H, W) but samples of shape ((1, 8, 8), ())"),
        ("conv-lstm", ["--kernel-size", "4"], "must be odd, got 4"),
        ("conv-lstm", ["--data", "moving-digits", "--size", "10"], "multiples of 4 (--size, --patch), got 20 of 10x10"),
        ("lstm", ["--private-noise", "1", "--batch-size", "8"], "a batch size from 16"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, capsys, system, options, message):
    assert main(["train", system, "--data", "digits", "--out", str(tmp_path / "run"), *options]) == 1
    assert message in capsys.readouterr().err


def test_only_a_vae_has_an_importance_bound(tmp_path, capsys):
    train(tmp_path / "run", "lstm", "--limit", 64, "--epochs", 1, "--hidden", 4)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--iwae", "5"]) == 1
    captured = capsys.readouterr()
    assert "a lstm has no latent code" in captured.err and not captured.out
