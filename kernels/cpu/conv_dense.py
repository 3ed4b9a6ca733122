"""Convolutions whose kernel covers the whole unpadded input: one result pixel, so all three directions are matrix products.

    y = x w'        gx = g w        gw = g' x        with x (N, pixels * C), w (O, pixels * C), g and y (N, O)

A classifier's or discriminator's last layer, and as a transposed convolution a generator's first, where any other algorithm would
multiply mostly zeros. Images stay channels-last; weights are brought into that order, and their gradient out of it.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..epilogue import finish
from ..spec import ConvSpec
from .epilogue import Epilogue
from .layout import operand, transposed
from .matmul import matmul


def applies(spec: ConvSpec) -> bool:
    whole = spec.kernel == spec.input and not any(map(any, spec.padding)) and set(spec.dilation) == {1}
    return whole and spec.groups == 1 and set(spec.output) == {1}


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    y = matmul(_matrix(operand(x)), _matrix(operand(w)).T).reshape(spec.output_shape(len(x)))
    return _finished(y, epilogue)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    gx = matmul(_matrix(g), _matrix(operand(w)))
    return _finished(channels_first(gx.reshape(len(g), *spec.input, spec.in_channels)), epilogue)


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec) -> np.ndarray:
    gw = matmul(_matrix(g).T, _matrix(operand(x)))
    return transposed(gw.reshape(spec.out_channels, -1, spec.in_channels)).reshape(spec.weight_shape)


def _finished(y: np.ndarray, epilogue: Epilogue | None) -> np.ndarray:
    return y if epilogue is None or not epilogue.active else finish(y, epilogue.bias, float(epilogue.slope))


def _matrix(a: np.ndarray) -> np.ndarray:
    return a.reshape(len(a), prod(a.shape[1:]))
