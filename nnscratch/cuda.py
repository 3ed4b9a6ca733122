"""GPUs as far as scripts ask about them: arrays are moved by `Tensor.to("cuda")`, with CuPy."""

from __future__ import annotations


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
