"""Which implementation computes: chosen per call by array and size, or by name with `use`.

An implementation is a module with some or all of the functions of this package and a line in `IMPLEMENTATIONS`.
"""

import os
import sys
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from math import prod
from types import ModuleType, TracebackType
from typing import Any

from numpy import ndarray

from .arrays import Array
from .spec import ConvSpec, PoolSpec

# Name -> when to choose it unasked, given (function name, first array, spec). The first that says yes, and has the
# function, is taken. Modules are imported when first needed, so a missing optional package costs only its own.
IMPLEMENTATIONS: dict[str, Callable[[str, Array, ConvSpec | PoolSpec], bool]] = {
    "cpu": lambda function, array, spec: _worth_compiling(array, spec),
    "cuda": lambda function, array, spec: on_gpu(array),
    "im2col": lambda function, array, spec: True,
    "reference": lambda function, array, spec: False,
}
COMPILED = f"{__package__}.cpu", f"{__package__}.cuda"  # which take on what follows a convolution


def _worth_compiling(array: Array, spec: ConvSpec | PoolSpec) -> bool:
    """Whether NumPy would take long enough (some milliseconds) for the compiled kernels, and importing Numba, to pay."""
    if type(array) is not ndarray or array.dtype.char not in "fd":
        return False
    if isinstance(spec, ConvSpec):
        return len(array) * prod(spec.output) * prod(spec.weight_shape) >= 1 << 17
    return array.size >= 1 << 16


def on_gpu(array: Array) -> bool:
    """Whether the CUDA kernels take arrays such as this one: CuPy's, on a GPU with a compiler for it."""
    cupy = sys.modules.get("cupy")  # an array of its type has imported it
    if type(array) is ndarray or cupy is None or not isinstance(array, cupy.ndarray):
        return False
    cuda = module("cuda")
    return cuda is not None and cuda.usable()


ALGORITHMS = ("direct", "winograd4", "winograd2")  # of compiled convolutions


def _named(name: str | None) -> tuple[str | None, str | None]:
    """Implementation and algorithm."""
    if name in (None, "", "auto"):
        return None, None
    implementation, _, algorithm = str(name).partition(":")
    if implementation not in IMPLEMENTATIONS or (algorithm and (implementation != "cpu" or algorithm not in ALGORITHMS)):
        there_are = ", ".join([*IMPLEMENTATIONS, *(f"cpu:{a}" for a in ALGORITHMS)])
        raise ValueError(f"unknown kernel implementation {name!r}; there are: auto, {there_are}")
    return implementation, algorithm or None


_DEFAULT = _named(os.environ.get("NNSCRATCH_KERNELS"))
chosen: ContextVar[str | None] = ContextVar("nnscratch.kernels.use", default=_DEFAULT[0])
algorithm: ContextVar[str | None] = ContextVar("nnscratch.kernels.use.algorithm", default=_DEFAULT[1])


class use:
    """Compute with the implementation `name` from now on in this thread, or inside a `with` block.

    None or "auto" restores the choice by array and spec, which also serves functions that `name` lacks. "cpu:direct",
    "cpu:winograd4" and "cpu:winograd2" name the algorithm of compiled convolutions too, where it can compute them. The
    environment variable NNSCRATCH_KERNELS names the one to begin with. Raises ValueError for an unknown name.
    """

    def __init__(self, name: str | None) -> None:
        names = _named(name)
        self._previous = chosen.get(), algorithm.get()
        chosen.set(names[0])
        algorithm.set(names[1])

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        chosen.set(self._previous[0])
        algorithm.set(self._previous[1])


def available() -> list[str]:
    """Names of the implementations whose packages are installed."""
    modules = {name: module(name) for name in IMPLEMENTATIONS}
    return [name for name, m in modules.items() if m is not None and (name != "cuda" or m.usable())]


@cache
def module(name: str) -> ModuleType | None:
    """The implementation of this name; None where its packages are not installed."""
    try:
        return import_module("." + name, __package__)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(f"{__package__}."):
            raise
        return None
    except ImportError as error:  # such as a Numba that does not fit the installed NumPy
        warnings.warn(f"the kernel implementation {name!r} is left out: {error}", RuntimeWarning, stacklevel=2)
        return None


def pick(function: str, array: Array, spec: ConvSpec | PoolSpec) -> Callable[..., Any]:
    """The function of that name to call: of the implementation in `use`, else of the first that wants this array and spec."""
    name = chosen.get()
    if name is not None:
        named = module(name)
        if named is None:
            raise ModuleNotFoundError(f"kernel implementation {name!r} needs a package that is not installed")
        if name == "cuda" and not on_gpu(array):
            raise RuntimeError(
                f"kernel implementation 'cuda' takes CuPy arrays, with a GPU and NVRTC; got {type(array).__name__}"
            )
        found = getattr(named, function, None)
        if found is not None:
            return found
    for candidate, chooses in IMPLEMENTATIONS.items():
        if chooses(function, array, spec):
            found = getattr(module(candidate), function, None)
            if found is not None:
                return found
    raise NotImplementedError(f"no kernel implementation has {function} for {type(array).__name__} {array.dtype}")


def is_compiled(function: str, array: Array, spec: ConvSpec | PoolSpec) -> bool:
    """Whether `function` would run on the compiled kernels, which also take on what follows a convolution."""
    return pick(function, array, spec).__module__ in COMPILED
