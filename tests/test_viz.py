"""Pictures: the arrays exactly, the files by reading them back."""

import errno

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import viz

Image = pytest.importorskip("PIL.Image")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_grid_places_every_image():
    images = np.stack([np.full((1, 2, 3), k / 10) for k in range(5)])
    sheet = viz.grid(images, columns=2, padding=1, zoom=2)
    assert sheet.shape == (1 + 3 * (4 + 1), 1 + 2 * (6 + 1), 3)
    for k in range(5):
        top, left = 1 + (k // 2) * 5, 1 + (k % 2) * 7
        assert (sheet[top : top + 4, left : left + 6] == round(k / 10 * 255)).all()
    assert (sheet[11:15, 8:14] == 255).all(), "the empty place is white"
    assert (sheet[0] == 255).all() and (sheet[:, 0] == 255).all()


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 1, 8, 8), (4, 3, 8, 8)])
def test_grid_takes_grey_and_colour(shape):
    sheet = viz.grid(nns.tensor(np.random.default_rng(0).random(shape)))
    assert sheet.shape == (2 + 2 * 58, 2 + 2 * 58, 3) and sheet.dtype == np.uint8


def test_values_are_clipped_and_rounded():
    assert viz.to_uint8(np.array([-1.0, 0.0, 0.5, 1.0, 7.0, np.nan])).tolist() == [0, 0, 128, 255, 255, 0]


@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6), (5, 6, 1), (3, 5, 6), (5, 6, 3)])
def test_images_come_back(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = image.transpose(1, 2, 0) if shape[0] in (1, 3) and len(shape) == 3 else image
    assert np.array_equal(read(viz.save_image(image, tmp_path / "a.png")), expected.squeeze())


def test_pictures_are_read_in_colour(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(viz.read_image(viz.save_image(image, tmp_path / "a.png")), image)
    grey = viz.read_image(viz.save_image(image[..., 0], tmp_path / "b.png"))
    np.testing.assert_array_equal(grey, np.repeat(image[..., :1], 3, axis=2))


def test_gif_has_all_frames(tmp_path):
    frames = np.linspace(0, 1, 4)[:, None, None, None] * np.ones((4, 1, 6, 5))
    with Image.open(viz.save_gif(frames, tmp_path / "a.gif", fps=10)) as animation:
        assert (animation.n_frames, animation.size, animation.info["duration"]) == (4, (5, 6), 100)


def test_figures_are_written(tmp_path):
    history = [{"epoch": e, "train_loss": 1 / e, "test_loss": 2 / e, "test_f1": 0.5} for e in (1, 2, 3)]
    curves = read(viz.save_curves(history, tmp_path / "curves.png"))
    confusion = read(viz.save_confusion(np.eye(3, dtype=int) * 5, ["cat", "dog", "a horse"], tmp_path / "confusion.png"))
    captioned = read(
        viz.save_captioned(np.zeros((3, 3, 8, 8)), ["a", "b", "c"], tmp_path / "c.png", columns=2, marks=["red"] * 3, title="t")
    )
    for picture in (curves, confusion, captioned):
        assert picture.shape[0] > 200 and picture.shape[1] > 200
        assert 0 < (picture[..., :3] != 255).any(-1).mean() < 0.9, "neither empty nor black"


def test_any_name_can_be_drawn(tmp_path):
    """Names of folders: not formulas, and in scripts that the font lacks."""
    names = ["5 $^{ to $9", "\u65e5\u672c \u732b"]
    viz.save_confusion(np.eye(2, dtype=int), names, tmp_path / "a.png")
    viz.save_captioned(np.zeros((2, 1, 8, 8)), [f"{name}\n(true: {name})" for name in names], tmp_path / "b.png")
    assert read(tmp_path / "a.png").size and read(tmp_path / "b.png").size


def test_one_epoch_and_test_only_quantities_can_be_drawn(tmp_path):
    viz.save_curves([{"epoch": 1, "test_accuracy": 0.5}], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["image", "animation", "figure"])
def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch, kind):
    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    draw = {
        "image": lambda path: viz.save_image(np.zeros((4, 4)), path),
        "animation": lambda path: viz.save_gif(np.zeros((2, 1, 4, 4)), path),
        "figure": lambda path: viz.save_bars(np.ones(3), path, "x", "y"),
    }[kind]
    path = draw(tmp_path / f"a.{'gif' if kind == 'animation' else 'png'}")
    before = path.read_bytes()
    monkeypatch.setattr("nnscratch.serialization.write_synced", full)
    with pytest.raises(OSError, match="could not write .*a.* .No space left on device"):
        draw(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_wrong_input(tmp_path):
    for call, message in [
        (lambda: viz.save_image(np.zeros((4, 4)), tmp_path / "a"), "the name must say a picture's format"),
        (lambda: viz.grid(np.zeros((2, 5, 4, 4))), "1 or 3"),
        (lambda: viz.grid(np.zeros((0, 1, 4, 4))), "no images"),
        (lambda: viz.save_curves([{"epoch": 1}], tmp_path / "a.png"), "no 'train_"),
        (lambda: viz.save_confusion(np.eye(3), ["a"], tmp_path / "a.png"), "as many names"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
