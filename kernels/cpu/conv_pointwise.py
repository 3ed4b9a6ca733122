"""Convolutions with one tap, stride 1 and many weights: channels-last, the pixels of all images are the rows of one matrix.

    y = x w'        gx = g w        gw = g' x        with x (pixels, C), w (O, C), g and y (pixels, O)

A matrix product copies weights and pixels into panels for its larger tiles, which pays where each is used often.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..spec import ConvSpec
from .epilogue import Epilogue
from .layout import operand
from .matmul import matmul

WEIGHTS = 1 << 16  # from which it is faster than the direct kernels


def applies(spec: ConvSpec) -> bool:
    one = set(spec.kernel) == {1} and set(spec.stride) == {1} and not any(map(any, spec.padding))
    return one and spec.groups == 1 and spec.in_channels * spec.out_channels >= WEIGHTS


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    return _images(_product(_pixels(x), _matrix(w).T, epilogue), len(x), spec.output)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    return _images(_product(_pixels(g), _matrix(w), epilogue), len(g), spec.input)


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec) -> np.ndarray:
    return matmul(_pixels(g).T, _pixels(x)).reshape(spec.weight_shape)


def _product(a: np.ndarray, b: np.ndarray, epilogue: Epilogue | None) -> np.ndarray:
    if epilogue is None or not epilogue.active:
        return matmul(a, b)
    return matmul(a, b, epilogue.bias, "leaky_relu", float(epilogue.slope))


def _pixels(x: np.ndarray) -> np.ndarray:
    """(N, C, *spatial) as (N * pixels, C)."""
    block = operand(x)
    return block.reshape(prod(block.shape[:-1]), block.shape[-1])


def _matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(w.shape[:2])


def _images(y: np.ndarray, count: int, size: tuple[int, ...]) -> np.ndarray:
    return channels_first(y.reshape(count, *size, y.shape[1]))
