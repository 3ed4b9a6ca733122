"""GPUs as far as scripts ask about them: arrays are moved by `Tensor.to("cuda")`, with CuPy.

Results are made, and kernels run, on the current device: with several GPUs, compute with what is on another one inside
`with nnscratch.cuda.device(1):`.
"""

from __future__ import annotations

from typing import Any

from . import backend


def device_count() -> int:
    """The number of usable GPUs; 0 without CuPy."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() if cupy.is_available() else 0
    except ImportError:
        return 0


def is_available() -> bool:
    """Whether there is a GPU that CuPy can use."""
    return device_count() > 0


def current_device() -> int:
    """The number of the GPU that this thread computes on. Raises RuntimeError without CuPy or a GPU."""
    return backend.cupy_with_gpu().cuda.Device().id


def set_device(device: Any) -> None:
    """Compute on this GPU, a number or a name such as "cuda:1", from now on in this thread. Raises RuntimeError."""
    backend.gpu(device).use()


class device:
    """`with nnscratch.cuda.device(1):` computes on that GPU inside, a number or a name such as "cuda:1"."""

    def __init__(self, device: Any) -> None:
        self._gpu = backend.gpu(device)

    def __enter__(self) -> None:
        self._gpu.__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._gpu.__exit__(*exception)


def synchronize() -> None:
    """Wait until the current GPU has done what it was given; nothing to wait for without one."""
    if is_available():
        import cupy

        cupy.cuda.Device().synchronize()


def empty_cache() -> None:
    """Give memory that is not in use back to the GPU."""
    if is_available():
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Nothing to do: all random numbers come from `nnscratch.manual_seed`, whatever the device."""


def manual_seed_all(seed: int) -> None:
    """Nothing to do: all random numbers come from `nnscratch.manual_seed`, whatever the device."""
