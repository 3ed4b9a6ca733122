"""Convolutions and pools on arrays: one signature for every implementation, which is picked per call.

    conv(x, w, *, spec) -> y                        conv_input(g, w, *, spec) -> gx     conv_weight(x, g, *, spec) -> gw
    conv_pool(x, w, bias, *, spec) -> y, argmax     unpool(g, y, argmax, *, spec) -> gx, gb
                                                    conv_pool_weight(x, g, y, argmax, *, spec) -> gw, gb
    max_pool(x, *, spec) -> y, indices              gather(x, indices, *, spec)         scatter(g, indices, *, spec)
    avg_pool(x, *, spec) -> y                       avg_pool_input(g, *, spec) -> gx
    unfold(x, *, spec) -> cols                      fold(cols, *, spec) -> x

x is (N, C, *spec.input), y and g are (N, O, *spec.output), w is spec.weight_shape; `reference` defines each of them.
`spec` is a ConvSpec, or for pools a PoolSpec. Arguments are never modified; results never share memory with them.

`dispatch` says which implementation runs, and has their table.
"""

from collections.abc import Callable
from math import prod
from typing import Any

from .arrays import Array
from .dispatch import COMPILED, available, is_compiled, on_gpu, pick, use
from .epilogue import finish, pool_2x2, unpool_2x2
from .precision import precision
from .spec import ConvSpec, PoolSpec, normalise_padding

__all__ = [
    "ConvSpec",
    "PoolSpec",
    "available",
    "avg_pool",
    "avg_pool_input",
    "conv",
    "conv_input",
    "conv_pool",
    "conv_pool_weight",
    "conv_weight",
    "explain",
    "fold",
    "gather",
    "is_compiled",
    "max_pool",
    "normalise_padding",
    "precision",
    "scatter",
    "unfold",
    "unpool",
    "use",
]


def explain(spec: ConvSpec, *, batch: int = 1, dtype: Any = "float32") -> str:
    """Which of the compiled algorithms `use("cpu")` would run for each direction of a convolution, and why."""
    from .cpu import explain

    return explain(spec, batch=batch, dtype=dtype)


def _expect(function: str, name: str, array: Array, shape: tuple[int, ...]) -> None:
    # Implementations address memory by the spec: an array of another shape must not reach them.
    if array.shape != shape:
        raise ValueError(f"{function}: {name} has shape {array.shape}, its spec expects {shape}")


def conv(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    """act(y + bias), y[n, o, p] = sum over c, k of x[n, c, p * stride + k * dilation - low] * w[o, c, k].

    act(v) = v where v > 0, else slope v; 0 <= slope <= 1: 1 for none, 0 for relu.
    """
    _expect("conv", "x", x, spec.input_shape(len(x)))
    _expect("conv", "w", w, spec.weight_shape)
    return _finished(pick("conv", x, spec), x, w, bias, spec, slope)


def conv_input(g: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> Array:
    """conv's adjoint in x, (N, O, *output) -> (N, C, *input); with ConvSpec.transposed, the transposed convolution."""
    _expect("conv_input", "g", g, spec.output_shape(len(g)))
    _expect("conv_input", "w", w, spec.weight_shape)
    return _finished(pick("conv_input", g, spec), g, w, bias, spec, slope)


def _finished(run: Callable, a: Array, w: Array, bias: Array | None, spec: ConvSpec, slope: float) -> Array:
    if bias is None and slope == 1:
        return run(a, w, spec=spec)
    if run.__module__ in COMPILED:
        return run(a, w, bias, spec=spec, slope=slope)
    return finish(run(a, w, spec=spec), bias, slope)


def conv_pool(x: Array, w: Array, bias: Array | None = None, *, spec: ConvSpec, slope: float = 1.0) -> tuple[Array, Array]:
    """(2x2 max-pool of conv(x, w, bias, slope), which of the four it was): (N, O, OH // 2, OW // 2), float and uint8."""
    run = pick("conv", x, spec)
    if run.__module__ not in COMPILED:
        return pool_2x2(conv(x, w, bias, spec=spec, slope=slope))
    _expect("conv_pool", "x", x, spec.input_shape(len(x)))
    _expect("conv_pool", "w", w, spec.weight_shape)
    return pick("conv_pool", x, spec)(x, w, bias, spec=spec, slope=slope)


def unpool(
    g: Array, y: Array, argmax: Array, *, spec: ConvSpec, slope: float = 1.0, bias: bool = False
) -> tuple[Array, Array | None]:
    """(gradient (N, O, *output) of what `conv_pool` pooled: g act'(y) at the maxima, 0 elsewhere; with `bias` the bias's)."""
    _expect("unpool", "g", g, argmax.shape)
    _expect("unpool", "y", y, argmax.shape)
    if pick("conv", g, spec).__module__ not in COMPILED:
        return unpool_2x2(g, y, argmax, spec, slope, bias)
    return pick("unpool", g, spec)(g, y, argmax, spec=spec, slope=slope, bias=bias)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    """conv's adjoint in w: (N, C, *input), (N, O, *output) -> (O, C / groups, *kernel)."""
    _expect("conv_weight", "x", x, spec.input_shape(len(x)))
    _expect("conv_weight", "g", g, spec.output_shape(len(x)))
    return pick("conv_weight", x, spec)(x, g, spec=spec)


def conv_pool_weight(
    x: Array, g: Array, y: Array, argmax: Array, *, spec: ConvSpec, slope: float = 1.0, bias: bool = False
) -> tuple[Array, Array | None]:
    """`conv_weight` of x and what `unpool` makes of the other arguments, and the bias's gradient."""
    _expect("conv_pool_weight", "x", x, spec.input_shape(len(x)))
    _expect("conv_pool_weight", "g", g, argmax.shape)
    _expect("conv_pool_weight", "y", y, argmax.shape)
    if pick("conv_weight", x, spec).__module__ == COMPILED[0]:  # which does not write out the zeros between the maxima
        return pick("conv_pool_weight", x, spec)(x, g, y, argmax, spec=spec, slope=slope, bias=bias)
    g, gb = unpool(g, y, argmax, spec=spec, slope=slope, bias=bias)
    return conv_weight(x, g, spec=spec), gb


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    """Largest element of each window, and its flat spatial position (int64). Ties go to the first, NaN wins."""
    _expect("max_pool", "x", x, (*x.shape[:2], *spec.input))
    return pick("max_pool", x, spec)(x, spec=spec)


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:
    """x (N, C, *input) at flat spatial `indices` (N, C, *any), which must be in range."""
    _expect("gather", "x", x, (*indices.shape[:2], *spec.input))
    return pick("gather", x, spec)(x, indices, spec=spec)


def scatter(g: Array, indices: Array, *, spec: PoolSpec, windows: bool = False) -> Array:
    """Zeros (N, C, *input) with g added at flat spatial `indices`, as often as they occur: gather's adjoint.

    `windows` says that each index lies in the window of its place, as max_pool's do, so that the sum may be one over windows.
    """
    _expect("scatter", "g", g, indices.shape)
    if windows:
        _expect("scatter", "g", g, (*g.shape[:2], *spec.output))
        if on_gpu(g):
            return pick("scatter_windows", g, spec)(g, indices, spec=spec)
    return pick("scatter", g, spec)(g, indices, spec=spec)


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    """Mean of each window, over the elements that `spec` counts."""
    _expect("avg_pool", "x", x, (*x.shape[:2], *spec.input))
    return pick("avg_pool", x, spec)(x, spec=spec)


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    """avg_pool's adjoint: (N, C, *output) -> (N, C, *input)."""
    _expect("avg_pool_input", "g", g, (*g.shape[:2], *spec.output))
    return pick("avg_pool_input", g, spec)(g, spec=spec)


def unfold(x: Array, *, spec: ConvSpec) -> Array:
    """Windows of x as columns: (N, C, *input) -> (N, C * prod(kernel), prod(output)), laid out as in torch."""
    _expect("unfold", "x", x, spec.input_shape(len(x)))
    return pick("unfold", x, spec)(x, spec=spec)


def fold(cols: Array, *, spec: ConvSpec) -> Array:
    """Columns added back into their windows' places: unfold's adjoint."""
    _expect("fold", "cols", cols, (len(cols), spec.in_channels * prod(spec.kernel), prod(spec.output)))
    return pick("fold", cols, spec)(cols, spec=spec)
