"""Every operation. Each file states its primitives first, forward and VJPs side by side, then what is composed of them.

An op takes tensors or arrays; with no tensor among its arguments it returns an array.
"""

from .activation import *
from .adaptive import *
from .arrange import *
from .batch_norm import *
from .conv import *
from .creation import *
from .distance import *
from .dropout import *
from .einsum import *
from .elementwise import *
from .index import *
from .layer_norm import *
from .linalg import *
from .loss import *
from .order import *
from .pool import *
from .random import *
from .recurrent import *
from .reduce import *
from .resample import *
from .shape import *
from .views import *
