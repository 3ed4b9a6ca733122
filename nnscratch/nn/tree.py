"""The tree behind a module: parameters, buffers and children under names, as attributes and as dotted paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..tensor import Tensor
from .parameter import Buffer, Parameter


class Tree:
    """Tables of parameters, buffers and children that are filled by assigning attributes. The base class of Module."""

    def __init__(self) -> None:
        # Straight into __dict__: __setattr__ below looks at these tables.
        self.__dict__.update(
            _parameters={},
            _buffers={},
            _transient=set(),  # names of the buffers that stay out of the state
            _modules={},
        )

    # --------------------------------------------------------------------------------------------------- attributes

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_parameters" in own:
            for table in (own["_parameters"], own["_modules"], own["_buffers"]):
                if name in table:
                    return table[name]
        hint = "" if "_parameters" in own else "; was super().__init__() called?"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name, "_parameters", "parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Tree):
            self._forget(name, "_modules", "modules")
            self.add_module(name, value)
        elif isinstance(value, Buffer):
            self._forget(name, "_buffers", "buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in own.get("_parameters", ()):
            _expect_none(name, value, "parameter", "nnscratch.nn.Parameter")
            own["_parameters"][name] = None
        elif name in own.get("_modules", ()):
            _expect_none(name, value, "child module", "nnscratch.nn.Module")
            own["_modules"][name] = None
        elif name in own.get("_buffers", ()):
            if not isinstance(value, Tensor):
                _expect_none(name, value, "buffer", "nnscratch.Tensor")
            own["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._transient.discard(name)
                return
        object.__delattr__(self, name)

    def _forget(self, name: str, table: str, what: str) -> None:
        """Make room for `name` in one table by removing it from everywhere else."""
        own = self.__dict__
        if table not in own:
            raise AttributeError(f"cannot assign {what} before {type(self).__name__}.__init__() has called super().__init__()")
        own.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != table:
                own[other].pop(name, None)
        own["_transient"].discard(name)

    def _check_name(self, name: Any, table: dict, what: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before {type(self).__name__}.__init__() has called super().__init__()")
        if not isinstance(name, str):
            raise TypeError(f"{what} name: expected a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{what} name must be non-empty and cannot contain '.': {name!r}")
        if hasattr(self, name) and name not in table:
            raise KeyError(f"attribute {name!r} already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (or reserve its name with None). Raises KeyError for a bad or taken name, TypeError, ValueError."""
        self._check_name(name, self.__dict__.get("_parameters", {}), "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"parameter {name!r}: expected nnscratch.nn.Parameter or None, got {type(param).__name__}")
        if param is not None and not param.is_leaf:
            raise ValueError(f"parameter {name!r} was computed by an op; a parameter must be a leaf")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is carried along but not trained; `persistent=False` keeps it out of the state."""
        self._check_name(name, self.__dict__.get("_buffers", {}), "buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"buffer {name!r}: expected a tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Tree | None) -> None:
        """Add a child under `name`."""
        self._check_name(name, self.__dict__.get("_modules", {}), "module")
        if module is not None and not isinstance(module, Tree):
            raise TypeError(f"module {name!r}: {type(module).__name__} is not a Module subclass")
        self._modules[name] = module

    register_module = add_module

    # ---------------------------------------------------------------------------------------------------- traversal

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module and all below it with their dotted paths, parents first; a shared one once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named_tensors(self, table: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in module.__dict__[table].items():
                if tensor is not None and id(tensor) not in seen:
                    if remove_duplicate:
                        seen.add(id(tensor))
                    yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their dotted names; a shared one once, under its first name."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their dotted names."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Direct children with their names; a shared one once."""
        seen: set[Any] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimiser takes."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def children(self) -> Iterator[Any]:
        """Direct children, each once."""
        return (m for _, m in self.named_children())

    def modules(self) -> Iterator[Any]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def get_submodule(self, target: str) -> Any:
        """The module at a dotted path ("" is this one). Raises AttributeError where the path ends."""
        module: Tree = self
        for name in target.split(".") if target else ():
            child = module.__dict__["_modules"].get(name)
            if child is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r} (looking for {target!r})")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path. Raises AttributeError."""
        return self._get_tensor(target, "_parameters", "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path. Raises AttributeError."""
        return self._get_tensor(target, "_buffers", "buffer")

    def _get_tensor(self, target: str, table: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module.__dict__[table].get(name) is None:
            raise AttributeError(f"{type(module).__name__} has no {what} {name!r} (looking for {target!r})")
        return module.__dict__[table][name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})


def _expect_none(name: str, value: Any, what: str, kind: str) -> None:
    if value is not None:
        raise TypeError(f"cannot assign a {type(value).__name__} as {what} {name!r} ({kind} or None expected)")
