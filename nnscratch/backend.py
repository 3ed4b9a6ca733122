"""Where arrays live: NumPy or CuPy, decided by the array itself; dtypes; random generators.

NumPy functions and ufuncs called on a CuPy array run on its device by NumPy's protocols, so `np.exp(x)` is right for both.
Only *creation* has to ask: `array_module(x).zeros(...)`.
"""

from __future__ import annotations

import secrets
import sys
from collections import deque
from contextlib import contextmanager
from typing import Any

import numpy as np

float16, float32, float64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
int8, int16, int32, int64 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
uint8, bool_ = np.dtype(np.uint8), np.dtype(np.bool_)

_default_dtype = float32

# Like torch, ops are silent about inf and nan (anomaly mode finds them). np.errstate would say so at 1 us an op; setting the same
# context variable directly costs a tenth of that.
try:
    from numpy._core._multiarray_umath import _extobj_contextvar as _float_errors
    from numpy._core._multiarray_umath import _make_extobj

    _ignore = _make_extobj(all="ignore")

    def ignore_float_errors() -> Any:
        """Silence NumPy's floating-point warnings in this context; returns the token for `restore_float_errors`."""
        return _float_errors.set(_ignore)

    restore_float_errors = _float_errors.reset
except ImportError:  # a NumPy without these names

    def ignore_float_errors() -> Any:
        return np.seterr(all="ignore")

    def restore_float_errors(token: Any) -> None:
        np.seterr(**token)


def array_module(*arrays: Any):
    """The module (numpy or cupy) that owns the given arrays; NumPy when there are none."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(a, cupy.ndarray) for a in arrays):
        return cupy
    return np


def is_array(x: Any) -> bool:
    """Whether `x` is a NumPy or CuPy array (NumPy scalars are not)."""
    if isinstance(x, np.ndarray):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


class device(str):
    """Where an array lives: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)` or `device(1)`.

    It is the string that it prints, so either may be given wherever a device is asked for. `type` is "cpu" or "cuda", `index` the
    number of the GPU, None where none was named. Raises RuntimeError for other devices.
    """

    type: str
    index: int | None  # type: ignore[assignment]  # torch's name; a search in the text is what it hides

    def __new__(cls, type: str | int, index: int | None = None) -> device:
        text = f"cuda:{type}" if isinstance(type, int) else str(type)
        if index is not None:
            text = f"{text}:{index}"
        name, colon, number = text.partition(":")
        if name not in ("cpu", "cuda") or (colon and not (number.isascii() and number.isdigit())):
            raise RuntimeError(f"unknown device {text!r}: expected 'cpu', 'cuda' or 'cuda:<index>'")
        self = super().__new__(cls, text)
        self.type, self.index = name, int(number) if colon else None
        return self

    def __repr__(self) -> str:
        return f"device(type={self.type!r}{'' if self.index is None else f', index={self.index}'})"

    def __reduce__(self) -> Any:
        return device, (str(self),)


_cpu = device("cpu")


def device_of(array: Any) -> device:
    """'cpu', or 'cuda:<index>' for a CuPy array."""
    return _cpu if isinstance(array, np.ndarray) else device("cuda", array.device.id)


# Copies to a GPU that may not have been made yet: (event behind the copy, array that it reads).
_in_flight: deque[tuple[Any, np.ndarray]] = deque()


def cupy_with_gpu() -> Any:
    """The module cupy. Raises RuntimeError, which says what is missing, without CuPy or a GPU."""
    try:
        import cupy
    except ImportError:
        raise RuntimeError("device 'cuda' needs CuPy: install nnscratch[cuda13] (or [cuda12] for older drivers)") from None
    if not cupy.is_available():
        raise RuntimeError("device 'cuda' was asked for, but CuPy finds no usable GPU")
    return cupy


def gpu(where: str | int) -> Any:
    """CuPy's device for "cuda", the current one, "cuda:1" or 1. Raises RuntimeError where there is none such."""
    cupy = cupy_with_gpu()
    name = device(where)
    if name.type != "cuda":
        raise RuntimeError(f"{str(where)!r} is no GPU: expected 'cuda' or 'cuda:<index>'")
    if name.index is None:
        return cupy.cuda.Device()
    count = cupy.cuda.runtime.getDeviceCount()
    if name.index >= count:
        there = "there is one, cuda:0" if count == 1 else f"there are {count}, cuda:0 to cuda:{count - 1}"
        raise RuntimeError(f"no device {str(name)!r}: {there}")
    return cupy.cuda.Device(name.index)


def to_device(array: Any, device: str, non_blocking: bool = False) -> Any:
    """The array on `device` ('cpu', 'cuda', 'cuda:1'); itself when it is there already. 'cuda' is the current GPU.

    With `non_blocking` a copy to a GPU from page-locked memory need not have been made on return: what is computed there later
    comes after it, and the array is kept alive for it, but must not be written to meanwhile.
    Raises RuntimeError without CuPy or such a GPU, ValueError for another device.
    """
    name, _, index = str(device).partition(":")
    if name == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    if name != "cuda" or (index and not index.isdecimal()):
        raise ValueError(f"unknown device {device!r}: expected 'cpu', 'cuda' or 'cuda:<index>'")
    place, cupy = gpu(str(device)), cupy_with_gpu()
    with place:
        if not isinstance(array, np.ndarray):
            return cupy.asarray(array)
        moved = cupy.asarray(array, blocking=not non_blocking)
        if non_blocking:
            _in_flight.append((cupy.cuda.get_current_stream().record(), array))
            while _in_flight and _in_flight[0][0].done:
                _in_flight.popleft()
        return moved


def page_locked(array: np.ndarray) -> np.ndarray:
    """A copy in memory that a GPU reads by itself, so that a copy to it can run in the background; without a GPU the array."""
    from . import cuda

    if not cuda.is_available():
        return array
    import cupyx

    copy = cupyx.empty_pinned(array.shape, array.dtype)
    copy[...] = array
    return copy


def get_default_dtype() -> np.dtype:
    """The dtype given to Python floats and to new parameters (float32 unless changed)."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of Python floats and new parameters; a floating-point dtype is required."""
    global _default_dtype
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {dtype}")
    _default_dtype = dtype


@contextmanager
def default_dtype(dtype: Any):
    """`with default_dtype(nnscratch.float64): ...`: the default dtype inside the block."""
    before = _default_dtype
    set_default_dtype(dtype)
    try:
        yield
    finally:
        set_default_dtype(before)


class Generator:
    """A seedable, saveable stream of random numbers (Philox 4x64, Salmon et al. 2011, counter-based).

    `Generator(seed)`; `manual_seed(seed)` restarts it; `get_state()` is a JSON-serialisable dict that `set_state()` takes back.
    The numbers are drawn on the CPU and moved, so they are the same on every `device`.
    `numpy` is the `numpy.random.Generator` that draws.
    """

    def __init__(self, seed: int | None = None, *, device: str = "cpu"):  # noqa: ARG002 - drawn on the CPU, used on any
        self.manual_seed(secrets.randbits(63) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream from `seed` (a non-negative integer) and return self."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed: expected a non-negative integer, got {seed!r}")
        self._seed = int(seed)
        self.numpy = np.random.Generator(np.random.Philox(self._seed))
        return self

    def key(self) -> tuple[int, int]:
        """Two random integers below 2^64, with which a kernel makes a stream of its own."""
        first, second = self.numpy.bit_generator.random_raw(2)
        return int(first), int(second)

    def initial_seed(self) -> int:
        """The seed the stream was last started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Everything needed to continue the stream, as plain numbers and lists."""
        state = self.numpy.bit_generator.state
        inner = {k: [int(v) for v in values] for k, values in state["state"].items()}
        return {
            "seed": self._seed,
            "state": inner,
            "buffer": [int(v) for v in state["buffer"]],
            "buffer_pos": int(state["buffer_pos"]),
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
        }

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Continue from what `get_state` returned; returns self."""
        try:
            if not 0 <= state["buffer_pos"] <= 4:  # NumPy does not look
                raise ValueError(f"buffer_pos is {state['buffer_pos']}")
            fresh = Generator(state["seed"])
            fresh.numpy.bit_generator.state = {
                "bit_generator": "Philox",
                "state": {k: np.array(v, np.uint64) for k, v in state["state"].items()},
                "buffer": np.array(state["buffer"], np.uint64),
                "buffer_pos": state["buffer_pos"],
                "has_uint32": state["has_uint32"],
                "uinteger": state["uinteger"],
            }
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as fault:
            raise ValueError(f"set_state: not a generator state: {fault!r} (expected what get_state() returned)") from None
        self._seed, self.numpy = fresh._seed, fresh.numpy
        return self

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Restart the default generator, from which dropout, noise and initial weights are drawn; returns it."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed that the default generator was last started from."""
    return default_generator.initial_seed()


def get_rng_state() -> dict[str, Any]:
    """The state of the default generator, which `save` can write."""
    return default_generator.get_state()


def set_rng_state(new_state: dict[str, Any]) -> None:
    """Continue the default generator from what `get_rng_state` returned."""
    default_generator.set_state(new_state)


def generator_or_default(generator: Generator | None) -> Generator:
    """`generator`, or the default one for None."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"generator: expected nnscratch.Generator or None, got {type(generator).__name__}")
    return generator
