"""The CUDA kernels' own sources compiled by g++, and launched on NumPy memory: what CuPy is to a GPU.

A `Function` is called as CuPy's are, f(grid, block, arguments, shared_mem=bytes), and is stricter: each argument must be of
exactly the type that the kernel declares. Its `order` is the one in which threads and blocks run.
"""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from nnscratch.kernels.compiled import memory_order

HERE = Path(__file__).parent
BUILT = HERE / ".built"
ORDERS = ("forward", "reverse", "shuffled")
FLAGS = ["-std=c++17", "-O1", "-g1", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
SANITIZED = bool(os.environ.get("CUDA_SHIM_SANITIZE"))  # with ASan and UBSan; see sanitized.py
LETTERS = {"f": np.float32, "d": np.float64, "i": np.int32, "q": np.int64}  # of the kernels' numbers; capitals for pointers
POINTERS = {"F": (np.float32,), "D": (np.float64,), "I": (np.int32,), "Q": (np.int64,), "B": (np.uint8, np.bool_)}


def compiler():
    return shutil.which(os.environ.get("CXX", "g++"))


def usable():
    return compiler() is not None and platform.machine() in ("x86_64", "AMD64") and sys.platform.startswith("linux")


@cache
def library(family):
    """The shared library of a family, compiled unless it was before, and the names of its kernels."""
    path, names = build(family)
    loaded = ctypes.CDLL(str(path))
    loaded.shim_launch.restype = loaded.shim_signature.restype = ctypes.c_char_p
    return loaded, names


def build(family):
    """(file of the compiled family, names of its kernels)."""
    from nnscratch.kernels.cuda import loader

    text = loader.source(family, HERE)
    flags = [*FLAGS, *(SANITIZE if SANITIZED else [])]
    names = _names(text)
    text += 'extern "C" const char *shim_launch(int which, void **args, unsigned *grid, unsigned *block, int bytes, int mode) {\n'
    text += "  static void (*const all[])(void **) = {\n"
    text += "".join(f"    [](void **args) {{ shim::call({name}, args); }},\n" for name in names)
    text += "  };\n  return shim::launch(all[which], args, grid, block, bytes, mode);\n}\n"
    text += 'extern "C" const char *shim_signature(int which) {\n  switch (which) {\n'
    text += "".join(f"    case {i}: return shim::signature({name});\n" for i, name in enumerate(names))
    text += "  }\n  return nullptr;\n}\n"
    BUILT.mkdir(exist_ok=True)
    path = BUILT / f"{family}-{sha256(repr((text, flags)).encode()).hexdigest()[:24]}.so"
    with _alone(family):
        if path.exists():
            return path, names
        with tempfile.TemporaryDirectory(dir=BUILT) as work:
            built = Path(work) / "built.so"
            command = [compiler(), *flags, "-x", "c++", "-", "-o", str(built)]
            done = subprocess.run(command, input=text, text=True, capture_output=True)
            if done.returncode:
                raise RuntimeError(f"{family} does not compile on the CPU:\n{done.stderr[:4000]}")
            os.replace(built, path)
    return path, names


@contextmanager
def _alone(family):
    """No other process compiles this family meanwhile."""
    import fcntl

    with open(BUILT / f"{family}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _names(text):
    """The kernels of a source, macros expanded."""
    command = [compiler(), "-std=c++17", "-E", "-P", "-DSHIM_LIST", "-x", "c++", "-"]
    expanded = subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout
    return re.findall(r'extern "C" __global__ void\s+(\w+)\(', expanded)


class Function:
    """A kernel; `launches` counts its calls, so that a test can see that it was the one that computed; `ran` forgets nothing."""

    launches: dict[str, int] = {}
    ran: set[tuple[str, str]] = set()

    def __init__(self, family, name, order="forward"):
        self.library, names = library(family)
        if name not in names:
            raise AttributeError(f"{family}.cuh has no kernel {name}")
        self.name, self.which, self.mode = name, names.index(name), ORDERS.index(order)
        self.signature = self.library.shim_signature(self.which).decode()

    def __call__(self, grid, block, arguments, shared_mem=0):
        Function.launches[self.name] = Function.launches.get(self.name, 0) + 1
        Function.ran.add((self.name, ORDERS[self.mode]))
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        assert all(type(n) is int and n > 0 for n in (*grid, *block)), (self.name, grid, block)
        assert grid[1] < 1 << 16 and grid[2] < 1 << 16, (self.name, grid)
        assert len(arguments) == len(self.signature), (self.name, self.signature, arguments)
        values = [_value(self.name, i, a, letter) for i, (a, letter) in enumerate(zip(arguments, self.signature))]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        fault = self.library.shim_launch(self.which, pointers, *sizes, shared_mem, self.mode)
        if fault:
            raise RuntimeError(f"{self.name}: {fault.decode()}")


def _value(name, place, argument, letter):
    """The argument as C has it, of the type that the kernel declares and no other."""
    if letter in POINTERS:
        if type(argument) is np.uint64:
            assert argument == 0, f"{name}: argument {place} is a pointer of unknown origin"
            return ctypes.c_void_p(0)
        memory = argument._inner
        assert memory_order(memory) is not None, f"{name}: argument {place} has gaps"
        assert memory.dtype.type in POINTERS[letter], f"{name}: argument {place} points to {memory.dtype}, declared {letter!r}"
        return ctypes.c_void_p(memory.ctypes.data)
    assert type(argument) is LETTERS[letter], f"{name}: argument {place} is {type(argument).__name__}, declared {letter!r}"
    kind = {"f": ctypes.c_float, "d": ctypes.c_double, "i": ctypes.c_int, "q": ctypes.c_longlong}[letter]
    return kind(argument.item())
