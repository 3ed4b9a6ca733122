"""Products, einsum and distances against torch at orders 0 to 2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import products
from support import both, check_grads

import nnscratch as nns
from nnscratch import nn
from nnscratch.ops.linalg import linear_act, linear_block

torch = pytest.importorskip("torch")
rng = np.random.default_rng(13)
F = {nns: nns, torch: torch.nn.functional}
LINE = np.linspace(-1, 2, 8)


def arr(*shape):
    return rng.standard_normal(shape)


MATMUL = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (1, 5, 3, 1)),
    ((2, 1, 1, 3), (3,)),
    ((1, 1), (1, 1)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((5, 0, 3), (3, 4)),
    ((0, 2, 3), (0, 3, 4)),
    ((0,), (0,)),
    ((0, 3), (3,)),
]


@pytest.mark.parametrize("a, b", MATMUL, ids=str)
def test_matmul(a, b):
    both(lambda m, a, b: m.matmul(a, b), arr(*a), arr(*b))
    both(lambda m, a, b: a @ b, arr(*a).astype(np.float32), arr(*b).astype(np.float32), order=1, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_matmul_of_any_shapes(data):
    sizes = st.integers(0, 4)
    n, k, m = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    lead = data.draw(st.lists(st.integers(1, 3), max_size=2))
    cut = lambda: tuple(data.draw(st.sampled_from([1, s])) for s in lead[data.draw(st.integers(0, len(lead))) :])  # noqa: E731
    a, b = arr(*cut(), n, k), arr(*cut(), k, m)
    x, y = nns.tensor(a, requires_grad=True), nns.tensor(b, requires_grad=True)
    z = x @ y
    np.testing.assert_allclose(z.detach().numpy(), a @ b, atol=1e-12)
    g = arr(*z.shape)
    gx, gy = nns.grad(z, [x, y], nns.tensor(g))
    p, q = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    hx, hy = torch.autograd.grad(p @ q, [p, q], torch.tensor(g))
    np.testing.assert_allclose(gx.numpy(), hx.numpy(), atol=1e-12)
    np.testing.assert_allclose(gy.numpy(), hy.numpy(), atol=1e-12)


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_linear(lead, bias):
    arrays = [arr(*lead, 5), arr(3, 5), *([arr(3)] if bias else [])]
    both(lambda m, *a: F[m].linear(*a), *arrays)
    both(lambda m, *a: F[m].linear(*a), *[a.astype(np.float32) for a in arrays], order=2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lead", [(72,), (2, 36)], ids=str)
def test_large_linear(lead):
    x, w, b = arr(*lead, 128), arr(112, 128), arr(112)
    both(lambda m, *a: F[m].linear(*a), x, w, b, rtol=1e-8, atol=1e-9)
    both(lambda m, *a: F[m].linear(*a), x, w, rtol=1e-8, atol=1e-9)
    f32 = [a.astype(np.float32) for a in (x, w, b)]
    both(lambda m, *a: F[m].linear(*a), *f32, order=1, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("needs", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_gradients_of_a_large_linear_that_are_wanted(needs):
    x, w, b = (nns.tensor(a, requires_grad=i in needs) for i, a in enumerate((arr(72, 128), arr(112, 128), arr(112))))
    assert nns.linear(x, w, b)._node.op is linear_block.primitive
    wanted = [t for t in (x, w, b) if t.requires_grad]
    g = nns.tensor(arr(72, 112))
    for actual, expected in zip(
        nns.grad(linear_block(x, w, b), wanted, g), nns.grad(linear_block.definition(x, w, b), wanted, g)
    ):
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("rows", [72, 3], ids=["compiled", "numpy"])
def test_a_dense_layer_and_its_activation(rows, slope, dtype):
    tensors = [nns.tensor(a.astype(dtype), requires_grad=True) for a in (arr(rows, 128), arr(112, 128), arr(112))]
    y, expected = linear_act(*tensors, slope=slope), linear_act.definition(*tensors, slope=slope)
    bound = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), **bound)
    if dtype == np.float32:  # a rounding error may move a sign
        return
    g = nns.tensor(arr(rows, 112))
    for wanted in ([0], [1], [2], [0, 2], [1, 2], [0, 1, 2]):
        wanted = [tensors[i] for i in wanted]
        pairs = zip(nns.grad(y, wanted, g, retain_graph=True), nns.grad(expected, wanted, g, retain_graph=True))
        for actual, right in pairs:
            np.testing.assert_allclose(actual.numpy(), right.numpy(), **bound)

    def second(f):
        (gx,) = nns.grad((f(*tensors, slope=slope) ** 2).sum(), tensors[:1], create_graph=True)
        return nns.grad((gx**2).sum(), tensors)

    for actual, right in zip(second(linear_act), second(linear_act.definition)):
        np.testing.assert_allclose(actual.numpy(), right.numpy(), rtol=1e-8, atol=1e-8)


def test_infinities_and_nans_through_a_dense_layer_and_its_activation():
    x, w, b = arr(72, 128), arr(112, 128), arr(112)
    b[:3] = np.inf, -np.inf, np.nan
    for slope in (0.0, 0.2):
        actual = linear_act(*(a.astype(np.float32) for a in (x, w, b)), slope=slope)
        with np.errstate(invalid="ignore"):
            expected = linear_act.definition(*(nns.tensor(a.astype(np.float32)) for a in (x, w, b)), slope=slope).numpy()
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_sequential_takes_a_dense_layer_with_its_activation():
    x = nns.tensor(arr(72, 128).astype(np.float32))
    for act, fused in ((nn.ReLU(), True), (nn.LeakyReLU(0.1), True), (nn.Tanh(), False), (nn.LeakyReLU(-0.5), False)):
        net = nn.Sequential(nn.Linear(128, 112), act)
        y = net(x)
        compiled = products.takes(x.data, x.data) is not None
        assert (y._node.op is linear_act.primitive) == (fused and compiled)
        np.testing.assert_allclose(y.detach().numpy(), act(net[0](x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="100 features, the weight expects 128"):
        net(nns.tensor(arr(72, 100).astype(np.float32)))


def test_large_products():
    both(lambda m, a, b: a @ b, arr(72, 128), arr(128, 112), rtol=1e-8, atol=1e-9)
    both(lambda m, a, b: m.bmm(a, b), arr(2, 72, 128), arr(2, 128, 112), order=1, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("lead", [(), (4,), (2, 3)], ids=str)
def test_linear_of_one_output(lead):
    both(lambda m, x, w: F[m].linear(x, w), arr(*lead, 5), arr(5))
    if len(lead) != 1:  # torch refuses a bias there
        both(lambda m, x, w, b: F[m].linear(x, w, b), arr(*lead, 5), arr(5), arr())


def test_linear_on_other_layouts():
    x, w = arr(5, 4).T, np.asfortranarray(arr(3, 5))
    np.testing.assert_allclose(nns.linear(nns.tensor(x), nns.tensor(w)).numpy(), x @ w.T, atol=1e-12)
    x = arr(2, 5, 3).transpose(0, 2, 1)[:, ::-1]
    np.testing.assert_allclose(nns.linear(nns.tensor(x), nns.tensor(w)).numpy(), x @ w.T, atol=1e-12)


CASES = [
    ("mm", lambda m, a, b: m.mm(a, b), arr(2, 3), arr(3, 4)),
    ("bmm", lambda m, a, b: a.bmm(b), arr(5, 2, 3), arr(5, 3, 4)),
    ("mv", lambda m, a, b: m.mv(a, b), arr(2, 3), arr(3)),
    ("dot", lambda m, a, b: (m.dot(a, b), m.vdot(a, b)), arr(3), arr(3)),
    ("kron", lambda m, a, b: m.kron(a, b), LINE[:6].reshape(2, 3), LINE.reshape(4, 2)),
    ("kron of other dimensions", lambda m, a, b: (m.kron(a, b), b.kron(a)), LINE[:6].reshape(2, 1, 3), LINE[3:5]),
    ("outer", lambda m, a, b: m.outer(a, b), arr(3), arr(4)),
    ("addmm", lambda m, i, a, b: m.addmm(i, a, b, beta=0.5, alpha=-2), arr(4), arr(2, 3), arr(3, 4)),
    ("addmm plain", lambda m, i, a, b: i.addmm(a, b), arr(2, 4), arr(2, 3), arr(3, 4)),
    ("addmm without", lambda m, i, a, b: m.addmm(i, a, b, beta=0), np.full((2, 4), np.nan), arr(2, 3), arr(3, 4)),
    ("addmv", lambda m, i, a, b: m.addmv(i, a, b, beta=2, alpha=3), arr(2), arr(2, 3), arr(3)),
    ("baddbmm", lambda m, i, a, b: m.baddbmm(i, a, b, beta=2), arr(2, 4), arr(5, 2, 3), arr(5, 3, 4)),
    ("tensordot", lambda m, a, b: m.tensordot(a, b), arr(2, 3, 4), arr(3, 4, 5)),
    ("tensordot 1", lambda m, a, b: m.tensordot(a, b, dims=1), arr(2, 3), arr(3, 4)),
    ("tensordot 0", lambda m, a, b: m.tensordot(a, b, dims=0), arr(2, 3), arr(4)),
    ("tensordot lists", lambda m, a, b: m.tensordot(a, b, dims=([0, -1], [2, 1])), arr(2, 3, 4), arr(5, 4, 2)),
    ("tensordot all", lambda m, a, b: m.tensordot(a, b, dims=([0, 1], [1, 0])), arr(2, 3), arr(3, 2)),
    ("bilinear", lambda m, a, b, w, c: F[m].bilinear(a, b, w, c), arr(2, 6, 3), arr(2, 6, 4), arr(5, 3, 4), arr(5)),
    ("bilinear without bias", lambda m, a, b, w: F[m].bilinear(a, b, w), arr(6, 3), arr(6, 4), arr(5, 3, 4)),
    ("cosine", lambda m, a, b: F[m].cosine_similarity(a, b), arr(4, 3), arr(4, 3)),
    ("cosine dim", lambda m, a, b: F[m].cosine_similarity(a, b, dim=-1), arr(2, 4, 3), arr(4, 3)),
    ("cosine with one for all", lambda m, a, b: F[m].cosine_similarity(a, b, dim=0), arr(2, 4, 3), arr(4, 3)),
    ("pairwise", lambda m, a, b: F[m].pairwise_distance(a, b), arr(4, 3), arr(4, 3)),
    ("pairwise 1", lambda m, a, b: F[m].pairwise_distance(a, b, p=1, keepdim=True), arr(4, 3), arr(3)),
]
ONCE = [
    ("cdist", lambda m, a, b: m.cdist(a, b), arr(2, 4, 3), arr(2, 5, 3)),
    ("cdist 1", lambda m, a, b: m.cdist(a, b, p=1.0), arr(4, 3), arr(5, 3)),
    ("cdist inf", lambda m, a, b: m.cdist(a, b, p=float("inf")), arr(4, 3), arr(5, 3)),
    ("pdist", lambda m, a: F[m].pdist(a), arr(5, 3)),
    ("pdist 3", lambda m, a: F[m].pdist(a, p=3), arr(5, 3)),
]


@pytest.mark.parametrize("f, arrays", [(f, a) for _, f, *a in CASES], ids=[name for name, *_ in CASES])
def test_against_torch(f, arrays):
    both(f, *arrays)


@pytest.mark.parametrize("f, arrays", [(f, a) for _, f, *a in ONCE], ids=[name for name, *_ in ONCE])
def test_where_torch_differentiates_once(f, arrays):
    both(f, *arrays, order=1)
    check_grads(lambda *a: f(nns, *a), *arrays, order=2)


def test_distances_of_equal_points_have_no_slope():
    x = nns.tensor(np.ones((3, 2)), requires_grad=True)
    for y in (nns.cdist(x, x), nns.pdist(x), nns.cosine_similarity(x, x * 0)):
        assert np.isfinite(nns.grad(y.sum(), [x])[0].numpy()).all()
    assert nns.grad(nns.cdist(x, x.detach()).sum(), [x])[0].numpy().any() == False  # noqa: E712


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ji,jk->ki", (3, 2), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("i,j->ji", (3,), (4,)),
    ("ij->ji", (2, 3)),
    ("ij", (2, 3)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 3)),
    ("ii->", (3, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("bii->b", (2, 3, 3)),
    ("iij->ij", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)),
    ("...ij,jk->...ik", (5, 6, 2, 3), (3, 4)),
    ("...ij,...jk->...ik", (6, 1, 2, 3), (5, 3, 4)),
    ("...ij->...ji", (5, 2, 3)),
    ("...i,...i", (5, 2, 3), (3,)),
    ("i...->...", (2, 3, 4)),
    ("...ii->...i", (4, 3, 3)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("ij,ij,ij->ij", (2, 3), (2, 3), (2, 3)),
    ("ij,kj,lj->ikl", (2, 3), (4, 3), (5, 3)),
    ("ab,cd->", (2, 3), (4, 5)),
    ("ij,j->i", (2, 3), (3,)),
    ("ij,k->i", (2, 3), (4,)),
    ("ij,ij->i", (1, 3), (2, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("ij,jk->ik", (0, 3), (3, 4)),
    ("ij,jk->ik", (2, 0), (0, 4)),
    (" i j , j k -> k i ", (2, 3), (3, 4)),
    ("Ab,bA->A", (2, 3), (3, 2)),
    ("i->i", (3,)),
    (",i->i", (), (3,)),
    ("->", ()),
]


@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in EINSUM], ids=[f"{e} {s}" for e, *s in EINSUM])
def test_einsum(equation, shapes):
    both(lambda m, *a: m.einsum(equation, *a), *[arr(*s) for s in shapes])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_einsum(data):
    sizes = dict(zip("abcde", (2, 3, 1, 4, 2)))
    terms = data.draw(st.lists(st.text("abcde", min_size=0, max_size=4), min_size=1, max_size=4))
    output = data.draw(st.permutations(sorted(set("".join(terms))))) if any(terms) else []
    output = "".join(output[: data.draw(st.integers(0, len(output)))])
    arrays = [arr(*[sizes[c] for c in term]) for term in terms]
    equation = ",".join(terms) + "->" + output
    np.testing.assert_allclose(nns.einsum(equation, *arrays), np.einsum(equation, *arrays), atol=1e-10)


def test_einsum_takes_a_list_and_goes_to_order_three():
    a, b = arr(2, 3), arr(3, 4)
    np.testing.assert_allclose(nns.einsum("ij,jk", [a, b]), a @ b)
    check_grads(lambda a, b: nns.einsum("ij,jk,il->kl", a, b, a), a, b, order=3)


ERRORS = [
    (RuntimeError, r"\(2, 3\) and \(2, 3\)", lambda a, v: a @ a),
    (RuntimeError, "float64 and float32", lambda a, v: a @ a.T.float()),
    (RuntimeError, "at least one", lambda a, v: a @ v.sum()),
    (RuntimeError, "stacks", lambda a, v: nns.zeros(2, 2, 3) @ nns.zeros(3, 3, 2)),
    (RuntimeError, "mm: expected 2 and 2", lambda a, v: a.mm(v)),
    (RuntimeError, "bmm", lambda a, v: a.bmm(a)),
    (RuntimeError, "equally many", lambda a, v: nns.bmm(nns.zeros(2, 2, 3), nns.zeros(1, 3, 2))),
    (RuntimeError, "mv", lambda a, v: v.mv(v)),
    (RuntimeError, "dot", lambda a, v: a.dot(v)),
    (RuntimeError, "inner sizes", lambda a, v: v.dot(v[:2])),
    (RuntimeError, "outer", lambda a, v: a.outer(v)),
    (RuntimeError, "tensordot", lambda a, v: nns.tensordot(a, a.T)),
    (RuntimeError, "inner sizes .* differ: 3 and 2", lambda a, v: v @ a),
    (
        RuntimeError,
        r"linear: the input has 3 features, the weight expects 2 .*\(2, 3\).*\(2, 2\)",
        lambda a, v: nns.linear(a, a[:, :2]),
    ),
    (RuntimeError, r"linear: the bias has shape \(3,\), the weight .*\(2, 3\) expects \(2,\)", lambda a, v: nns.linear(a, a, v)),
    (RuntimeError, r"linear: the input has no dim.*\(..., 3\)", lambda a, v: nns.linear(v[0], a)),
    (RuntimeError, r"linear: the weight has shape \(\)", lambda a, v: nns.linear(a, v[0])),
    (RuntimeError, "float", lambda a, v: nns.linear(a, a.float())),
    (RuntimeError, "2 operands, got 1", lambda a, v: nns.einsum("ij,jk", a)),
    (RuntimeError, "does not fit", lambda a, v: nns.einsum("ijk", a)),
    (RuntimeError, "does not fit", lambda a, v: nns.einsum("i1", a)),
    (RuntimeError, "sizes 3 and 2", lambda a, v: nns.einsum("ij,ji", a, a)),
    (RuntimeError, "repeated", lambda a, v: nns.einsum("ii", a[:1])),
    (RuntimeError, "output", lambda a, v: nns.einsum("ij->ik", a)),
    (RuntimeError, "output", lambda a, v: nns.einsum("ij->ii", a)),
    (RuntimeError, "cdist", lambda a, v: nns.cdist(a, a[:, :2])),
    (RuntimeError, "pdist", lambda a, v: nns.pdist(v)),
]


@pytest.mark.parametrize("error, text, f", ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(error, text, f):
    with pytest.raises(error, match=text):
        f(nns.tensor(arr(2, 3)), nns.tensor(arr(3)))
