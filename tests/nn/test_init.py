"""Initial distributions: bounds and moments against torch's law, exact values, and the default values of layers."""

import math

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.nn import init

torch = pytest.importorskip("torch")


def sample(name, shape, *args, dtype=np.float32, **kwargs):
    """Ours and torch's draws by the same call."""
    t = nns.tensor(np.full(shape, np.nan, dtype))
    assert getattr(init, name)(t, *args, generator=nns.Generator(1), **kwargs) is t
    u = torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name))
    getattr(torch.nn.init, name)(u, *args, **kwargs)
    return t.numpy().astype(np.float64).ravel(), u.numpy().astype(np.float64).ravel()


RANDOM = [
    ("uniform_", (200, 100), (-1.0, 3.0)),
    ("normal_", (200, 100), (2.0, 0.5)),
    ("trunc_normal_", (200, 100), ()),
    ("trunc_normal_", (200, 100), (0.0, 1.0, 0.5, 0.9)),
    ("trunc_normal_", (200, 100), (0.0, 1.0, 2.0, 9.0)),
    ("trunc_normal_", (200, 100), (1.0, 0.5, -1.0, -0.5)),
    ("trunc_normal_", (200, 100), (0.0, 2.0, -0.1, 0.2)),
    ("xavier_uniform_", (200, 20, 5), (1.5,)),
    ("xavier_normal_", (200, 20, 5), ()),
    ("kaiming_uniform_", (200, 20, 5), (math.sqrt(5),)),
    ("kaiming_uniform_", (200, 20, 5), (0, "fan_out", "relu")),
    ("kaiming_normal_", (200, 100), (0.2, "fan_in", "leaky_relu")),
    ("kaiming_normal_", (50, 20, 5, 4), (0, "fan_out", "tanh")),
    ("orthogonal_", (200, 100), (2.0,)),
    ("sparse_", (200, 100), (0.35, 0.5)),
]


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize(("name", "shape", "args"), RANDOM, ids=[f"{n}{a}" for n, _, a in RANDOM])
def test_law(name, shape, args):
    a, b = sample(name, shape, *args)
    n = a.size
    assert np.isfinite(a).all()
    # Two samples of one law: their distribution functions differ by more than this with probability 1e-6 (Smirnov).
    both = np.sort(np.concatenate([a, b]))
    gap = np.abs(np.searchsorted(np.sort(a), both, "right") - np.searchsorted(np.sort(b), both, "right")).max() / n
    assert gap < math.sqrt(-math.log(0.5e-6) / n)
    for moment in (1, 2, 4):
        spread = np.std(b**moment) * math.sqrt(2 / n) + 1e-12
        assert abs((a**moment).mean() - (b**moment).mean()) < 6 * spread
    if "uniform" in name:
        low, high = (args[0], args[1]) if name == "uniform_" else (-np.abs(b).max(), np.abs(b).max())
        assert abs(a.min() - low) < 1e-3 * (high - low)
        assert abs(a.max() - high) < 1e-3 * (high - low)
        assert np.abs(a).max() <= max(abs(low), abs(high)) * (1 + 1e-3)
    if name == "trunc_normal_":
        low, high = args[2:] or (-2.0, 2.0)
        assert a.min() >= np.float32(low)
        assert a.max() <= np.float32(high)


def test_drawn_from_the_given_generator_or_the_default_one():
    def draw(seed=None):
        return init.normal_(nns.tensor(np.zeros(5)), generator=None if seed is None else nns.Generator(seed)).tolist()

    assert draw(3) == draw(3) != draw(4)
    nns.manual_seed(3)
    a = draw()
    assert a != draw()
    nns.manual_seed(3)
    assert a == draw()
    p = nn.Parameter(np.zeros((2, 2), np.float32))
    init.kaiming_uniform_(p)
    assert p.is_leaf
    assert p.requires_grad


def test_float32_is_drawn_in_float32():
    t = nns.tensor(np.zeros(4, np.float32))
    init.uniform_(t, generator=nns.Generator(5))
    assert (t.numpy() == nns.Generator(5).numpy.random(4, np.float32)).all()


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 3, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(nns.tensor(np.zeros(shape)), gain=2.0).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "shape", "args"),
    [
        ("zeros_", (2, 3), ()),
        ("ones_", (2, 3), ()),
        ("constant_", (2, 3), (0.3,)),
        ("eye_", (2, 3), ()),
        ("dirac_", (4, 3, 5), ()),
        ("dirac_", (4, 2, 3, 4), (2,)),
        ("dirac_", (2, 3, 1, 2, 3), ()),
    ],
)
def test_exact_values(name, shape, args):
    a = getattr(init, name)(nns.tensor(np.full(shape, 7.0)), *args)
    b = getattr(torch.nn.init, name)(torch.full(shape, 7.0, dtype=torch.float64), *args)
    np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("name", "param"),
    [("linear", None), ("conv2d", None), ("conv_transpose3d", None), ("sigmoid", None), ("tanh", None), ("relu", None),
     ("leaky_relu", None), ("leaky_relu", 0.3), ("selu", None)],
)  # fmt: skip
def test_gain(name, param):
    assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


def test_errors():
    line = nns.tensor(np.zeros(3))
    for call, message in [
        (lambda: init.calculate_gain("gelu2"), "gelu2"),
        (lambda: init.calculate_gain("leaky_relu", True), "not a number"),
        (lambda: init.xavier_uniform_(line), "at least 2"),
        (lambda: init.kaiming_normal_(nns.tensor(np.zeros((2, 2))), mode="fan"), "fan_in"),
        (lambda: init.eye_(line), "2 dimensions"),
        (lambda: init.dirac_(line), "3, 4 or 5"),
        (lambda: init.dirac_(nns.tensor(np.zeros((3, 2, 2))), groups=2), "divisible"),
        (lambda: init.orthogonal_(line), "2 or more"),
        (lambda: init.sparse_(line, 0.1), "2 dimensions"),
        (lambda: init.normal_(line, std=-1), "std"),
        (lambda: init.trunc_normal_(line, a=2, b=1), "a < b"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="floating-point"):
        init.normal_(nns.tensor([1, 2]))
    empty = nns.tensor(np.zeros((0, 3)))
    assert init.kaiming_uniform_(empty) is empty
    assert init.kaiming_normal_(empty) is empty
    assert init.orthogonal_(empty) is empty


# The law of every parameter of a new layer: (constructor, {name: half-width of the uniform law})
LAWS = [
    ("Linear(400, 300)", {"weight": 1 / 20, "bias": 1 / 20}),
    ("Bilinear(25, 20, 100)", {"weight": 1 / 5, "bias": 1 / 5}),
    ("Conv2d(16, 300, 5)", {"weight": 1 / 20, "bias": 1 / 20}),
    ("Conv1d(32, 300, 5, groups=4)", {"weight": 1 / math.sqrt(40), "bias": 1 / math.sqrt(40)}),
    ("ConvTranspose2d(16, 300, 5)", {"weight": 1 / math.sqrt(7500), "bias": 1 / math.sqrt(7500)}),
    ("LSTM(100, 64)", {"weight_ih_l0": 1 / 8, "weight_hh_l0": 1 / 8, "bias_ih_l0": 1 / 8}),
    ("GRUCell(100, 64)", {"weight_ih": 1 / 8, "bias_hh": 1 / 8}),
]


@pytest.mark.parametrize(("text", "bounds"), LAWS, ids=[text for text, _ in LAWS])
def test_initial_law_of_layers(text, bounds):
    nns.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = eval(text, vars(nn)), eval(text, vars(torch.nn))
    for name, bound in bounds.items():
        for p in (getattr(ours, name).detach().numpy(), getattr(theirs, name).detach().numpy()):
            assert np.abs(p).max() <= bound * (1 + 1e-6)
            assert np.abs(p).max() > bound * (1 - 10 / p.size)
            assert abs(p.mean()) < 6 * bound / math.sqrt(3 * p.size)
            assert abs(p.std() / (bound / math.sqrt(3)) - 1) < 3 / math.sqrt(p.size)


def test_initial_values_of_the_others():
    embedding = nn.Embedding(300, 40).weight.detach().numpy()
    assert abs(embedding.mean()) < 0.06
    assert abs(embedding.std() - 1) < 0.04
    for layer in (nn.BatchNorm2d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.InstanceNorm1d(3, affine=True)):
        assert layer.weight.tolist() == [1, 1, 1]
        assert layer.bias.tolist() == [0, 0, 0]
    bn = nn.BatchNorm1d(2)
    bn(nns.tensor(np.ones((4, 2), np.float32)))
    assert bn.num_batches_tracked.item() == 1
    bn.reset_running_stats()
    assert (bn.running_mean.tolist(), bn.running_var.tolist(), bn.num_batches_tracked.item()) == ([0, 0], [1, 1], 0)
