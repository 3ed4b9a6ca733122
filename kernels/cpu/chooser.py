"""Which convolution runs, by shape: a cost model in nanoseconds of one core, of which only ratios matter.

Each algorithm's time is a sum of four counts times constants: vector products; work per pixel or transformed element; work
per weight; and one call. The constants were fitted to measurements of 3x3 layers (16 float32 lanes), where choosing by the
model cost 0.6% more time than choosing by measurement.
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..precision import strict
from ..spec import ConvSpec
from . import conv_dense
from .geometry import multiply_adds

LANES = 16  # of the machine measured
FEW = 8  # channels below which Winograd's transforms are not worth it

# Nanoseconds per 1000 products, pixels or elements, weights, and per call (in units of 0.1 microseconds); forward and input
# gradient, then weight gradient.
CONSTANTS = {
    "direct": ((9.6, 2400.0, 1070.0, 280.0), (13.5, 1260.0, 1760.0, 110.0)),
    "winograd4": ((10.9, 194.0, 730.0, 250.0), (8.6, 444.0, 1180.0, 420.0)),
    "winograd2": ((8.7, 209.0, 1240.0, 280.0), (10.3, 357.0, 1670.0, 310.0)),
}


class Choice(NamedTuple):
    """The algorithm that runs, why, and the estimated microseconds of those that could."""

    name: str
    reason: str
    costs: dict[str, float]


def choose(function: str, batch: int, spec: ConvSpec, dtype: np.dtype) -> Choice:
    """For `function` conv, conv_input or conv_weight, under the precision now in force."""
    return _choose(function, batch, spec, np.dtype(dtype), strict())


def explain(spec: ConvSpec, *, batch: int = 1, dtype: Any = np.float32) -> str:
    """What would run for each direction of a convolution, and why; one line each."""
    lines = []
    for function in ("conv", "conv_input", "conv_weight"):
        name, reason, costs = choose(function, batch, spec, dtype)
        times = ", ".join(f"{other} {cost:.0f} us" for other, cost in costs.items())
        lines.append(f"{function}: {name} ({reason}{'; estimates: ' if times else ''}{times})")
    return "\n".join(lines)


@lru_cache(maxsize=4096)
def _choose(function: str, batch: int, spec: ConvSpec, dtype: np.dtype, exact: bool) -> Choice:
    if conv_dense.applies(spec):
        return Choice("dense", "the kernel covers the whole input: a matrix product", {})
    costs = {"direct": _direct(function, batch, spec) / 1e3}
    obstacle = _obstacle(spec, dtype, exact)
    if obstacle is None:
        costs |= {f"winograd{m}": _winograd(m, function, batch, spec) / 1e3 for m in (4, 2)}
    name = min(costs, key=costs.__getitem__)
    if obstacle is not None:
        reason = f"Winograd is out: {obstacle}"
    elif name == "direct":
        reason = "too few tiles, or too many weights, for Winograd's transforms"
    else:
        m = int(name[-1])
        tiles = batch * prod(-(-size // m) for size in spec.output)
        saving = multiply_adds(spec, batch) / (tiles * (m + 2) ** 2 * spec.in_channels * spec.out_channels)
        reason = f"{tiles} tiles of {m}x{m} take {saving:.1f} times fewer products"
    return Choice(name, reason, costs)


def _obstacle(spec: ConvSpec, dtype: np.dtype, exact: bool) -> str | None:
    """Why Winograd cannot or must not run, if so."""
    if exact:
        return 'precision("strict")'
    if dtype != np.float32:
        return f"{dtype} is always direct"
    if spec.kernel != (3, 3) or spec.stride != (1, 1) or spec.dilation != (1, 1) or spec.groups != 1:
        return "it needs a 3x3 kernel with stride 1, dilation 1 and one group"
    if min(spec.in_channels, spec.out_channels) < FEW:
        return f"fewer than {FEW} channels at one end"
    return None


def _roles(function: str, spec: ConvSpec) -> tuple[int, int]:
    """Channels summed over and channels along the lanes, per group."""
    depth, outputs = spec.weight_shape[1], spec.out_channels // spec.groups
    if function == "conv_input" or (function == "conv_weight" and outputs < min(depth, LANES)):
        return outputs, depth
    return depth, outputs


def _padded(count: int, unit: int = LANES) -> int:
    return -(-count // unit) * unit


def _cost(name: str, function: str, products: float, elements: float, weights: float) -> float:
    constants = CONSTANTS[name][function == "conv_weight"]
    return sum(a * b for a, b in zip(constants, (products / 1e3, elements / 1e3, weights / 1e3, 100.0), strict=True))


def _direct(function: str, batch: int, spec: ConvSpec) -> float:
    depth, outputs = _roles(function, spec)
    taps = batch * prod(spec.output) * prod(spec.kernel) * spec.groups
    weights = prod(spec.weight_shape)
    if function == "conv_weight":
        width = _padded(outputs, 2 * LANES)
        return _cost("direct", function, taps * depth * width, taps * width / (2 * LANES), weights)
    return _cost("direct", function, taps * depth * _padded(outputs), taps, weights)


def _winograd(m: int, function: str, batch: int, spec: ConvSpec) -> float:
    depth, outputs = _roles(function, spec)
    size = spec.input if function == "conv_input" else spec.output
    points = (m + 2) ** 2
    entries = batch * prod(-(-s // m) for s in size) * points
    width = _padded(outputs, 2 * LANES if function == "conv_weight" else LANES)
    elements = entries * (_padded(depth) + _padded(outputs))
    return _cost(f"winograd{m}", function, entries * _padded(depth) * width, elements, points * depth * outputs)
