"""How arrays reach the compiled kernels, and how threads share them."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numba
import numpy as np

from .simd import aligned

_lock = Lock()


def launch(compiled: Callable, *arguments: Any) -> Any:
    """Call a parallel kernel, one caller at a time unless Numba's threading layer is known to be safe."""
    if _layer_is_safe():
        return compiled(*arguments)
    with _lock:
        return compiled(*arguments)


def _layer_is_safe() -> bool:
    try:
        return numba.threading_layer() != "workqueue"
    except ValueError:  # nothing has run yet, so Numba has not chosen
        return False


def operand(x: np.ndarray) -> np.ndarray:
    """x (N, C, *spatial) as (N, *spatial, C), contiguous, aligned and writeable, whatever it costs.

    Writeable because Numba would compile anew for a read-only array.
    """
    return np.require(np.moveaxis(x, 1, -1), requirements=["C", "A", "W"])


def result_like(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Uninitialised channels-last block for a result of `shape` (N, C, *spatial)."""
    return aligned((shape[0], *shape[2:], shape[1]), x.dtype)
