"""The convolution kernels on the CPU against the naive loops: every version, and threads in three orders with the same bits."""

import numpy as np
import pytest
from kernel_cases import conv_arrays
from nnscratch.kernels import ConvSpec, precision

from nnscratch import kernels


def case(x_shape, w_shape, dtype=np.float32, **geometry):
    spec = ConvSpec.of(x_shape, w_shape, **geometry)
    return spec, conv_arrays(spec, x_shape[0], 3, dtype)


# name: (shape of x, of w, geometry), small but with remainders in every tile
CASES = {
    "3x3": ((2, 8, 7, 6), (20, 8, 3, 3), {"padding": 1}),
    "3x3 / 2": ((2, 4, 9, 7), (20, 4, 3, 3), {"stride": 2, "padding": 1}),
    "4x4 / 2": ((1, 8, 10, 8), (12, 8, 4, 4), {"stride": 2, "padding": 1}),
    "1x1 / 2": ((2, 8, 5, 4), (8, 8, 1, 1), {"stride": 2}),
    "5x5, unequal": ((1, 4, 8, 11), (18, 4, 5, 3), {"stride": (3, 1), "padding": ((2, 0), (1, 2)), "dilation": (1, 2)}),
    "from an image": ((2, 3, 9, 8), (20, 3, 3, 3), {"padding": 1}),
    "to an image": ((2, 20, 6, 5), (3, 20, 3, 3), {"padding": 1}),
    "groups": ((2, 8, 6, 5), (12, 4, 3, 3), {"padding": 1, "groups": 2}),
    "depthwise": ((1, 6, 5, 5), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    "one dimension": ((2, 4, 19), (8, 4, 5), {"stride": 2, "padding": 2}),
    "stride beyond the kernel": ((1, 4, 9, 9), (4, 4, 2, 2), {"stride": 3}),
}
TOLERANCE = {"tf32": (5e-3, 5e-3), "f32": (2e-5, 2e-5), "f64": (1e-12, 1e-12)}


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_all_three_directions(on_shim, name, kind):
    x_shape, w_shape, geometry = CASES[name]
    spec, (_, x, w, g) = case(x_shape, w_shape, np.float64 if kind == "f64" else np.float32, **geometry)
    rtol, atol = TOLERANCE[kind]
    with kernels.use("reference"):
        exact = [a.astype(np.float64) for a in (x, w, g)]
        expected = [
            kernels.conv(exact[0], exact[1], spec=spec),
            kernels.conv_input(exact[2], exact[1], spec=spec),
            kernels.conv_weight(exact[0], exact[2], spec=spec),
        ]
    results = []
    for order in ("forward", "reverse", "shuffled"):
        xp = on_shim(order)
        a, b, c = (xp.asarray(v) for v in (x, w, g))
        with precision("fast" if kind == "tf32" else "strict"):
            got = kernels.conv(a, b, spec=spec), kernels.conv_input(c, b, spec=spec), kernels.conv_weight(a, c, spec=spec)
        results.append([v.get() for v in got])
    for first, *others, wanted in zip(*results, expected):
        scale = np.sqrt(np.mean(wanted**2))
        np.testing.assert_allclose(first, wanted, rtol=rtol, atol=atol * scale)
        assert first.dtype == x.dtype
        for other in others:
            np.testing.assert_array_equal(first, other)
