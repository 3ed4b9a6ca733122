"""edit, explain, anonymize, generate and runs as a stranger meets them: an own folder of all kinds of files, and wrong runs."""

import errno
import os
import shutil
import struct
import sys
import zlib

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models, viz
from nnscratch.cli import main
from nnscratch.data import SHAPES
from nnscratch.data.dataset import gather
from nnscratch.editing import read_picture
from nnscratch.training import Run
from nnscratch.training.recipe import load_data
from nnscratch.training.tasks import TASKS

Image = pytest.importorskip("PIL.Image")

TRAINING = {"seed": 0, "augment": False, "save_every": None, "patience": None, "clip_norm": None, "ema": None}
TRAINING |= {"epochs": 1, "batch_size": 8, "lr": 1e-3}


def make_run(folder, task, options, model_config, data="shapes"):
    """A run directory as training leaves it, with weights that were never trained."""
    nns.manual_seed(0)
    run = Run(folder)
    chosen = TASKS[task](**options).chosen
    data = {"name": data, "size": 8 if data == "digits" else 16, "limit": 60, "skip_bad": False}
    run.create({"task": task, "options": chosen, "data": data, "model": model_config, "training": TRAINING})
    run.save(3, {"model": models.build(task, model_config).state_dict()}, {})
    run.write_metrics([{"epoch": 1, "train_loss": 2.0, "test_loss": 1.0}])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    cnn = {"in_channels": 3, "image_size": [16, 16], "classes": 6, "channels": [4, 4, 4], "pools": 1, "hidden": 8}
    make_run(root / "cnn", "cnn", {}, cnn)
    for purpose in ("denoise", "enhance", "inpaint", "colourise"):
        config = {"channels": 3, "image_size": [16, 16], "purpose": purpose, "widths": [4, 8]}
        make_run(root / purpose, "autoencoder", {"purpose": purpose}, config)
    make_run(root / "vae", "vae", {}, {"image_shape": [3, 16, 16], "hidden": 8, "latent": 3})
    make_run(root / "cvae", "vae", {"conditional": True}, {"image_shape": [3, 16, 16], "hidden": 8, "latent": 3, "classes": 6})
    make_run(root / "gan", "gan", {}, {"image_shape": [3, 16, 16], "latent": 4, "hidden": 8})
    make_run(root / "films", "conv-lstm", {}, {"channels": 3, "hidden": [4]}, "moving-shapes")
    make_run(root / "rows", "row-lstm", {}, {"image_shape": [1, 8, 8], "hidden": 8, "layers": 1, "row_hidden": 8}, "digits")
    return root


def huge_png(side):
    chunks = {b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(bytes(100))}
    parts = (struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


GOOD = {"ink.jpg": (21, 17), "grey.jpg": (9, 30), "large.jpg": (90, 70), "palette.png": (20, 20), "round.png": (18, 26)}
GOOD |= {"turned.jpg": (12, 24)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A stranger's folder: (height, width) as shown are in GOOD; three files cannot be read."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)

    def colour(h, w):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        return coarse.resize((w, h), Image.Resampling.BICUBIC)

    colour(21, 17).convert("CMYK").save(root / "ink.jpg")
    colour(9, 30).convert("L").save(root / "grey.jpg")
    colour(90, 70).save(root / "large.jpg")
    colour(20, 20).quantize(16).save(root / "palette.png")
    clear = np.dstack([np.asarray(colour(18, 26)), rng.integers(0, 256, (18, 26), np.uint8)])
    Image.fromarray(clear).save(root / "round.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    colour(24, 12).save(root / "turned.jpg", exif=exif)
    whole = (root / "large.jpg").read_bytes()
    (root / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "empty.jpg").write_bytes(b"")
    (root / "huge.png").write_bytes(huge_png(30_000))
    (root / "notes.txt").write_text("not a picture")
    return root


def call(*args):
    return main([str(a) for a in args])


def error_of(capsys):
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nnscratch: error: "), captured.err
    return lines[0]


def check_folder(photos, out, ending, capsys, factor=1):
    """Every good picture has a result of its size, its format and its transparency, and the bad ones are named."""
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 4 and all(line.startswith("nnscratch: error: ") for line in err)
    for name, fault in (("broken.jpg", "cannot be read as a picture"), ("empty.jpg", "empty file"), ("huge.png", "pixels")):
        assert any(str(photos / name) in line and fault in line for line in err), name
    assert err[-1].endswith("3 of 9 pictures were left out")
    for name, (h, w) in GOOD.items():
        stem, suffix = name.split(".")
        picture = read_picture(out / f"{stem}-{ending}.{suffix}")
        assert picture.size == (h * factor, w * factor), name
        assert (picture.alpha is not None) == (name == "round.png")
        with Image.open(out / f"{stem}-{ending}.{suffix}") as file:
            assert not file.getexif()
    assert not list(out.glob(".*")), "nothing half-written is left"


@pytest.mark.parametrize("op", ["denoise", "enhance", "colourise", "inpaint"])
def test_a_folder_of_all_kinds_of_files_is_edited(runs, photos, tmp_path, capsys, op):
    more, factor = ["--mask", "centre"] if op == "inpaint" else [], 2 if op == "enhance" else 1
    assert call("edit", runs / op, op, photos, "--out", tmp_path / "out", *more) == 1
    check_folder(photos, tmp_path / "out", op, capsys, factor)
    alpha = read_picture(photos / "round.png").alpha
    edited = read_picture(tmp_path / "out" / f"round-{op}.png")
    if factor == 1:
        np.testing.assert_array_equal(edited.alpha, alpha)
    strip = read_picture(tmp_path / "out" / f"large-{op}-strip.png")
    panels = 3 if op == "inpaint" else 2
    assert strip.size == (90 * factor, 70 * factor * panels + 4 * (panels - 1))
    if op == "inpaint":
        before = read_picture(photos / "palette.png").pixels
        after = read_picture(tmp_path / "out" / "palette-inpaint.png").pixels
        inside = np.zeros((20, 20), bool)
        inside[5:15, 5:15] = True
        np.testing.assert_array_equal(after[:, ~inside], before[:, ~inside])
        assert (after[:, inside] != before[:, inside]).mean() > 0.9


def test_masks_from_files_and_at_random(runs, photos, tmp_path, capsys):
    light = np.zeros((20, 20), np.uint8)
    light[2:4, 3:9] = 255
    Image.fromarray(light).save(tmp_path / "hole.png")
    palette = photos / "palette.png"
    assert call("edit", runs / "inpaint", "inpaint", palette, "--mask", tmp_path / "hole.png", "--out", tmp_path) == 0
    before, after = read_picture(palette).pixels, read_picture(tmp_path / "palette-inpaint.png").pixels
    assert ((before != after).any(0) <= (light > 0)).all() and (before != after).any()
    assert (
        call("edit", runs / "inpaint", "inpaint", photos / "large.jpg", "--mask", tmp_path / "hole.png", "--out", tmp_path) == 1
    )
    assert "the mask is 20x20 pixels, the picture 70x90" in error_of(capsys)
    results = []
    for seed in (1, 1, 2):
        call("edit", runs / "inpaint", "inpaint", palette, "--mask", "random", "--seed", seed, "--out", tmp_path)
        results.append(read_picture(tmp_path / "palette-inpaint.png").pixels)
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])


def test_rows_complete_digits(runs, tmp_path):
    pixels = (np.random.default_rng(0).random((8, 8)) > 0.5).astype(np.uint8) * 255
    Image.fromarray(pixels).save(tmp_path / "seven.png")
    assert call("edit", runs / "rows", "inpaint", tmp_path / "seven.png", "--mask", "lower", "--out", tmp_path) == 0
    after = read_picture(tmp_path / "seven-inpaint.png").pixels[0]
    np.testing.assert_array_equal(after[:4], pixels[:4])
    assert set(np.unique(after)) <= {0, 255}


def test_attributes_styles_and_ways_between(runs, photos, tmp_path, capsys):
    pictures = [photos / "large.jpg", photos / "round.png"]
    assert call("edit", runs / "cvae", "attribute", *pictures, "--to", "star", "--out", tmp_path) == 0
    assert call("edit", runs / "cvae", "attribute", *pictures, "--to", "1", "--from", "ring", "--out", tmp_path) == 0
    assert call("edit", runs / "vae", "attribute", *pictures, "--to", "star", "--strength", "2", "--out", tmp_path) == 0
    assert read_picture(tmp_path / "round-attribute.png").size == (18, 26)
    style = ["--style", photos / "palette.png", "--steps", "3", "--side", "32"]
    assert call("edit", runs / "cnn", "style", *pictures, *style, "--format", "webp", "--out", tmp_path) == 0
    assert read_picture(tmp_path / "large-style.webp").size == (90, 70)
    assert call("edit", runs / "vae", "interpolate", *pictures, "--steps", "4", "--gif", "--out", tmp_path) == 0
    with Image.open(tmp_path / "large-round-interpolate.gif") as animation:
        assert animation.n_frames == 8
    assert call("edit", runs / "gan", "interpolate", *pictures, "--way", "linear", "--out", tmp_path) == 0
    assert call("edit", runs / "cvae", "interpolate", pictures[0], "--out", tmp_path) == 2
    assert "at least two pictures" in capsys.readouterr().err
    assert call("edit", runs / "cvae", "attribute", *pictures, "--to", "dog", "--out", tmp_path) == 2
    assert "--to dog: expected one of circle, square, triangle, star, cross, ring, or a number from 0 to 5" in error_of(capsys)


def test_attributes_by_ones_own_examples(runs, photos, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "examples" / name).mkdir(parents=True)
        for k in range(3):
            pixels = rng.integers(0, 100, (20, 20, 3), np.uint8) + (150 if name == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "examples" / name / f"{k}.png")
    args = ["--to", "light", "--from", "dark", "--examples", tmp_path / "examples", "--out", tmp_path]
    assert call("edit", runs / "vae", "attribute", photos / "large.jpg", *args) == 0
    vae = read_picture(tmp_path / "large-attribute.jpg").pixels
    assert call("edit", runs / "cvae", "attribute", photos / "large.jpg", *args) == 0, "the classes of examples are their own"
    assert (read_picture(tmp_path / "large-attribute.jpg").pixels != vae).any()
    capsys.readouterr()
    options = ["--to", "star", "--strength", "2", "--out", tmp_path]
    assert call("edit", runs / "cvae", "attribute", photos / "large.jpg", *options) == 2
    assert "--strength is for ways between --examples, or unconditional runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "op", "more", "says"),
    [
        (
            "cnn",
            "denoise",
            [],
            "cnn; denoise needs a run of: nnscratch train autoencoder --purpose denoise; this run can do: style",
        ),
        ("denoise", "inpaint", ["--mask", "left"], "is a run of autoencoder trained to denoise; inpaint needs a run of"),
        ("vae", "style", ["--style", "x"], "this run can do: inpaint, interpolate, attribute"),
        ("rows", "attribute", ["--to", "1"], "this run can do: inpaint"),
        ("inpaint", "inpaint", [], "inpaint needs --mask"),
        ("inpaint", "inpaint", ["--mask", "top"], "--mask top: expected a picture, white where to fill in, or left, lower, "),
        ("inpaint", "inpaint", ["--mask", "left", "--to", "1"], "--to is for attribute, not for inpaint"),
        ("cvae", "attribute", ["--from", "1"], "attribute needs --to"),
    ],
)
def test_a_wrong_run_says_what_would_work(runs, photos, tmp_path, capsys, run, op, more, says):
    assert call("edit", runs / run, op, photos / "large.jpg", *more, "--out", tmp_path / "out") == 2
    assert says in error_of(capsys)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_system_are_named(runs, photos, tmp_path, capsys):
    shutil.copytree(runs / "denoise", tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed" / "checkpoints")
    shutil.copytree(runs / "cnn" / "checkpoints", tmp_path / "mixed" / "checkpoints")
    assert call("edit", tmp_path / "mixed", "denoise", photos / "large.jpg", "--out", tmp_path / "out") == 1
    error = error_of(capsys)
    assert "step-00000003: these weights do not fit the autoencoder that" in error and len(error) < 600
    assert not (tmp_path / "out").exists()


def test_places_that_are_none(runs, photos, tmp_path, capsys):
    assert call("edit", tmp_path, "denoise", photos / "large.jpg") == 1
    assert "is not a run directory" in error_of(capsys)
    assert call("edit", photos / "large.jpg", "denoise", photos / "large.jpg") == 1
    assert "large.jpg is not a run directory" in error_of(capsys)
    assert call("edit", runs / "denoise", "denoise", photos / "none.jpg", "--out", tmp_path / "out") == 1
    assert "none.jpg: no such file" in error_of(capsys)
    (tmp_path / "bare").mkdir()
    assert call("anonymize", tmp_path / "bare", "--mask", "all") == 1
    assert "no pictures found" in error_of(capsys)
    (tmp_path / "file").write_text("")
    for command in (["edit", runs / "denoise", "denoise"], ["explain", runs / "cnn"], ["anonymize", "--mask", "all"]):
        assert call(*command, photos / "large.jpg", "--out", tmp_path / "file") == 1
        assert str(tmp_path / "file") in error_of(capsys)
    assert call("generate", runs / "vae", "--out", tmp_path / "file" / "deeper") == 1
    assert "file" in error_of(capsys)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(photos, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert call("anonymize", photos / "large.jpg", "--mask", "all", "--out", tmp_path / "locked") == 1
    assert "could not write" in error_of(capsys)


def test_anonymize_a_folder(photos, tmp_path, capsys):
    regions = ["--mask", "10%,10%,30%,40%", "--pixelate", "50%,0,50%,50%", "--blur", "0,60%,50%,40%"]
    assert call("anonymize", photos, *regions, "--out", tmp_path / "out", "--format", "png") == 1
    out = capsys.readouterr().out
    assert f"{photos / 'large.jpg'} -> {tmp_path / 'out' / 'large-anonymized.png'}\n" in out
    before, after = read_picture(photos / "large.jpg").pixels, read_picture(tmp_path / "out" / "large-anonymized.png").pixels
    assert (after[:, 9:45, 7:28] == 0).all()
    np.testing.assert_array_equal(after[:, 46:53], before[:, 46:53])
    assert (after[:, :45, 35:] != before[:, :45, 35:]).mean() > 0.5
    data = (tmp_path / "out" / "turned-anonymized.png").read_bytes()
    assert b"camera" not in data and b"Exif" not in data and b"camera" in (photos / "turned.jpg").read_bytes()


def test_what_is_masked_does_not_leak_through_the_other_methods(tmp_path):
    """Overlapping regions: two pictures that differ under the mask alone give the same files."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
    files = []
    for k in range(2):
        pixels[10:20, 10:20] = rng.integers(0, 256, (10, 10, 3))
        (tmp_path / str(k)).mkdir()
        Image.fromarray(pixels).save(tmp_path / str(k) / "a.png")
        regions = ["--blur", "5,5,30,30", "--mask", "10,10,10,10", "--pixelate", "0,0,20,20"]
        assert call("anonymize", tmp_path / str(k) / "a.png", *regions, "--out", tmp_path / str(k)) == 0
        assert not read_picture(tmp_path / str(k) / "a-anonymized.png").pixels[:, 10:20, 10:20].any()
        files.append((tmp_path / str(k) / "a-anonymized.png").read_bytes())
    assert files[0] == files[1]


def test_a_full_disk(runs, photos, tmp_path, capsys, monkeypatch):
    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nnscratch.serialization.write_synced", full)
    assert call("anonymize", photos / "large.jpg", "--mask", "all", "--out", tmp_path) == 1
    assert f"could not write {tmp_path / 'large-anonymized.jpg'} (No space left on device)" in error_of(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "nothing to hide: give regions"),
        (["--mask", "1,2,3"], "expected X,Y,WIDTH,HEIGHT"),
        (["--blur", "0,0,0,5"], "must be above 0"),
    ],
)
def test_anonymize_asks_for_regions(photos, tmp_path, capsys, more, says):
    assert call("anonymize", photos / "large.jpg", *more, "--out", tmp_path / "out") == 2
    assert says in error_of(capsys)
    assert not (tmp_path / "out").exists()


def test_explain_a_folder(runs, photos, tmp_path, capsys):
    assert call("explain", runs / "cnn", photos, "--out", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert captured.err.count("nnscratch: error: ") == 4
    assert captured.out.count("; explained: ") == 6 and any(f": {name} " in captured.out for name in SHAPES)
    strip = read_picture(tmp_path / "out" / "large-explained.png")
    side = 70 * (224 // 70)
    assert strip.size == (side, 4 * side + 3 * 4)
    panels = [strip.pixels[:, :, k * (side + 4) : k * (side + 4) + side] for k in range(4)]
    assert all((a != b).mean() > 0.2 for i, a in enumerate(panels) for b in panels[:i])
    assert call("explain", runs / "cnn", photos / "grey.jpg", "--target", "ring", "--out", tmp_path) == 0
    assert "; explained: ring" in capsys.readouterr().out
    assert call("explain", runs / "vae", photos / "large.jpg") == 2
    assert "is a run of vae; explain needs a run of a cnn" in error_of(capsys)
    assert call("explain", runs / "cnn", photos / "large.jpg", "--target", "9") == 2
    assert "--target 9: expected one of circle" in error_of(capsys)


def test_generate(runs, tmp_path, capsys):
    assert call("generate", runs / "vae", "-n", "12", "--out", tmp_path / "many") == 0
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == [f"sample-{k:02d}.png" for k in range(12)]
    for seed in (0, 0, 1):
        call("generate", runs / "vae", "-n", "1", "--seed", seed, "--out", tmp_path / f"seed{seed}")
    same, other = (read_picture(tmp_path / f"seed{s}" / "sample-0.png").pixels for s in (0, 1))
    np.testing.assert_array_equal(same, read_picture(tmp_path / "many" / "sample-00.png").pixels)
    assert (same != other).any()
    args = ["--grid", "--gif", "--interpolate", "linear", "--steps", "3", "-n", "4"]
    assert call("generate", runs / "cvae", *args, "--attribute", "star", "--out", tmp_path / "all") == 0
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["interpolations.png", "samples.png", "walk.gif"]
    with Image.open(tmp_path / "all" / "walk.gif") as animation:
        assert animation.n_frames == 12
    assert call("generate", runs / "gan", "-n", "2", "--gif", "--interpolate", "--out", tmp_path / "gan") == 0
    assert sorted(p.name for p in (tmp_path / "gan").iterdir()) == ["interpolations.png", "walk.gif"]
    assert call("generate", runs / "rows", "-n", "2", "--grid", "--out", tmp_path / "rows") == 0
    assert call("generate", runs / "vae", "-n", "2", "--grid") == 0 and (runs / "vae" / "generated" / "samples.png").exists()
    capsys.readouterr()
    for run, more, says in [
        ("cnn", [], "is a run of cnn, which draws no images; a vae or a dcgan does"),
        ("rows", ["--gif"], "has no latent space to walk through"),
        ("vae", ["--attribute", "1"], "--attribute needs a conditional run: nnscratch train vae --conditional"),
        ("vae", ["--steps", "3"], "--steps is for --gif and --interpolate"),
    ]:
        assert call("generate", runs / run, *more, "--out", tmp_path / "none") == 2
        assert says in error_of(capsys)


def test_films_are_continued(runs, tmp_path, capsys):
    test = load_data("moving-shapes", 16, 60)[1]
    assert call("generate", runs / "films", "-n", "7", "--grid", "--gif", "--out", tmp_path) == 0
    sheet = read_picture(tmp_path / "films.png").pixels.transpose(1, 2, 0)
    true = viz.grid(gather(test, np.arange(len(test)))[0].reshape(-1, 3, 16, 16), 20)
    rows = np.split(sheet[:-2], 7)
    films = np.split(true[:-2], len(test))
    half = sheet.shape[1] // 2
    shown = [[k for k, film in enumerate(films) if np.array_equal(film[:, :half], row[:, :half])] for row in rows]
    assert all(len(found) == 1 for found in shown) and len({k for (k,) in shown}) == 7, "seven films, seen to the middle"
    assert not any(np.array_equal(films[k], row) for (k,), row in zip(shown, rows))
    with Image.open(tmp_path / "films.gif") as animation:
        assert animation.n_frames == 20 and animation.size == (2 + 6 * 34, 2 + 4 * 34), (
            "two rows of six films, true and continued"
        )
    before = (tmp_path / "films.gif").read_bytes()
    assert call("generate", runs / "films", "-n", "7", "--seed", "1", "--out", tmp_path) == 0
    assert (tmp_path / "films.gif").read_bytes() != before
    capsys.readouterr()
    assert call("generate", runs / "films", "--interpolate") == 2
    assert "--interpolate is not for a conv-lstm, which continues films" in error_of(capsys)


def test_runs_lists_all_of_them(runs, tmp_path, capsys):
    assert call("runs", runs) == 0
    lines = capsys.readouterr().out.splitlines()
    names = "run cnn colourise cvae denoise enhance films gan inpaint rows vae".split()
    assert [line.split()[0] for line in lines] == names
    assert lines[1].split() == ["cnn", "cnn", "shapes", "1/1", "3", "loss", "1"]
    assert call("runs", tmp_path) == 0 and f"no runs in {tmp_path}" in capsys.readouterr().out
    assert call("runs", tmp_path / "none") == 2 and "no such folder" in error_of(capsys)
