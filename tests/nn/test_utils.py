"""Vectors of parameters, clipping, weight norm and spectral norm against torch."""

import copy

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns
from nnscratch import nn
from nnscratch.nn import utils

torch = pytest.importorskip("torch")


def pair(text):
    ours, theirs = eval(text, vars(nn)).double(), eval(text, vars(torch.nn)).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def test_vectors():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    v = utils.parameters_to_vector(net.parameters())
    assert v.shape == (13,)
    (g,) = nns.grad((v * v).sum(), [net[0].weight])
    np.testing.assert_allclose(g.numpy(), 2 * net[0].weight.detach().numpy())
    utils.vector_to_parameters(nns.tensor(np.arange(13, dtype=np.float32)), net.parameters())
    assert net[0].bias.tolist() == [6, 7, 8]
    assert utils.parameters_to_vector(net.parameters()).tolist() == list(range(13))
    with pytest.raises(ValueError, match="13 elements"):
        utils.vector_to_parameters(nns.tensor([1.0]), net.parameters())
    with pytest.raises(TypeError, match="tensor"):
        utils.vector_to_parameters([1.0], net.parameters())


def graded():
    """The same three parameters with gradients, and one without, in both libraries."""
    rng = np.random.default_rng(0)
    shapes = [(2, 3), (4,), ()]
    ours = [nn.Parameter(np.zeros(s)) for s in [*shapes, (2,)]]
    theirs = [torch.nn.Parameter(torch.zeros(s, dtype=torch.float64)) for s in [*shapes, (2,)]]
    for p, q, s in zip(ours, theirs, shapes):
        g = rng.standard_normal(s)
        p.grad, q.grad = nns.tensor(g), torch.tensor(g)
    return ours, theirs


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = graded()
    a = utils.clip_grad_norm_(ours, max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert a.item() == pytest.approx(b.item(), rel=1e-12)
    for p, q in zip(ours[:3], theirs):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)
    assert utils.get_total_norm([p.grad for p in ours[:3]], norm_type).item() == pytest.approx(min(a.item(), max_norm), rel=1e-5)


def test_clip_edges():
    assert utils.clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0).item() == 0
    p = nn.Parameter(np.ones(2))
    for bad in (np.inf, np.nan):
        p.grad = nns.tensor(np.array([bad, 1.0]))
        with pytest.raises(RuntimeError, match="total norm"):
            utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
        assert p.grad.numpy()[1] == 1
    utils.clip_grad_norm_(p, 1.0)
    assert np.isnan(p.grad.numpy()).all()
    p.grad = nns.tensor(np.array([-3.0, 0.2]))
    utils.clip_grad_value_([p], 0.5)
    assert p.grad.tolist() == [-0.5, 0.2]


LAYERS = [
    ("Linear(3, 4)", (2, 3), {}),
    ("Conv2d(2, 3, 3)", (2, 2, 4, 4), {}),
    ("ConvTranspose2d(2, 3, 3)", (2, 2, 4, 4), {}),
    ("Conv1d(2, 3, 2, bias=False)", (2, 2, 4), {"dim": 1}),
]


def compare(ours, theirs, x):
    a, b = nns.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    for lib, m, t in ((nns, ours, a), (torch, theirs, b)):
        m.zero_grad()
        y = m(t)
        (y * y).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert name == other
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=name)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize(("text", "shape", "options"), LAYERS, ids=[f"{t}{o}" for t, _, o in LAYERS])
def test_norms_as_torch(kind, text, shape, options):
    ours, theirs = pair(text)
    plain = ours.weight.detach().numpy().copy()
    assert getattr(utils, kind)(ours, **options) is ours
    getattr(torch.nn.utils, kind)(theirs, **options)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal(shape)
    for _ in range(3):
        compare(ours, theirs, x)
    ours.eval()
    theirs.eval()
    compare(ours, theirs, x)
    y = ours(nns.tensor(x)).detach().numpy()
    twin = copy.deepcopy(ours)
    remove = getattr(utils, "remove_" + kind)
    remove(ours)
    np.testing.assert_allclose(ours(nns.tensor(x)).detach().numpy(), y, atol=1e-12)
    assert isinstance(ours.weight, nn.Parameter)
    assert set(ours.state_dict()) == {"weight", "bias"} & {"weight", *dict(ours.named_parameters())}
    if kind == "weight_norm":
        np.testing.assert_allclose(ours.weight.detach().numpy(), plain, atol=1e-12)
    np.testing.assert_allclose(twin(nns.tensor(x)).detach().numpy(), y, atol=1e-12)
    with pytest.raises(ValueError, match="not found"):
        remove(ours)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_norms_at_order_two(kind):
    layer = getattr(utils, kind)(nn.Linear(3, 4, bias=False).double()).eval()
    names = [n for n, _ in layer.named_parameters()]
    values = [p.detach().numpy().copy() for p in layer.parameters()]

    def f(x, *parameters):
        for name, p in zip(names, parameters):
            layer._parameters.pop(name, None)
            layer.__dict__[name] = p
        return layer(x)

    check_grads(f, np.random.default_rng(0).standard_normal((2, 3)), *values, order=2)


def test_spectral_norm_converges_to_norm_one():
    layer = utils.spectral_norm(nn.Conv2d(2, 5, 3).double(), n_power_iterations=50)
    layer(nns.tensor(np.zeros((1, 2, 3, 3))))
    assert np.linalg.norm(layer.weight.detach().numpy().reshape(5, -1), 2) == pytest.approx(1, rel=1e-3)


def test_weight_norm_with_one_length_and_on_a_recurrent_weight():
    layer = utils.weight_norm(nn.Linear(2, 3), dim=None)
    assert layer.weight_g.shape == ()
    lstm, x = nn.LSTM(2, 3), nns.tensor(np.ones((4, 1, 2), np.float32))
    y = lstm(x)[0].detach().numpy()
    utils.weight_norm(lstm, "weight_hh_l0")
    np.testing.assert_allclose(lstm(x)[0].detach().numpy(), y, atol=1e-6)
    lstm(x)[0].sum().backward()
    assert lstm.weight_hh_l0_g.grad.shape == (12, 1)


def test_norm_errors():
    layer = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="no parameter 'w'"):
        utils.weight_norm(layer, "w")
    with pytest.raises(ValueError, match="n_power_iterations"):
        utils.spectral_norm(layer, n_power_iterations=0)
    utils.weight_norm(layer)
    with pytest.raises(RuntimeError, match="already"):
        utils.spectral_norm(layer)
