"""Pictures: grids of images, learning curves, confusion matrices, animations. Pillow and Matplotlib are imported when used."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .serialization import atomic_write
from .tensor import to_numpy

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#d9822b", "#2e8b57", "#c0392b", "#6b7280"


def to_uint8(image: Any) -> np.ndarray:
    """Values in 0..1 -> 0..255, clipped and rounded; NaN becomes 0. uint8 stays as it is."""
    image = to_numpy(image)
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(np.nan_to_num(image, nan=0.0), 0, 1) * 255).astype(np.uint8)


def _channels_last(images: Any) -> np.ndarray:
    """(N, C, H, W), (N, H, W) -> (N, H, W, 3) of uint8."""
    images = to_uint8(images)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"expected images (N, 1 or 3, H, W) or (N, H, W), got shape {images.shape}")
    return np.broadcast_to(images.transpose(0, 2, 3, 1), (*images.shape[:1], *images.shape[2:], 3))


def grid(images: Any, columns: int | None = None, *, padding: int = 2, zoom: int | None = None) -> np.ndarray:
    """Images (N, C, H, W) side by side: uint8 (rows, columns, 3) on white, each pixel `zoom` pixels wide.

    Without `columns` the grid is about square; without `zoom` small images are magnified to about 56 pixels.
    """
    tiles = _channels_last(images)
    if not len(tiles):
        raise ValueError("grid: there are no images")
    zoom = max(1, round(56 / tiles.shape[1])) if zoom is None else zoom
    tiles = tiles.repeat(zoom, 1).repeat(zoom, 2)
    n, height, width, _ = tiles.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    rows = math.ceil(n / columns)
    sheet = np.full((padding + rows * (height + padding), padding + columns * (width + padding), 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = (padding + i * (side + padding) for i, side in zip(divmod(k, columns), (height, width)))
        sheet[top : top + height, left : left + width] = tile
    return sheet


def save_image(image: Any, path: str | Path) -> Path:
    """Write an image, (H, W), (C, H, W) or (H, W, C) with 1 or 3 channels, as PNG (or whatever the name says)."""
    from PIL import Image

    image = to_uint8(image)
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        image = image.transpose(1, 2, 0)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    return _save(Image.fromarray(np.ascontiguousarray(image)), path)


def _save(picture: Any, path: str | Path, **options: Any) -> Path:
    """Write a Pillow image, wholly or not at all; its name says the format."""
    from PIL import Image

    path, data = Path(path), io.BytesIO()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: the name must say a picture's format, such as .png")
    picture.save(data, kind, **options)
    atomic_write(path, data.getvalue())
    return path


def read_image(path: str | Path) -> np.ndarray:
    """A picture file as uint8 (H, W, 3)."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def save_grid(images: Any, path: str | Path, columns: int | None = None, **options: Any) -> Path:
    """`grid`, written to a file."""
    return save_image(grid(images, columns, **options), path)


def magnified(images: Any) -> Any:
    """Small images (N, C, H, W) for an animation: each pixel is repeated, to a height of at least about 112."""
    zoom = max(1, round(112 / images.shape[2]))
    return images.repeat(zoom, 2).repeat(zoom, 3)


def save_gif(frames: Any, path: str | Path, fps: float = 8) -> Path:
    """Frames (T, C, H, W) or (T, H, W, 3) as an endless animation."""
    from PIL import Image

    frames = to_uint8(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        frames = _channels_last(frames)
    first, *rest = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    return _save(first, path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def save_captioned(
    images: Any,
    captions: Sequence[str],
    path: str | Path,
    *,
    marks: Sequence[str] | None = None,
    columns: int = 8,
    title: str = "",
) -> Path:
    """Images (N, C, H, W) with a caption of one or more lines below each, in the colour `marks[i]`."""
    tiles = _channels_last(images)
    rows = max(1, math.ceil(len(tiles) / columns))
    lines = max(caption.count("\n") + 1 for caption in captions) if captions else 0
    figure = _figure(1.15 * columns, (1.2 + 0.18 * lines) * rows + (0.4 if title else 0.1))
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for k, (ax, tile) in enumerate(zip(axes.flat, tiles)):
        ax.imshow(tile, interpolation="nearest")
        colour = marks[k] if marks else "black"
        place = {"transform": ax.transAxes, "ha": "center", "va": "top"}
        ax.text(0.5, -0.06, captions[k], fontsize=9, color=colour, parse_math=False, **place)
    if title:
        figure.suptitle(title, fontsize=11)
    return _write(figure, path)


def save_curves(history: Sequence[dict[str, float]], path: str | Path) -> Path:
    """Learning curves over the epochs: a panel for each quantity that was measured in training and in test alike.

    Where there is none, every quantity has a panel. `history` holds one dict an epoch, with keys like 'epoch', 'train_loss',
    'test_loss', 'test_accuracy'.
    """
    names = dict.fromkeys(key for row in history for key in row if key.startswith(("train_", "test_", "validation_")))
    panels: dict[str, list[str]] = {}
    for name in names:
        panels.setdefault(name.partition("_")[2], []).append(name)
    together = {quantity: series for quantity, series in panels.items() if len(series) > 1}
    panels = together or panels
    if not panels:
        raise ValueError("save_curves: the history holds no 'train_...' or 'test_...' numbers")
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure(4.4 * columns, 3.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    colours = {"train": BLUE, "test": ORANGE, "validation": GREEN}
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (quantity, series) in zip(axes.flat, panels.items()):
        for name in series:
            part = name.partition("_")[0]
            points = [(row["epoch"], row[name]) for row in history if name in row]
            ax.plot(*zip(*points), color=colours[part], label=part, marker="o", markersize=3, linewidth=1.6)
        ax.set_title(quantity.replace("_", " "), fontsize=11)
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.25)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=9)
    return _write(figure, path)


def save_bars(values: Any, path: str | Path, label: str, unit: str) -> Path:
    """Numbers (N,) as bars; `label` is below them, `unit` beside."""
    values = to_numpy(values)
    figure = _figure(max(4.0, min(12.0, 0.2 * len(values) + 1.5)), 3.0)
    ax = figure.subplots()
    ax.bar(range(1, len(values) + 1), values, color=BLUE)
    ax.set_xlabel(label)
    ax.set_ylabel(unit)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    return _write(figure, path)


def save_confusion(matrix: Any, classes: Sequence[str], path: str | Path) -> Path:
    """A confusion matrix (true class down, predicted class across) with its counts, shaded by the share of the true class."""
    matrix = to_numpy(matrix)
    n = len(matrix)
    if matrix.shape != (n, n) or len(classes) != n:
        raise ValueError(f"save_confusion: expected a square matrix and as many names, got {matrix.shape} and {len(classes)}")
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.6, 0.46 * n + 1.4)
    figure = _figure(side, side)
    ax = figure.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= 25:
        for i, j in zip(*np.nonzero(matrix)):
            ax.text(
                j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color="white" if shares[i, j] > 0.5 else "black"
            )
    long = max(map(len, classes)) > 3
    plain = {"fontsize": 8, "parse_math": False}  # a name may have a $ in it
    ax.set_xticks(range(n), classes, rotation=60 if long else 0, ha="right" if long else "center", **plain)
    ax.set_yticks(range(n), classes, **plain)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return _write(figure, path)


def _figure(width: float, height: float) -> Any:
    """A Matplotlib figure that belongs to no window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: str | Path) -> Path:
    path, data = Path(path), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # names in a script without a font here show as boxes
        figure.savefig(data, format=path.suffix[1:] or "png", dpi=120, facecolor="white")
    atomic_write(path, data.getvalue())
    return path
