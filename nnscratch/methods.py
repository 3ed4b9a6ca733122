"""Which ops are operators, methods and properties of Tensor: the tables, and how each kind is attached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import autograd, backend, ops
from .autograd import mark_written, write_in_place
from .ops.views import plain_index
from .tensor import Tensor, array_of


def _names(text: str) -> list[str]:
    return text.split()


# Methods that are the op of the same name with the tensor as first argument.
METHODS = _names("""
    abs absolute acos acosh add addcdiv addcmul addmm addmv all allclose amax amin aminmax any arccos arccosh arcsin arcsinh
    arctan arctan2 arctanh argmax argmin argsort argwhere asin asinh atan atan2 atanh baddbmm bernoulli bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm ceil chunk clamp clamp_max clamp_min clip
    clone contiguous cos cosh count_nonzero cummax cummin cumprod cumsum deg2rad diag diag_embed diagonal diff div divide dot
    eq equal erf erfc erfinv exp exp2 expand_as expm1 fix flatten fliplr flipud float_power floor floor_divide fmax fmin fmod
    frac gather ge greater greater_equal gt hardshrink hypot index_add index_copy index_fill index_put index_select isclose
    isfinite isinf isnan isneginf isposinf kron kthvalue le lerp less less_equal log log10 log1p log2 log_softmax logaddexp
    logcumsumexp logical_and logical_not logical_or logical_xor logsumexp lt masked_fill masked_scatter masked_select matmul
    max maximum mean median min minimum mm moveaxis movedim mul multinomial multiply mv nan_to_num nanmean nansum narrow ne
    neg negative nonzero norm not_equal outer positive pow prelu prod rad2deg ravel reciprocal relu remainder
    repeat_interleave roll rot90 round rsqrt scatter scatter_add scatter_reduce select sgn sigmoid sign sin sinc sinh softmax
    sort split sqrt square squeeze std sub subtract sum swapaxes swapdims t take take_along_dim tan tanh tensor_split topk
    trace transpose tril triu true_divide trunc unbind unflatten unique unsqueeze var vdot view_as xlogy
""")

# Methods that take their sizes or dims either as one tuple or as several ints.
VARIADIC = _names("broadcast_to expand flip permute repeat reshape tile view")

# x.name_(...): the op of that name, written into x.
IN_PLACE = _names("""
    abs acos acosh add addcdiv addcmul addmm addmv asin asinh atan atan2 atanh baddbmm bitwise_and bitwise_not bitwise_or
    bitwise_xor ceil clamp clamp_max clamp_min clip cos cosh cumprod cumsum div erf erfc erfinv exp exp2 expm1 floor
    floor_divide fmod frac hypot index_add index_copy index_fill index_put lerp log log10 log1p log2 logical_and logical_not
    logical_or logical_xor masked_fill masked_scatter mul nan_to_num neg pow reciprocal relu remainder round rsqrt scatter
    scatter_add scatter_reduce sgn sigmoid sign sin sinc sinh sqrt square sub tan tanh tril triu trunc xlogy
""")

# __name__, __rname__ and __iname__ -> op
BINARY = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
COMMUTATIVE = {"add", "mul", "and", "or", "xor"}
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}

DTYPES: dict[str, np.dtype] = {
    "double": backend.float64,
    "float": backend.float32,
    "half": backend.float16,
    "long": backend.int64,
    "int": backend.int32,
    "short": backend.int16,
    "char": backend.int8,
    "byte": backend.uint8,
    "bool": backend.bool_,
}


def attach(cls: type) -> None:
    """Set every operator, method and property of the tables on Tensor."""
    for name in METHODS:
        setattr(cls, name, getattr(ops, name))
    for name in VARIADIC:
        setattr(cls, name, _variadic(getattr(ops, name)))
    for name in IN_PLACE:
        setattr(cls, f"{name}_", _in_place(getattr(ops, name), f"{name}_"))
    for name, op_name in BINARY.items():
        op = getattr(ops, op_name)
        setattr(cls, f"__{name}__", op)
        setattr(cls, f"__r{name}__", op if name in COMMUTATIVE else _reflected(op))
        setattr(cls, f"__i{name}__", _in_place(op, f"__i{name}__"))
    for name in COMPARISONS:
        setattr(cls, f"__{name}__", _comparison(getattr(ops, name)))
    for name, op_name in UNARY.items():
        setattr(cls, f"__{name}__", getattr(ops, op_name))
    for name, dtype in DTYPES.items():
        setattr(cls, name, _conversion(name, dtype))
    for name, method in OWN.items():
        setattr(cls, name, method)
    for name, method in PROPERTIES.items():
        setattr(cls, name, property(method, doc=method.__doc__))


# -------------------------------------------------------------------------------------------------- kinds of method


def _variadic(op: Callable) -> Callable:
    """op(x, (2, 3)) as the method x.op(2, 3) or x.op((2, 3))."""

    def method(self, *sizes, **kwargs):
        if kwargs or (len(sizes) == 1 and not isinstance(sizes[0], int)):
            return op(self, *sizes, **kwargs)
        return op(self, sizes)

    method.__name__, method.__doc__ = op.__name__, op.__doc__
    return method


def _reflected(op: Callable) -> Callable:
    def method(self, other):
        return op(other, self)

    method.__name__ = f"r{op.__name__}"
    return method


def _comparison(op: Callable) -> Callable:
    """Elementwise with numbers and arrays; with anything else Python's own answer (x == None is False, x < None a TypeError)."""

    def method(self, other):
        if isinstance(other, (Tensor, float, int, np.generic)) or backend.is_array(other):
            return op(self, other)
        return NotImplemented

    method.__name__ = op.__name__
    return method


def _in_place(op: Callable, name: str) -> Callable:
    """The op, written into self. Where the graph might need the value that is overwritten, the op works on a copy."""
    linear = op in (ops.add, ops.sub)

    def method(self, *args, **kwargs):
        old = self
        if (
            not linear
            and autograd.is_grad_enabled()
            and any(isinstance(a, Tensor) and a._node is not None for a in (self, *args, *kwargs.values()))
        ):
            old = ops.clone(self)
        return write_in_place(self, op(old, *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"`{op.__name__}`, written into this tensor."
    return method


def _conversion(name: str, dtype: np.dtype) -> Callable:
    def method(self):
        return self.to(dtype)

    method.__name__ = name
    method.__doc__ = f"The tensor as {dtype}; itself if it is."
    return method


# ------------------------------------------------------------------------------------------- methods that are no ops


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """x[index] = value: in the graph where one of them has history, else straight into the memory."""
    history = self._node is not None or (isinstance(value, Tensor) and value._node is not None)
    if history and autograd.is_grad_enabled() and self.dtype.kind == "f":  # integers have none to take over
        write_in_place(self, ops.setitem(self, index, value))
        return
    token = backend.ignore_float_errors()
    try:
        self.data[plain_index(index)] = array_of(value)
    finally:
        backend.restore_float_errors(token)
    mark_written(self.data)


def _copy_(self: Tensor, src: Any) -> Tensor:
    """The values of `src` (broadcast, converted), written into this tensor. Differentiable in src."""
    _setitem(self, ..., src)
    return self


def _fill_(self: Tensor, value: Any) -> Tensor:
    """One number, or a 0-d tensor, written everywhere. Raises RuntimeError for a tensor with dimensions."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"fill_: expected a number or a 0-d tensor, got shape {tuple(value.shape)}")
    return _copy_(self, value)


def _zero_(self: Tensor) -> Tensor:
    """0 written everywhere."""
    return _fill_(self, 0)


def _drawn(self: Tensor, draw: Callable, generator: backend.Generator | None) -> Tensor:
    """Random numbers of this tensor's dtype written into it."""
    if self.dtype.kind != "f":
        raise RuntimeError(f"random numbers need a floating-point tensor, this one is {self.dtype}")
    drawn_as = self.dtype if self.dtype in (backend.float32, backend.float64) else backend.float32
    values = draw(backend.generator_or_default(generator).numpy, drawn_as)
    return _copy_(self, backend.to_device(values.astype(self.dtype, copy=False), self.device))


def _normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: backend.Generator | None = None) -> Tensor:
    """Samples of the normal distribution, written into this tensor. Raises RuntimeError for a negative std."""
    if std < 0:
        raise RuntimeError(f"normal_: expected std >= 0, got {std}")
    return _drawn(self, lambda rng, dtype: mean + std * rng.standard_normal(self.shape, dtype), generator)


def _uniform_(self: Tensor, low: float = 0, high: float = 1, *, generator: backend.Generator | None = None) -> Tensor:
    """Samples from [low, high), written into this tensor. Raises RuntimeError where low > high."""
    if low > high:
        raise RuntimeError(f"uniform_: expected low <= high, got {low} and {high}")
    return _drawn(self, lambda rng, dtype: low + (high - low) * rng.random(self.shape, dtype), generator)


def _type(self: Tensor, dtype: Any = None) -> Any:
    """The tensor as `dtype`, or without one the name of its dtype."""
    return str(self.dtype) if dtype is None else self.to(np.dtype(dtype))


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of `other`."""
    return self.to(other.dtype)


def _new(name: str, fill: Any) -> Callable:
    def method(self, *size, dtype=None, device=None, requires_grad=False):
        size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
        array = np.full(size, fill, self.dtype if dtype is None else dtype)
        return Tensor(backend.to_device(array, self.device if device is None else device), requires_grad)

    method.__name__ = name
    method.__doc__ = "A new tensor of the given size, with this one's dtype and device unless told otherwise."
    return method


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A new tensor of the given size and value, with this one's dtype and device unless told otherwise."""
    array = np.full(size, fill_value, self.dtype if dtype is None else dtype)
    return Tensor(backend.to_device(array, self.device if device is None else device))


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A copy of `data` as a tensor with this one's dtype and device unless told otherwise."""
    from .tensor import tensor

    return tensor(data, dtype=dtype or self.dtype, device=device or self.device)


OWN: dict[str, Callable] = {
    "__getitem__": ops.getitem,
    "__setitem__": _setitem,
    "__pos__": lambda self: self,
    "__round__": lambda self, ndigits=0: ops.round(self, decimals=ndigits),
    "copy_": _copy_,
    "fill_": _fill_,
    "zero_": _zero_,
    "normal_": _normal_,
    "uniform_": _uniform_,
    "type": _type,
    "type_as": _type_as,
    "new_zeros": _new("new_zeros", 0),
    "new_ones": _new("new_ones", 1),
    "new_empty": _new("new_empty", 0),
    "new_full": _new_full,
    "new_tensor": _new_tensor,
    "where": lambda self, condition, other: ops.where(condition, self, other),
    "reshape_as": lambda self, other: ops.reshape(self, other.shape),
    "ndimension": lambda self: self.ndim,
    "nelement": lambda self: self.data.size,
}


def _transposed(self: Tensor) -> Tensor:
    """The dimensions in reverse order."""
    return ops.permute(self, range(self.ndim - 1, -1, -1))


def _matrix_transposed(self: Tensor) -> Tensor:
    """The last two dimensions exchanged: each matrix of a stack transposed. Raises RuntimeError below two dimensions."""
    if self.ndim < 2:
        raise RuntimeError(f"mT: expected at least 2 dimensions, got shape {tuple(self.shape)}")
    return ops.transpose(self, -2, -1)


PROPERTIES: dict[str, Callable] = {"T": _transposed, "mT": _matrix_transposed, "mH": _matrix_transposed, "H": _matrix_transposed}
