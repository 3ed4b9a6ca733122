"""Unpacking known files from a tar archive that may be hostile."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from .files import DataError, open_regular

_SLACK = 1 << 20  # archive headers and small files beside the expected ones


def extract_tar(
    path: str | os.PathLike, destination: str | os.PathLike, members: Mapping[str, int], *, max_members: int = 100
) -> list[Path]:
    """Write the files `members` (name in the archive -> exact size in bytes) of a .tar or .tar.gz into `destination`.

    Files are written under the last part of the expected name, never under a name taken from the archive; regular
    files nobody expects are skipped. Raises DataError, naming archive and member, for an absolute path or '..', a
    link, a device, a member of another size or listed twice, more than `max_members` of them, more bytes in all than
    the expected files account for, damage, and missing members.
    """
    path, destination = Path(path), Path(destination)
    destination.mkdir(parents=True, exist_ok=True)
    limit = sum(members.values()) + max_members * 1024 + _SLACK
    written: dict[str, Path] = {}
    try:
        # Stream mode never seeks, so the bound on bytes read also bounds what a forged header
        # can make tarfile allocate.
        with _open(path) as raw, tarfile.open(fileobj=_Bounded(raw, limit, path), mode="r|") as archive:
            for number, member in enumerate(archive):
                if number >= max_members:
                    raise DataError(f"{path}: more than {max_members} members")
                _check_member(path, member)
                if not member.isfile() or member.name not in members:
                    continue
                if member.size != members[member.name] or member.name in written:
                    fault = "twice" if member.name in written else f"with {member.size} bytes"
                    raise DataError(f"{path}: holds {member.name!r} {fault}, expected one of {members[member.name]} bytes")
                target = destination / PurePosixPath(member.name).name
                _write(archive.extractfile(member), target, member.size, path)
                written[member.name] = target
    except DataError:
        raise
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError, gzip.BadGzipFile) as fault:
        raise DataError(f"{path}: damaged or truncated archive: {fault}") from fault
    missing = sorted(set(members) - set(written))
    if missing:
        raise DataError(f"{path}: the archive lacks {', '.join(missing)}")
    return [written[name] for name in members]


def _open(path: Path) -> Any:
    with open_regular(path) as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else open(path, "rb")


def _check_member(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in member.name or "\0" in member.name:
        raise DataError(f"{path}: member {member.name!r} points outside the archive")
    if not (member.isfile() or member.isdir()) or member.issparse():
        raise DataError(f"{path}: member {member.name!r} is a link or a special file")


def _write(source: Any, target: Path, size: int, path: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        with open(part, "wb") as file:
            left = size
            while left > 0:
                chunk = source.read(min(left, 1 << 20))
                if not chunk:
                    raise DataError(f"{path}: truncated inside {target.name!r}")
                file.write(chunk)
                left -= len(chunk)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


class _Bounded(io.RawIOBase):
    """A reader that refuses to pass on more than `limit` bytes in all."""

    def __init__(self, file: Any, limit: int, path: Path):
        self.file, self.left, self.path = file, limit, path

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"{self.path}: unpacks to more bytes than the expected files account for")
        return data
