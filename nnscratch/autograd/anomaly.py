"""Find where a NaN or an infinity was made."""

from __future__ import annotations

import os
import threading
import traceback
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from .graph import Node
from .modes import observers

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_KERNELS = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "kernels") + os.sep


class AnomalyError(RuntimeError):
    """A NaN or infinity appeared; the message names the operation and the line that called it."""


class anomaly_mode:
    """`with anomaly_mode(): ...`: raise AnomalyError at the first op whose result has a NaN or Inf that its inputs had not.

    In the forward pass that is the op itself; in the backward pass the op whose VJP did it, with the line that called its
    forward. Every result is inspected, so this is for finding faults, not for training. Per thread. `inf=False` lets infinities
    through, which a mask may hold on purpose, and `nan=False` NaN.
    """

    def __init__(self, *, nan: bool = True, inf: bool = True):
        self._nan, self._inf = nan, inf

    def __enter__(self) -> anomaly_mode:
        self._thread = threading.get_ident()
        observers.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        observers.remove(self)

    def __call__(self, node: Node, result: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        site = _call_site()
        node.note("site", site)
        results = result if isinstance(result, tuple) else (result,)
        kind = next((k for k in map(self._fault, results) if k), None)
        if kind and not any(self._fault(a) for a in node.args):
            inputs = "finite inputs" if self._inf else "inputs"
            shapes = ", ".join(str(tuple(a.shape)) for a in node.args if hasattr(a, "shape"))
            raise AnomalyError(f"{node.name} produced {kind} from {inputs} of shape {shapes}\n  called at {site}")

    def cotangents(self, node: Node, edges: Any, gs: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        for (i, _), g in zip(edges, gs):
            kind = self._fault(g)
            if kind:
                site = node.noted("site") or "a line outside anomaly_mode"
                raise AnomalyError(f"the gradient of {node.name} for argument {i} has {kind}\n  its forward was called at {site}")

    def _fault(self, x: Any) -> str | None:
        array = x.data if isinstance(x, Tensor) else x
        if not (backend.is_array(array) or isinstance(array, (np.generic, float))) or getattr(array, "dtype", _float).kind != "f":
            return None
        if self._nan and np.isnan(array).any():
            return "nan"
        return "inf" if self._inf and np.isinf(array).any() else None


class detect_anomaly(anomaly_mode):
    """`with detect_anomaly(): ...`: torch's name for `anomaly_mode(inf=False)`; finds a NaN of the forward pass as well."""

    def __init__(self, check_nan: bool = True):
        super().__init__(nan=check_nan, inf=False)


class set_detect_anomaly:
    """`set_detect_anomaly(True)`: `detect_anomaly()` in this thread from now on; as `with`, until the end of the block."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = _always.mode
        self._set(detect_anomaly(check_nan) if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._set(self._before)

    @staticmethod
    def _set(mode: anomaly_mode | None) -> None:
        if _always.mode is not None:
            _always.mode.__exit__()
        _always.mode = mode
        if mode is not None:
            mode.__enter__()


class _Always(threading.local):
    mode: anomaly_mode | None = None


_always = _Always()
_float = np.dtype(float)


def _call_site() -> str:
    """The innermost line outside the library."""
    for frame in reversed(traceback.extract_stack()):
        path = os.path.abspath(frame.filename)
        if not path.startswith((_HERE, _KERNELS)):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "<unknown>"
