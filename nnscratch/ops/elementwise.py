"""The elementwise ops, gathered: each file builds on those above it.

Broadcasting is NumPy's; the engine sums a cotangent back over broadcast axes. Dtypes combine as torch's do: see promote.py.
"""

# ruff: noqa: F403, I001
from .promote import *
from .compare import *
from .arithmetic import *
from .powers import *
from .trigonometric import *
