"""Module: named parameters, buffers and children, a forward, and what is done to all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from . import state
from .hooks import Handle, call_with_hooks, locate
from .tree import Tree


class Module(Tree):
    """The base class of layers and models.

    Assign parameters, buffers and other modules to attributes in `__init__` (after `super().__init__()`), define `forward`, and
    call the module itself. An exception raised inside gets a note that names the layer: `in 3.conv2 (Conv2d(3, 64, ...))`.
    """

    training: bool

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update(
            training=True,
            _forward_pre_hooks={},
            _forward_hooks={},
            _backward_pre_hooks={},
            _backward_hooks={},
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks:
                return call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            locate(self, error)
            raise

    # -------------------------------------------------------------------------------------------------------- modes

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module, children first (a way to initialise); returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Set training mode here and below (it matters to dropout and batch norm); returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be a bool, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Switch gradients of all parameters on or off (freezing); returns self."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for p in self.parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else Tensor(np.zeros_like(p.grad.data))

    # --------------------------------------------------------------------------------------- where and in what dtype

    def to(
        self,
        *args: Any,
        device: str | None = None,
        dtype: Any = None,
        non_blocking: bool = False,  # noqa: ARG002 - the copy is always waited for
    ) -> Module:
        """`to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`: move all, cast what is floating-point; returns self.

        Raises TypeError for a dtype that is not floating-point.
        """
        for a in args:
            if isinstance(a, Tensor):
                device, dtype = a.device, a.dtype
            elif isinstance(a, str) and a.split(":")[0] in ("cpu", "cuda"):
                device = a
            elif a is not None:
                dtype = a
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise TypeError(f"Module.to: expected a floating-point dtype, got {np.dtype(dtype)}")

        def convert(array: Any) -> Any:
            if dtype is not None and array.dtype.kind == "f":
                array = array.astype(dtype, copy=False)
            return array if device is None else backend.to_device(array, device)

        for tensor in [*self.parameters(), *self.buffers()]:
            tensor.data = convert(tensor.data)
            if tensor.grad is not None:
                tensor.grad = Tensor(convert(tensor.grad.data))
        return self

    def float(self) -> Module:
        """`to(float32)`."""
        return self.to(dtype=np.float32)

    def double(self) -> Module:
        """`to(float64)`."""
        return self.to(dtype=np.float64)

    def half(self) -> Module:
        """`to(float16)`."""
        return self.to(dtype=np.float16)

    def cpu(self) -> Module:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """`to("cuda")`, or to the GPU of that index."""
        return self.to(backend.device("cuda" if device is None else device))

    # -------------------------------------------------------------------------------------------------------- state

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Every parameter and persistent buffer by its dotted name; keys, order and layouts are torch's.

        The tensors are detached and share memory with the module's; `keep_vars=True` gives the parameters themselves.
        """
        return state.state_dict(self, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> state.IncompatibleKeys:
        """Copy values (tensors or arrays) into the parameters and buffers of the same names; `assign` adopts them instead.

        Returns (missing_keys, unexpected_keys). Raises one RuntimeError that lists every missing, unexpected (when `strict`) and
        mis-shaped key, and then changes nothing.
        """
        return state.load_state_dict(self, state_dict, strict, assign)

    def __copy__(self) -> Module:
        new = type(self).__new__(type(self))
        new.__dict__.update({k: v.copy() if isinstance(v, (dict, set)) and k[0] == "_" else v for k, v in self.__dict__.items()})
        return new

    def __deepcopy__(self, memo: dict) -> Module:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor) and not value.is_leaf:
                value = value.detach()  # a computed attribute, such as a normed weight: its history stays with the original
            new.__dict__[name] = deepcopy(value, memo)
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a Module cannot be pickled (unpickling runs code); use nnscratch.save(module.state_dict(), path) and load_state_dict"
        )

    # -------------------------------------------------------------------------------------------------------- hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """`hook(module, args) -> None | new args` before forward.

        with_kwargs: `hook(module, args, kwargs) -> None | (args, kwargs)`.
        """
        return Handle(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """`hook(module, args, output) -> None | new output` after forward; with_kwargs: `hook(module, args, kwargs, output)`."""
        return Handle(self._forward_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_input, grad_output) -> None | new grad_input` when the gradients of the inputs are known."""
        return Handle(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_output) -> None | new grad_output` before the module's backward."""
        return Handle(self._backward_pre_hooks, hook, prepend)

    # --------------------------------------------------------------------------------------------------------- text

    def extra_repr(self) -> str:
        """The constructor's arguments as they appear in the repr."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}(", *lines, *children]) + "\n)"
