"""Operators and methods of Tensor: that all are there, that they agree with torch, and what is done in place."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import against_torch

import nnscratch as nns
from nnscratch import methods, ops
from nnscratch.tensor_types import Methods

torch = pytest.importorskip("torch")
rng = np.random.default_rng(17)
X, Y = rng.standard_normal((2, 3)), rng.uniform(0.5, 2, (2, 3))
I, J = np.array([[7, -7, 3]]), np.array([[2, 2, -2]])
B = np.array([True, False, True])


@pytest.mark.parametrize("name", [*methods.METHODS, *methods.VARIADIC])
def test_a_method_is_the_op_and_torch_has_it(name):
    assert callable(getattr(ops, name)) and callable(getattr(nns.Tensor, name))
    assert hasattr(torch.Tensor, name) or name == "broadcast_to"


@pytest.mark.parametrize("name", [f"{n}_" for n in methods.IN_PLACE] + ["copy_", "fill_", "zero_", "normal_", "uniform_"])
def test_an_in_place_method_is_there_and_torch_has_it(name):
    assert callable(getattr(nns.Tensor, name)) and hasattr(torch.Tensor, name)


def test_every_op_that_torch_has_as_a_method_is_one():
    def public(f):
        return callable(f) and getattr(f, "__module__", "").startswith("nnscratch.ops")

    names = [n for n in vars(ops) if public(getattr(ops, n)) and hasattr(torch.Tensor, n)]
    assert [n for n in names if not hasattr(nns.Tensor, n)] == ["unfold"]  # torch's method of that name is another op


def test_the_types_name_every_attached_method():
    attached = {*methods.METHODS, *methods.VARIADIC, *methods.DTYPES, *methods.OWN, *methods.PROPERTIES}
    attached |= {f"{name}_" for name in methods.IN_PLACE}
    attached |= {f"__{prefix}{name}__" for name in methods.BINARY for prefix in ("", "r", "i")}
    attached |= {f"__{name}__" for name in (*methods.COMPARISONS, *methods.UNARY)}
    typed = {name for name, value in vars(Methods).items() if value is None}
    assert typed - {"__hash__"} == attached


FLOAT_OPERATORS = {
    "add": lambda a, b: (a + b, a + 2, 2 + a, a + 0.5),
    "sub": lambda a, b: (a - b, a - 2, 2 - a),
    "mul": lambda a, b: (a * b, a * 2, 2 * a),
    "truediv": lambda a, b: (a / b, a / 2, 2 / b),
    "floordiv": lambda a, b: (a * 2, (a // b).detach(), (a // 2).detach(), (2 // b).detach()),
    "mod": lambda a, b: (a % b, a % 2, (2 % b).detach()),
    "pow": lambda a, b: (b**a, a**2, 2**a, b**0.5),
    "matmul": lambda a, b: (a @ b.T,),
    "unary": lambda a, b: (-a, +a, abs(a)),
    "compare": lambda a, b: (a == b, a != b, a < b, a <= 0, a > 0.5, a >= b, 0 < a, 1 >= a),
    "reduced": lambda a, b: (a.sum(), a.mean(0), a.max(1).values, a.std()),
    "chained": lambda a, b: (((a + 1) * b - a / b) ** 2 @ b.mT)[0],
    "0-d": lambda a, b: (a * b.sum(), a.sum() * b, a.sum() + 1),
}
INT_OPERATORS = {
    "arithmetic": lambda a, b: (a + b, a - b, a * b, a / b, a // b, a % b, 2 - a, 7 // b, 7 % b, a**2),
    "with floats": lambda a, b: (a + 0.5, a * 2.0, 1.5 - a, a / 2, 3 / b),
    "bits": lambda a, b: (a & b, a | b, a ^ b, ~a, a & 3, 3 | a, 3 ^ a, a << 2, a >> 1),
    "compare": lambda a, b: (a == b, a < 2, a >= b),
}
BOOL_OPERATORS = {"logic": lambda a, b: (a & b, a | b, a ^ b, ~a, a & True, a == b, a + b, a * b)}


@pytest.mark.parametrize("name", FLOAT_OPERATORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_operators(name, dtype):
    f = FLOAT_OPERATORS[name]
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {}
    against_torch(f, f, X.astype(dtype), Y.astype(dtype), **tolerance)


@pytest.mark.parametrize("name", INT_OPERATORS)
def test_int_operators(name):
    f = INT_OPERATORS[name]
    against_torch(f, f, I, J, order=0, rtol=1e-6)


def test_bool_operators():
    against_torch(*[BOOL_OPERATORS["logic"]] * 2, B, ~B, order=0)


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul, operator.lt, operator.eq]
)
def test_arrays_on_either_side(op):
    t = nns.tensor(Y[:, :2])
    for y in (op(t, Y[:, :2]), op(Y[:, :2], t)):
        assert isinstance(y, nns.Tensor)
        np.testing.assert_allclose(y.numpy(), op(Y[:, :2], Y[:, :2]))
    assert isinstance(op(np.float64(2), t) if op is not operator.matmul else t, nns.Tensor)


def test_comparison_with_what_is_no_number():
    x = nns.tensor([1.0, 2.0])
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x == "a") is False and x not in [None, "a"]
    for other in (None, "a", [1.0]):
        with pytest.raises(TypeError):
            x < other  # noqa: B015
    with pytest.raises(TypeError):
        x + "a"
    with pytest.raises(TypeError):
        x * None


def test_conversions():
    x = nns.tensor([1.5, 0.0], requires_grad=True)
    for name in ("double", "float", "half", "long", "int", "short", "char", "byte", "bool"):
        assert str(getattr(torch.ones(1), name)().dtype) == f"torch.{getattr(x, name)().dtype}"
    assert x.float() is x and x.type(nns.float64).dtype == nns.float64 and x.type() == "float32"
    assert x.type_as(nns.tensor(1)).dtype == np.int64
    x.double().sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [1, 1]


def test_new_tensors_take_dtype_and_device():
    x = nns.tensor(X)
    for y, value in (
        (x.new_zeros(2, 3), 0),
        (x.new_ones((2, 3)), 1),
        (x.new_full((2, 3), 4), 4),
        (x.new_tensor([[4, 4, 4]] * 2), 4),
    ):
        assert y.dtype == np.float64 and y.shape == (2, 3) and (y == value).all()
    assert x.new_empty(3).shape == (3,) and x.new_zeros(2, dtype=nns.int64).dtype == np.int64
    assert x.new_ones(2, requires_grad=True).requires_grad


def test_transposed_properties():
    x = nns.tensor(rng.standard_normal((2, 3, 4)))
    assert x.T.shape == (4, 3, 2) and x.mT.shape == (2, 4, 3) and x.mH.shape == (2, 4, 3)
    assert x[0].H.shape == (4, 3) and x.ndimension() == 3 and x.nelement() == 24
    assert x.where(x > 0, 0.0).min().item() == 0 and x.reshape_as(x.T).shape == (4, 3, 2)
    assert round(nns.tensor(2.345), 1).item() == pytest.approx(2.3)


# ------------------------------------------------------------------------------------------------------------ in place

IN_PLACE = {
    "iadd": lambda x, y: operator.iadd(x, y),
    "isub": lambda x, y: operator.isub(x, 2),
    "imul": lambda x, y: operator.imul(x, y),
    "itruediv": lambda x, y: operator.itruediv(x, y),
    "ipow": lambda x, y: operator.ipow(x, 2),
    "imod": lambda x, y: operator.imod(x, 2),
    "add_": lambda x, y: x.add_(y, alpha=2).sub_(1).mul_(y).div_(3).pow_(2),
    "clamp_": lambda x, y: x.clamp_(-0.5, 0.5).neg_(),
    "exp_": lambda x, y: x.exp_(),
    "tanh_": lambda x, y: x.tanh_(),
    "relu_": lambda x, y: x.relu_(),
    "sigmoid_": lambda x, y: x.sigmoid_(),
    "copy_": lambda x, y: x.copy_(y[0]),
    "fill_": lambda x, y: x.fill_(2.5),
    "fill_ tensor": lambda x, y: x.fill_(y[0, 0]),
    "zero_": lambda x, y: x.zero_(),
    "masked_fill_": lambda x, y: x.masked_fill_(x > 0, 2.0),
    "lerp_": lambda x, y: x.lerp_(y, 0.3),
    "addcmul_": lambda x, y: x.addcmul_(y, y, value=0.5),
    "index": lambda x, y: _assign(x, (0, slice(1, None)), y[1, 1:]),
    "index number": lambda x, y: _assign(x, 1, 3.0),
    "index all": lambda x, y: _assign(x, ..., y),
    "index mask": lambda x, y: _assign(x, x > 0, y[0, 0]),
    "index list": lambda x, y: _assign(x, [1, 0], y),
    "index column": lambda x, y: _assign(x, (slice(None), 1), y[:, 0] + x[:, 0]),
    "twice": lambda x, y: _assign(_assign(x, 0, y[0]), (1, 1), x[0, 0] * 2),
}


def _assign(x, index, value):
    x[index] = value
    return x


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_as_torch(name):
    """On a computed tensor, in the graph; on a plain buffer; under no_grad."""
    f = IN_PLACE[name]
    g = lambda x, y: f(x * 1.0, y) * y  # noqa: E731
    against_torch(g, g, X, Y)
    h = lambda y: f(y.detach() * 0 + 1.5, y) + y  # noqa: E731
    against_torch(h, h, Y)
    ours, theirs = nns.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    with nns.no_grad():
        assert f(ours, nns.tensor(Y)) is ours
    with torch.no_grad():
        f(theirs, torch.tensor(Y))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy())
    assert ours.is_leaf and ours.requires_grad


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_on_a_leaf_is_refused(name):
    x = nns.tensor(X, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        IN_PLACE[name](x, nns.tensor(Y))
    np.testing.assert_array_equal(x.detach().numpy(), X)


def test_a_chain_that_overwrites_what_each_step_saved():
    def chain(x, suffix):
        for name in ("exp", "sqrt", "tanh", "sigmoid", "square", "abs", "log"):
            x = getattr(x, name + suffix)()
        return x

    x = nns.tensor(X, requires_grad=True)
    (plain,) = nns.grad(chain(x, "").sum(), [x])
    (written,) = nns.grad(chain(x * 1, "_").sum(), [x])
    np.testing.assert_array_equal(plain.numpy(), written.numpy())


def test_in_place_keeps_identity_and_memory():
    x = nns.tensor([1.0, 2.0])
    array, same = x.data, x
    x += 1
    x *= nns.tensor([2.0, 3.0])
    x[0] = 9
    x[1] -= 1
    assert x is same and x.data is array and x.tolist() == [9, 8]
    counts = nns.tensor([1, 2, 2])
    counts[nns.tensor([True, False, True])] += 5
    counts[1] //= 2
    assert counts.tolist() == [6, 1, 7] and counts.dtype == np.int64


def test_in_place_never_changes_dtype_or_shape():
    counts, x = nns.tensor([1, 2]), nns.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"float.* int64"):
        counts += 0.5
    with pytest.raises(RuntimeError, match="float"):
        counts /= 2
    with pytest.raises(RuntimeError, match=r"\(2, 2\).*\(2,\)"):
        x += nns.ones(2, 2)
    x += nns.ones(2, dtype=nns.float64)
    x += counts
    assert x.dtype == np.float32 and counts.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="0-d"):
        x.fill_(nns.ones(2))


SAVED = {
    "exp": lambda x: x.exp(),
    "mul": lambda x: x * x,
    "sigmoid": lambda x: x.sigmoid(),
    "matmul": lambda x: x @ x.T,
    "amax": lambda x: x.amax(0),
    "linear": lambda x: nns.linear(x, x),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_changed_saved_value_is_named(name):
    w = nns.tensor(X, requires_grad=True)
    x = w * 2
    y = SAVED[name](x)
    changed = y if name in ("exp", "sigmoid") else x
    changed += 1
    with pytest.raises(RuntimeError, match=f"{name}.*changed in place"):
        y.sum().backward()


def test_what_is_not_saved_may_change():
    w = nns.tensor(X, requires_grad=True)
    x = w * 2
    y = x + 1
    z = y.reshape(-1).sum() + x[0, 0]
    y += 1
    x.zero_()
    z.backward()
    assert w.grad.tolist() == [[4, 2, 2], [2, 2, 2]]


def test_a_write_under_no_grad_is_seen_by_the_check():
    w = nns.tensor(X, requires_grad=True)
    y = w * w
    with nns.no_grad():
        w[0] = 0
    with pytest.raises(RuntimeError, match="mul"):
        y.sum().backward()


def test_views_are_refused_while_recording():
    leaf = nns.tensor(X, requires_grad=True)
    base, w = leaf * 2, nns.tensor([1.0, 2.0, 3.0], dtype=nns.float64, requires_grad=True)
    for view in (leaf[0], base[0], base.T[:, 0], base.reshape(-1)[:3], base.unbind()[0], base.split(1)[0][0]):
        with pytest.raises(RuntimeError, match="view|shares"):
            view += w
            (base + leaf).sum()
    buffer = nns.zeros(2, 3, dtype=nns.float64)
    with pytest.raises(RuntimeError, match="view"):
        buffer[0][1:] = w[1:]
    with pytest.raises((RuntimeError, ValueError), match="read-only|view"):
        buffer[0].expand(2, 3).add_(1.0)


def test_an_older_view_of_a_changed_tensor_is_refused():
    w = nns.tensor(X, requires_grad=True)
    x = w * 2
    row = x[0]
    x += 1
    with pytest.raises(RuntimeError, match="shares memory"):
        row.sum()
    assert x[0].sum().requires_grad


def test_views_without_history_write_through():
    x = nns.tensor(X)
    x[0].zero_()
    x.T[2] += 10
    assert x[0].tolist() == [0, 0, 10] and x[1, 2].item() == X[1, 2] + 10


def test_a_buffer_filled_row_by_row():
    w = nns.tensor(X, requires_grad=True)
    buffer = nns.zeros(4, 3, dtype=nns.float64)
    for i in range(4):
        buffer[i] = w[i % 2] ** 2 if i < 2 else buffer[i - 2].clone() * w[i % 2]
    buffer.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X + 3 * X**2)
    buffer[0] = buffer[1] * w[0]  # saves a row of the buffer, which is then written to
    with pytest.raises(RuntimeError, match="changed in place"):
        buffer.sum().backward()


def test_random_in_place():
    x = nns.empty(1000, dtype=nns.float32)
    x.normal_(3, 0.5, generator=nns.Generator(1))
    assert abs(x.mean().item() - 3) < 0.1 and abs(x.std().item() - 0.5) < 0.05
    y = nns.empty(1000).normal_(3, 0.5, generator=nns.Generator(1))
    assert (x == y).all()
    x.uniform_(-1, 2, generator=nns.Generator(2))
    assert x.min().item() >= -1 and x.max().item() < 2 and abs(x.mean().item() - 0.5) < 0.1
    with pytest.raises(RuntimeError, match="int64"):
        nns.tensor([1]).normal_()
    with pytest.raises(RuntimeError, match="std"):
        x.normal_(0, -1)
    with pytest.raises(RuntimeError, match="low"):
        x.uniform_(1, 0)
    w = nns.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        w.normal_()
    with nns.no_grad():
        w.uniform_()
    assert w.requires_grad


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["x += y", "x *= y", "x[0] = y[1]", "x[:, 1] *= 2", "x -= x.mean()", "x = x * y", "x.tanh_()"]),
        max_size=6,
    )
)
def test_any_sequence_of_writes_is_right_or_refused(program):
    """Gradients through a mix of in-place and other ops agree with torch's, or the program is refused."""
    source = "x = w * 1\n" + "\n".join(program)

    def run(w, y):
        space = {"w": w, "y": y}
        exec(source, space)
        return space["x"]

    try:
        against_torch(run, run, X, Y, order=1)
    except RuntimeError as fault:
        assert "changed in place" in str(fault) or "modified by an inplace" in str(fault) or "is a view" in str(fault)
