import sys
import threading
import types

import numpy as np
import pytest
from kernel_cases import conv_case
from nnscratch.kernels import PoolSpec, dispatch, im2col, reference

from nnscratch import kernels


@pytest.fixture(autouse=True)
def restored():
    yield
    kernels.use(None)


@pytest.fixture
def spy(monkeypatch):
    """An implementation with conv only, which answers "spy" and is never chosen unasked."""
    module = types.ModuleType("spy")
    module.conv = lambda x, w, *, spec: "spy"
    monkeypatch.setitem(sys.modules, "nnscratch.kernels.spy", module)
    monkeypatch.setitem(dispatch.IMPLEMENTATIONS, "spy", lambda function, array, spec: False)
    yield
    dispatch.module.cache_clear()


CASE = conv_case((1, 1, 3), (1, 1, 2))


def conv():
    return kernels.conv(CASE.x, CASE.w, spec=CASE.spec)


def test_available():
    assert {"im2col", "reference"} <= set(kernels.available())


def test_use_as_a_call(spy):
    kernels.use("spy")
    assert conv() == "spy"
    kernels.use("auto")
    assert isinstance(conv(), np.ndarray)


def test_use_as_a_context_restores_what_was(spy):
    kernels.use("reference")
    with kernels.use("spy"):
        assert conv() == "spy"
        with kernels.use(None):
            assert isinstance(conv(), np.ndarray)
        assert conv() == "spy"
    with pytest.raises(KeyError), kernels.use("spy"):
        raise KeyError
    assert isinstance(conv(), np.ndarray)  # the call before both blocks


def test_functions_that_are_missing_fall_back(spy):
    with kernels.use("spy"):
        y, _ = kernels.max_pool(CASE.x, spec=PoolSpec.of(CASE.x.shape, kernel_size=2))
    assert y.shape == (1, 1, 1)


def test_the_choice_follows_the_table(monkeypatch, spy):
    table = {"spy": lambda function, array, spec: array.dtype == np.float32, "im2col": lambda *_: True}
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", table)
    assert isinstance(conv(), np.ndarray)
    x, w = CASE.x.astype(np.float32), CASE.w.astype(np.float32)
    assert kernels.conv(x, w, spec=CASE.spec) == "spy"
    assert isinstance(kernels.conv_input(CASE.g.astype(np.float32), w, spec=CASE.spec), np.ndarray)


def test_the_choice_is_per_thread(spy):
    kernels.use("spy")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(conv()))
    thread.start()
    thread.join()
    assert isinstance(seen[0], np.ndarray)
    assert conv() == "spy"


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown kernel implementation 'fast'; there are: auto, cpu, cuda, im2col, reference"):
        kernels.use("fast")


def test_cuda_kernels_refuse_numpy_arrays():
    with kernels.use("cuda"), pytest.raises(RuntimeError, match="'cuda' takes CuPy arrays, with a GPU and NVRTC; got ndarray"):
        conv()


def test_an_implementation_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(dispatch.IMPLEMENTATIONS, "absent", lambda function, array, spec: True)
    monkeypatch.setitem(sys.modules, "nnscratch.kernels.absent", None)
    with pytest.raises(ModuleNotFoundError):
        dispatch.module("absent")


@pytest.mark.parametrize("name", ["im2col", "reference"])
def test_every_function_is_implemented(name):
    module = {"im2col": im2col, "reference": reference}[name]
    functions = [
        f
        for f in kernels.__all__
        if f.islower()
        and f
        not in (
            "available",
            "explain",
            "normalise_padding",
            "precision",
            "use",
            "conv_pool",
            "conv_pool_weight",
            "unpool",
            "is_compiled",
        )
    ]
    assert len(functions) == 10
    assert all(callable(getattr(module, function)) for function in functions)


def test_public_functions_agree_with_the_reference():
    spec, x, w, g = conv_case((2, 2, 4, 5), (3, 2, 2, 2), padding=1)
    pool = PoolSpec.of(x.shape, kernel_size=2)
    unfold = kernels.ConvSpec.of(x.shape, (1, 2, 2, 2))

    def results():
        y, indices = kernels.max_pool(x, spec=pool)
        cols = kernels.unfold(x, spec=unfold)
        return [
            kernels.conv(x, w, spec=spec),
            kernels.conv_input(g, w, spec=spec),
            kernels.conv_weight(x, g, spec=spec),
            y,
            indices,
            kernels.gather(x, indices, spec=pool),
            kernels.scatter(y, indices, spec=pool),
            kernels.avg_pool(x, spec=pool),
            kernels.avg_pool_input(y, spec=pool),
            cols,
            kernels.fold(cols, spec=unfold),
        ]

    fast = results()
    with kernels.use("reference"):
        slow = results()
    for a, b in zip(fast, slow):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_arrays_that_do_not_fit_the_spec_are_refused():
    spec, x, w, g = conv_case((2, 2, 4, 5), (3, 2, 2, 2))
    pool = PoolSpec.of(x.shape, kernel_size=2)
    with pytest.raises(ValueError, match=r"conv: x has shape \(2, 2, 4, 4\), its spec expects \(2, 2, 4, 5\)"):
        kernels.conv(x[..., :4], w, spec=spec)
    with pytest.raises(ValueError, match=r"conv: w has shape \(3, 2, 2, 1\)"):
        kernels.conv(x, w[..., :1], spec=spec)
    with pytest.raises(ValueError, match="conv_input: g has shape"):
        kernels.conv_input(x, w, spec=spec)
    with pytest.raises(ValueError, match=r"conv_weight: g has shape .* its spec expects \(2, 3, 3, 4\)"):
        kernels.conv_weight(x, g[:1], spec=spec)
    with pytest.raises(ValueError, match="max_pool: x has shape"):
        kernels.max_pool(x[..., 1:], spec=pool)
    with pytest.raises(ValueError, match="scatter: g has shape"):
        kernels.scatter(x, np.zeros((2, 2, 1, 1), int), spec=pool)
    with pytest.raises(ValueError, match="fold: cols has shape"):
        kernels.fold(np.zeros((2, 8, 13)), spec=spec)
