"""Shape ops against torch at orders 0 to 2, and the properties of views."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import both, check_grads

import nnscratch as nns
from nnscratch.ops.views import put

torch = pytest.importorskip("torch")
rng = np.random.default_rng(5)
V, M, X = rng.standard_normal(6), rng.standard_normal((4, 5)), rng.standard_normal((2, 3, 4))
Q = rng.standard_normal((2, 1, 4, 1))
PAD = {nns: nns.pad, torch: torch.nn.functional.pad}


CASES = [
    ("reshape", lambda m, x: m.reshape(x, (4, -1)), X),
    ("reshape method", lambda m, x: x.reshape(6, 4).reshape((2, 12)).reshape(-1), X),
    ("view", lambda m, x: x.view(3, 8).view((24,)).view_as(x), X),
    ("flatten", lambda m, x: m.flatten(x, 1), X),
    ("flatten middle", lambda m, x: m.flatten(x, 0, -2), X),
    ("flatten 0-d", lambda m, x: m.flatten(x), np.array(2.0)),
    ("unflatten", lambda m, x: x.unflatten(2, (2, -1)).unflatten(0, (1, 2)), X),
    ("ravel", lambda m, x: m.ravel(x), X),
    ("permute", lambda m, x: m.permute(x, (2, 0, -2)), X),
    ("permute method", lambda m, x: x.permute(1, 2, 0).permute((1, 0, 2)), X),
    ("transpose", lambda m, x: m.transpose(x, 0, -1), X),
    ("swapaxes", lambda m, x: x.swapaxes(0, 1).swapdims(1, 2), X),
    ("t", lambda m, x: m.t(x), M),
    ("T", lambda m, x: x.T, M),
    ("mT", lambda m, x: x.mT, X),
    ("movedim", lambda m, x: m.movedim(x, 0, 2), X),
    ("movedim many", lambda m, x: m.movedim(x, (0, 3), (-2, 0)), Q),
    ("moveaxis", lambda m, x: m.moveaxis(x, (2, 0), (0, 1)), X),
    ("squeeze", lambda m, x: m.squeeze(x), Q),
    ("squeeze dim", lambda m, x: x.squeeze(1).squeeze(0).squeeze(-1), Q),
    ("squeeze dims", lambda m, x: m.squeeze(x, (1, -1, 0)), Q),
    ("unsqueeze", lambda m, x: x.unsqueeze(0).unsqueeze(-1).unsqueeze(2), X),
    ("expand", lambda m, x: x.expand(3, 2, 5, -1, 6), Q),
    ("expand as", lambda m, x, y: x.expand_as(y) * y, M[0], M),
    ("broadcast_to", lambda m, x: m.broadcast_to(x, (2, 4, 5)), M),
    ("broadcast_tensors", lambda m, x, y: m.broadcast_tensors(x, y), M, M[:, :1]),
    ("repeat", lambda m, x: x.repeat(2, 1, 3), M),
    ("repeat 0", lambda m, x: x.repeat(0, 2), M),
    ("tile", lambda m, x: m.tile(x, (2, 3)), X),
    ("tile method", lambda m, x: x.tile(2, 1, 1, 2), X),
    ("repeat_interleave", lambda m, x: m.repeat_interleave(x, 2, dim=1), X),
    ("repeat_interleave flat", lambda m, x: m.repeat_interleave(x, 3), X),
    ("repeat_interleave each", lambda m, x: m.repeat_interleave(x, m.tensor([2, 0, 1]), dim=1), X),
    ("cat", lambda m, x, y: m.cat([x, y, x], 0), M, M[:2]),
    ("cat last", lambda m, x, y: m.cat((x, y), -1), M, M[:, :2]),
    ("cat one", lambda m, x: m.concat([x]), M),
    ("cat with nothing", lambda m, x, y: m.cat([y, x]), M, np.zeros(0)),
    ("cat of two dtypes", lambda m, x, y: m.cat([x, y]), M, np.arange(5).reshape(1, 5)),
    ("stack", lambda m, x, y: m.stack([x, y], 1), M, M * 2),
    ("stack last", lambda m, x, y: m.stack([x, y, x], -1), M, M * 2),
    ("hstack", lambda m, x, y: (m.hstack([x, y]), m.hstack([x[0], y[1]])), M, M),
    ("vstack", lambda m, x, y: (m.vstack([x, y]), m.vstack([x[0], y[1]])), M, M),
    ("dstack", lambda m, x, y: (m.dstack([x, y]), m.dstack([x[0], y[1]])), M, M),
    ("split", lambda m, x: m.split(x, 2), M),
    ("split uneven", lambda m, x: x.split(2, 1), M),
    ("split sizes", lambda m, x: m.split(x, [1, 0, 4], dim=-1), M),
    ("split used in part", lambda m, x: m.split(x, 2, dim=1)[1], M),
    ("chunk", lambda m, x: m.chunk(x, 3), M),
    ("tensor_split", lambda m, x: m.tensor_split(x, 3, dim=1), M),
    ("tensor_split at", lambda m, x: m.tensor_split(x, (1, 3), dim=1), M),
    ("unbind", lambda m, x: m.unbind(x, 1), X),
    ("unbind used in part", lambda m, x: m.unbind(x)[1], X),
    ("narrow", lambda m, x: m.narrow(x, 1, 1, 2), X),
    ("narrow from the end", lambda m, x: x.narrow(-1, -2, 1), X),
    ("select", lambda m, x: m.select(x, 1, -1), X),
    ("flip", lambda m, x: m.flip(x, (0, -1)), X),
    ("flip method", lambda m, x: x.flip(1), X),
    ("fliplr", lambda m, x: m.fliplr(x), X),
    ("flipud", lambda m, x: m.flipud(x), X),
    ("roll", lambda m, x: m.roll(x, 3), X),
    ("roll dims", lambda m, x: m.roll(x, (1, -7), (0, 2)), X),
    ("rot90", lambda m, x: tuple(m.rot90(x, k, (0, 1)) for k in range(-1, 5)), X),
    ("rot90 back", lambda m, x: m.rot90(x, 1, (2, 0)), X),
    ("tril", lambda m, x: tuple(m.tril(x, k) for k in (-2, 0, 1, 9)), M),
    ("triu", lambda m, x: tuple(m.triu(x, k) for k in (-2, 0, 1, 9)), X),
    ("diagonal", lambda m, x: tuple(m.diagonal(x, k) for k in range(-4, 6)), M),
    ("diagonal dims", lambda m, x: m.diagonal(x, 1, 2, 0), X),
    ("diag", lambda m, x: m.diag(x, 1), M),
    ("diag of a vector", lambda m, x: tuple(m.diag(x, k) for k in (-2, 0, 1)), V),
    ("diag_embed", lambda m, x: m.diag_embed(x, -1, 0, 2), X),
    ("trace", lambda m, x: m.trace(x), M),
    ("meshgrid", lambda m, x, y: m.meshgrid(x, y, indexing="ij"), V, V[:3]),
    ("meshgrid xy", lambda m, x, y: m.meshgrid(x, y, x[:2], indexing="xy"), V, V[:3]),
    ("contiguous", lambda m, x: x.T.contiguous().view(-1), M),
    ("at least", lambda m, x: (m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)), V),
    ("at least 0-d", lambda m, x: (m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)), np.array(1.5)),
    ("at least 2-d", lambda m, x: (m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)), M),
    ("pad", lambda m, x: PAD[m](x, (1, 2)), X),
    ("pad two", lambda m, x: PAD[m](x, (1, 0, 2, 3), value=2.5), X),
    ("pad cut", lambda m, x: PAD[m](x, (-1, 2, 1, -2)), X),
    ("pad cut all", lambda m, x: PAD[m](x, (-2, -2)), X),
    ("pad reflect", lambda m, x: PAD[m](x, (3, 1), mode="reflect"), X),
    ("pad reflect two", lambda m, x: PAD[m](x, (3, 1, 2, 0), mode="reflect"), X),
    ("pad replicate", lambda m, x: PAD[m](x, (5, 1), mode="replicate"), X),
    ("pad circular", lambda m, x: PAD[m](x, (4, 1, 0, 3), mode="circular"), X[None]),
    ("pad reflect cut", lambda m, x: (PAD[m](x, (3, -2), mode="reflect"), PAD[m](x, (-2, 1), mode="reflect")), X),
    ("pad replicate cut", lambda m, x: (PAD[m](x, (3, -2), mode="replicate"), PAD[m](x, (1, -3), mode="replicate")), X),
    ("pad circular cut", lambda m, x: (PAD[m](x, (2, -2), mode="circular"), PAD[m](x, (-1, 2), mode="circular")), X),
    ("pad int", lambda m, x: PAD[m](x, (1, 1), value=7), np.arange(6).reshape(2, 3)),
]


@pytest.mark.parametrize("f, arrays", [(f, a) for _, f, *a in CASES], ids=[name for name, *_ in CASES])
def test_against_torch(f, arrays):
    both(f, *arrays)
    both(f, *[a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays], order=0, rtol=1e-6)


@pytest.mark.parametrize(
    "f, arrays", [(f, a) for _, f, *a in CASES if a[0].ndim == 2], ids=[n for n, _, *a in CASES if a[0].ndim == 2]
)
def test_on_other_layouts(f, arrays):
    turned = [np.asfortranarray(np.concatenate([a, a], 1))[:, : a.shape[1]] if a.ndim == 2 else a for a in arrays]
    ours, plain = f(nns, *[nns.tensor(a) for a in turned]), f(nns, *[nns.tensor(a) for a in arrays])
    for p, q in zip(*[y if isinstance(y, (tuple, list)) else [y] for y in (ours, plain)]):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_views_share_memory():
    x = nns.tensor(X.copy())
    views = [
        x.reshape(6, 4),
        x.permute(2, 0, 1),
        x.mT,
        x[1],
        x[0, 1, 2],
        x[:, ::-2],
        x.unsqueeze(1),
        x.expand(5, 2, 3, 4),
        x.flatten(),
    ]
    views += [*x.split(1), *x.unbind(2), x.narrow(1, 0, 2), x.diagonal(), x.squeeze(), x.select(0, 1), *x.chunk(2)]
    for v in views:
        assert np.shares_memory(v.numpy(), x.numpy())
    for c in (x.repeat(1, 1, 1), x.flip(0), x.roll(0, 0), x.tril(), nns.pad(x, (0, 0)), x.contiguous().clone()):
        assert not np.shares_memory(c.numpy(), x.numpy())
    assert x.contiguous() is x


def test_pad_keeps_the_memory_order_of_images():
    images = np.zeros((2, 5, 6, 3), np.float32).transpose(0, 3, 1, 2)
    assert nns.pad(images, (1, 1, 1, 1)).transpose(0, 2, 3, 1).flags.c_contiguous
    assert nns.pad(images, (1, 1, 1, 1), value=3.0).transpose(0, 2, 3, 1).flags.c_contiguous


def test_wide_fan_in_is_linear_in_time():
    leaves = [nns.tensor([float(i)], requires_grad=True) for i in range(3000)]
    (nns.cat(leaves) * nns.tensor(np.arange(3000.0))).sum().backward()
    assert leaves[17].grad.item() == 17
    nns.stack(leaves).sum().backward()
    assert leaves[17].grad.item() == 18


def test_third_order():
    for name in ("cat", "stack", "split used in part", "expand", "diagonal", "pad reflect", "unbind"):
        (f, *arrays) = next(c[1:] for c in CASES if c[0] == name)
        check_grads(lambda *a: [y * y * y for y in (lambda r: r if isinstance(r, tuple) else (r,))(f(nns, *a))], *arrays, order=3)


ERRORS = [
    (ValueError, "reshape", lambda x: x.reshape(5, 5)),
    (RuntimeError, "twice", lambda x: x.permute(0, 0, 1)),
    (RuntimeError, "order of 3", lambda x: x.permute(0, 1)),
    (IndexError, "out of range", lambda x: x.permute(0, 1, 3)),
    (RuntimeError, r"\(2, 3, 4\).*\(2, 3, 5\)", lambda x: x.expand(2, 3, 5)),
    (RuntimeError, "expand", lambda x: x.expand(3, 4)),
    (RuntimeError, "expand", lambda x: x.expand(-1, 2, 3, 4)),
    (RuntimeError, "at least one", lambda x: nns.cat([])),
    (RuntimeError, "do not fit", lambda x: nns.cat([x, x[:, :2]])),
    (RuntimeError, "do not fit", lambda x: nns.cat([x, x[0]])),
    (RuntimeError, "equal shapes", lambda x: nns.stack([x, x[:1]])),
    (RuntimeError, "add up", lambda x: x.split([1, 2])),
    (RuntimeError, "positive", lambda x: x.split(0)),
    (RuntimeError, "chunk", lambda x: x.chunk(0)),
    (RuntimeError, "0-d", lambda x: x.sum().unbind()),
    (RuntimeError, "0-d", lambda x: x.sum().split(1)),
    (IndexError, "range", lambda x: x.select(1, 3)),
    (RuntimeError, "fit", lambda x: x.narrow(1, 2, 2)),
    (IndexError, "start", lambda x: x.narrow(1, 4, 0)),
    (RuntimeError, "unflatten", lambda x: x.unflatten(1, (2, -1))),
    (RuntimeError, "start_dim", lambda x: x.flatten(2, 1)),
    (RuntimeError, "at most 2", lambda x: x.t()),
    (RuntimeError, "at least 2", lambda x: x[0, 0].mT),
    (RuntimeError, "repeats", lambda x: x.repeat(2, 2)),
    (RuntimeError, "repeat", lambda x: x.repeat_interleave(nns.tensor([1, 2]), 1)),
    (RuntimeError, "shift", lambda x: x.roll((1, 2))),
    (RuntimeError, "two dims", lambda x: x.rot90(1, (0, 1, 2))),
    (RuntimeError, "diag", lambda x: x.diag()),
    (RuntimeError, "pairs", lambda x: nns.pad(x, (1, 2, 3))),
    (RuntimeError, "pairs", lambda x: nns.pad(x, (0,) * 8)),
    (RuntimeError, "negative", lambda x: nns.pad(x, (-3, -3))),
    (RuntimeError, "reflect", lambda x: nns.pad(x, (4, 0), "reflect")),
    (RuntimeError, "circular", lambda x: nns.pad(x, (5, 0), "circular")),
    (ValueError, "mirror", lambda x: nns.pad(x, (1, 0), "mirror")),
    (RuntimeError, "indexing", lambda x: nns.meshgrid(x[0, 0], indexing="yx")),
    (RuntimeError, "vectors", lambda x: nns.meshgrid(x)),
    (IndexError, "-3 to 2", lambda x: x.unsqueeze(0).squeeze(0).transpose(0, 3)),
    (TypeError, "dim", lambda x: x.transpose(0, None)),
]


@pytest.mark.parametrize("error, text, f", ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(error, text, f):
    with pytest.raises(error, match=text):
        f(nns.tensor(X))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_shape(data):
    x = data.draw(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)))
    order = data.draw(st.permutations(range(x.ndim)))
    t = nns.tensor(x, requires_grad=True)
    y = t.permute(order)
    np.testing.assert_array_equal(y.detach().numpy(), x.transpose(order))
    g = rng.standard_normal(y.shape)
    np.testing.assert_array_equal(nns.grad(y, [t], nns.tensor(g))[0].numpy(), g.transpose(np.argsort(order)))
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    pieces = data.draw(st.integers(1, 5))
    parts = nns.tensor_split(t, pieces, dim)
    for p, q in zip(parts, np.array_split(x, pieces, dim), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q)
    np.testing.assert_array_equal(nns.cat(parts, dim).detach().numpy(), x)
    shift = data.draw(st.integers(-9, 9))
    np.testing.assert_array_equal(nns.roll(t, shift, dim).detach().numpy(), np.roll(x, shift, dim))


@settings(max_examples=60, deadline=None)
@given(hnp.mutually_broadcastable_shapes(num_shapes=1, min_dims=0, max_dims=4, max_side=4))
def test_expand_and_sum_are_adjoint(shapes):
    (small,), big = shapes
    a, b = rng.standard_normal(small), rng.standard_normal(big)
    left = float((nns.broadcast_to(a, big) * b).sum())
    np.testing.assert_allclose(left, float((nns.sum_to(b, small) * a).sum()), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_getitem_and_put_are_adjoint(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    index = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True) | hnp.integer_array_indices(shape) | hnp.arrays(np.bool_, shape)
    )
    x = rng.standard_normal(shape)
    picked = nns.getitem(x, index)
    np.testing.assert_array_equal(picked, x[index])
    g = rng.standard_normal(np.shape(picked))
    np.testing.assert_allclose(float((picked * g).sum()), float((put(g, index, shape) * x).sum()), atol=1e-12)
