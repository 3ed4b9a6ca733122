"""Modules and parameters kept in sequences and mappings."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..tensor import Tensor
from .fusing import HEADS, fuse
from .hooks import locate
from .module import Module
from .parameter import Parameter


class _ListOf(Module):
    """Children under the names "0", "1", ... with the manners of a list."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def _index(self, i: Any) -> int:
        i, n = operator.index(i), len(self)
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of range for {type(self).__name__} of length {n}")
        return i % n

    def _key(self, i: Any) -> str:
        return list(self._modules)[self._index(i)]

    def _set(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            new = type(self).__new__(type(self))
            Module.__init__(new)
            new.training = self.training
            for name, module in list(self._modules.items())[i]:
                new.add_module(name, module)
            return new if isinstance(self, Sequential) else new._renumbered()
        return self._modules[self._key(i)]

    def _renumbered(self) -> Any:
        self._set(self._modules.values())
        return self

    def __setitem__(self, i: int, module: Module) -> None:
        setattr(self, self._key(i), module)

    def __delitem__(self, i: Any) -> None:
        names = list(self._modules)
        for name in names[i] if isinstance(i, slice) else [self._key(i)]:
            del self._modules[name]
        self._set(self._modules.values())

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before position `index`; returns self."""
        if not isinstance(module, Module):
            raise TypeError(f"insert: {type(module).__name__} is not a Module subclass")
        modules = list(self)
        modules.insert(index, module)
        self._set(modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns self."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Remove and return."""
        module = self[key]
        del self[key]
        return module


class Sequential(_ListOf):
    """y = f_n(... f_2(f_1(x))): `Sequential(f1, f2, ...)` or `Sequential(OrderedDict(name=f1, ...))`.

    Indexing gives a layer, slicing a Sequential of the same layers under the same names.
    """

    def __init__(self, *args: Any):
        super().__init__()
        items = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else ((str(i), m) for i, m in enumerate(args))
        for name, module in items:
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        modules = list(self._modules.values())
        i = 0
        while i < len(modules):
            taken = 0
            if type(modules[i]) in HEADS:
                try:
                    input, taken = fuse(modules[i : i + 3], input)
                except Exception as error:
                    locate(modules[i], error)
                    raise
            if not taken:
                input, taken = modules[i](input), 1
            i += taken
        return input

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)


class ModuleList(_ListOf):
    """A list of modules, whose parameters are the owner's. It has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def __repr__(self) -> str:
        """Like any module's, with runs of equal layers on one line."""
        texts = [repr(m) for m in self]
        if not texts:
            return "ModuleList()"
        lines, start = [], 0
        for i in range(1, len(texts) + 1):
            if i == len(texts) or texts[i] != texts[start]:
                many = f"{start}-{i - 1}): {i - start} x " if i - start > 1 else f"{start}): "
                lines.append(f"({many}{texts[start]}".replace("\n", "\n  "))
                start = i
        return "\n  ".join(["ModuleList(", *lines]) + "\n)"

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])


class _DictOf(Module):
    """What ModuleDict and ParameterDict share: a mapping in insertion order, kept in one of the module's tables."""

    _table: str

    @property
    def _items(self) -> dict[str, Any]:
        return self.__dict__[self._table]

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def __delitem__(self, key: str) -> None:
        del self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def keys(self):
        return self._items.keys()

    def values(self):
        return self._items.values()

    def items(self):
        return self._items.items()

    def clear(self) -> None:
        """Remove everything."""
        self._items.clear()

    def pop(self, key: str) -> Any:
        """Remove and return."""
        return self._items.pop(key)

    def update(self, items: Any) -> None:
        """Add or replace from a mapping or (name, value) pairs, in their order."""
        for key, value in items.items() if isinstance(items, (Mapping, _DictOf)) else items:
            self[key] = value


class ModuleDict(_DictOf):
    """A mapping of names to modules, in insertion order. It has no forward."""

    _table = "_modules"

    def __init__(self, modules: Any = None):
        super().__init__()
        self.update(modules or ())

    def __setitem__(self, key: str, value: Module) -> None:
        self.add_module(key, value)


class ParameterDict(_DictOf):
    """A mapping of names to parameters, in insertion order; tensors become parameters."""

    _table = "_parameters"

    def __init__(self, parameters: Any = None):
        super().__init__()
        self.update(parameters or ())

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _as_parameter(value))

    def extra_repr(self) -> str:
        return "\n".join(f"({k}): {_describe(p)}" for k, p in self.items())


class ParameterList(Module):
    """A list of parameters under the names "0", "1", ...; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __getitem__(self, i: Any) -> Any:
        values = list(self._parameters.values())
        return ParameterList(values[i]) if isinstance(i, slice) else values[operator.index(i)]

    def __setitem__(self, i: int, value: Any) -> None:
        self._parameters[list(self._parameters)[operator.index(i)]] = _as_parameter(value)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end; returns self."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add parameters at the end; returns self."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(f"({k}): {_describe(p)}" for k, p in self._parameters.items())


def _as_parameter(value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor):
        return Parameter(value, requires_grad=value.is_floating_point())
    raise TypeError(f"expected a Parameter or a tensor, got {type(value).__name__}")


def _describe(p: Parameter) -> str:
    return f"{type(p).__name__} containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
