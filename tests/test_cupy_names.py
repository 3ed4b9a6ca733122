"""The stand-in's table of what CuPy has, against CuPy: it can be imported without a GPU."""

import functools
import inspect
import re

import pytest
from cupy_names import ATTRIBUTES, FUNCTIONS, METHODS, UFUNC_METHODS, UFUNCS, refused


@pytest.fixture(scope="module")
def cupy():
    return pytest.importorskip("cupy")


def parameters(function):
    """Names of parameters, of Cython's functions too, whose first line of documentation has them."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        inside = re.search(r"\((.*?)\)( ->|$)", function.__doc__.split("\n")[0])[1]
        names = [re.split(r"[=:]", part)[0].split()[-1].lstrip("*") for part in inside.split(",") if part.strip(" *")]
    return [name for name in names if name != "self"]


def test_functions_are_cupy_s(cupy):
    for path, given in FUNCTIONS.items():
        function = functools.reduce(getattr, path.split("."), cupy)
        if "*" not in given:
            assert given.split() == [name for name in parameters(function) if name in given.split()], path
    for name, given in METHODS.items():
        if "*" not in given:
            assert given.split() == parameters(getattr(cupy.ndarray, name)), name
    assert [name for name in ATTRIBUTES if not hasattr(cupy.ndarray, name)] == []


def test_ufuncs_are_cupy_s(cupy):
    assert [name for name in UFUNCS if not isinstance(getattr(cupy, name, None), cupy.ufunc) and name != "matmul"] == []
    assert callable(cupy.matmul)
    for name, methods in UFUNC_METHODS.items():
        assert [m for m in methods if not hasattr(getattr(cupy, name), m)] == []


def test_what_the_stand_in_refuses(xp):
    import numpy as np

    if xp is np:
        pytest.skip("of CuPy")
    x = xp.asarray(np.arange(6.0).reshape(2, 3))
    for wrong in (
        lambda: x.max(initial=0),
        lambda: np.max(x, initial=0.0),
        lambda: np.add(x, x, where=x > 1),
        lambda: np.multiply.reduceat(x, [0]),
        lambda: np.add(x, np.ones(3)),
        lambda: np.asarray(x),
        lambda: x.ctypes,
    ):
        with pytest.raises((TypeError, AttributeError, NotImplementedError)):
            wrong()
    assert (x.T + 1).flags.c_contiguous  # results are in C's order, whatever the operands' is
    assert refused("f", "a b", (1, 2, 3), {}) == "CuPy's f takes 2 arguments, not 3"
