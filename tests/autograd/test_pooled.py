"""Arrays on the kernels' memory pool are owners of their memory to the engine: no needless copies, in-place rules as ever."""

import gc

import numpy as np
import pytest
from nnscratch.kernels import memory
from nnscratch.kernels.memory import aligned

import nnscratch as nns
from nnscratch.autograd.inplace import owner, private, written_since


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    gc.collect()
    pool = memory._Pool()
    monkeypatch.setattr(memory, "_pool", pool)
    return pool


def filled(shape, value=1.0):
    a = aligned(shape, np.float32)
    a[...] = value
    return a


@nns.primitive
def pooled_scale(x, *, factor, make):
    return make(x * factor)


nns.defvjp(pooled_scale, lambda g, y, x, *, factor, make: pooled_scale(g, factor=factor, make=make))

seen = []


def plain(value):
    a = aligned(value.shape, value.dtype)
    np.copyto(a, value)
    seen.append(a.__array_interface__["data"][0])
    return a


def turned(value):
    return plain(value.T).T


def kept(value):
    a = plain(value)
    kept.all.append(a[:1])
    return a


kept.all = []


@pytest.mark.parametrize(("make", "copied"), [(plain, False), (turned, False), (kept, True)])
def test_a_gradient_that_nobody_else_sees_is_not_copied(make, copied):
    x = nns.tensor(np.ones((30, 40), np.float32), requires_grad=True)
    seen.clear()
    pooled_scale(x, factor=2.0, make=make).sum().backward()
    assert (x.grad.data == 2).all()
    assert (x.grad.data.__array_interface__["data"][0] == seen[-1]) == (not copied)


def test_gradients_land_in_the_same_block_step_after_step(pool):
    x = nns.tensor(np.ones((30, 40), np.float32), requires_grad=True)
    places = set()
    for _ in range(5):
        x.grad = None
        pooled_scale(x, factor=2.0, make=plain).sum().backward()
        places.add(x.grad.data.__array_interface__["data"][0])
    assert len(places) <= pool.made == 2  # the output's block and the gradient's, in turns


def test_a_second_gradient_is_added_where_it_lies(pool):
    x = nns.tensor(np.ones((30, 40), np.float32), requires_grad=True)
    pooled_scale(x, factor=2.0, make=plain).sum().backward()
    first = x.grad
    pooled_scale(x, factor=3.0, make=plain).sum().backward()
    assert (first.data == 2).all() and (x.grad.data == 5).all()
    assert x.grad.data.__array_interface__["data"][0] == seen[-1]
    g = filled((30, 40), 4.0)  # somebody else's: not to be written to
    x.backward(nns.Tensor(g))
    assert (g == 4).all() and (x.grad.data == 9).all()


def test_owner_is_the_root():
    a = filled((30, 40))
    for view in (a, a[1:], a.T, a.reshape(-1)[5:], np.moveaxis(a, 0, 1)[2:]):
        assert owner(view) is a


def test_stamps_go_by_the_root_and_not_by_its_memory():
    start = nns.tensor([1.0], requires_grad=True) * 2
    a = filled((30, 40))
    place = a.__array_interface__["data"][0]
    nns.Tensor(a[1:]).mul_(2)
    assert written_since(a.T, start._node.seq) and not written_since(filled((30, 40)), start._node.seq)
    del a
    gc.collect()
    b = filled((30, 40))
    assert b.__array_interface__["data"][0] == place and not written_since(b, start._node.seq)


def test_a_saved_value_on_a_block_is_watched():
    x, w = nns.Tensor(filled((30, 40))), nns.tensor(np.ones((30, 40), np.float32), requires_grad=True)
    y = (x * w).sum()
    x.reshape(-1)[:5].mul_(3)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_in_place_with_history_on_a_block():
    x = nns.tensor(np.ones((30, 40), np.float32), requires_grad=True)
    y = nns.Tensor(filled((30, 40), 3.0))
    y.mul_(x)
    y.sum().backward()
    assert (x.grad.data == 3).all()
    base = nns.Tensor(filled((30, 40)))
    view = base[1:]
    with pytest.raises(RuntimeError, match="view of another"):
        view.mul_(x[1:])


def test_what_private_means_on_a_block():
    # As accumulate > private sees it: the caller holds one reference, its caller another.
    def accumulate(g):
        return private(g)

    def check(make):
        g = make()
        make = None
        return accumulate(g)

    root = filled((30, 40))
    assert check(lambda: filled((30, 40))) and check(lambda: filled((30, 40)).T)
    assert not check(lambda: root) and not check(lambda: root.T)
    read_only = filled((30, 40))
    read_only.setflags(write=False)
    assert not check(lambda: read_only.T)
