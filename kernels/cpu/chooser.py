"""Which convolution runs, by shape: a cost model in nanoseconds of one core, of which only ratios matter.

Each algorithm's time is a sum of four counts times constants: vector products; work per pixel or transformed element; work
per weight; and one call. The constants were fitted to measurements of 3x3 layers (16 float32 lanes), where choosing by the
model cost 0.6% more time than choosing by measurement.
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import algorithm
from ..precision import strict
from ..spec import ConvSpec
from . import conv_dense, conv_pointwise, winograd_apart
from .geometry import multiply_adds
from .matmul import RATE
from .phases import taps_of, tiles
from .winograd_weight import MOST_CHANNELS, MOST_OUTPUTS

LANES = 16  # of the machine measured
FEW = 8  # channels below which Winograd's transforms are not worth it

# Nanoseconds per 1000 products, pixels or elements, weights, and per call (in units of 0.1 microseconds); forward and input
# gradient, then weight gradient.
CONSTANTS = {
    "direct": ((9.8, 1730.0, 680.0, 170.0), (11.9, 690.0, 1260.0, 60.0)),
    "winograd4": ((9.5, 261.0, 714.0, 100.0), (15.4, 220.0, 760.0, 60.0)),
    "winograd2": ((8.7, 227.0, 977.0, 160.0), (10.5, 218.0, 1150.0, 60.0)),
}
APART = (14.0, 220.0, 430.0, 100.0)  # a weight gradient by winograd_apart


class Choice(NamedTuple):
    """The algorithm that runs, why, and the estimated microseconds of those that could."""

    name: str
    reason: str
    costs: dict[str, float]


def choose(function: str, batch: int, spec: ConvSpec, dtype: np.dtype) -> Choice:
    """For `function` conv, conv_input or conv_weight, under the precision and the `use` now in force."""
    choice = _choose(function, batch, spec, np.dtype(dtype), strict())
    asked = algorithm.get()
    return choice if asked not in choice.costs else choice._replace(name=asked, reason="asked for by kernels.use")


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
    if conv_pointwise.applies(spec):
        costs = {"pointwise": multiply_adds(spec, batch) / RATE / 1e3, "direct": _direct(function, batch, spec) / 1e3}
        return Choice("pointwise", "one tap and many weights: a matrix product over all pixels", costs)
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
        saving = multiply_adds(spec, batch) / (_entries(m, function, batch, spec) * spec.in_channels * spec.out_channels)
        r = taps_of(spec)
        reason = f"{batch * _tiles(m, function, spec)} tiles of {m}x{m} with {r}x{r} taps take {saving:.1f} times fewer products"
    return Choice(name, reason, costs)


def _obstacle(spec: ConvSpec, dtype: np.dtype, exact: bool) -> str | None:
    """Why Winograd cannot or must not run, if so."""
    if exact:
        return 'precision("strict")'
    if dtype != np.float32:
        return f"{dtype} is always direct"
    if taps_of(spec) not in (2, 3):
        return "it needs two axes with 2 or 3 taps for each step of the stride, no dilation and one group"
    if min(spec.in_channels, spec.out_channels) < FEW:
        return f"fewer than {FEW} channels at one end"
    return None


def _padded(count: int, unit: int = LANES) -> int:
    return -(-count // unit) * unit


def _cost(constants: tuple[float, ...], products: float, elements: float, weights: float) -> float:
    return sum(a * b for a, b in zip(constants, (products / 1e3, elements / 1e3, weights / 1e3, 100.0), strict=True))


def _direct(function: str, batch: int, spec: ConvSpec) -> float:
    depth, outputs = spec.weight_shape[1], spec.out_channels // spec.groups
    if function == "conv_input" or (function == "conv_weight" and outputs < min(depth, LANES)):
        depth, outputs = outputs, depth
    taps = batch * prod(spec.output) * prod(spec.kernel) * spec.groups
    return _cost(CONSTANTS["direct"][function == "conv_weight"], taps * depth * _padded(outputs), taps, prod(spec.weight_shape))


def _tiles(m: int, function: str, spec: ConvSpec) -> int:
    """Of one image, in all phases of the result."""
    gather = tiles(spec, m, function == "conv_input")
    return gather.per_phase * prod(gather.results)


def _entries(m: int, function: str, batch: int, spec: ConvSpec) -> int:
    """Elements of all transformed tiles, for one channel: each is multiplied once for one output."""
    sources = 1 if function == "conv_input" else prod(spec.stride)
    return batch * _tiles(m, function, spec) * sources * (m + (taps_of(spec) or 0) - 1) ** 2


def _winograd(m: int, function: str, batch: int, spec: ConvSpec) -> float:
    depth, outputs = spec.weight_shape[1], spec.out_channels
    if function == "conv_input":
        depth, outputs = outputs, depth
    entries = _entries(m, function, batch, spec)
    results = entries // (1 if function == "conv_input" else prod(spec.stride))  # of which each is transformed once
    elements = entries * _padded(depth) + results * _padded(outputs)
    weights = prod(spec.stride) * (m + (taps_of(spec) or 0) - 1) ** 2 * depth * outputs
    constants = CONSTANTS[f"winograd{m}"][function == "conv_weight"]
    if function == "conv_weight" and winograd_apart.pays(batch * _tiles(m, function, spec), prod(spec.stride) * depth, outputs):
        constants = APART
    elif function == "conv_weight":  # whose shares of the work transform again what others do
        again = -(-outputs // MOST_OUTPUTS), prod(spec.stride) * -(-depth // MOST_CHANNELS)
        elements = entries * _padded(depth) * again[0] + results * _padded(outputs) * again[1]
    return _cost(constants, entries * depth * _padded(outputs), elements, weights)
