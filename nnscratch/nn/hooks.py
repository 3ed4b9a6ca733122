"""What happens around a forward: hooks before, after and in the backward pass, and the layer's name in an error."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import defvjp, primitive
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

_ids = itertools.count()


class Handle:
    """A registered hook; `remove()` takes it away (also at the end of a `with` block)."""

    def __init__(self, table: dict[int, tuple[Callable, bool]], hook: Callable, prepend: bool = False, with_kwargs: bool = False):
        if not callable(hook):
            raise TypeError(f"hook: expected a callable, got {type(hook).__name__}")
        self.id = next(_ids)
        self._table = table
        before = dict(table) if prepend else {}
        if prepend:
            table.clear()
        table[self.id] = (hook, with_kwargs)
        table.update(before)

    def remove(self) -> None:
        self._table.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


def call_with_hooks(module: Module, args: tuple, kwargs: dict) -> Any:
    """Forward with everything registered around it."""
    for hook, with_kwargs in list(module._forward_pre_hooks.values()):
        if with_kwargs:
            result = hook(module, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(f"a forward pre-hook with kwargs must return None or (args, kwargs), got {result!r}")
                args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    watch = _Watch(module) if module._backward_hooks or module._backward_pre_hooks else None
    if watch is not None:
        args = watch.inputs(args)
    y = module.forward(*args, **kwargs)
    if watch is not None:
        y = watch.outputs(y)
    for hook, with_kwargs in list(module._forward_hooks.values()):
        result = hook(module, args, kwargs, y) if with_kwargs else hook(module, args, y)
        if result is not None:
            y = result
    return y


@primitive
def _identity(*xs, watch, pull):  # noqa: ARG001
    """The arguments unchanged; `watch` sees their cotangents pass."""
    return xs


defvjp(_identity, each=lambda i, g, _y, *_xs, watch, pull: pull(watch, g)[i])


class _Watch:
    """The backward hooks of one call.

    All inputs go through one identity op and all outputs through another, so that the cotangents of each side arrive together.
    """

    def __init__(self, module: Module):
        self.module = module
        self.places: list[int] | None = None  # which positional arguments are tracked; None: no input requires grad
        self.width = 0
        self.grad_output: tuple = ()
        self._seen: dict[str, tuple[Any, Any]] = {}

    def inputs(self, args: tuple) -> tuple:
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        self.width = len(args)
        if not places:
            return args
        self.places = places
        new = list(args)
        for i, x in zip(places, _identity(*[args[i] for i in places], watch=self, pull=_Watch.at_inputs)):
            new[i] = x
        return tuple(new)

    def outputs(self, y: Any) -> Any:
        single = isinstance(y, Tensor)
        ys = [y] if single else list(y) if isinstance(y, (tuple, list)) else []
        places = [i for i, t in enumerate(ys) if isinstance(t, Tensor) and t.requires_grad]
        if not places:
            return y
        self.out_places, self.out_width = places, len(ys)
        for i, t in zip(places, _identity(*[ys[i] for i in places], watch=self, pull=_Watch.at_outputs)):
            ys[i] = t
        if single:
            return ys[0]
        return type(y)(*ys) if hasattr(y, "_fields") else type(y)(ys)

    def _once(self, side: str, g: tuple, compute: Callable[[], tuple]) -> tuple:
        """The VJP is asked once per argument with the same tuple: run the hooks the first time."""
        seen = self._seen.get(side)
        if seen is None or seen[0] is not g:
            seen = self._seen[side] = (g, compute())
            if len(g) == 1:
                del self._seen[side]
        return seen[1]

    def at_outputs(self, g: tuple) -> tuple:
        def compute() -> tuple:
            module, arrays = self.module, not isinstance(g[0], Tensor)
            grads = _spread(g, self.out_places, self.out_width)
            for hook, _ in list(module._backward_pre_hooks.values()):
                grads = _replaced(grads, hook(module, grads), "full backward pre-hook")
            self.grad_output = grads
            if self.places is None:
                for hook, _ in list(module._backward_hooks.values()):
                    hook(module, (None,) * self.width, grads)
            return tuple([_plain(grads[i], arrays) for i in self.out_places])

        return self._once("out", g, compute)

    def at_inputs(self, g: tuple) -> tuple:
        def compute() -> tuple:
            module, arrays = self.module, not isinstance(g[0], Tensor)
            grads = _spread(g, self.places, self.width)
            for hook, _ in list(module._backward_hooks.values()):
                grads = _replaced(grads, hook(module, grads, self.grad_output), "full backward hook")
            self.grad_output = ()
            return tuple([_plain(grads[i], arrays) for i in self.places or ()])

        return self._once("in", g, compute)


def _spread(g: tuple, places: Any, width: int) -> tuple:
    grads: list[Any] = [None] * width
    for i, part in zip(places, g):
        grads[i] = part if isinstance(part, Tensor) else Tensor(part)
    return tuple(grads)


def _plain(grad: Any, arrays: bool) -> Any:
    return grad.data if arrays and isinstance(grad, Tensor) else grad


def _replaced(grads: tuple, result: Any, what: str) -> tuple:
    if result is None:
        return grads
    result = result if isinstance(result, (tuple, list)) else (result,)
    if len(result) != len(grads):
        raise RuntimeError(f"a {what} must return None or {len(grads)} gradients, got {len(result)}")
    return tuple(result)


def locate(module: Module, error: Exception) -> None:
    """Note in the exception which layer raised it, as a path from the outermost module that it has passed so far."""
    inner, outer, path, old = error.__dict__.get("_nnscratch_layer", (module, module, "", None))
    if inner is module:  # raised here, perhaps not for the first time
        outer, path = module, ""
    else:
        name = next((name for name, child in module.named_modules() if child is outer), None)
        if name is None:
            return  # called from a module that does not own it
        outer, path = module, f"{name}.{path}" if path else name
    text = f"in {path} ({_one_line(inner)})" if path else f"in {_one_line(inner)}"
    notes = error.__dict__.setdefault("__notes__", [])
    if old in notes:
        notes[notes.index(old)] = text
    else:
        notes.append(text)
    error.__dict__["_nnscratch_layer"] = (inner, outer, path, text)


def _one_line(module: Module) -> str:
    return f"{type(module).__name__}({module.extra_repr()})".replace("\n", ", ")
