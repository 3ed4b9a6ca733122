"""One entry of the audit: a public function or layer, and the arguments that it is tried with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import numpy as np

from ... import backend, nn, ops
from ...tensor import Tensor
from ..report import Verdict
from .draw import Array, Draw


@dataclass(frozen=True)
class Fresh:
    """Something made anew for each call: a seeded generator, a layer inside a container."""

    make: Callable[[], Any] = field(compare=False)
    text: str = "..."

    def __repr__(self) -> str:
        return self.text


SEEDED = Fresh(lambda: backend.Generator(7), "seeded")


# ---------------------------------------------------------------------------------------------------------- the entry


@dataclass(frozen=True)
class Value:
    """A drawn array in the place of its Draw."""

    array: Array
    free: bool


def fill(tree: Any, leaf: type, f: Callable[[Any], Any]) -> Any:
    """The tree of tuples, lists and dicts with f(x) in the place of every x of type `leaf`."""
    if isinstance(tree, leaf):
        return f(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(fill(branch, leaf, f) for branch in tree)
    if isinstance(tree, dict):
        return {key: fill(branch, leaf, f) for key, branch in tree.items()}
    return tree


def flat(y: Any) -> list[Any]:
    """The tensors of a result, whatever their nesting."""
    if isinstance(y, (list, tuple)):
        return [t for part in y for t in flat(part)]
    return [y]


@dataclass(frozen=True)
class Entry:
    """A call that is audited. `name` is the public function ("conv2d"), the layer ("nn.Conv2d"), or an op that is not public by
    its place ("ops.conv_block.conv_block").

    `expected`: verdicts that pass. `torch`: the name of the torch function that must give the same values, "" for the same name,
    None where there is none. `dtype` and `order`: what it is checked in and up to, whatever is asked for.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    built: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # a layer's constructor arguments
    expected: tuple[Verdict, ...] = (Verdict.CORRECT,)
    torch: str | None = ""
    wrap: Callable[[Any], Any] | None = None  # of the layer once built
    evaluating: bool = False
    random: bool = False
    dtype: Any = None
    order: int | None = None

    def flat(self) -> Entry:
        """A step function: its derivative is zero, and there is nothing else to test."""
        return replace(self, expected=(Verdict.VACUOUS, Verdict.DEAD))

    def alone(self) -> Entry:
        """Torch has no such function, or another meaning for these arguments."""
        return replace(self, torch=None)

    def like(self, torch: str) -> Entry:
        """The torch function of another name is the oracle."""
        return replace(self, torch=torch)

    def eval(self) -> Entry:
        """The layer in evaluation mode."""
        return replace(self, evaluating=True)

    def drawing(self) -> Entry:
        """The layer draws random numbers: the same ones in every call; torch draws others."""
        return replace(self, random=True, torch=None)

    def training(self) -> Entry:
        """Of the size and dtype of training, so that the compiled kernels run; first derivatives, held against float64."""
        return replace(self, dtype=np.float32, order=1, torch=None)

    @property
    def label(self) -> str:
        """The call as text; unique in the table."""
        kind = f" {np.dtype(self.dtype)}" if self.dtype is not None else ""
        if self.built is None:
            return f"{self.name}({_shown(self.args, self.kwargs)}){kind}"
        layer = f"{self.name}({_shown(*self.built)})" + (".eval()" if self.evaluating else "")
        if self.wrap is not None:
            layer = f"{self.wrap.__name__}({layer})"
        return f"{layer}({_shown(self.args, self.kwargs)}){kind}"

    def draw(self, seed: int = 0, dtype: Any = np.float64) -> Sample:
        """The call with its arrays drawn; they depend on the label and the seed alone."""
        rng = np.random.default_rng([zlib.crc32(self.label.encode()), seed])
        dtype = dtype if self.dtype is None else self.dtype

        def drawn(d: Draw) -> Value:
            array = np.asarray(d.make(rng, d.shape))
            return Value(array.astype(dtype) if array.dtype.kind == "f" else array, d.free)

        args, kwargs, built = fill((self.args, self.kwargs, self.built), Draw, drawn)
        return Sample(self, args, kwargs, built, rng, np.dtype(dtype))


def case(name: str, *args: Any, **kwargs: Any) -> Entry:
    """The entry for a call of a function of nnscratch."""
    return Entry(name, args, kwargs)


def layer(name: str, built: tuple[Any, ...], *args: Any, wrap: Callable | None = None, **options: Any) -> Entry:
    """The entry for a layer nn.<name>(*built, **options) called with args."""
    return Entry(f"nn.{name}", args, {}, (built, options), wrap=wrap)


def _shown(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return ", ".join([*map(_text, args), *(f"{key}={_text(value)}" for key, value in kwargs.items())])


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_text, value)) + ")"
    if isinstance(value, slice):
        return ":".join("" if v is None else str(v) for v in (value.start, value.stop, value.step))
    return "..." if value is Ellipsis else f"{value}" if isinstance(value, (Draw, str)) else repr(value)


# --------------------------------------------------------------------------------------------------------- the sample


class Sample:
    """An entry with its arrays: `function` of tensors, and `inputs`, a layer's parameters among them."""

    def __init__(self, entry: Entry, args: Any, kwargs: Any, built: Any, rng: np.random.Generator, dtype: np.dtype):
        self.entry, self.args, self.kwargs, self.built = entry, args, kwargs, built
        values: list[Value] = []
        fill((args, kwargs), Value, values.append)
        self.inputs = [v.array for v in values if v.free]
        self.module: Any = None
        self._parameters: list[tuple[dict, str]] = []
        self._buffers: list[tuple[dict, str, Array]] = []
        if built is not None:
            with backend.default_dtype(dtype), _seeded():
                self.module = self._build()
            self._randomise(rng)

    def _build(self) -> Any:
        positional, options = fill(fill(self.built, Value, lambda v: Tensor(v.array)), Fresh, lambda fresh: fresh.make())
        module = getattr(nn, self.entry.name.removeprefix("nn."))(*positional, **options)
        module = module if self.entry.wrap is None else self.entry.wrap(module)
        return module.train(not self.entry.evaluating)

    def _randomise(self, rng: np.random.Generator) -> None:
        """Ones and zeros, as norms begin with, would hide a factor or a term that is missing. At the size of training, weights of
        order 1 would saturate what follows: these get the size that layers begin with."""
        for owner in self.module.modules():
            for name, p in owner._parameters.items():
                if p is not None:
                    inputs = p.data.size // len(p) if p.ndim > 1 and self.entry.dtype is not None else 1
                    p.data = (rng.uniform(-1, 1, p.shape) / np.sqrt(inputs)).astype(p.dtype)
                    self._parameters.append((owner._parameters, name))
                    self.inputs.append(p.data)
            for name, b in owner._buffers.items():
                if b is not None:
                    drawn = name.startswith("running_")
                    array = rng.uniform(0.5, 1.5, b.shape).astype(b.dtype) if drawn else b.data.copy()
                    self._buffers.append((owner._buffers, name, array))

    def function(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs for the inputs; every call begins with the same buffers and random numbers.

        What is held constant takes the dtype and the device of the inputs: a float32 call that is repeated in float64 is so
        throughout.
        """
        rest = iter(tensors)
        constant = lambda a: _beside(tensors, a)
        args, kwargs = fill((self.args, self.kwargs), Value, lambda v: next(rest) if v.free else constant(v.array))
        args, kwargs = fill((args, kwargs), Fresh, lambda fresh: fresh.make())
        if self.module is None:
            return tuple(flat(attrgetter(self.entry.name.removeprefix("ops."))(ops)(*args, **kwargs)))
        for (table, name), t in zip(self._parameters, rest):
            table[name] = t
        for table, name, array in self._buffers:
            table[name] = constant(array)
        if not self.entry.random:
            return tuple(flat(self.module(*args)))
        with _seeded():
            return tuple(flat(self.module(*args)))


def _beside(tensors: tuple[Tensor, ...], array: Array) -> Tensor:
    if not tensors:
        return Tensor(array.copy())
    array = array.astype(tensors[0].dtype if array.dtype.kind == "f" else array.dtype)
    return Tensor(backend.to_device(array, tensors[0].device))


@contextmanager
def _seeded() -> Iterator[None]:
    """The default generator from a known seed inside, and afterwards as it was."""
    before = backend.default_generator.get_state()
    backend.manual_seed(0)
    try:
        yield
    finally:
        backend.default_generator.set_state(before)
