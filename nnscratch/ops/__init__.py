"""Every operation. Each file states its primitives first, forward and VJPs side by side, then what is composed of them.

An op takes tensors or arrays; with no tensor among its arguments it returns an array.
"""

from .elementwise import *  # noqa: F403
from .reduce import *  # noqa: F403
from .shape import *  # noqa: F403
