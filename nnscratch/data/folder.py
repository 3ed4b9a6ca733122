"""ImageFolder: the user's own pictures, one class per subfolder or all in one folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import stack
from .files import DataError
from .images import ImageSet
from .resample import size_pair

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# Only these decoders may run: Pillow has others that start external programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_MAX_FILE = 1 << 28
_MAX_MEMORY = 1 << 32


@contextmanager
def open_picture(path: str | os.PathLike) -> Iterator[Any]:
    """`with open_picture(path) as image:` the Pillow image in a file, upright (EXIF orientation applied).

    Of an animation it is the first frame. Raises DataError, naming file and fault, for an empty or damaged file, one that is no
    picture, and one of more pixels than Pillow's limit (`PIL.Image.MAX_IMAGE_PIXELS`); so too for what goes wrong with the image
    inside the block.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    try:
        stored = path.stat().st_size
        if not 0 < stored <= _MAX_FILE:
            raise DataError(f"{path}: {'empty file' if stored == 0 else f'{stored} bytes, more than {_MAX_FILE}'}")
        with Image.open(path, formats=_FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise DataError(f"{path}: {image.width}x{image.height} pixels, more than the limit of {limit}")
            yield ImageOps.exif_transpose(image)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as fault:
        raise DataError(f"{path}: too many pixels: {fault}") from None
    except Exception as fault:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, KeyError, ...
        raise DataError(f"{path}: cannot be read as a picture: {fault}") from fault


def read_image(path: str | os.PathLike, size: int | tuple[int, int] | None = None, mode: str = "RGB") -> np.ndarray:
    """The picture in a file as uint8 (3, H, W), or (1, H, W) with mode 'L'.

    EXIF orientation is applied; transparency is laid over white; CMYK, palettes and 16-bit grey are converted; of an
    animation the first frame counts. `size`: the largest centred part with the proportions of `size` is scaled to it
    (for a square: short side scaled, then a centre crop). Raises DataError as `open_picture` does.
    """
    if mode not in ("RGB", "L"):
        raise ValueError(f"mode: expected 'RGB' or 'L', got {mode!r}")
    with open_picture(path) as image:
        upright = over_white(image).convert(mode)
        if size is not None:
            upright = _fit(upright, *size_pair(size))
        pixels = np.array(upright, dtype=np.uint8)
    return pixels[None] if mode == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def has_alpha(image: Any) -> bool:
    """Whether a Pillow image has transparency: a channel, or a colour of its palette."""
    return image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info


def over_white(image: Any) -> Any:
    """A Pillow image with its transparency laid over white, and of 8 bits. Raises ValueError for floating-point pixels."""
    from PIL import Image

    if has_alpha(image):
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode.startswith("I"):  # convert() would clip 16-bit grey at 255 instead of scaling it
        wide = np.asarray(image)
        return Image.fromarray((wide >> 8 if wide.max() > 255 else wide).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    return image


def _fit(image: Any, height: int, width: int) -> Any:
    from PIL import Image

    # Cropping comes first: scaling a 1x50000 strip by its short side would make a picture of any size.
    scale = min(image.width / width, image.height / height)
    half_w, half_h = scale * width / 2, scale * height / 2
    middle_x, middle_y = image.width / 2, image.height / 2
    box = (
        max(0.0, middle_x - half_w),
        max(0.0, middle_y - half_h),
        min(image.width, middle_x + half_w),
        min(image.height, middle_y + half_h),
    )
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


class ImageFolder(ImageSet):
    """Pictures under `root`: each subfolder is a class, in alphabetical order; without subfolders all have the label 0.

    Pictures are read as `read_image` does, at once (kept as uint8), or with `lazy` each time they are asked for.
    Without `size` they must all be of one size. `on_error='skip'` leaves out files that cannot be read and warns once
    with their number; 'raise' stops at the first. `paths` lists the files, `classes` the folders.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        *,
        size: int | tuple[int, int] | None = None,
        mode: str = "RGB",
        on_error: str = "raise",
        lazy: bool = False,
    ):
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error: expected 'raise' or 'skip', got {on_error!r}")
        root = Path(root)
        paths, labels, classes = list_pictures(root)
        if size is not None and not lazy:
            h, w = size_pair(size)
            needed = len(paths) * h * w * (3 if mode == "RGB" else 1)
            if needed > _MAX_MEMORY:
                raise DataError(f"{root}: {len(paths)} pictures take {needed >> 20} MiB; use lazy=True or a smaller size")
        images, faults = [], {}
        for path in paths if on_error == "skip" or not lazy else ():
            try:
                image = read_image(path, size, mode)
                if not lazy:
                    images.append(image)
            except DataError as fault:
                if on_error == "raise":
                    raise DataError(f"{fault} (on_error='skip', --skip-bad, leaves out such pictures)") from fault
                faults[path] = fault
        if faults:
            first = next(iter(faults.values()))
            if len(faults) == len(paths):
                raise DataError(f"{root}: none of {len(paths)} pictures can be read; the first: {first}")
            warnings.warn(f"{root}: left out {len(faults)} of {len(paths)} pictures; the first: {first}", stacklevel=2)
            labels = [label for path, label in zip(paths, labels) if path not in faults]
            paths = [path for path in paths if path not in faults]
        self.paths = paths
        data: Any = _LazyImages(paths, size, mode) if lazy else _stack_pictures(images, paths)
        super().__init__(data, np.array(labels, np.int64), classes, transform, target_transform)


def list_pictures(root: Path) -> tuple[list[Path], list[int], list[str]]:
    """The picture files under `root`, the label of each, and the classes. Raises DataError where there are none."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    flat = _pictures_in(root, "*")
    by_class = {
        folder.name: files
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and (files := _pictures_in(folder, "**/*"))
    }
    if flat and by_class:
        raise DataError(f"{root}: holds both pictures and subfolders of pictures ({', '.join(by_class)}); expected one kind")
    if not flat and not by_class:
        raise DataError(f"{root}: no pictures found ({', '.join(EXTENSIONS)})")
    groups = by_class or {root.name: flat}
    paths = [path for files in groups.values() for path in files]
    labels = [label for label, files in enumerate(groups.values()) for _ in files]
    return paths, labels, list(groups)


def _pictures_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(pattern)
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


def _stack_pictures(images: Sequence[np.ndarray], paths: Sequence[Path]) -> np.ndarray:
    for image, path in zip(images, paths):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path}: {image.shape[2]}x{image.shape[1]} pixels, but {paths[0].name} has "
                f"{images[0].shape[2]}x{images[0].shape[1]}; give a size (size=, --size) to bring all to one"
            )
    return stack(images)


class _LazyImages:
    """Looks like an array (N, C, H, W) and reads the pictures it is indexed for."""

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], size: int | tuple[int, int] | None, mode: str):
        self.paths, self.size, self.mode = paths, size, mode
        self.shape = (len(paths), 1 if mode == "L" else 3, *(size_pair(size) if size is not None else (None, None)))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> np.ndarray:
        chosen = np.arange(len(self.paths))[index]
        if chosen.ndim == 0:
            return read_image(self.paths[int(chosen)], self.size, self.mode)
        paths = [self.paths[i] for i in chosen]
        return _stack_pictures([read_image(path, self.size, self.mode) for path in paths], paths)
