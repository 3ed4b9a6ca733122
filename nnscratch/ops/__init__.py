"""Every operation. Each file states its primitives first, forward and VJPs side by side, then what is composed of them.

An op takes tensors or arrays; with no tensor among its arguments it returns an array.
"""

from .activation import *
from .adaptive import *
from .arrange import *
from .batchnorm import *
from .convolution import *
from .creation import *
from .distance import *
from .einstein import *
from .elementwise import *
from .groupnorm import *
from .index import *
from .linalg import *
from .loss import *
from .noise import *
from .order import *
from .pool import *
from .random import *
from .recurrent import *
from .reduce import *
from .resample import *
from .scattering import *
from .shape import *
from .views import *
