import struct
import warnings
import zlib

import numpy as np
import pytest

from nnscratch.data import DataError, DataLoader, ImageFolder, Subset, load, read_image

Image = pytest.importorskip("PIL.Image")


def picture(h=6, w=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3)).astype(np.uint8)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_rgb_and_grey(tmp_path):
    pixels = picture()
    path = save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(path), pixels.transpose(2, 0, 1))
    grey = read_image(path, mode="L")
    assert grey.shape == (1, 6, 8)
    np.testing.assert_allclose(grey[0], pixels @ [0.299, 0.587, 0.114], atol=1)
    one = save(tmp_path / "b.png", pixels[..., 0])
    np.testing.assert_array_equal(read_image(one), np.repeat(pixels[None, ..., 0], 3, axis=0))
    with pytest.raises(ValueError, match="mode"):
        read_image(path, mode="CMYK")


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0], rgba[0, 1], rgba[1, 0] = (10, 20, 30, 255), (200, 0, 0, 0), (0, 0, 0, 51)
    read = read_image(save(tmp_path / "a.png", rgba))
    np.testing.assert_array_equal(read[:, 0, 0], [10, 20, 30])
    np.testing.assert_array_equal(read[:, 0, 1], [255, 255, 255])
    np.testing.assert_array_equal(read[:, 1, 0], [204, 204, 204])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    read = read_image(save(tmp_path / "b.png", palette.copy()))
    np.testing.assert_array_equal(read[:, 0], [[255, 0], [0, 0], [0, 255]])
    read = read_image(save(tmp_path / "c.png", palette, transparency=1))
    np.testing.assert_array_equal(read[:, 0], [[255, 255], [0, 255], [0, 255]])


def test_cmyk_and_16_bit_grey(tmp_path):
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    read = read_image(save(tmp_path / "a.jpg", cmyk, quality=100))
    np.testing.assert_allclose(read[:, 4, 4], [255, 0, 0], atol=4)
    deep = np.array([[0, 128 * 257, 65535]], np.uint16)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", deep), mode="L")[0], [[0, 128, 255]])
    with pytest.raises(DataError, match="floating-point"):
        read_image(save(tmp_path / "c.tiff", np.zeros((2, 2), np.float32)))


def test_orientation_from_exif(tmp_path):
    pixels = picture(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter clockwise
    read = read_image(save(tmp_path / "a.png", pixels, exif=exif))
    np.testing.assert_array_equal(read, np.rot90(pixels, -1).transpose(2, 0, 1))


def test_size_crops_the_middle_and_scales(tmp_path):
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:70, 1], pixels[:, 70:] = 255, 200, 255
    read = read_image(save(tmp_path / "a.png", pixels), size=20)
    assert read.shape == (3, 20, 20)
    assert (read[1, :, 1:-1] == 200).all() and (read[[0, 2], :, 1:-1] == 0).all()
    scaled = Image.fromarray(pixels).resize((50, 20), Image.Resampling.BILINEAR).crop((15, 0, 35, 20))
    np.testing.assert_allclose(read, np.asarray(scaled).transpose(2, 0, 1), atol=1)
    assert read_image(tmp_path / "a.png", size=(10, 30)).shape == (3, 10, 30)
    strip = save(tmp_path / "strip.png", np.full((1, 20_000, 3), 7, np.uint8))
    np.testing.assert_array_equal(read_image(strip, size=64), np.full((3, 64, 64), 7))


def png_header(width, height):
    """A PNG file that declares a size and has hardly any pixels."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(bytes(100))}
    parts = (struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bad_files(folder):
    """Files that must not be read, with the fault each error names."""
    good = save(folder / "good.png", picture(64, 64)).read_bytes()
    jpeg = save(folder / "good.jpg", picture(64, 64)).read_bytes()
    (folder / "good.png").unlink(), (folder / "good.jpg").unlink()
    files = {
        "empty.png": (b"", "empty file"),
        "text.png": (b"hello, world", "cannot be read as a picture"),
        "cut.png": (good[: len(good) // 2], "cannot be read as a picture"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cannot be read as a picture"),
        "huge.png": (png_header(12_000, 12_000), "pixels"),
        "bomb.png": (png_header(60_000, 60_000), "pixels"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot be read as a picture"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: fault for name, (_, fault) in files.items()}


@pytest.mark.parametrize("about_size", ["ignore", "error"])  # what becomes of Pillow's own warning
def test_bad_pictures(tmp_path, about_size):
    for name, fault in bad_files(tmp_path).items():
        with warnings.catch_warnings(), pytest.raises(DataError, match=fault) as caught:
            warnings.simplefilter(about_size)
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(DataError, match=r"none\.png"):
        read_image(tmp_path / "none.png")


def test_class_per_subfolder(tmp_path):
    expected = []
    for label, name in enumerate(["cats", "dogs"]):
        for k in range(3):
            pixels = picture(seed=10 * label + k)
            save(tmp_path / name / f"{k}.png", pixels)
            expected.append(pixels.transpose(2, 0, 1))
    (tmp_path / "cats" / "notes.txt").write_text("not a picture")
    (tmp_path / "empty").mkdir()
    for lazy in (False, True):
        folder = ImageFolder(tmp_path, lazy=lazy)
        assert folder.classes == ("cats", "dogs") and folder.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert [p.name for p in folder.paths] == ["0.png", "1.png", "2.png"] * 2
        image, label = folder[4]
        np.testing.assert_allclose(image, expected[4] / 255, rtol=1e-6)
        assert label == 1
        x, y = folder.batch([5, 0])
        np.testing.assert_array_equal(x[1], folder[0][0])
        assert y.tolist() == [1, 0] and folder.images.shape == (6, 3, 6, 8)
    x, _ = next(iter(DataLoader(ImageFolder(tmp_path, size=4, mode="L", lazy=True), batch_size=6, prefetch=1)))
    assert np.asarray(x).shape == (6, 1, 4, 4)


def test_flat_folder_and_mixed_sizes(tmp_path):
    save(tmp_path / "a.png", picture(6, 8))
    save(tmp_path / "b.png", picture(8, 6))
    with pytest.raises(DataError, match=r"b\.png: 6x8 pixels, but a\.png has 8x6; give a size \(size=, --size\)"):
        ImageFolder(tmp_path)
    with pytest.raises(DataError, match="give a size"):
        ImageFolder(tmp_path, lazy=True).batch([0, 1])
    folder = ImageFolder(tmp_path, size=5)
    assert folder.data.shape == (2, 3, 5, 5) and folder.labels.tolist() == [0, 0] and len(folder.classes) == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_skipping_bad_files_warns_once(tmp_path, lazy):
    bad = {name: fault for name, fault in bad_files(tmp_path).items() if name != "huge.png"}
    (tmp_path / "huge.png").unlink()
    save(tmp_path / "fine.png", picture(9, 9))
    with pytest.raises(DataError):
        ImageFolder(tmp_path, size=8)
    with pytest.warns(UserWarning, match=f"left out {len(bad)} of {len(bad) + 1} pictures") as caught:
        folder = ImageFolder(tmp_path, size=8, on_error="skip", lazy=lazy)
    assert len(caught) == 1 and [p.name for p in folder.paths] == ["fine.png"] and len(folder) == 1
    (tmp_path / "fine.png").unlink()
    with pytest.raises(DataError, match="none of 6 pictures"):
        ImageFolder(tmp_path, size=8, on_error="skip")


def test_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(DataError, match="no pictures found"):
        ImageFolder(tmp_path)
    save(tmp_path / "a.png", picture())
    save(tmp_path / "cats" / "a.png", picture())
    with pytest.raises(DataError, match="both pictures and subfolders"):
        ImageFolder(tmp_path)
    with pytest.raises(ValueError, match="on_error"):
        ImageFolder(tmp_path, on_error="ignore")


def test_more_than_fits_in_memory(tmp_path):
    save(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match="lazy=True"):
        ImageFolder(tmp_path, size=100_000)


def test_load_folder_splits_or_uses_the_given_parts(tmp_path):
    for name in ("x", "y"):
        for k in range(10):
            save(tmp_path / "whole" / name / f"{k}.png", picture(seed=k))
    train, test = (load(f"folder:{tmp_path / 'whole'}", train, size=4) for train in (True, False))
    assert isinstance(train, Subset) and (len(train), len(test)) == (18, 2) and train.classes == ("x", "y")
    assert not set(train.indices.tolist()) & set(test.indices.tolist())
    assert sorted(int(test[k][1]) for k in range(2)) == [0, 1]
    save(tmp_path / "parts" / "train" / "a.png", picture())
    save(tmp_path / "parts" / "test" / "b.png", picture())
    assert load(f"folder:{tmp_path / 'parts'}").paths[0].name == "a.png"
    assert load(f"folder:{tmp_path / 'parts'}", train=False).paths[0].name == "b.png"
