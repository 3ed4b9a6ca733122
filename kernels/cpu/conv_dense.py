"""Convolutions whose kernel covers the whole unpadded input: one result pixel, so all three directions are matrix products.

    y = x w'        gx = g w        gw = g' x        with x (N, C * pixels), w (O, C * pixels), g and y (N, O)

A classifier's or discriminator's last layer, and as a transposed convolution a generator's first, where any other algorithm would
multiply mostly zeros.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..epilogue import finish
from ..spec import ConvSpec
from .epilogue import Epilogue
from .launch import result_like
from .matmul import matmul


def applies(spec: ConvSpec) -> bool:
    whole = spec.kernel == spec.input and not any(map(any, spec.padding)) and set(spec.dilation) == {1}
    return whole and spec.groups == 1 and set(spec.output) == {1}


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    y = matmul(_matrix(x), _matrix(w).T).reshape(spec.output_shape(len(x)))
    return y if epilogue is None else finish(y, epilogue.bias, float(epilogue.slope))


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    gx = channels_first(result_like(g, spec.input_shape(len(g))))
    gx[...] = matmul(_matrix(g), _matrix(w)).reshape(gx.shape)
    return gx if epilogue is None else finish(gx, epilogue.bias, float(epilogue.slope))


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec) -> np.ndarray:
    return matmul(_matrix(g).T, _matrix(x)).reshape(spec.weight_shape)


def _matrix(a: np.ndarray) -> np.ndarray:
    return a.reshape(len(a), prod(a.shape[1:]))
