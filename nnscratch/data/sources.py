"""Where data files are found: a given folder, those of NNSCRATCH_DATA, the user's cache; last, a download with a checksum."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .files import DataError


def cache_folder() -> Path:
    """The user's cache folder for downloaded data."""
    import pooch

    return Path(pooch.os_cache("nnscratch"))


def own_folders() -> list[Path]:
    """The folders that the environment variable NNSCRATCH_DATA names: one, or several with `os.pathsep` between them."""
    return [Path(part) for part in os.environ.get("NNSCRATCH_DATA", "").split(os.pathsep) if part]


def download_folder(root: str | os.PathLike | None = None) -> Path:
    """Where downloads go: `root`, else the first folder of NNSCRATCH_DATA, else the cache."""
    return Path(root) if root else next(iter(own_folders()), None) or cache_folder()


def search_folders(folder: str, root: str | os.PathLike | None) -> list[Path]:
    """Where files of the data set `folder` may lie, in the order they are looked for."""
    bases = [*([Path(root)] if root else []), *own_folders(), cache_folder()]
    return [place for base in bases for place in (base / folder, base)]


def look_up(folder: str, names: Sequence[str], root: str | os.PathLike | None = None) -> Path | None:
    """The first existing file called one of `names` in `search_folders`."""
    candidates = (place / name for place in search_folders(folder, root) for name in names)
    return next((path for path in candidates if path.is_file()), None)


def find_file(
    folder: str,
    names: Sequence[str],
    *,
    root: str | os.PathLike | None = None,
    url: str | None = None,
    known_hash: str | None = None,
    download: bool = True,
) -> Path:
    """The first existing file called one of `names` in `search_folders`; else names[0], downloaded from `url`.

    A download goes to `download_folder` and must have the checksum `known_hash`.
    Raises DataError that lists the places looked in, the reason, and how to provide the file.
    """
    found = look_up(folder, names, root)
    if found:
        return found
    if url is None or not download:
        reason = "it was not to be downloaded"
    else:
        import pooch

        target = download_folder(root) / folder
        try:
            bar = sys.stderr.isatty()
            return Path(pooch.retrieve(url, known_hash=known_hash, fname=names[0], path=target, progressbar=bar))
        except Exception as fault:  # no network, refused, wrong checksum: urllib3, requests and pooch each have their own
            reason = f"downloading it from {url} failed: {fault}"
    places = ", ".join(map(str, search_folders(folder, root)))
    raise DataError(
        f"{folder}: {' or '.join(names)} was not found in {places}; {reason}. "
        f"Put the file into one of these folders, or set NNSCRATCH_DATA to a folder that holds {folder}/{names[0]} "
        f"(or to several, with {os.pathsep!r} between them)"
    )
