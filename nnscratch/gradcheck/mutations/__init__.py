"""The mutation suite: faults of every known kind, injected into the VJPs that the library really uses.

A checker is as good as what it finds. Each `Mutation` is one fault in one op: a dropped term, a sign, a missing batch sum, a
flipped kernel, a statistic taken for a constant. `mutation.check()` runs `gradcheck` on the library with the fault in it:

    >>> from nnscratch.gradcheck import mutations
    >>> m = mutations.find("conv, weight: missing batch sum")
    >>> mutations.caught(m.check()), mutations.attributed(m, m.check())
    (True, True)

Faults of order 2 leave every first derivative right: only a check of the second derivatives can see them.
"""

from .algebra import ARITHMETIC, INDEXING, LINALG, NOISE, REDUCTION
from .blocks import FUSED
from .catalogue import Mutation, attributed, caught, check_sound
from .compiled import LARGE
from .norms import NORM
from .sequences import LOSS, RECURRENT
from .windows import CONV, POOL, TRANSPOSED_CONV

FAMILIES: dict[str, list[Mutation]] = {
    "convolution": CONV,
    "transposed convolution": TRANSPOSED_CONV,
    "fused convolution": FUSED,
    "pooling": POOL,
    "normalisation": NORM,
    "recurrent": RECURRENT,
    "losses": LOSS,
    "large arrays": LARGE,
    "dropout": NOISE,
    "arithmetic": ARITHMETIC,
    "reductions": REDUCTION,
    "matrix products": LINALG,
    "indexing": INDEXING,
}
MUTATIONS: list[Mutation] = [m for family in FAMILIES.values() for m in family]


def find(name: str) -> Mutation:
    """The mutation of this name. Raises KeyError."""
    return {m.name: m for m in MUTATIONS}[name]


__all__ = ["FAMILIES", "MUTATIONS", "Mutation", "attributed", "caught", "check_sound", "find"]
