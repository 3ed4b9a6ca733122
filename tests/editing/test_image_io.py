"""Pictures as people have them: every kind of file in, the same pixels out, and clear words about what cannot be read."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from nnscratch.data import DataError
from nnscratch.editing import Picture, read_picture, strip, write_picture
from nnscratch.editing.image_io import destinations, encode

Image = pytest.importorskip("PIL.Image")


def pixels(h=6, w=8, c=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, c), np.uint8)


def chw(array):
    return array.transpose(2, 0, 1)


def test_every_mode_becomes_grey_or_rgb(tmp_path):
    colour = pixels()
    for name, image, expected in [
        ("rgb.png", Image.fromarray(colour), chw(colour)),
        ("grey.png", Image.fromarray(colour[..., 0]), colour[None, ..., 0]),
        ("bits.png", Image.fromarray(colour[..., 0] > 128), np.where(colour[None, ..., 0] > 128, 255, 0)),
        ("deep.png", Image.fromarray(colour[..., 0].astype(np.uint16) * 257), colour[None, ..., 0]),
        ("palette.png", Image.fromarray(colour // 128 * 255).quantize(8), chw(colour // 128 * 255)),
    ]:
        image.save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        np.testing.assert_array_equal(picture.pixels, expected, err_msg=name)
        assert picture.alpha is None and picture.size == (6, 8)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
    np.testing.assert_allclose(read_picture(tmp_path / "ink.jpg").pixels[:, 4, 4], [255, 0, 0], atol=4)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_comes_back_with_its_transparency(tmp_path, suffix, channels):
    alpha = np.full((6, 8), 255, np.uint8)
    alpha[0], alpha[1] = 0, 77
    picture = Picture(np.ascontiguousarray(chw(pixels(c=3))[:channels]), alpha)
    picture.pixels[:, 0] = 255
    read = read_picture(write_picture(picture, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(read.alpha, alpha)
    np.testing.assert_array_equal(
        read.pixels, picture.pixels if suffix == ".png" or channels == 3 else picture.pixels.repeat(3, 0)
    )


def test_a_hidden_colour_is_forgotten(tmp_path):
    rgba = np.dstack([pixels(), np.full((6, 8), 255, np.uint8)])
    rgba[2, 3, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels[:, 2, 3].tolist() == [255, 255, 255] and picture.alpha[2, 3] == 0
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    palette.save(tmp_path / "b.gif", transparency=1)
    picture = read_picture(tmp_path / "b.gif")
    assert picture.pixels[:, 0, 0].tolist() == [255, 0, 0] and picture.alpha.tolist() == [[255, 0]]


def test_orientation_is_applied_and_nothing_else_is_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)  # a place on earth
    Image.fromarray(pixels(4, 6)).save(tmp_path / "a.png", exif=exif)
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, chw(np.rot90(pixels(4, 6), -1)))
    for suffix in (".png", ".jpg", ".webp"):
        with Image.open(write_picture(picture, tmp_path / f"b{suffix}")) as written:
            assert not written.getexif() and written.size == (4, 6)


def huge_png(side):
    """A file that declares side x side pixels and has hardly any."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(bytes(100))}
    parts = (struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("none.png", None, "cannot be read as a picture"),
        ("empty.png", b"", "empty file"),
        ("letter.jpg", b"dear reader", "cannot be read as a picture"),
        ("bomb.png", huge_png(60_000), "pixels"),
        ("large.png", huge_png(12_000), "pixels"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, name, data, fault):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=fault) as caught:
        read_picture(tmp_path / name)
    assert name in str(caught.value)


def test_half_a_picture_is_refused(tmp_path):
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.fromarray(pixels(64, 64)).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="cannot be read as a picture"):
            read_picture(tmp_path / name)


def test_formats_and_places_that_cannot_be_written(tmp_path):
    picture = Picture(np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"cannot write '.gif': expected one of .png"):
        write_picture(picture, tmp_path / "a.gif")
    with pytest.warns(UserWarning, match="laid over white"):
        assert read_picture(write_picture(picture, tmp_path / "a.jpg")).pixels.min() == 255
    with pytest.raises(ValueError, match="WebP holds at most"):
        encode(Picture(np.zeros((1, 2, 20_000), np.uint8)), ".webp")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError):
        write_picture(picture, tmp_path / "file" / "a.png")
    with pytest.raises(OSError, match="could not write"):
        (tmp_path / "folder.png").mkdir()
        write_picture(picture, tmp_path / "folder.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "file", "folder.png"], "nothing half-written is left"


def test_edited_keeps_transparency_at_the_new_size():
    alpha = np.repeat(np.repeat(np.array([[0, 255]], np.uint8), 4, 0), 4, 1)
    picture = Picture(np.zeros((3, 4, 8), np.uint8), alpha)
    twice = picture.edited(np.full((3, 8, 16), 0.5))
    assert twice.pixels.dtype == np.uint8 and (twice.pixels == 128).all()
    assert twice.alpha.shape == (8, 16) and (twice.alpha[:, :7] == 0).all() and (twice.alpha[:, 9:] == 255).all()
    assert picture.edited(picture.values).alpha is alpha
    with pytest.raises(ValueError, match="expected pixels"):
        picture.edited(np.zeros((2, 4, 8)))


def test_strip_puts_all_at_one_height():
    small, large = Picture(np.full((1, 2, 3), 10, np.uint8)), Picture(np.full((3, 4, 5), 200, np.uint8))
    sheet = strip([small, large], gap=1).pixels
    assert sheet.shape == (3, 4, 6 + 1 + 5)
    assert (sheet[:, :, :6] == 10).all() and (sheet[:, :, 6] == 255).all() and (sheet[:, :, 7:] == 200).all()
    clear = Picture(np.zeros((1, 16, 16), np.uint8), np.zeros((16, 16), np.uint8))
    assert set(np.unique(strip([clear]).pixels)) == {216, 255}, "transparent places show a checkerboard"


def test_destinations_never_collide():
    paths = [Path("a/cat.jpg"), Path("b/cat.jpg"), Path("c/dog.TIFF"), Path("out/cat-edit.jpg")]
    found = destinations(paths, Path("out"), "edit")
    assert [str(p) for p in found] == ["out/cat-edit-2.jpg", "out/cat-edit-3.jpg", "out/dog-edit.png", "out/cat-edit-edit.jpg"]
    assert destinations(paths[:1], Path("out"), "x", "webp") == [Path("out/cat-x.webp")]
