"""Tensor: construction, dtypes, conversions, what it refuses."""

import copy
import pickle

import numpy as np
import pytest

import nnscratch as nns


def test_dtypes_on_construction():
    assert nns.tensor(1.5).dtype == np.float32
    assert nns.tensor([1, 2]).dtype == np.int64
    assert nns.tensor([True]).dtype == np.bool_
    assert nns.tensor(np.zeros(2)).dtype == np.float64
    assert nns.tensor([np.float64(1), 2]).dtype == np.float64
    assert nns.tensor([[1.0, 2], [3, 4]]).dtype == np.float32
    assert nns.tensor([1, 2], dtype=nns.float64).dtype == np.float64
    assert nns.tensor([nns.tensor(1.0), nns.tensor(2.0)]).shape == (2,)
    with nns.default_dtype(nns.float64):
        assert nns.tensor(1.5).dtype == np.float64
    assert nns.tensor(1.5).dtype == np.float32


def test_a_tensor_copies_and_from_numpy_shares():
    a = np.zeros(3)
    t, s = nns.tensor(a), nns.from_numpy(a)
    a[0] = 1
    assert t.tolist() == [0, 0, 0] and s.tolist() == [1, 0, 0]


@pytest.mark.parametrize("bad", ["text", ["a"], None, object(), [1, "a"], np.array([1j])])
def test_what_is_not_a_number_is_refused(bad):
    with pytest.raises(TypeError, match="expected numbers"):
        nns.tensor(bad)


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError):
        nns.tensor([[1, 2], [3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.int64(2)])
def test_python_numbers_keep_the_dtype(dtype, number):
    x = nns.tensor(np.ones(3, dtype))
    for y in (x * number, number * x, x + number, number - x, x / number, x**number):
        assert y.dtype == dtype


def test_arrays_on_the_left_give_tensors():
    x = nns.tensor(np.ones(3), requires_grad=True)
    y = np.arange(3.0) * x
    assert isinstance(y, nns.Tensor) and y.requires_grad and y.tolist() == [0, 1, 2]


def test_numpy_and_array():
    x = nns.tensor(np.arange(3.0), requires_grad=True)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match="detach"):
            convert()
    assert np.asarray(x.detach()) is x.data or np.shares_memory(np.asarray(x.detach()), x.data)
    assert np.asarray(x.detach(), dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(nns.to_numpy(x), [0, 1, 2])
    assert float(nns.tensor(2.5)) == 2.5 and int(nns.tensor(3)) == 3 and [1, 2, 3][nns.tensor(1)] == 2


def test_item_and_truth():
    assert nns.tensor([[2.0]]).item() == 2.0 and bool(nns.tensor([1]))
    with pytest.raises(RuntimeError, match=r"2 elements.*shape \(2,\)"):
        nns.tensor([1.0, 2.0]).item()
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(nns.tensor([1.0, 2.0]))


def test_dlpack_both_ways():
    torch = pytest.importorskip("torch")
    x = nns.tensor(np.arange(6.0).reshape(2, 3))
    t = torch.from_dlpack(x)
    t[0, 0] = 7
    assert x[0, 0].item() == 7
    back = nns.from_dlpack(t)
    assert isinstance(back, nns.Tensor) and back.shape == (2, 3)
    t[0, 1] = 8
    assert back[0, 1].item() == 8
    np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(nns.ones(2, requires_grad=True))


def test_repr():
    assert repr(nns.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert "dtype=float64" in repr(nns.tensor(np.ones(2)))
    assert "requires_grad=True" in repr(nns.ones(2, requires_grad=True))
    assert "grad_fn=<mul>" in repr(nns.ones(2, requires_grad=True) * 2)
    assert "shape=(100, 100)" in repr(nns.ones(100, 100))
    assert f"{nns.tensor(1.25):.1f}" == "1.2"


def test_copies():
    x = nns.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    y.data[0] = 5
    assert x.tolist() == [1, 1] and y.requires_grad and y.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="clone"):
        copy.deepcopy(x * 2)


def test_pickling_is_refused():
    with pytest.raises(TypeError, match="nnscratch.save"):
        pickle.dumps(nns.ones(2))


def test_conversions_are_differentiable():
    x = nns.ones(3, requires_grad=True)
    y = x.to(nns.float64) * 2
    assert y.dtype == np.float64 and x.to(nns.float32) is x
    y.sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2, 2, 2]


def test_cuda_without_cupy_says_what_to_install():
    try:
        import cupy  # noqa: F401
    except ImportError:
        with pytest.raises(RuntimeError, match="nnscratch\\[cuda13\\]"):
            nns.ones(2).to("cuda")
    with pytest.raises((ValueError, TypeError)):
        nns.ones(2).to(device="tpu")


def test_generator_state_round_trip():
    import json

    g = nns.Generator(5)
    g.numpy.standard_normal(3)
    state = json.loads(json.dumps(g.get_state()))
    a = g.numpy.random(7)
    np.testing.assert_array_equal(nns.Generator(0).set_state(state).numpy.random(7), a)
    with pytest.raises(ValueError, match="generator state"):
        g.set_state({"seed": 1})
    with pytest.raises(ValueError, match="non-negative"):
        nns.Generator(-1)


def test_a_state_that_is_refused_changes_nothing():
    g = nns.Generator(3)
    state = g.get_state()
    for bad in ({"seed": 1}, {"buffer": [1]}, {"buffer": "no"}, {"buffer_pos": -1000}, {"seed": -1}, {"state": {"key": [1]}}):
        broken = bad if bad == {"seed": 1} else state | bad
        with pytest.raises(ValueError, match="not a generator state"):
            g.set_state(broken)
        assert g.get_state() == state


def test_only_numbers_of_numpys_own_class():
    for make in (nns.Tensor, nns.from_numpy, nns.as_tensor):
        with pytest.raises(TypeError, match="expected numbers"):
            make(np.array(["a"]))
        with pytest.raises(TypeError, match="complex"):
            make(np.array([1j]))
        masked = np.ma.masked_array([1.0, 2.0], [False, True])
        t = make(masked)
        assert type(t.data) is np.ndarray and np.shares_memory(t.data, masked.data)


def test_a_shallow_copy_is_a_leaf_of_its_own():
    x = nns.tensor([1.0, 2.0], requires_grad=True)
    y = copy.copy(x)
    (y * 2.0).sum().backward()
    assert x.grad is None and y.grad.tolist() == [2, 2] and np.shares_memory(x.data, y.data)
