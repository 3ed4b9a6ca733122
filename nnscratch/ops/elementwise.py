"""The elementwise ops, gathered: each file builds on those above it.

Broadcasting is NumPy's; the engine sums a cotangent back over broadcast axes. Dtypes combine as torch's do: see promote.py.
"""

from .promote import *  # noqa: F403, I001
from .compare import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .powers import *  # noqa: F403
from .trigonometric import *  # noqa: F403
from .promote import promote_pair as _promote  # noqa: F401
