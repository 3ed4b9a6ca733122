"""MNIST and the sets that share its files' form: Fashion-MNIST, KMNIST."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .files import DataError, check_labels, read_idx
from .images import ImageSet
from .sources import find_file


class MNIST(ImageSet):
    """Handwritten digits (LeCun, Cortes and Burges, 1998): 60,000 + 10,000 grey images (N, 1, 28, 28), labels 0..9.

    The four IDX files, gzipped or plain, are looked for in `root`, the folders of NNSCRATCH_DATA and the cache, there
    directly or in a subfolder `mnist`, and downloaded to the first of these if absent (unless `download=False`). Raises
    DataError for missing or damaged files.
    """

    folder: ClassVar[str] = "mnist"
    url: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    names: ClassVar[tuple[str, ...]] = tuple(str(digit) for digit in range(10))
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    }

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
        part = "train" if train else "t10k"
        paths, arrays = [], []
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
            path = find_file(
                self.folder,
                [name + ".gz", name],
                root=root,
                url=f"{self.url}{name}.gz",
                known_hash=f"md5:{self.md5[name]}",
                download=download,
            )
            paths.append(path)
            arrays.append(read_idx(path))
        images, labels = arrays
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
            raise DataError(f"{paths[0]}: expected bytes of shape (N, 28, 28), got {images.dtype} {images.shape}")
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise DataError(f"{paths[1]}: expected one byte for each of {len(images)} images, got {labels.dtype} {labels.shape}")
        check_labels(paths[1], labels, len(self.names))
        super().__init__(images[:, None], labels, self.names, transform, target_transform, size=size)


class FashionMNIST(MNIST):
    """Articles of clothing (Xiao, Rasul and Vollgraf, 2017), in MNIST's form; subfolder `fashion-mnist`."""

    folder = "fashion-mnist"
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    names = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    }


class KMNIST(MNIST):
    """Cursive Japanese characters (Clanuwat et al., 2018), in MNIST's form; subfolder `kmnist`."""

    folder = "kmnist"
    url = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
    }
