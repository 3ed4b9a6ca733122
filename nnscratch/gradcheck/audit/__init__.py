"""The audit: every public differentiable function, layer and loss of nnscratch, checked from one table.

    nnscratch gradcheck                        first derivatives of everything
    nnscratch gradcheck 'conv|pool' --order 2  by regular expression, to second order
    nnscratch gradcheck --html audit.html      with every error-against-step curve

An op or layer without an entry fails the test suite, which runs the same table: add a line to the file of its family,

    case("conv2d", normal(2, 2, 5, 5), normal(3, 2, 3, 3), normal(3), padding=1)
    layer("Conv2d", (2, 3, 3), normal(2, 2, 4, 5), padding=1)

where the drawn floating-point arrays are the inputs of the check (but for `.fixed` ones), together with a layer's parameters.
"""

from .coverage import EXCLUDED, outdated, primitives, public_names, uncovered, unreached
from .entry import Entry, Sample, case, layer
from .runner import Outcome, audit, audit_entry
from .table import FAMILIES, entries

__all__ = [
    *("EXCLUDED", "FAMILIES", "Entry", "Outcome", "Sample", "audit", "audit_entry", "case", "entries", "layer", "outdated"),
    *("primitives", "public_names", "uncovered", "unreached"),
]
