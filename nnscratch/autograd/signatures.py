"""What the signatures of forwards and VJPs say: which arguments are array data, their names and their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def positional(f: Callable) -> list[tuple[str, bool]]:
    """The names of a function's positional parameters, and whether each is a *rest."""
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    parameters = [p for p in inspect.signature(f).parameters.values() if p.kind in kinds]
    return [(p.name, p.kind is inspect.Parameter.VAR_POSITIONAL) for p in parameters]


def names_of(forward: Callable) -> list[str]:
    """The names of the arguments of a forward that can be given by position, but for a *rest."""
    try:
        return [name for name, variadic in positional(forward) if not variadic]
    except ValueError:  # compiled, without a signature
        return []


def placed(forward: Callable, names: Sequence[str], args: tuple, kwargs: dict[str, Any]) -> tuple:
    """args, and after them those of the named arguments that were given in kwargs, which loses them."""
    given = [i for i in range(len(args), len(names)) if names[i] in kwargs]
    if not given:
        return args
    values, parameters = list(args), inspect.signature(forward).parameters
    for name in names[len(args) : given[-1] + 1]:
        value = kwargs.pop(name, parameters[name].default)
        if value is inspect.Parameter.empty:
            raise TypeError(f"{forward.__name__.strip('_')}: the argument {name!r} is missing")
        values.append(value)
    return tuple(values)


def defaults_asked_for(forward: Callable, vjps: Sequence[Callable]) -> dict[str, Any]:
    """The forward's defaults of the keywords that some VJP must be given."""
    required = {
        p.name
        for f in vjps
        for p in inspect.signature(f).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is inspect.Parameter.empty
    }
    defaults = getattr(forward, "__kwdefaults__", None) or {}
    return {name: value for name, value in defaults.items() if name in required}
