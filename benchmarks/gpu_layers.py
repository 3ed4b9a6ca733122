"""Each direction of each convolution beside cuDNN's, both in TF32, and as a share of the ceiling that a large product shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import gpu_library
import numpy as np
from gpu_checks import LAYERS, SMALL
from gpu_library import milliseconds, torch_or_none, waiting
from nnscratch.kernels import ConvSpec

import nnscratch as nns
from nnscratch import kernels

Row = dict[str, Any]


def tasks(xp: Any, small: bool) -> dict[str, Any]:
    seconds = 0.01 if small else 0.5
    return {layer[0]: partial(_layer, xp, layer, seconds) for layer in (SMALL if small else LAYERS)}


def _layer(xp: Any, layer: tuple[Any, ...], seconds: float) -> Iterator[Row]:
    torch = torch_or_none()
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    name, batch, size, w_shape, stride, padding = layer
    spec = ConvSpec.of((batch, w_shape[1], *size), w_shape, stride=stride, padding=padding)
    flops = 2 * batch * float(np.prod(spec.output) * np.prod(w_shape))
    ceiling = _ceiling(xp, torch, 64 if seconds < 0.1 else 4096)
    for direction, (mine, other) in _directions(xp, torch, spec, batch).items():
        a = milliseconds(mine, nns.cuda.synchronize, seconds)
        row: Row = {"layer": name, "direction": direction, "ms": a}
        if torch is not None:
            b = milliseconds(other, waiting(torch), seconds)
            row |= {"cuDNN ms": b, "times cuDNN": b / a}
        yield row | {"TFLOP/s": flops / a / 1e9, "of the ceiling": flops / a / 1e9 / ceiling}


@cache
def _ceiling(xp: Any, torch: Any, n: int) -> float:
    """TFLOP/s of a large product in TF32: PyTorch's, else CuPy's."""
    if torch is not None:
        square = torch.randn(n, n, device=gpu_library.DEVICE)
        return 2 * n**3 / milliseconds(lambda: square @ square, waiting(torch)) / 1e9
    square = xp.asarray(np.random.default_rng(0).standard_normal((n, n)).astype(np.float32))
    return 2 * n**3 / milliseconds(lambda: square @ square, nns.cuda.synchronize) / 1e9


def _directions(xp: Any, torch: Any, spec: ConvSpec, batch: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """(ours, PyTorch's) for each direction of a convolution, on channels-last arrays."""
    shapes = spec.input_shape(batch), spec.weight_shape, spec.output_shape(batch)
    x, w, g = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in shapes)
    a, c = (np.moveaxis(xp.asarray(np.ascontiguousarray(np.moveaxis(v, 1, -1))), -1, 1) for v in (x, g))
    b = xp.asarray(w)
    mine = {
        "forward": lambda: kernels.conv(a, b, spec=spec),
        "input": lambda: kernels.conv_input(c, b, spec=spec),
        "weight": lambda: kernels.conv_weight(a, c, spec=spec),
    }
    if torch is None:
        return {direction: (run, run) for direction, run in mine.items()}
    t_x, t_w, t_g = (torch.tensor(v, device=gpu_library.DEVICE).contiguous(memory_format=torch.channels_last) for v in (x, w, g))
    stride, padding = list(spec.stride), [low for low, _ in spec.padding]

    def backward(which: list[bool]) -> Any:
        return torch.ops.aten.convolution_backward(t_g, t_x, t_w, [0], stride, padding, [1, 1], False, [0, 0], 1, which)

    others = {
        "forward": lambda: torch.nn.functional.conv2d(t_x, t_w, None, stride, padding),
        "input": lambda: backward([True, False, False]),
        "weight": lambda: backward([False, True, False]),
    }
    return {direction: (run, others[direction]) for direction, run in mine.items()}
