"""A stand-in for CuPy where there is no GPU: NumPy behind a wall.

Its arrays are no NumPy arrays, refuse to be mixed with or turned into them, and give 0-d arrays instead of scalars, as CuPy's do.
Results of ufuncs are in C's order, and functions, methods and their parameters are those of `cupy_names.py` and no others.
What runs on them picks its array library by the array alone; what it computes is NumPy's.
"""

import math
import types
from typing import Any

import numpy as np
from cupy_names import ATTRIBUTES, FUNCTIONS, METHODS, UFUNC_METHODS, UFUNC_PARAMETERS, UFUNCS, refused


class Device:
    """An H100 without memory of its own."""

    id = 0
    compute_capability = "90"
    attributes = types.MappingProxyType({"MaxSharedMemoryPerBlockOptin": 227 << 10})

    def __init__(self, index=0):
        assert index == 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def use(self):
        pass

    def synchronize(self):
        pass


class Flags:
    """The ones that CuPy's arrays have."""

    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata
        self.forc, self.fnc = flags.forc, flags.fnc


class StrictArray(np.lib.mixins.NDArrayOperatorsMixin):
    device = Device()

    def __init__(self, inner):
        self._inner = inner

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._inner.ctypes.data, device_id=0)

    @property
    def flags(self):
        return Flags(self._inner.flags)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        name = ufunc.__name__
        if name not in UFUNCS or (method != "__call__" and method not in UFUNC_METHODS.get(name, ())):
            raise NotImplementedError(f"{name}.{method} is not in cupy_names.py: see whether CuPy has it, and put it there")
        for unknown in set(kwargs) - UFUNC_PARAMETERS:
            raise TypeError(f"CuPy's {name} has no parameter {unknown!r}")
        y = _guarded(getattr(ufunc, method))(*inputs, **kwargs)
        return _c_order(y) if method == "__call__" and name != "matmul" and "out" not in kwargs else y

    def __array_function__(self, function, _types, args, kwargs):
        path = ".".join([*function.__module__.split(".")[1:], function.__name__])
        fault = refused(path, FUNCTIONS[path], args, kwargs) if path in FUNCTIONS else f"{path} is not in cupy_names.py"
        if fault:
            raise TypeError(fault)
        if path.endswith("_like") and kwargs.get("shape") == ():
            del kwargs["shape"]  # which CuPy takes for none
        y = _guarded(function)(*args, **kwargs)
        return _c_order(y) if path == "where" else y

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in ATTRIBUTES and name not in METHODS:
            raise AttributeError(f"{name} is not in cupy_names.py: see whether CuPy's arrays have it, and put it there")
        value = getattr(self._inner, name)
        return _method(name, value) if name in METHODS else _outside(value)

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


def _method(name, function):
    def call(*args, **kwargs):
        fault = refused(name, METHODS[name], args, kwargs)
        if fault:
            raise TypeError(fault)
        return _guarded(function)(*args, **kwargs)

    return call


def _c_order(y):
    return StrictArray(np.ascontiguousarray(y._inner).reshape(y.shape)) if isinstance(y, StrictArray) else y


class _Module(types.ModuleType):
    """A module whose functions are NumPy's."""

    def __init__(self, name, numpy):
        super().__init__(name)
        self._numpy = numpy

    def __getattr__(self, name):
        value = getattr(self._numpy, name)
        path = f"{self.__name__}.{name}"
        if isinstance(value, types.ModuleType):
            return _Module(path, value)
        if isinstance(value, type) or not callable(value):
            return value
        path = path.removeprefix("cupy.")
        if path not in FUNCTIONS and path not in UFUNCS:
            raise AttributeError(f"{path} is not in cupy_names.py: see whether CuPy has it, and put it there")
        return _guarded(value)


def _asarray(a, dtype=None, order=None, *, blocking=False):
    """In C's order but for what is in Fortran's: a copy to a GPU keeps no other."""
    if isinstance(a, StrictArray):
        same = np.asarray(a._inner, dtype, order=order or "K")
        return a if same is a._inner else StrictArray(same)
    fortran = isinstance(a, np.ndarray) and a.flags.fnc
    return _outside(np.array(a, dtype, order=order or ("F" if fortran else "C")))


def _erfinv(y):
    """By bisection: math has none."""
    low, high = -7.0, 7.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return (low + high) / 2


strict_cupy = _Module("cupy", np)
strict_cupy.ndarray = StrictArray
strict_cupy.asarray = _asarray
strict_cupy.is_available = lambda: True
strict_cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None)


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
