"""Running something whose kernels' threads go in each order: the results must have the same bits."""

import numpy as np

from .library import ORDERS, Function


def in_every_order(on_shim, run, *kernels):
    """The results of run(xp), a list of xp's arrays, as NumPy's; `kernels` must be among those that were launched."""
    results = []
    for order in ORDERS:
        results.append([a.get() for a in run(on_shim(order))])
        missing = [name for name in kernels if name not in Function.launches]
        assert not missing, f"{missing} did not run, but {sorted(Function.launches)}"
    first, *others = results
    for other in others:
        for a, b in zip(first, other):
            np.testing.assert_array_equal(a, b)
    return first
