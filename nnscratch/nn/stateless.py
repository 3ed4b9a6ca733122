"""Layers without parameters, declared like dataclasses."""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY
from typing import Any, ClassVar, dataclass_transform

from ..tensor import Tensor
from .module import Module

__all__ = ["KW_ONLY", "Stateless"]


@dataclass_transform()
class Stateless(Module):
    """A layer whose annotated class attributes are its constructor's arguments, in their order, those of its base class first.

        class ELU(Stateless):
            alpha: float = 1.0
            def forward(self, input): return F.elu(input, self.alpha)

    gives `ELU(alpha=1.0)`, its attribute and its repr. Fields after `_: KW_ONLY` are keyword-only; a tensor becomes a buffer.
    `inplace` is accepted for torch's sake and changes nothing: a result is always a new tensor.
    """

    _fields: ClassVar[dict[str, inspect.Parameter]] = {}
    _arguments: ClassVar[inspect.Signature]
    _shown: ClassVar[tuple[str, ...] | None] = None  # the fields in the repr; None: all, `inplace` only when set
    _buffer_fields: ClassVar[tuple[str, ...]] = ()  # tensors or None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fields = dict(cls._fields)
        kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
        for name, annotation in inspect.get_annotations(cls).items():
            if "KW_ONLY" in str(annotation):
                kind = inspect.Parameter.KEYWORD_ONLY
            elif "ClassVar" not in str(annotation):
                default = cls.__dict__.get(name, inspect.Parameter.empty)
                fields[name] = inspect.Parameter(name, kind, default=default, annotation=annotation)
                if name in cls.__dict__:
                    delattr(cls, name)  # a buffer of that name must not be hidden by its default
        cls._fields = fields
        cls._arguments = inspect.Signature(list(fields.values()))
        cls.__signature__ = None if "__init__" in cls.__dict__ else cls._arguments  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            bound = self._arguments.bind(*args, **kwargs)
        except TypeError as fault:
            raise TypeError(f"{type(self).__name__}: {fault}") from None
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name in self._buffer_fields:
                self.register_buffer(name, value if value is None or isinstance(value, Tensor) else Tensor(value))
            else:
                setattr(self, name, value)
        self._setup()

    def _setup(self) -> None:
        """Checks and derived values, after the fields are set."""

    def extra_repr(self) -> str:
        shown = self._shown
        if shown is None:
            shown = tuple(name for name in self._fields if name != "inplace" or self.inplace)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
