"""Recurrent networks: one step (cells), one direction of one layer as a fused op (fused_*), whole stacks (layers)."""

from .cells import *
from .cells import __all__ as _cells
from .layers import *
from .layers import __all__ as _layers

__all__ = [*_cells, *_layers]
