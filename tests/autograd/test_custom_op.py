"""Ops that users define."""

import doctest
from collections import namedtuple

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns
import nnscratch.autograd.primitives


def test_the_documented_example():
    result = doctest.testmod(nnscratch.autograd.primitives, raise_on_error=True)
    assert result.attempted > 4


def test_scaled_softplus_in_ten_lines():
    @nns.primitive
    def softplus(x, *, beta):
        return np.logaddexp(0, beta * x) / beta

    nns.defvjp(softplus, lambda g, _y, x, *, beta: g / (1 + nns.exp(-beta * x)))
    check_grads(lambda x: softplus(x, beta=1.7), np.random.default_rng(0).standard_normal((3, 2)), order=3)
    assert isinstance(softplus(np.ones(2), beta=1.0), np.ndarray)  # arrays in, array out


def test_several_outputs():
    @nns.primitive
    def divmod_like(a, b):
        q = a / b
        return q, a * b, np.argmax(a, axis=0)

    nns.defvjp(
        divmod_like,
        lambda g, _y, _a, b: g[0] / b + g[1] * b,
        lambda g, _y, a, b: -g[0] * a / (b * b) + g[1] * a,
    )
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(4), rng.uniform(1, 2, 4)
    q, p, k = divmod_like(nns.tensor(a, requires_grad=True), nns.tensor(b))
    assert not k.requires_grad and q.requires_grad and p.requires_grad
    check_grads(divmod_like, a, b)
    check_grads(lambda a, b: divmod_like(a, b)[0], a, b)  # one output used
    check_grads(lambda a, b: divmod_like(a, b)[1] * divmod_like(a, b)[0], a, b)
    q.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        p.sum().backward()


def test_any_number_of_arguments():
    @nns.primitive
    def weighted(*xs, weights):
        return sum(w * x for w, x in zip(weights, xs))

    nns.defvjp(weighted, each=lambda i, g, _y, *_xs, weights: g * weights[i])
    rng = np.random.default_rng(0)
    check_grads(lambda *xs: weighted(*xs, weights=[1.0, -2.0, 0.5]), *rng.standard_normal((3, 2, 2)))
    x = nns.tensor(rng.standard_normal(3), requires_grad=True)
    assert weighted(x, x, weights=[1.0, 2.0])._node.args[0].shape == (3,)


def test_underscores_decide_what_is_kept():
    @nns.primitive
    def f(a, b):
        return a * b

    nns.defvjp(f, lambda g, _y, _a, b: g * b, lambda g, _y, _a, _b: g * 0.0)
    y = f(nns.tensor(np.ones(3), requires_grad=True), nns.tensor(np.ones(3), requires_grad=True))
    a, b = y._node.args
    assert not isinstance(a, np.ndarray) and a.shape == (3,) and a.ndim == 1 and a.dtype == np.float64
    assert isinstance(b, np.ndarray) and y._node.y is None


def test_faults_are_named():
    @nns.primitive
    def f(a, b):
        return a + b

    x = nns.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="f has no VJP for argument 0"):
        f(x, 1.0).sum().backward()
    nns.defvjp(f, lambda g, _y, _a, _b: g, None)
    f(x, 1.0).sum().backward()
    with pytest.raises(RuntimeError, match="f has no VJP for argument 1"):
        f(1.0, x).sum().backward()
    with pytest.raises(TypeError, match="f: got two values for 'b'"):
        f(1.0, x, b=x)
    with pytest.raises(TypeError, match="f: the argument 'a' is missing"):
        f(b=x)
    with pytest.raises(TypeError, match="f: 'c' cannot be a tensor; tensors are passed by position or as a, b"):
        f(1.0, 2.0, c=x)
    with pytest.raises(TypeError, match="not a primitive"):
        nns.defvjp(lambda x: x, lambda g, y, x: g)
    with pytest.raises(TypeError, match="2 VJPs were given"):
        nns.defvjp(f, lambda g, _y, _a: g, lambda g, _y, _a: g)
    nns.defvjp(f, lambda g, _y, _a, _b: nns.tensor([1.0, 2.0, 3.0]).numpy(), None)
    with pytest.raises(RuntimeError, match=r"VJP of f for argument 0 returned shape \(3,\), the argument has shape \(2,\)"):
        f(x, 1.0).sum().backward()


def test_fused_runs_its_definition_under_create_graph():
    calls = []

    def definition(x, w):
        calls.append("definition")
        return nns.tanh(x * w)

    @nns.fused(definition)
    def tanh_mul(x, w):
        y = np.tanh(x * w)
        return y, 1 - y * y

    @tanh_mul.backward
    def _(g, y, slope, needs, x, w):
        calls.append(("backward", tuple(needs)))
        return (g * slope * w if needs[0] else None, g * slope * x if needs[1] else None)

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5))
    tanh_mul(nns.tensor(a, requires_grad=True), nns.tensor(b)).sum().backward()
    assert calls == [("backward", (True, False))]
    check_grads(tanh_mul, a, b, order=3)
    assert "definition" in calls


def test_fused_arguments_may_depend_on_each_other():
    @nns.fused(lambda x, w: x * w)
    def product(x, w):
        return x * w, None

    @product.backward
    def _(g, _y, _residuals, _needs, x, w):
        return g * w, g * x

    x = np.random.default_rng(0).standard_normal(4)
    check_grads(lambda x: product(x, x), x, order=3)
    check_grads(lambda x: product(x, nns.tanh(x)), x, order=3)


@pytest.mark.parametrize("result", [[np.ones(2)], None, namedtuple("Pair", "a b")(np.ones(2), np.ones(2))])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_only_arrays_may_be_returned(result, requires_grad):
    @nns.primitive
    def f(x):
        return result

    with pytest.raises(TypeError, match=f"returned a {type(result).__name__}; expected an array"):
        f(nns.tensor([1.0, 2.0], requires_grad=requires_grad))


@pytest.mark.parametrize("cotangent", [1.0, [1.0, 1.0]])
def test_a_vjp_must_return_an_array(cotangent):
    @nns.primitive
    def f(x):
        return x * 1.0

    nns.defvjp(f, lambda g, _y, _x: cotangent)
    with pytest.raises(TypeError, match=f"VJP of f for argument 0 returned a {type(cotangent).__name__}"):
        f(nns.tensor([1.0, 2.0], requires_grad=True)).sum().backward()


def test_a_vjp_that_leaves_the_graph_is_refused_where_it_would_matter():
    @nns.primitive
    def square(x):
        return x * x

    nns.defvjp(square, lambda g, _y, x: nns.to_numpy(g) * 2 * nns.to_numpy(x))
    x = nns.tensor([3.0], requires_grad=True)
    assert nns.grad(square(x), [x])[0].item() == 6
    with pytest.raises(TypeError, match="square for argument 0 returned a ndarray under create_graph=True"):
        nns.grad(square(x), [x], create_graph=True)


def test_defaults():
    @nns.primitive
    def f(x, w=2.0, *, power=2):
        return w * x**power

    nns.defvjp(f, lambda g, _y, x, w, *, power: g * (w * power) * x ** (power - 1), lambda g, _y, x, _w, *, power: g * x**power)
    x = np.array([1.0, 2.0])
    check_grads(f, x)
    check_grads(f, x, np.array([3.0, 4.0]))
    check_grads(lambda x: f(x, power=3), x)
    check_grads(lambda x, w: f(w=w, x=x, power=3), x, np.array([3.0, 4.0]))


def test_arguments_by_name():
    @nns.primitive
    def f(a, b=2.0, c=3.0, *, scale=1.0):
        return scale * a * b * c

    nns.defvjp(
        f,
        lambda g, _y, _a, b, c, *, scale: g * b * c * scale,
        lambda g, _y, a, _b, c, *, scale: g * a * c * scale,
        lambda g, _y, a, b, _c, *, scale: g * a * b * scale,
    )
    a, c = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    check_grads(lambda a, c: f(c=c, a=a, scale=0.5), a, c)
    check_grads(lambda a, c: f(a, c=c), a, c)
    np.testing.assert_array_equal(f(c=c, a=a), a * 2 * c)

    @nns.primitive
    def metadata_without_a_star(x, n=1):
        return x * n

    nns.defvjp(metadata_without_a_star, lambda g, _y, _x, *, n: g * n)
    check_grads(lambda x: metadata_without_a_star(x=x, n=3), a)


def test_integer_results_have_no_history():
    @nns.primitive
    def order(x):
        return np.argsort(x)

    x = nns.tensor([2.0, 1.0], requires_grad=True)
    assert not order(x).requires_grad
