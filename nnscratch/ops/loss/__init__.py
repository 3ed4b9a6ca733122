"""Losses, by what they compare: numbers, class scores, distances, a generator and its critic.

All take `reduction='none' | 'mean' | 'sum'`. The input and the target must have the same shape: nothing is broadcast, because a
broadcast loss is almost always a forgotten axis.
"""

from .adversarial import *
from .adversarial import __all__ as _adversarial
from .classification import *
from .classification import __all__ as _classification
from .margin import *
from .margin import __all__ as _margin
from .regression import *
from .regression import __all__ as _regression

__all__ = [*_adversarial, *_classification, *_margin, *_regression]
