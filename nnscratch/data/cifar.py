"""CIFAR-10 in its binary form."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from .archive import extract_tar
from .files import read_cifar10
from .images import ImageSet
from .sources import download_folder, find_file, look_up


class CIFAR10(ImageSet):
    """60,000 colour photographs of ten things (Krizhevsky, 2009): 50,000 + 10,000 images (N, 3, 32, 32).

    The files `data_batch_1.bin` ... `test_batch.bin`, or the published archive of them, are looked for in `root`, the
    folders of NNSCRATCH_DATA and the cache, there directly or in a subfolder `cifar10`; the archive is downloaded to the
    first of these if absent (unless `download=False`). Raises DataError for missing or damaged files.
    """

    folder: ClassVar[str] = "cifar10"
    inner: ClassVar[str] = "cifar-10-batches-bin"
    archive: ClassVar[str] = "cifar-10-binary.tar.gz"
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"
    files: ClassVar[tuple[str, ...]] = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")
    file_bytes: ClassVar[int] = 10_000 * 3073
    names: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = True,
        *,
        size: int | tuple[int, int] | None = None,
    ):
        wanted = self.files[:5] if train else self.files[5:]
        parts = [read_cifar10(path) for path in self._find(wanted, root, download)]
        data, labels = (np.concatenate(column) for column in zip(*parts))
        super().__init__(data, labels, self.names, transform, target_transform, size=size)

    def _find(self, wanted: tuple[str, ...], root: str | os.PathLike | None, download: bool) -> list[Path]:
        found = [look_up(self.folder, [f"{self.inner}/{name}", name], root) for name in wanted]
        if all(found):
            return [path for path in found if path]
        archive = find_file(self.folder, [self.archive], root=root, url=self.url, known_hash=f"md5:{self.md5}", download=download)
        target = download_folder(root) / self.folder / self.inner
        extract_tar(archive, target, {f"{self.inner}/{name}": self.file_bytes for name in self.files})
        return [target / name for name in wanted]
