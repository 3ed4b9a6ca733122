"""Pictures from files and into files: pixels and transparency, at any size; Pillow is imported when used."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.folder import has_alpha, open_picture, over_white
from ..data.resample import resize
from ..serialization import atomic_write
from ..viz import to_uint8

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_OPTIONS: dict[str, dict[str, Any]] = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True, "exact": True}}


@dataclass(frozen=True)
class Picture:
    """`pixels`: uint8 (C, H, W), C = 1 (grey) or 3 (RGB); `alpha`: uint8 (H, W), or None for an opaque picture."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def values(self) -> np.ndarray:
        """The pixels as float32 in 0..1."""
        return self.pixels.astype(np.float32) / 255

    def edited(self, values: Any) -> Picture:
        """The picture with new pixels (C, H, W), uint8 or in 0..1, and its transparency, scaled where the size is another."""
        pixels = to_uint8(values)
        if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
            raise ValueError(f"expected pixels (1 or 3, H, W), got shape {pixels.shape}")
        alpha = self.alpha if self.alpha is None else resize(self.alpha, (pixels.shape[1], pixels.shape[2]))
        return replace(self, pixels=pixels, alpha=alpha)


def read_picture(path: str | os.PathLike) -> Picture:
    """The picture in a file, upright (EXIF orientation applied): grey stays grey, everything else becomes RGB.

    Transparency is kept apart as `alpha`; what a wholly transparent pixel hides is replaced by white, so that no edit drags it
    into sight. Palettes, CMYK and 16-bit grey are converted; colours are taken as sRGB, colour profiles are not applied. Nothing
    but the pixels is read: EXIF, GPS places and comments stay behind. Raises DataError as `nnscratch.data.read_image` does: for
    files that are missing, empty, damaged, no picture, or larger than Pillow's limit.
    """
    with open_picture(path) as image:
        if not has_alpha(image):
            plain = over_white(image)
            pixels = np.array(plain.convert("L" if plain.mode in ("1", "L") else "RGB"), dtype=np.uint8)
            return Picture(_channels_first(pixels))
        grey = image.mode in ("L", "LA", "La", "1")
        pixels = np.array(image.convert("RGBA"), dtype=np.uint8)
    alpha, colours = pixels[..., 3], np.where(pixels[..., 3:] == 0, np.uint8(255), pixels[..., :3])
    return Picture(_channels_first(colours[..., :1] if grey else colours), np.ascontiguousarray(alpha))


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def encode(picture: Picture, suffix: str) -> bytes:
    """The bytes of a PNG, JPEG or WebP file (by `suffix`): pixels and transparency, no metadata.

    PNG and WebP lose nothing; JPEG has quality 95 and cannot be transparent: the picture is laid over white, with a warning.
    """
    from PIL import Image

    if suffix.lower() not in FORMATS:
        raise ValueError(f"cannot write {suffix or 'a file without a suffix'!r}: expected one of {', '.join(FORMATS)}")
    kind = FORMATS[suffix.lower()]
    image = Image.fromarray(_channels_last(picture.pixels))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
        if kind == "JPEG":
            warnings.warn("JPEG has no transparency: the picture is laid over white", stacklevel=2)
            image = over_white(image).convert("L" if len(picture.pixels) == 1 else "RGB")
    if kind == "WEBP" and max(image.size) > 16_383:
        raise ValueError(f"WebP holds at most 16383 pixels a side, the picture has {image.width}x{image.height}: choose png")
    data = io.BytesIO()
    image.save(data, kind, **_OPTIONS[kind])
    return data.getvalue()


def _channels_last(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def write_picture(picture: Picture, path: str | os.PathLike) -> Path:
    """Write a picture, wholly or not at all, in the format that the name says. Raises ValueError for other formats, OSError."""
    path = Path(path)
    data = encode(picture, path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, data)
    return path


def strip(pictures: Sequence[Picture], height: int | None = None, gap: int = 4) -> Picture:
    """Pictures side by side on white, brought to one height (the largest by default): before and after at a glance.

    Transparent places show a light checkerboard.
    """
    if not pictures:
        raise ValueError("strip: there are no pictures")
    height = height or max(p.size[0] for p in pictures)
    panels = [_at_height(_opaque(p), height) for p in pictures]
    space = np.full((3, height, gap), 255, np.uint8)
    parts = [part for panel in panels for part in (space, panel)][1:]
    return Picture(np.concatenate(parts, axis=2))


def _opaque(picture: Picture) -> np.ndarray:
    pixels = np.broadcast_to(picture.pixels, (3, *picture.size))
    if picture.alpha is None:
        return pixels
    rows, columns = np.indices(picture.size) // 8
    board = np.where((rows + columns) % 2, 255.0, 216.0)
    share = picture.alpha / 255
    return np.rint(share * pixels + (1 - share) * board).astype(np.uint8)


def _at_height(pixels: np.ndarray, height: int) -> np.ndarray:
    """Whole multiples repeat pixels, so that small pictures stay crisp; other sizes are interpolated."""
    h, w = pixels.shape[1:]
    if height % h == 0:
        return pixels.repeat(height // h, 1).repeat(height // h, 2)
    return resize(pixels, (height, max(1, round(w * height / h))))


def destinations(paths: Sequence[Path], folder: Path, ending: str, form: str | None = None) -> list[Path]:
    """Where the results for the pictures in `paths` go: folder/NAME-ending.FORMAT, numbered where names coincide.

    The format is `form`, else that of the picture itself, or PNG for those that are only read (GIF, TIFF, ...). None of the
    results takes the name of one of the pictures.
    """
    taken, found = {path.resolve() for path in paths}, []
    for path in paths:
        suffix = f".{form}" if form else path.suffix.lower() if path.suffix.lower() in FORMATS else ".png"
        target, count = folder / f"{path.stem}-{ending}{suffix}", 1
        while target.resolve() in taken:
            count += 1
            target = folder / f"{path.stem}-{ending}-{count}{suffix}"
        taken.add(target.resolve())
        found.append(target)
    return found
