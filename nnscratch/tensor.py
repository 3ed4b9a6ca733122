"""Tensor: an array, its place in the graph, and operators that delegate to `ops`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend

if TYPE_CHECKING:
    from .tensor_types import Methods
else:
    Methods = object  # most methods are ops, attached by methods.py


class Tensor(Methods):
    """A NumPy or CuPy array that remembers how it was computed.

    `data` is the array, `grad` the accumulated gradient of a leaf, `requires_grad` whether ops on it are recorded. Make one with
    `nnscratch.tensor(values)`. Methods and operators follow `torch.Tensor`; Python numbers keep the tensor's dtype.
    """

    data: Any
    _node: Any = None  # the graph node that computed it, a Leaf for a leaf that requires grad, None for a constant
    _grad: Tensor | None = None
    _made: int = 0  # for a constant made on memory with recorded in-place writes: when, by the clock of the graph
    __array_ufunc__ = None  # numpy_array * tensor calls Tensor.__rmul__

    def __init__(self, data: Any, requires_grad: bool = False):
        self.data = _numbers(data) if backend.is_array(data) else _to_array(data)
        self._node = None
        autograd.stamp(self)
        if requires_grad:
            self.requires_grad_()

    # ------------------------------------------------------------------------------------------------- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def device(self) -> backend.device:
        """'cpu' or 'cuda:<index>': a string with `type` and `index`."""
        return backend.device_of(self.data)

    @property
    def itemsize(self) -> int:
        return self.data.itemsize

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.data.shape if dim is None else self.data.shape[dim]

    def dim(self) -> int:
        return self.data.ndim

    def numel(self) -> int:
        return self.data.size

    def element_size(self) -> int:
        return self.data.itemsize

    def is_floating_point(self) -> bool:
        return self.data.dtype.kind == "f"

    def stride(self) -> tuple[int, ...]:
        """Strides in elements."""
        return tuple(s // self.data.itemsize for s in self.data.strides)

    def is_contiguous(self) -> bool:
        return bool(self.data.flags.c_contiguous)

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(ops.unbind(self, 0))

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise RuntimeError(f"the truth value of a tensor with {self.data.size} elements is ambiguous; use .any() or .all()")
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu" or self.data.size != 1:
            raise TypeError(f"only an integer tensor of one element can be an index, got shape {self.shape}, {self.dtype}")
        return int(self.item())

    def __contains__(self, value: Any) -> bool:
        return bool((self.data == (array_of(value))).any())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        text = np.array2string(backend.to_device(self.data, "cpu"), separator=", ", prefix="tensor(", threshold=200, precision=4)
        notes = []
        if self.dtype not in (backend.get_default_dtype(), backend.int64, backend.bool_):
            notes.append(f"dtype={self.dtype}")
        if self.data.size > 200 or self.data.size == 0:
            notes.append(f"shape={tuple(self.shape)}")
        if self.device != "cpu":
            notes.append(f"device={str(self.device)!r}")
        if self._node is not None:
            notes.append("requires_grad=True" if self.is_leaf else f"grad_fn=<{self._node.op.name}>")
        return f"tensor({', '.join([text, *notes])})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.data.ndim == 0 and spec else repr(self)

    # --------------------------------------------------------------------------------------------- place in the graph

    @property
    def requires_grad(self) -> bool:
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients with respect to this leaf (or stop). Only floating-point tensors can require grad."""
        if requires_grad == (self._node is not None):
            return self
        if not requires_grad:
            if not self.is_leaf:
                raise RuntimeError("requires_grad can only be switched off on a leaf; use detach() on a computed tensor")
            self._node = None
            return self
        if self.data.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require grad, this one is {self.dtype}")
        self._node = autograd.Leaf(self)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user rather than by a recorded op."""
        return self._node is None or isinstance(self._node, autograd.Leaf)

    @property
    def grad_fn(self) -> Any:
        """The node that computed this tensor; None for a leaf."""
        return None if self.is_leaf else self._node

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by backward passes; None before the first."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                expected = f"{self.dtype} of shape {tuple(self.shape)}"
                raise RuntimeError(f"grad: expected {expected}, got {value.dtype} of shape {tuple(value.shape)}")
        self._grad = value

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Accumulate the gradient of this tensor into `.grad` of the leaves: see `nnscratch.backward`."""
        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory without history."""
        return Tensor(self.data)

    def detach_(self) -> Tensor:
        """Forget this tensor's history, in place."""
        self._node = None
        return self

    def retain_grad(self) -> None:
        """Let backward fill `.grad` of this computed tensor too. Raises RuntimeError where it does not require grad."""
        if self._node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        if not self.is_leaf:
            self._node.note("retain", weakref.ref(self))  # the graph must not keep the tensor alive

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Call `hook(gradient)` when it is known; a tensor that it returns replaces it. `remove()` the handle to stop."""
        if self._node is None:
            raise RuntimeError("register_hook: this tensor does not require grad")
        return autograd.HookHandle(self._node, hook)

    # ------------------------------------------------------------------------------------------------------ conversion

    def numpy(self) -> np.ndarray:
        """The array itself (shared memory). Raises RuntimeError for a tensor that requires grad: `detach()` it first."""
        if self._node is not None:
            raise RuntimeError(
                "numpy(): this tensor requires grad, and an array cannot carry its history; use tensor.detach().numpy()"
            )
        if not isinstance(self.data, np.ndarray):
            raise TypeError("numpy(): this tensor is on a GPU; use tensor.cpu().numpy() or nnscratch.to_numpy(tensor)")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self._node is not None:
            raise BufferError("__dlpack__: this tensor requires grad; detach() it before sharing its memory")
        return self.data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def item(self) -> float | int | bool:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise RuntimeError(
                f"item(): a tensor with {self.data.size} elements cannot become one number (shape {tuple(self.shape)})"
            )
        return self.data.item()

    def tolist(self) -> Any:
        return self.data.tolist()

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        return self.to(backend.device("cuda" if device is None else device), non_blocking=non_blocking)

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: str | None = None,
        non_blocking: bool = False,
        copy: bool = False,
    ) -> Tensor:
        """`to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`: converted (differentiably), or self if nothing changes.

        With `non_blocking` a copy from page-locked memory to a GPU goes on in the background.
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, str) and a.split(":")[0] in ("cpu", "cuda"):
                device = a
            else:
                dtype = a
        result = self
        if device is not None and device != self.device:
            result = ops.to_device(result, device=device, non_blocking=non_blocking)
        if dtype is not None and np.dtype(dtype) != self.dtype:
            result = ops.astype(result, dtype=np.dtype(dtype))
        return ops.clone(result) if copy and result is self else result

    def __copy__(self) -> Tensor:
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        if self._node is not None and self.is_leaf:
            copy._node = autograd.Leaf(copy)
        return copy

    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "deepcopy of a computed tensor: only leaf tensors can be copied with their attributes; use clone()"
            )
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("data", "_node", "_grad")})
        copy.data = np.copy(self.data, order="K")
        copy._node = None
        if self._node is not None:
            copy.requires_grad_()
        if self._grad is not None:
            copy._grad = Tensor(np.copy(self._grad.data, order="K"))
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a Tensor cannot be pickled (unpickling runs code); use nnscratch.save and nnscratch.load, which write safetensors"
        )


def _to_array(values: Any, dtype: Any = None) -> np.ndarray:
    """Numbers and nested sequences as an array; Python floats take the default dtype."""
    if isinstance(values, (list, tuple)):
        values = [array_of(v) for v in values]
    array = np.array(values)
    _numbers(array)
    if dtype is None and array.dtype == np.float64 and not _holds_numpy(values):
        dtype = backend.get_default_dtype()
    return array if dtype is None else _converted(array, dtype)


def _numbers(array: Any) -> Any:
    """The array, of NumPy's own class. Raises TypeError unless it holds real numbers or booleans."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot make a tensor of {array.dtype} values; expected numbers or booleans")
    return array.view(np.ndarray) if isinstance(array, np.ndarray) and type(array) is not np.ndarray else array


def _converted(array: Any, dtype: Any) -> Any:
    """array.astype(dtype), in which too large a number becomes inf without a warning, as in all ops."""
    token = backend.ignore_float_errors()
    try:
        return array.astype(dtype)
    finally:
        backend.restore_float_errors(token)


def _holds_numpy(values: Any) -> bool:
    """Whether the innermost first value is a NumPy one, whose dtype is meant."""
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return isinstance(values, (np.ndarray, np.generic))


def tensor(data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new leaf tensor with a copy of `data` (numbers, nested sequences, arrays or tensors).

    NumPy arrays keep their dtype (float64 stays float64); Python floats become the default dtype, Python ints int64.
    Raises TypeError for values that are not numbers, RuntimeError where an integer tensor is asked for gradients.
    """
    if isinstance(data, Tensor):
        data = data.data
    array = np.array(data, order="K", copy=True) if isinstance(data, np.ndarray) else data
    return as_tensor(array, dtype=dtype, device=device).requires_grad_(requires_grad)


def as_tensor(data: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Like `tensor`, but shares memory with an array, and returns a tensor as it is, where no conversion is asked for."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    array = _numbers(data) if backend.is_array(data) else _to_array(data, dtype)
    if dtype is not None and array.dtype != np.dtype(dtype):
        array = _converted(array, dtype)
    return Tensor(array if device is None else backend.to_device(array, device))


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the same memory as a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    return as_tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the same memory as any object with `__dlpack__` (a PyTorch tensor, a JAX array, ...).

    Raises RuntimeError for memory of a GPU without CuPy.
    """
    kind, index = source.__dlpack_device__()
    if kind == 2:  # kDLCUDA
        with backend.gpu(int(index)):
            return Tensor(backend.cupy_with_gpu().from_dlpack(source))
    return Tensor(np.from_dlpack(source))


def array_of(x: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def to_numpy(x: Any) -> np.ndarray:
    """Any tensor or array as a NumPy array, without its history and wherever it lives."""
    return backend.to_device(array_of(x), "cpu") if not np.isscalar(x) else np.asarray(x)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float16, float32 or float64."""
    return input.is_floating_point()


# The engine and the ops need Tensor to exist before they can be imported, and its methods need them.
from . import autograd, ops  # noqa: E402
from .methods import attach  # noqa: E402

attach(Tensor)
