"""What a model consists of and costs: layers, shapes, parameters, multiply-adds, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backend
from ..autograd import no_grad
from ..tensor import Tensor
from .conv import _Conv
from .linear import Bilinear, Linear
from .module import Module
from .recurrent import RNNBase, RNNCellBase
from .utils.rnn import PackedSequence


@dataclass
class Row:
    """One call of one module."""

    path: str
    kind: str
    depth: int
    output_shape: Any = None  # a tuple, or a tuple of tuples for several outputs
    parameters: int = 0  # the module's own, not its children's
    trainable: int = 0
    mult_adds: int = 0
    activation_bytes: int = 0  # of the outputs of a module without children
    repeated: bool = False  # called before: its parameters are counted there


@dataclass
class Summary:
    """The rows in the order of the calls, and the totals; `print` it for the table."""

    rows: list[Row] = field(default_factory=list)
    total_parameters: int = 0
    trainable_parameters: int = 0
    mult_adds: int = 0
    input_bytes: int = 0
    activation_bytes: int = 0
    parameter_bytes: int = 0  # buffers included

    def __str__(self) -> str:
        table = [("layer", "output shape", "parameters", "mult-adds"), *map(_cells, self.rows)]
        widths = [max(len(cells[i]) for cells in table) for i in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in table]
        rule = "-" * len(lines[0])
        frozen = self.total_parameters - self.trainable_parameters
        activations, parameters = _size(self.activation_bytes), _size(self.parameter_bytes)
        totals = [
            f"parameters:  {self.total_parameters:,} ({self.trainable_parameters:,} trainable, {frozen:,} frozen)",
            f"mult-adds:   {self.mult_adds:,}",
            f"memory:      input {_size(self.input_bytes)}, activations {activations}, parameters {parameters}",
        ]
        return "\n".join([lines[0], rule, *lines[1:], rule, *totals])

    __repr__ = __str__


def summary(model: Module, input: Any, dtype: Any = None, **keywords: Any) -> Summary:
    """Run `model` once on `input`, in evaluation mode and without gradients, and report every module that is called.

    input: a shape such as (1, 3, 32, 32), a list of shapes, a tensor, or a list or tuple of tensors, one per argument of forward.
    Shapes become zeros of `dtype` (that of the first floating-point parameter unless given; an integer one for embeddings).
    `keywords` go to forward as they are.
    Multiply-adds are those of linear, convolutional and recurrent layers, biases and elementwise work left out; another module
    counts if it has a method `multiply_adds(args, output)`. Activations are the outputs of the modules without children.
    """
    args = _inputs(model, input, dtype)
    result = Summary(input_bytes=sum(t.nbytes for a in args for t in _tensors(a)))
    paths = {m: path for path, m in reversed(list(model.named_modules()))}
    open_rows: list[Row] = []
    seen: set[Module] = set()

    def before(module: Module, _args: tuple) -> None:
        own = list(module.parameters(recurse=False))
        row = Row(paths[module], type(module).__name__, len(open_rows), repeated=module in seen)
        row.parameters = sum(p.numel() for p in own)
        row.trainable = sum(p.numel() for p in own if p.requires_grad)
        seen.add(module)
        open_rows.append(row)
        result.rows.append(row)

    def after(module: Module, args: tuple, output: Any) -> None:
        row = open_rows.pop()
        shapes = [tuple(t.shape) for t in _tensors(output)]
        row.output_shape = shapes[0] if len(shapes) == 1 else tuple(shapes)
        row.mult_adds = _mult_adds(module, args, output)
        if not module._modules:
            given = [t.data for a in args for t in _tensors(a)]
            new = [t for t in _tensors(output) if not any(np.may_share_memory(t.data, a) for a in given)]
            row.activation_bytes = sum(t.nbytes for t in new)

    modes = {m: m.training for m in paths}
    handles = [m.register_forward_pre_hook(before) for m in paths] + [m.register_forward_hook(after) for m in paths]
    try:
        model.eval()
        with no_grad():
            model(*args, **keywords)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    parameters = list(model.parameters())
    result.total_parameters = sum(p.numel() for p in parameters)
    result.trainable_parameters = sum(p.numel() for p in parameters if p.requires_grad)
    result.parameter_bytes = sum(t.nbytes for t in [*parameters, *model.buffers()])
    result.mult_adds = sum(row.mult_adds for row in result.rows)
    result.activation_bytes = sum(row.activation_bytes for row in result.rows)
    return result


def _inputs(model: Module, input: Any, dtype: Any) -> tuple:
    if isinstance(input, (Tensor, PackedSequence)):
        return (input,)
    if not isinstance(input, (tuple, list)) or not input:
        raise TypeError(f"summary: expected a shape, a list of shapes, a tensor or tensors, got {input!r}")
    if all(isinstance(n, (int, np.integer)) for n in input):
        input = [tuple(input)]
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    dtype = dtype or (backend.get_default_dtype() if first is None else first.dtype)

    def example(shape: Any) -> Any:
        if isinstance(shape, (Tensor, PackedSequence)):
            return shape
        zeros = np.zeros(shape, dtype)
        return Tensor(zeros if first is None else backend.to_device(zeros, first.device))

    return tuple(example(item) for item in input)


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, (tuple, list)) else []


def _mult_adds(module: Module, args: tuple, output: Any) -> int:
    if hasattr(module, "multiply_adds"):
        return int(module.multiply_adds(args, output))
    if isinstance(module, Linear):
        return output.numel() * module.in_features
    if isinstance(module, Bilinear):
        return output.numel() * module.in1_features * module.in2_features
    if isinstance(module, _Conv):
        # Each output of a convolution, and each input of a transposed one, meets one filter of every channel of its group.
        positions = args[0] if module.transposed else output
        return positions.numel() * module.weight.shape[1] * math.prod(module.kernel_size)
    if isinstance(module, RNNCellBase):
        return args[0].numel() // module.input_size * (module.weight_ih.numel() + module.weight_hh.numel())
    if isinstance(module, RNNBase):
        steps = _tensors(args[0])[0].numel() // module.input_size
        return steps * sum(w.numel() for weights in module.all_weights for w in weights if w.ndim == 2)
    return 0


def _cells(row: Row) -> tuple[str, str, str, str]:
    name = f"{row.path.rpartition('.')[2]}: {row.kind}" if row.path else row.kind
    count = "-" if not row.parameters else "(shared)" if row.repeated else f"{row.parameters:,}"
    return "  " * row.depth + name, str(row.output_shape), count, f"{row.mult_adds:,}" if row.mult_adds else "-"


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"
