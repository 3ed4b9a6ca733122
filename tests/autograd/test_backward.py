"""The walk back: values, accumulation, errors, memory."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import nnscratch as nns


def leaf(*shape, seed=0):
    return nns.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def test_broadcast_axes_are_summed():
    a, b = leaf(3, 1, 4), leaf(2, 1, seed=1)
    (a * b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.broadcast_to(b.detach().numpy(), (3, 2, 4)).sum(1, keepdims=True))
    np.testing.assert_allclose(b.grad.numpy(), np.broadcast_to(a.detach().numpy(), (3, 2, 4)).sum((0, 2))[:, None])
    assert a.grad.shape == a.shape and b.grad.shape == b.shape


def test_mixed_dtypes_give_each_leaf_its_own():
    a = nns.tensor(np.ones(3, np.float32), requires_grad=True)
    b = nns.tensor(np.ones(3), requires_grad=True)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert a.grad.dtype == np.float32 and b.grad.dtype == np.float64


def test_leaves_accumulate():
    x = leaf(3)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 5)
    y = x + x  # used twice in one graph
    x.grad = None
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2)


def test_gradients_are_never_aliased():
    a, b = leaf(3), leaf(3)
    g = nns.tensor(np.ones(3))
    (a + b).backward(g)
    a.grad.data[:] = 7
    np.testing.assert_array_equal(b.grad.numpy(), 1)
    np.testing.assert_array_equal(g.numpy(), 1)
    (d,) = nns.grad((a + b), [a], g)
    d.data[:] = 9
    np.testing.assert_array_equal(g.numpy(), 1)


def test_a_private_gradient_is_not_copied():
    seen = []

    @nns.primitive
    def probe(x):
        return x * 2.0

    def vjp(g, _y, _x):
        out = g * 2.0
        seen.append(out.__array_interface__["data"][0])
        return out

    nns.defvjp(probe, vjp)
    x = leaf(1000)
    probe(x).backward(np.ones(1000))
    assert x.grad.data.__array_interface__["data"][0] == seen[0]


@pytest.mark.parametrize("order", range(1, 7))
def test_any_order(order):
    x = nns.tensor(0.7, dtype=np.float64, requires_grad=True)
    y = nns.tanh(x * x)
    for _ in range(order):
        (y,) = nns.grad(y, [x], create_graph=True)
    torch = pytest.importorskip("torch")
    tx = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    ty = torch.tanh(tx * tx)
    for _ in range(order):
        (ty,) = torch.autograd.grad(ty, [tx], create_graph=True)
    assert y.item() == pytest.approx(ty.item(), rel=1e-10)


def test_create_graph_in_backward_gives_a_differentiable_grad():
    x = leaf(4)
    (x * x * x).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy())


def test_long_chain():
    x = leaf(2)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 1)
    del y


def test_wide_fan_out():
    x = leaf(2)
    y = nns.tensor(np.zeros(2))
    for _ in range(100_000):
        y = y + x
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 100_000)


def test_only_paths_to_the_inputs_are_walked():
    called = []

    @nns.primitive
    def spy(x):
        return x * 1.0

    nns.defvjp(spy, lambda g, _y, _x: called.append(1) or g * 1.0)
    a, b = leaf(2), leaf(2)
    loss = (a * 2 + spy(b)).sum()
    nns.grad(loss, [a], retain_graph=True)
    assert not called
    nns.grad(loss, [b])
    assert called


@pytest.mark.parametrize("create_graph", [False, True])
def test_only_the_cotangents_on_the_paths_are_computed(create_graph):
    wanted = []

    @nns.primitive
    def product(a, b):
        return a * b

    nns.defvjp(product, lambda g, _y, _a, b: wanted.append("a") or g * b, lambda g, _y, a, _b: wanted.append("b") or g * a)

    @nns.fused(lambda a, b: product(a, b))
    def quick(a, b):
        return a * b, None

    @quick.backward
    def _(g, _y, _residuals, needs, a, b):
        wanted.extend(name for name, need in zip("ab", needs) if need)
        return g * b, g * a

    a, b = leaf(2), leaf(2, seed=1)
    for op in (product, quick):
        for t, name in ((a, "a"), (b, "b")):
            wanted.clear()
            (g,) = nns.grad(op(a, b).sum(), [t], create_graph=create_graph)
            np.testing.assert_array_equal(g.detach().numpy(), (b if t is a else a).detach().numpy())
            assert wanted == [name]


def test_the_gradients_of_grad_share_no_memory():
    a, b, g = leaf(3), leaf(3, seed=1), nns.tensor(np.arange(3.0))
    for y in (a + b, a.reshape(1, 3).reshape(3) + b * 2 + a):
        ga, gb, again = nns.grad(y, [a, b, a], g, retain_graph=True)
        parts = [t.detach().numpy() for t in (ga, gb, again, g, a, b, y)]
        for i, one in enumerate(parts):
            for other in parts[i + 1 :]:
                assert not np.shares_memory(one, other)
        np.testing.assert_array_equal(ga.numpy(), again.numpy())
    np.testing.assert_array_equal(g.numpy(), np.arange(3.0))


def test_backward_with_inputs():
    a, b = leaf(2), leaf(2)
    (a * b).sum().backward(inputs=[a])
    assert b.grad is None and a.grad is not None
    with pytest.raises(RuntimeError, match="leaf"):
        (a * b).sum().backward(inputs=[a * 2])


def test_grad_of_an_intermediate():
    x = leaf(3)
    h = x * 2
    y = (h * h).sum()
    gh, gx = nns.grad(y, [h, x])
    np.testing.assert_allclose(gh.numpy(), 2 * h.detach().numpy())
    np.testing.assert_allclose(gx.numpy(), 4 * h.detach().numpy())


# ------------------------------------------------------------------------------------------------------------- errors


def test_freed_graph_names_the_op():
    x = leaf(3)
    y = nns.tanh(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"retain_graph=True"):
        y.backward()


@pytest.mark.parametrize("bad", [np.ones(4), np.ones((3, 1)), np.ones(())])
def test_wrong_cotangent_shape(bad):
    with pytest.raises(RuntimeError, match=r"cotangent has shape .* output has shape \(3,\)"):
        (leaf(3) * 2).backward(bad)


def test_implicit_cotangent_needs_a_scalar():
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*scalar"):
        (leaf(3) * 2).backward()


def test_integers_cannot_require_grad():
    with pytest.raises(RuntimeError, match=r"floating-point.*int64"):
        nns.tensor([1, 2], requires_grad=True)


def test_output_without_history():
    with pytest.raises(RuntimeError, match="does not require grad"):
        (nns.tensor([1.0]) * 2).backward()


def test_unused_input():
    a, b = leaf(2), leaf(2)
    y = (a * 2).sum()
    with pytest.raises(RuntimeError, match="do not depend on input 1"):
        nns.grad(y, [a, b], retain_graph=True)
    assert nns.grad(y, [a, b], allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="input 0 .* does not require grad"):
        nns.grad((a * 2).sum(), [nns.tensor([1.0])])


def test_grad_is_checked_on_assignment():
    x = leaf(3)
    with pytest.raises(RuntimeError, match=r"expected float64 of shape \(3,\)"):
        x.grad = nns.tensor(np.ones(4))
    with pytest.raises(RuntimeError, match=r"expected float64 .* got float32"):  # it would be promoted, or stay, silently
        x.grad = nns.tensor(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="Tensor"):
        x.grad = np.ones(3)


# -------------------------------------------------------------------------------------------------------------- modes


def test_no_grad_forms():
    x = leaf(2)
    with nns.no_grad():
        assert not (x * 2).requires_grad
        with nns.enable_grad():
            assert (x * 2).requires_grad
        assert not nns.is_grad_enabled()

    @nns.no_grad()
    def f():
        return x * 2

    @nns.no_grad
    def g():
        return x * 2

    @nns.inference_mode()
    def h():
        return x * 2

    assert not f().requires_grad and not g().requires_grad and not h().requires_grad
    assert (x * 2).requires_grad
    with nns.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), nns.no_grad():
        raise ZeroDivisionError
    assert nns.is_grad_enabled()


def test_no_grad_is_per_thread():
    inside, done = threading.Event(), threading.Event()

    def other():
        with nns.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    try:
        assert nns.is_grad_enabled() and (leaf(2) * 2).requires_grad
    finally:
        done.set()
        thread.join()


def test_concurrent_backward_over_a_shared_graph():
    x = leaf(50)
    h = nns.tanh(x * x)
    expected = nns.grad((h * h).sum(), [x], retain_graph=True)[0].numpy()
    results, faults = [], []

    def work():
        try:
            for _ in range(30):
                results.append(nns.grad((h * h).sum(), [x], retain_graph=True)[0].numpy())
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults and len(results) == 120
    for r in results:
        np.testing.assert_array_equal(r, expected)


# -------------------------------------------------------------------------------------------------------------- hooks


def test_hooks_see_and_replace():
    x = leaf(3)
    h = x * 2
    seen = []
    handle = h.register_hook(lambda g: seen.append(g.numpy().copy()) or g * 10)
    (h * 1.0).sum().backward()
    np.testing.assert_array_equal(seen[0], 1)
    np.testing.assert_array_equal(x.grad.numpy(), 20)
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2)
    x.register_hook(lambda g: -g)
    x.grad = None
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), -2)
    with pytest.raises(RuntimeError, match=r"shape \(3,\), got \(1,\)"):
        y = x * 2
        y.register_hook(lambda g: nns.tensor([1.0]))
        y.sum().backward()


def test_retain_grad():
    x = leaf(3)
    h = x * 2
    h.retain_grad()
    (h * h).sum().backward()
    np.testing.assert_allclose(h.grad.numpy(), 2 * h.detach().numpy())


# ------------------------------------------------------------------------------------------------------------- memory


def test_values_no_vjp_needs_are_not_kept():
    x = leaf(10)
    h = x * 2.0
    alive = weakref.ref(h.data)
    y = h + 1.0  # add keeps neither argument
    del h
    assert alive() is None
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2)


def test_saved_values_are_freed_during_backward():
    x = leaf(10)
    first = nns.tanh(x)  # keeps its output
    alive = weakref.ref(first.data)
    freed_in_time = []

    def last(g):
        freed_in_time.append(alive() is None)

    x.register_hook(last)
    y = nns.tanh(first * 1.0).sum()
    del first
    assert alive() is not None
    y.backward()
    assert freed_in_time == [True]


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(5)
        for _ in range(3):
            h = nns.tanh(x * 2)
            h.retain_grad()
            nns.grad((h * h).sum(), [x], create_graph=True)[0].sum().backward()
            x.grad = None
            del h
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_thousand_steps_do_not_grow():
    w = nns.tensor(np.ones((20, 20)), requires_grad=True)
    x = nns.tensor(np.ones((4, 20)))

    def step():
        nns.tanh(x @ w).sum().backward()
        with nns.no_grad():
            w.data -= 0.001 * w.grad.data
        w.grad = None

    for _ in range(50):
        step()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        step()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000


# --------------------------------------------------------------------------------------------------- aliases and hooks


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("view", [lambda y: y, lambda y: y.T, lambda y: y.reshape(6)])
def test_views_are_not_aliased_either(view, create_graph):
    a, b = leaf(3, 2), leaf(3, 2)
    view(a + b).tanh().sum().backward(create_graph=create_graph)
    assert not np.shares_memory(a.grad.data, b.grad.data)
    a.grad.detach().zero_()
    assert b.grad.detach().numpy().all()
    g = np.ones((2, 3)).T
    for y in (a, a + 1.0):
        a.grad = None
        y.backward(g, create_graph=create_graph)
        assert not np.shares_memory(a.grad.data, g)


def test_recorded_results_are_not_aliased():
    a, b = leaf(3), leaf(3)
    g = nns.ones(3, dtype=np.float64)
    ga, gb = nns.grad(a + b, [a, b], g, create_graph=True)
    arrays = [ga.data, gb.data, g.data]
    assert not any(np.shares_memory(p, q) for k, p in enumerate(arrays) for q in arrays[:k])
    y = a + b
    with nns.no_grad():
        (copied,) = nns.grad(y, [a], y, create_graph=True)
    assert copied.requires_grad and not np.shares_memory(copied.data, y.data)  # the copy is recorded too


def test_hooks_need_no_handle():
    x = leaf(3)
    seen = []
    for k in range(5):
        x.register_hook(lambda g, k=k: seen.append(k))
    x.sum().backward()
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_writes_reaches_its_tensor_only(create_graph):
    a, b = leaf(3), leaf(3)
    cotangent = nns.ones(3, dtype=np.float64)
    p, q = a * 1.0, b * 1.0

    def scale(g):
        g *= 10.0

    p.register_hook(scale)
    (p + q).backward(cotangent, create_graph=create_graph)
    assert a.grad.tolist() == [10, 10, 10] and b.grad.tolist() == [1, 1, 1] and cotangent.tolist() == [1, 1, 1]


def test_a_gradient_kept_by_a_hook_stays():
    x = leaf(3, 2)
    kept = []
    x.register_hook(kept.append)
    (x.T * 2.0).sum().backward()
    x.grad.zero_()
    np.testing.assert_array_equal(kept[0].numpy(), 2)


def test_retain_grad_is_the_gradient_after_hooks_of_the_present_value():
    x = leaf(3)
    h = x * 2.0
    h.retain_grad()
    h.retain_grad()  # twice is once
    h.register_hook(lambda g: g * 10.0)
    (h * 1.0).sum().backward()
    assert h.grad.tolist() == [10, 10, 10]
    h = x * 2.0
    h.retain_grad()
    h *= 5.0
    h.sum().backward()
    assert h.grad.tolist() == [1, 1, 1]
    h = x * 2.0
    h.retain_grad()
    (h * h).sum().backward(create_graph=True)
    assert h.grad.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        h.detach().retain_grad()


def test_threads_accumulate_into_one_leaf():
    x = nns.tensor(np.zeros(200_000), requires_grad=True)
    one = np.ones(200_000)

    def work():
        for _ in range(10):
            (x * 1.0).backward(one)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(x.grad.numpy(), 40)


def test_no_inputs_and_numpy_cotangents():
    x = leaf(3)
    with pytest.raises(ValueError, match="at least one tensor"):
        nns.grad(x.sum(), [])
    with pytest.raises(ValueError, match="at least one tensor"):
        x.sum().backward(inputs=[])
    x.sum().backward(np.float32(2))
    assert x.grad.tolist() == [2, 2, 2]


def test_grad_modes_as_torch_has_them():
    nns.set_grad_enabled(False)  # at once
    try:
        assert not nns.is_grad_enabled()
    finally:
        nns.set_grad_enabled(True)

    @nns.set_grad_enabled(False)
    def f():
        return nns.is_grad_enabled()

    assert nns.is_grad_enabled() and not f()

    @nns.no_grad
    def steps():
        sent = yield nns.is_grad_enabled()
        try:
            yield sent
        except KeyError:
            yield nns.is_grad_enabled()
        return "end"

    running = steps()
    assert next(running) is False and nns.is_grad_enabled()
    assert running.send("sent") == "sent"
    assert running.throw(KeyError()) is False
    with pytest.raises(StopIteration, match="end"):
        next(running)
