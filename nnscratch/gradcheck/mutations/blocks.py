"""Faults in convolutions that are fused with what follows them: bias, (leaky) relu and pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...kernels import ConvSpec
from ...ops import conv, conv_input, leaky_relu, max_pool2d, relu, stop_gradient
from ...ops.conv_block import conv_block, conv_transpose_block
from ..audit.draw import normal, within
from ..audit.entry import Entry, Fresh, case
from .catalogue import Mutation, distorted, fault
from .inject import gradient, in_backward, in_definition

SHAPES = (2, 3, 6, 6), (4, 3, 3, 3)
SPEC = Fresh(lambda: ConvSpec.of(*SHAPES, padding=1), "padding 1")
TRANSPOSED = Fresh(lambda: ConvSpec.transposed((2, 4, 3, 3), SHAPES[1], stride=2, padding=1), "stride 2, padding 1")


def _block(slope: float, pool: bool) -> Entry:
    return case(
        "ops.conv_block.conv_block", *(normal(*shape) for shape in SHAPES), within(-8, -2, 4), spec=SPEC, slope=slope, pool=pool
    )


POOLED, LEAKY = _block(0.0, True), _block(0.2, False)
UP = case("ops.conv_block.conv_transpose_block", normal(2, 4, 3, 3), normal(4, 3, 3, 3), normal(3), spec=TRANSPOSED, slope=0.2)


def _with(**changed: Any) -> Callable:
    """An edit of the fused backward: other keywords than the forward had."""
    return lambda right: lambda *args, **options: right(*args, **{**options, **changed})


def _all_alive(right: Callable) -> Callable:
    """As if every output had been positive: relu passes everything."""
    return lambda g, y, *rest, **options: right(g, np.abs(y) + 1, *rest, **options)


def _first_image(right: Callable) -> Callable:
    """The sums over the batch taken over its first image only; the input's gradient left right."""

    def wrong(g, *rest, **options):
        gx, *_ = right(g, *rest, **options)
        return (gx, *right(g * (np.arange(len(g)) == 0)[:, None, None, None], *rest, **options)[1:])

    return wrong


def _next_place(right: Callable) -> Callable:
    """Every maximum taken for its window's next element."""
    return lambda g, y, argmax, *rest, **options: right(g, y, ((argmax + 1) % 4).astype(argmax.dtype), *rest, **options)


def _detached_weight(x, w, b, *, spec, slope, pool):
    y = conv(x, stop_gradient(w), b, spec=spec)
    return max_pool2d(relu(y), 2) if pool else leaky_relu(y, slope)


def _detached_input(x, w, b, *, spec, slope):
    return leaky_relu(conv_input(stop_gradient(x), w, b, spec=spec), slope)


def _faulty(name: str, entry: Entry, edit: Callable) -> Mutation:
    op = conv_transpose_block if entry is UP else conv_block
    return fault(name, entry, in_backward(op, edit), op.primitive.name)


FUSED: list[Mutation] = [
    *distorted("conv block, pooled", POOLED, conv_block, (0, 1, 2)),
    *distorted("conv block, leaky", LEAKY, conv_block, (0, 1, 2)),
    *distorted("conv transpose block", UP, conv_transpose_block, (0, 1, 2)),
    _faulty("conv block: maximum taken for its neighbour", POOLED, _next_place),
    _faulty("conv block: relu passes everything, pooled", POOLED, _all_alive),
    _faulty("conv block: relu passes everything", LEAKY, _all_alive),
    _faulty("conv block: slope below zero forgotten", LEAKY, _with(slope=0.0)),
    _faulty("conv block: missing batch sum in weight and bias", LEAKY, _first_image),
    _faulty("conv block: missing batch sum in weight and bias, pooled", POOLED, _first_image),
    _faulty("conv block: kernel axes swapped", LEAKY, gradient(1, lambda g: g.swapaxes(-1, -2))),
    _faulty("conv block: bias of the next channel", POOLED, gradient(2, lambda g: np.roll(g, 1))),
    _faulty("conv transpose block: activation forgotten", UP, _with(slope=1.0)),
    _faulty("conv transpose block: missing batch sum in weight and bias", UP, _first_image),
    _faulty("conv transpose block: kernel flipped", UP, gradient(1, lambda g: g[..., ::-1, ::-1])),
    fault("conv block: weight detached in the definition", LEAKY, in_definition(conv_block, _detached_weight),
          "conv_block", order=2),
    fault("conv block: weight detached in the definition, pooled", POOLED, in_definition(conv_block, _detached_weight),
          "conv_block", order=2),
    fault("conv transpose block: input detached in the definition", UP, in_definition(conv_transpose_block, _detached_input),
          "conv_transpose_block", order=2),
]  # fmt: skip
