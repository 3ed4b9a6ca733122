"""From `*.cuh` to functions that can be launched: compiled by NVRTC for the device's architecture, kept on disk, loaded by CuPy.

A family is a `.cuh` file with kernels. What was compiled lies in `folder()`, named by a hash of everything that it depends on:
the source with what it includes, the options, the architecture and the compiler's version. A file appears when it is whole; one
that was damaged later is made anew, and where the folder cannot be written to, the process keeps its own.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from struct import unpack_from
from typing import Any

from . import nvrtc

HERE = Path(__file__).parent
# Each with its compiler options. Where bits must be the CPU's, a product and a sum are not contracted into one rounding.
FAMILIES: dict[str, tuple[str, ...]] = {
    "convolution": (),
    "pool": (),
    "columns": (),
    "rows": (),
    "elementwise": (),
    "random": ("--fmad=false",),
    "optimizer": ("--fmad=false",),
}
OPTIONS = ("--std=c++17", "-default-device")
OLDEST = 80  # compute capability times ten: asynchronous copies and TF32 began with it
_INCLUDE = re.compile(r'^#include "([\w.]+)"\n', re.MULTILINE)
_ONCE = "#pragma once\n"


def source(family: str, before: Path = HERE) -> str:
    """The text of a family with its includes in their places, each once; files in the folder `before` come before those here."""
    done: set[str] = set()

    def expand(name: str) -> str:
        if name in done:
            return ""
        done.add(name)
        path = before / name
        text = (path if path.exists() else HERE / name).read_text(encoding="utf-8").replace(_ONCE, "")
        return _INCLUDE.sub(lambda found: expand(found[1]), text)

    return expand(f"{family}.cuh")


def compiled(family: str, architecture: str, *more: str) -> tuple[bytes, str]:
    """(cubin, compiler's log) for an architecture such as "sm_90a". Raises nvrtc.CompilationError."""
    options = (f"--gpu-architecture={architecture}", *OPTIONS, *FAMILIES[family], *more)
    return nvrtc.compile(source(family), f"{family}.cuh", options)


def folder() -> Path:
    """Where cubins are kept: NNSCRATCH_CUDA_CACHE, else nnscratch/cuda in the user's cache."""
    given = os.environ.get("NNSCRATCH_CUDA_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnscratch" / "cuda"


def cubin(family: str, architecture: str) -> tuple[Path, bool]:
    """(file of the family's machine code, whether it had to be compiled)."""
    parts = (source(family), architecture, *OPTIONS, *FAMILIES[family], *map(str, nvrtc.version()))
    path = folder() / f"{family}-{architecture}-{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.cubin"
    if _is_whole(path):
        return path, False
    code, _ = compiled(family, architecture)
    _write(path, code)
    return path, True


def _is_whole(path: Path) -> bool:
    """Whether a file is there and ends no sooner than its own header says: an ELF's table of sections comes last."""
    try:
        with path.open("rb") as file:
            header, size = file.read(64), os.fstat(file.fileno()).st_size
    except OSError:
        return False
    if len(header) < 64 or not header.startswith(b"\x7fELF"):
        return False
    (table,), (entry, entries) = unpack_from("<Q", header, 40), unpack_from("<HH", header, 58)
    return size >= table + entry * entries


def _write(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, wholly or not at all: other processes may be at the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def architecture(device: Any) -> str:
    """That of a CuPy device: "sm_90a" on Hopper, whose own instructions need the letter."""
    capability = device.compute_capability
    return f"sm_{capability}" + ("a" if capability == "90" else "")


def function(family: str, name: str) -> Callable[..., Any]:
    """A kernel on the current device: f(grid, block, arguments, shared_mem=bytes)."""
    import cupy

    return _function(family, name, cupy.cuda.Device().id)


@cache
def _module(family: str, device: int) -> Any:
    import cupy

    where = architecture(cupy.cuda.Device(device))
    try:
        path, _ = cubin(family, where)
    except OSError as fault:
        own = _own_folder()
        warnings.warn(
            f"CUDA kernels cannot be kept in {folder()} ({fault}): this process compiles its own; set NNSCRATCH_CUDA_CACHE",
            RuntimeWarning,
            stacklevel=2,
        )
        path = own / f"{family}-{where}.cubin"
        _write(path, compiled(family, where)[0])
    return cupy.RawModule(path=str(path))


@cache
def _own_folder() -> Path:
    """A folder that is removed when the process ends."""
    path = tempfile.mkdtemp(prefix="nnscratch-cuda-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@cache
def _function(family: str, name: str, device: int) -> Callable[..., Any]:
    try:
        return _loaded(family, name, device)
    except RuntimeError as fault:  # the driver refuses the file, and says so when the first kernel is asked for
        if isinstance(fault, nvrtc.CompilationError):
            raise
        import cupy

        cubin(family, architecture(cupy.cuda.Device(device)))[0].unlink(missing_ok=True)
        _module.cache_clear()
        return _loaded(family, name, device)


def _loaded(family: str, name: str, device: int) -> Callable[..., Any]:
    kernel = _module(family, device).get_function(name)
    kernel.max_dynamic_shared_size_bytes = largest_shared(device)
    return kernel


LARGEST_SHARED = 163 << 10  # bytes that a block of ours has at most: sm_80's


@cache
def largest_shared(device: int) -> int:
    """Bytes of shared memory that a block can have on a device: LARGEST_SHARED, or the 99 KB of sm_86, sm_89 and sm_120."""
    import cupy

    return min(LARGEST_SHARED, cupy.cuda.Device(device).attributes["MaxSharedMemoryPerBlockOptin"])


def usable() -> bool:
    """Whether kernels can be compiled and launched: CuPy has a GPU that knows their instructions, and there is NVRTC.

    Says once what is missing.
    """
    return _usable(id(sys.modules.get("cupy")))


@cache
def _usable(cupy_id: int) -> bool:  # noqa: ARG001 - asked again where another CuPy was imported
    cupy = sys.modules.get("cupy")
    if cupy is None or not hasattr(cupy, "RawModule") or not cupy.is_available():
        return False
    try:
        nvrtc.version()
        capability = int(cupy.cuda.Device().compute_capability)
        if capability < OLDEST:
            raise nvrtc.CompilationError(f"they need a GPU of compute capability 8.0 or later, this one has {capability / 10}")
    except nvrtc.CompilationError as fault:
        warnings.warn(f"CuPy arrays are computed without CUDA kernels: {fault}", RuntimeWarning, stacklevel=3)
        return False
    return True
