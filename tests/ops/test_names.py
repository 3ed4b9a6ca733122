"""Arguments have torch's names: the same call by keyword, on both sides."""

import numpy as np
import pytest

import nnscratch as nns

torch = pytest.importorskip("torch")

CALLS = {
    **{name: {"dim": 1, "keepdim": True} for name in "sum mean prod amax amin logsumexp all any argmax argmin".split()},
    **{name: {"dim": 1, "keepdim": True} for name in "max min median nansum nanmean".split()},
    **{name: {"dim": 1, "correction": 0, "keepdim": True} for name in ("var", "std")},
    **{name: {"dim": 1} for name in "cumsum cumprod sort argsort cummax unbind squeeze unsqueeze".split()},
    **{name: {"diagonal": 1} for name in ("tril", "triu", "diag")},
    **dict.fromkeys("floor round sign sqrt rsqrt square reciprocal log2 log10 atan ravel trace".split(), {}),
    "norm": {"p": 2, "dim": 1},
    "clamp": {"min": 0.5, "max": 2.0},
    "remainder": {"other": 2.0},
    "fmod": {"other": 2.0},
    "xlogy": {"other": 2.0},
    "float_power": {"exponent": 2.0},
    "topk": {"k": 2, "dim": 1, "largest": False, "sorted": True},
    "kthvalue": {"k": 2, "dim": 1, "keepdim": True},
    "reshape": {"shape": (4, 3)},
    "permute": {"dims": (1, 0)},
    "transpose": {"dim0": 0, "dim1": 1},
    "movedim": {"source": 0, "destination": 1},
    "flatten": {"start_dim": 0, "end_dim": 1},
    "unflatten": {"dim": 1, "sizes": (2, 2)},
    "tile": {"dims": (2, 1)},
    "repeat_interleave": {"repeats": 2, "dim": 1},
    "flip": {"dims": (0,)},
    "roll": {"shifts": 1, "dims": 1},
    "rot90": {"k": 1, "dims": (0, 1)},
    "diagonal": {"offset": 1, "dim1": 1, "dim2": 0},
    "chunk": {"chunks": 2, "dim": 1},
    "narrow": {"dim": 1, "start": 1, "length": 2},
    "select": {"dim": 1, "index": 2},
    "diff": {"n": 1, "dim": 0},
}


@pytest.mark.parametrize("name", CALLS)
def test_keywords(name):
    x = np.arange(1.0, 13).reshape(3, 4) / 4
    ours = getattr(nns, name)(input=nns.tensor(x), **CALLS[name])
    theirs = getattr(torch, name)(input=torch.tensor(x), **CALLS[name])
    several = isinstance(ours, tuple)
    for a, b in zip(ours if several else [ours], theirs if several else [theirs], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


SECOND = {
    **dict.fromkeys("add sub mul div atan2 hypot logaddexp maximum minimum eq ne lt le gt ge isclose".split(), "other"),
    **dict.fromkeys("logical_and logical_or logical_xor fmax fmin floor_divide equal".split(), "other"),
    "pow": "exponent",
}
ONE = "sin cos asin sinh cosh tanh asinh sigmoid erf erfc erfinv exp expm1 log log1p neg abs clone isnan isinf isfinite".split()


def agree(name, **arguments):
    """The same call by keyword, on tensors of both libraries."""
    ours = getattr(nns, name)(**{k: nns.tensor(v) for k, v in arguments.items()})
    theirs = getattr(torch, name)(**{k: torch.tensor(v) for k, v in arguments.items()})
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-12)


@pytest.mark.parametrize("name", SECOND)
def test_two_tensors_by_name(name):
    agree(name, **{SECOND[name]: np.array([0.5, 2.0, 0.75]), "input": np.array([0.25, 2.0, 3.0])})


@pytest.mark.parametrize("name", ONE)
def test_a_tensor_by_name(name):
    agree(name, input=np.array([0.25, 0.5, 0.75]))


def test_integers_by_name():
    for name in "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split():
        agree(name, other=np.array([1, 2, 3]), input=np.array([5, 6, 7]))
    for name in ("bitwise_not", "argwhere", "logical_not"):
        agree(name, input=np.array([5, 0, 7]))
    agree("where", other=np.array([1.0, 2.0]), condition=np.array([True, False]), input=np.array([3.0, 4.0]))


def test_gradients_of_arguments_by_name():
    x, y = nns.tensor([2.0, 3.0], requires_grad=True), nns.tensor([5.0, 7.0], requires_grad=True)
    z = x.clone()
    z.mul_(other=y)
    nns.sub(other=z, input=0.0, alpha=2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-10, -14])
    np.testing.assert_array_equal(y.grad.numpy(), [-4, -6])


def test_keywords_that_are_tensors():
    x, index, src = np.arange(12.0).reshape(3, 4), np.array([[0, 2, 1, 0]]), np.ones((1, 4))
    for name, more in (("gather", {}), ("scatter", {"src": src}), ("scatter_add", {"src": src}), ("index_select", {})):
        at = index[0, :2] if name == "index_select" else index
        ours = getattr(nns, name)(input=nns.tensor(x), dim=0, index=nns.tensor(at), **{k: nns.tensor(v) for k, v in more.items()})
        theirs = {k: torch.tensor(v) for k, v in {"input": x, "index": at, **more}.items()}
        np.testing.assert_array_equal(ours.numpy(), getattr(torch, name)(dim=0, **theirs).numpy())
    np.testing.assert_array_equal(nns.split(tensor=nns.tensor(x), split_size_or_sections=2, dim=1)[1].numpy(), x[:, 2:])
    assert nns.one_hot(tensor=nns.tensor(index), num_classes=3).shape == (1, 4, 3)
