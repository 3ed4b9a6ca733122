"""Readers that trust nothing in a data file: sizes are checked before memory is taken, nothing is unpickled."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

MAX_BYTES = 1 << 30
_CHUNK = 1 << 20
_DEFLATE_LIMIT = 1032  # deflate cannot expand data more than this (RFC 1951: 258 bytes from 2 bits)
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class DataError(ValueError):
    """A data file is missing, damaged or not what it claims to be; the message names the file and the fault."""


def read_idx(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an IDX file (the format of MNIST), plain or gzipped.

    Two zero bytes, a dtype code, the number of dimensions, each size as a big-endian uint32, then exactly the values.
    Raises DataError for anything else, for more than `max_bytes` of values, and for missing or trailing bytes.
    """
    path = Path(path)
    with _open(path) as (file, stored, compressed):
        zero, code, ndim = struct.unpack(">HBB", _exactly(file, 4, path, "the 4-byte magic number"))
        if zero != 0 or code not in _IDX_TYPES:
            raise DataError(f"{path}: not an IDX file (magic number 0x{(zero << 16) + (code << 8) + ndim:08x})")
        if not 1 <= ndim <= 8:
            raise DataError(f"{path}: IDX header declares {ndim} dimensions, expected 1 to 8")
        shape = struct.unpack(f">{ndim}I", _exactly(file, 4 * ndim, path, f"the sizes of {ndim} dimensions"))
        dtype = np.dtype(_IDX_TYPES[code])
        size = math.prod(shape) * dtype.itemsize
        spanned = math.prod(max(n, 1) for n in shape) * dtype.itemsize  # NumPy bounds this, also of an empty array
        declared = f"header declares {' x '.join(map(str, shape))} values ({size} bytes)"
        if spanned > max_bytes:
            raise DataError(f"{path}: {declared}, more than the limit of {max_bytes}")
        header = 4 + 4 * ndim
        if not compressed and stored != header + size:
            raise DataError(f"{path}: {declared}, but {stored - header} bytes follow it")
        if compressed and header + size > stored * _DEFLATE_LIMIT:
            raise DataError(f"{path}: {declared}, impossible for {stored} compressed bytes")
        data = _exactly(file, size, path, declared)
        if file.read(1):
            raise DataError(f"{path}: {declared}, but more bytes follow")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


class _open:
    """Open a plain or gzipped file: (file, bytes on disk, whether gzipped); damage in the stream becomes DataError."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> tuple[IO[bytes], int, bool]:
        self.raw = open_regular(self.path)
        stored = os.fstat(self.raw.fileno()).st_size
        compressed = self.raw.read(2) == b"\x1f\x8b"
        self.raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=self.raw) if compressed else self.raw
        return file, stored, compressed

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.raw.close()
        if isinstance(error, (EOFError, OSError, zlib.error)):
            raise DataError(f"{self.path}: damaged or truncated: {error}") from error


def open_regular(path: Path) -> IO[bytes]:
    """The file opened for reading. Raises DataError where there is none, or a folder or a pipe (which would wait for ever)."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: cannot be read: not a regular file")
        return open(path, "rb")
    except OSError as fault:
        raise DataError(f"{path}: cannot be read: {fault.strerror or fault}") from None


def _exactly(file: IO[bytes], size: int, path: Path, what: str) -> bytearray:
    """Read `size` bytes, growing with what is really there."""
    data = bytearray()
    while len(data) < size:
        chunk = file.read(min(_CHUNK, size - len(data)))
        if not chunk:
            raise DataError(f"{path}: truncated: {what}, but the data ends after {len(data)} bytes")
        data += chunk
    return data


def read_cifar10(path: str | os.PathLike, *, max_records: int = 100_000) -> tuple[np.ndarray, np.ndarray]:
    """images uint8 (N, 3, 32, 32) and labels int64 (N,) of a CIFAR-10 binary file.

    A record is one label byte (0..9) and 3,072 bytes: red, green and blue planes of 32 rows of 32.
    Raises DataError unless the file is one or more whole records, at most `max_records`, with labels in range.
    """
    path, record = Path(path), 1 + 3 * 32 * 32
    with _open(path) as (file, stored, compressed):
        if compressed:
            raise DataError(f"{path}: gzipped; expected the unpacked CIFAR-10 binary file")
        count, rest = divmod(stored, record)
        if rest or count == 0:
            raise DataError(f"{path}: {stored} bytes are not a whole number of {record}-byte records")
        if count > max_records:
            raise DataError(f"{path}: {count} records, more than the limit of {max_records}")
        data = np.frombuffer(_exactly(file, stored, path, f"{stored} bytes"), np.uint8).reshape(count, record)
    labels = data[:, 0].astype(np.int64)
    check_labels(path, labels, 10)
    return data[:, 1:].reshape(count, 3, 32, 32).copy(), labels


def check_labels(path: Any, labels: np.ndarray, classes: int) -> None:
    """Raise DataError unless every label lies in 0..classes-1; the first one that does not is named."""
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise DataError(f"{path}: label {labels[bad[0]]} of sample {bad[0]} is outside 0..{classes - 1}")
