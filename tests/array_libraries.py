"""A stand-in for CuPy where there is no GPU: NumPy behind a wall.

Its arrays are no NumPy arrays, refuse to be mixed with or turned into them, and give 0-d arrays instead of scalars, as CuPy's do.
What runs on them picks its array library by the array alone; what it computes is NumPy's.
"""

import math
import types
from typing import Any

import numpy as np


class Device:
    id = 0

    def __init__(self, index=0):
        assert index == 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


class Flags:
    """The ones that CuPy's arrays have."""

    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata
        self.forc, self.fnc = flags.forc, flags.fnc


METHODS = {"reduce": ("add", "multiply"), "accumulate": ("add", "multiply"), "at": ("add", "maximum", "minimum"), "outer": None}


class StrictArray(np.lib.mixins.NDArrayOperatorsMixin):
    device = Device()

    def __init__(self, inner):
        self._inner = inner

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._inner.ctypes.data)

    @property
    def flags(self):
        return Flags(self._inner.flags)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" and ufunc.__name__ not in (METHODS[method] or (ufunc.__name__,)):
            raise NotImplementedError(f"CuPy has no {ufunc.__name__}.{method}")
        if "where" in kwargs:
            raise TypeError(f"CuPy's {ufunc.__name__} takes no `where`")
        return _guarded(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function, _types, args, kwargs):
        return _guarded(function)(*args, **kwargs)

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._inner, name)
        return _guarded(value) if callable(value) else _outside(value)

    def __getitem__(self, index):
        return _outside(self._inner[_inside(index)])

    def __setitem__(self, index, value):
        self._inner[_inside(index)] = _inside(value)

    def __iter__(self):
        return iter([self[i] for i in range(len(self))])

    def __len__(self):
        return len(self._inner)

    def __bool__(self):
        return bool(self._inner)

    def __int__(self):
        return int(self._inner)

    def __float__(self):
        return float(self._inner)

    def __index__(self):
        return self._inner.__index__()

    def __repr__(self):
        return f"strict {self._inner!r}"

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **_):
        return self._inner

    def get(self):
        return self._inner.copy()


def _inside(value):
    if isinstance(value, StrictArray):
        return value._inner
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        parts = [_inside(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _outside(value):
    if isinstance(value, np.ndarray):
        return StrictArray(value)
    if isinstance(value, np.generic):
        return StrictArray(np.asarray(value))
    if isinstance(value, (tuple, list)):
        parts = [_outside(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _guarded(function):
    def call(*args, **kwargs):
        return _outside(function(*_inside(args), **{k: _inside(v) for k, v in kwargs.items()}))

    return call


class _Module(types.ModuleType):
    """A module whose functions are NumPy's."""

    def __init__(self, name, numpy):
        super().__init__(name)
        self._numpy = numpy

    def __getattr__(self, name):
        value = getattr(self._numpy, name)
        if isinstance(value, types.ModuleType):
            return _Module(f"{self.__name__}.{name}", value)
        return value if isinstance(value, type) or not callable(value) else _guarded(value)


def _asarray(a, *args, blocking=False, **kwargs):
    return _outside(np.array(a._inner if isinstance(a, StrictArray) else a, *args, **kwargs))


def _erfinv(y):
    """By bisection: math has none."""
    low, high = -7.0, 7.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return (low + high) / 2


strict_cupy = _Module("cupy", np)
strict_cupy.ndarray = StrictArray
strict_cupy.asarray = strict_cupy.array = _asarray
strict_cupy.is_available = lambda: True


def _from_dlpack(source):
    assert source.__dlpack_device__()[0] == 2, "CuPy takes what is on a GPU"
    return StrictArray(source.__dlpack__())


class Stream:
    """A stream on which everything is done at once."""

    done = True

    def record(self):
        return self


strict_cupy.from_dlpack = _from_dlpack
strict_cupy.cuda = types.SimpleNamespace(
    Device=Device, get_current_stream=Stream, runtime=types.SimpleNamespace(getDeviceCount=lambda: 1)
)


def _by_element(f: Any) -> Any:
    """f of each element, in the array's own type."""
    return _guarded(lambda x: np.vectorize(f, otypes=[float])(x).astype(x.dtype))


special = types.SimpleNamespace(erf=_by_element(math.erf), erfc=_by_element(math.erfc), erfinv=_by_element(_erfinv))
scipy = types.ModuleType("cupyx.scipy")
scipy.special = special
cupyx = types.ModuleType("cupyx")
cupyx.empty_pinned = np.empty
MODULES = {"cupy": strict_cupy, "cupyx": cupyx, "cupyx.scipy": scipy}
