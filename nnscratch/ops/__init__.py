"""Every operation. Each file states its primitives first, forward and VJPs side by side, then what is composed of them.

An op takes tensors or arrays; with no tensor among its arguments it returns an array.
"""

from .elementwise import *  # noqa: F403
from .reduce import *  # noqa: F403
from .shape import *  # noqa: F403
from .linalg import *  # noqa: F403
from .views import *  # noqa: F403
from .distance import *  # noqa: F403
from .einsum import *  # noqa: F403
from .arrange import *  # noqa: F403
from .order import *  # noqa: F403
from .index import *  # noqa: F403
from .activation import *  # noqa: F403
from .creation import *  # noqa: F403
from .random import *  # noqa: F403
from .dropout import *  # noqa: F403
from .loss import *  # noqa: F403
from .recurrent import *  # noqa: F403
from .conv import *  # noqa: F403
from .pool import *  # noqa: F403
from .adaptive import *  # noqa: F403
from .resample import *  # noqa: F403
from .batch_norm import *  # noqa: F403
from .layer_norm import *  # noqa: F403
