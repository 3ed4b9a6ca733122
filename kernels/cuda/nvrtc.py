"""NVRTC, NVIDIA's compiler of CUDA C++ at run time, as far as the kernels need it: source in, machine code (cubin) and log out.

It needs no GPU. The library comes with CuPy or a CUDA toolkit, or from PyPI: `pip install nvidia-cuda-nvrtc`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from ctypes import CDLL, POINTER, byref, c_char_p, c_int, c_size_t, c_void_p, create_string_buffer
from functools import cache
from pathlib import Path

NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")


class CompilationError(RuntimeError):
    """NVRTC refused a kernel, or is not there; the message holds its log, or what to install."""


@cache
def library() -> CDLL:
    """The library. Raises CompilationError where there is none."""
    names = [*NAMES]
    if "cupy" in sys.modules:
        with suppress(Exception):  # CuPy loads the one that it found, which fits the driver; asked for by name, it is given again
            major, _ = sys.modules["cupy"].cuda.nvrtc.getVersion()
            names.sort(key=lambda name: str(major) not in name)
    places = [*names]
    for folder in sys.path:
        for name in names:
            places += map(str, Path(folder or ".").glob(f"nvidia/*/lib/{name}"))
            places += map(str, Path(folder or ".").glob(f"nvidia/*/bin/{name}"))
    for place in places:
        try:
            for builtins in Path(place).parent.glob("libnvrtc-builtins.so.*") if os.sep in place else ():
                CDLL(str(builtins))  # which NVRTC asks for by name, outside its own folder
            return _declared(CDLL(place))
        except OSError:
            continue
    raise CompilationError("the CUDA kernels need NVRTC: install a CUDA toolkit, or `pip install nvidia-cuda-nvrtc`")


def _declared(nvrtc: CDLL) -> CDLL:
    program, size, text = c_void_p, POINTER(c_size_t), c_char_p
    for name, arguments in {
        "nvrtcVersion": [POINTER(c_int), POINTER(c_int)],
        "nvrtcCreateProgram": [POINTER(program), text, text, c_int, c_void_p, c_void_p],
        "nvrtcCompileProgram": [program, c_int, POINTER(text)],
        "nvrtcGetProgramLogSize": [program, size],
        "nvrtcGetProgramLog": [program, text],
        "nvrtcGetCUBINSize": [program, size],
        "nvrtcGetCUBIN": [program, text],
        "nvrtcDestroyProgram": [POINTER(program)],
    }.items():
        getattr(nvrtc, name).argtypes = arguments
    nvrtc.nvrtcGetErrorString.restype = text
    return nvrtc


def version() -> tuple[int, int]:
    """NVRTC's own, such as (13, 0)."""
    major, minor = c_int(), c_int()
    _check(library().nvrtcVersion(byref(major), byref(minor)), "version")
    return major.value, minor.value


def compile(source: str, name: str, options: Sequence[str]) -> tuple[bytes, str]:
    """(cubin, log) of a source without includes. Raises CompilationError with the log where it does not compile."""
    nvrtc, program = library(), c_void_p()
    _check(nvrtc.nvrtcCreateProgram(byref(program), source.encode(), name.encode(), 0, None, None), name)
    try:
        given = (c_char_p * len(options))(*[option.encode() for option in options])
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
        log = _read(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if failed:
            raise CompilationError(f"{name} does not compile with {' '.join(options)}:\n{log}")
        return _read(program, "CUBIN"), log
    finally:
        nvrtc.nvrtcDestroyProgram(byref(program))


def _read(program: c_void_p, what: str) -> bytes:
    size = c_size_t()
    _check(getattr(library(), f"nvrtcGet{what}Size")(program, byref(size)), what)
    text = create_string_buffer(size.value)
    _check(getattr(library(), f"nvrtcGet{what}")(program, text), what)
    return text.raw[: size.value]


def _check(code: int, what: str) -> None:
    if code:
        raise CompilationError(f"NVRTC: {what}: {library().nvrtcGetErrorString(code).decode()}")
