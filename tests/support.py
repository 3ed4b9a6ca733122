"""Two oracles for derivatives that share no code with the engine: central differences, and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import nnscratch as nns


def _outputs(y):
    ys = y if isinstance(y, (tuple, list)) else [y]
    return [t for t in ys if isinstance(t, nns.Tensor) and t.is_floating_point()]


def _directional(s, xs, vs, eps):
    """Richardson-extrapolated central difference of the scalar s along vs: error O(eps^4)."""

    def at(t):
        return s([x + t * v for x, v in zip(xs, vs)])

    coarse = (at(eps) - at(-eps)) / (2 * eps)
    fine = (at(eps / 2) - at(-eps / 2)) / eps
    return (4 * fine - coarse) / 3


def check_grads(f, *arrays, order=2, projections=3, eps=1e-3, rtol=1e-6, atol=1e-8, seed=0):
    """Hold reverse-mode derivatives of f at orders 1..order against central differences, in float64.

    f takes one tensor per array and returns a tensor or a tuple; integer outputs are ignored. Every projection has random
    cotangents and directions, so a wrong element anywhere moves the result.
    """
    rng = np.random.default_rng(seed)
    xs = [np.array(a, np.float64) for a in arrays]
    with nns.no_grad():
        shapes = [y.shape for y in _outputs(f(*[nns.tensor(x) for x in xs]))]
    us = [rng.standard_normal(s) for s in shapes]
    ws = [rng.standard_normal(x.shape) for x in xs]

    def loss(tensors):
        total = 0.0
        for y, u in zip(_outputs(f(*tensors)), us):
            total = total + (y * nns.tensor(u)).sum()
        return total

    def value(points):
        with nns.no_grad():
            return loss([nns.tensor(p) for p in points]).item()

    tensors = [nns.tensor(x, requires_grad=True) for x in xs]
    total = loss(tensors)
    assert total.requires_grad, "the output does not require grad"
    grads = nns.grad(total, tensors, allow_unused=True)
    grads = [np.zeros_like(x) if g is None else g.numpy() for g, x in zip(grads, xs)]
    for _ in range(projections):
        vs = [rng.standard_normal(x.shape) for x in xs]
        analytic = sum(float((g * v).sum()) for g, v in zip(grads, vs))
        numeric = _directional(value, xs, vs, eps)
        scale = max(abs(analytic), abs(numeric), 1.0)
        assert abs(analytic - numeric) <= rtol * scale + atol, f"order {order} left: analytic {analytic!r}, numeric {numeric!r}"
    if order > 1:
        first = [True]  # at the very arguments of order 1, the recorded gradient is the plain one

        def gradient(*ts):
            leaves = [t if t.requires_grad else t.detach().requires_grad_() for t in ts]
            with nns.enable_grad():
                total = loss(leaves)
                if not total.requires_grad:
                    return nns.tensor(0.0, dtype=np.float64)
                gs = nns.grad(total, leaves, create_graph=True, allow_unused=True)
            if first:
                first.clear()
                for g, plain in zip(gs, grads):
                    recorded = np.zeros_like(plain) if g is None else g.detach().numpy()
                    np.testing.assert_allclose(recorded, plain, rtol=1e-9, atol=1e-9, err_msg="create_graph changes the gradient")
            total = sum((g * nns.tensor(w)).sum() for g, w in zip(gs, ws) if g is not None)
            return total + 0.0 * sum(t.sum() for t in leaves)

        check_grads(
            gradient, *xs, order=order - 1, projections=projections, eps=eps, rtol=rtol * 10, atol=atol * 10, seed=seed + 1
        )


def against_torch(ours, theirs, *arrays, order=2, rtol=1e-9, atol=1e-10, seed=0):
    """Values, first and second derivatives of `ours` (on tensors) against `theirs` (on torch tensors) at the same arrays.

    Floating-point arrays get gradients; integer and boolean ones are passed as they are. Returns our outputs.
    """
    import torch

    rng = np.random.default_rng(seed)
    float_at = [i for i, a in enumerate(arrays) if np.asarray(a).dtype.kind == "f"]
    a = [nns.tensor(np.asarray(x), requires_grad=i in float_at and order > 0) for i, x in enumerate(arrays)]
    b = [torch.tensor(np.asarray(x), requires_grad=i in float_at and order > 0) for i, x in enumerate(arrays)]
    ya, yb = ours(*a), theirs(*b)
    ya = list(ya) if isinstance(ya, (tuple, list)) else [ya]
    yb = list(yb) if isinstance(yb, (tuple, list)) else [yb]
    assert len(ya) == len(yb)
    for p, q in zip(ya, yb):
        assert tuple(p.shape) == tuple(q.shape), f"shape {tuple(p.shape)}, torch has {tuple(q.shape)}"
        assert str(p.dtype) == str(q.dtype).removeprefix("torch."), f"dtype {p.dtype}, torch has {q.dtype}"
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=atol, err_msg="values")
    if order == 0:
        return ya
    us = [rng.standard_normal(tuple(p.shape)).astype(p.dtype) for p in ya]
    la = sum((p * nns.tensor(u)).sum() for p, u in zip(ya, us) if p.requires_grad)
    lb = sum((q * torch.tensor(u)).sum() for q, u in zip(yb, us) if q.requires_grad)
    if isinstance(lb, int):
        assert isinstance(la, int), "torch's outputs do not require grad, ours do"
        return ya
    more = order > 1
    ga = nns.grad(la, [a[i] for i in float_at], retain_graph=True, create_graph=more, allow_unused=True)
    if more:  # the plain and the recorded backward are different code for a fused op
        for p, q in zip(nns.grad(la, [a[i] for i in float_at], allow_unused=True, retain_graph=True), ga):
            assert (p is None) == (q is None)
            if p is not None:
                np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=rtol, atol=atol, err_msg="create_graph changes it")
    gb = torch.autograd.grad(lb, [b[i] for i in float_at], create_graph=more, allow_unused=True)
    sa, sb = 0.0, 0.0
    for i, p, q in zip(float_at, ga, gb):
        p = nns.tensor(np.zeros_like(arrays[i])) if p is None else p
        q = torch.zeros_like(b[i]) if q is None else q
        np.testing.assert_allclose(
            p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=atol, err_msg=f"gradient of argument {i}"
        )
        w = rng.standard_normal(tuple(p.shape)).astype(p.dtype)
        sa, sb = sa + (p * nns.tensor(w)).sum(), sb + (q * torch.tensor(w)).sum()
    if more and isinstance(sb, torch.Tensor) and sb.requires_grad:
        zeros = [nns.tensor(np.zeros_like(arrays[i])) for i in float_at]
        ha = nns.grad(sa, [a[i] for i in float_at], allow_unused=True) if sa.requires_grad else zeros
        hb = torch.autograd.grad(sb, [b[i] for i in float_at], allow_unused=True)
        for i, p, q in zip(float_at, ha, hb):
            p = np.zeros_like(arrays[i]) if p is None else p.numpy()
            q = np.zeros_like(arrays[i]) if q is None else q.detach().numpy(force=True)
            np.testing.assert_allclose(p, q, rtol=rtol * 100, atol=atol * 100, err_msg=f"second derivative of argument {i}")
    return ya


def both(f, *arrays, order=2, **tolerance):
    """`against_torch` of one function of (module, *tensors)."""
    torch = pytest.importorskip("torch")
    return against_torch(lambda *a: f(nns, *a), lambda *a: f(torch, *a), *arrays, order=order, **tolerance)


def functional():
    """torch.nn.functional, or the test is skipped."""
    return pytest.importorskip("torch").nn.functional


def rand(*shape, seed=0):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)
