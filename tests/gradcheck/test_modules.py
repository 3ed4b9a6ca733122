"""`gradcheck` on modules: their parameters are checked too."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn
from nnscratch.gradcheck import Verdict, gradcheck, gradgradcheck

R = np.random.default_rng(0).standard_normal


@nns.primitive
def lopsided(x, w):
    return x * w


nns.defvjp(lopsided, lambda g, _y, _x, w: g * w, lambda g, _y, x, _w: g * (1.01 * x))


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(R(3))

    def forward(self, x):
        return lopsided(x, self.weight)


class Tied(nn.Module):
    """One parameter in two places; the one below detaches it."""

    def __init__(self, detach=False):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.detach = detach

    def forward(self, x):
        w = self.second.weight
        return nns.tanh(self.first(x)) @ (w.detach() if self.detach else w)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.Linear(3, 2), R((4, 3))),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), R((5, 3))),
        (nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.SiLU()), R((2, 2, 5, 5))),
        (nn.BatchNorm1d(3).eval(), R((4, 3))),
        (nn.Embedding(5, 3), np.array([0, 1, 1, 4])),
        (nn.LSTM(3, 2), R((4, 2, 3))),
        (Tied().double(), R((4, 3))),
    ],
)
def test_sound_modules(module, inputs):
    module.float()
    before = {name: np.copy(t.data) for name, t in module.state_dict().items()}
    tensors = module.state_dict(keep_vars=True)
    module.double()
    assert gradgradcheck(module, inputs, projections=3)
    assert gradcheck(module.float(), inputs.astype(np.float32) if inputs.dtype.kind == "f" else inputs)
    for name, t in module.state_dict(keep_vars=True).items():
        assert t is tensors[name] and t.grad is None
        np.testing.assert_array_equal(t.data, before[name])


def test_findings_name_the_parameter():
    report = gradcheck(Scale(), R((2, 3)), raise_exception=False)
    finding = report.findings[0]
    assert report.verdict is Verdict.WRONG and finding.name == "weight" and finding.input == 1
    assert finding.ratio == pytest.approx(1.01) and finding.op == "lopsided"
    assert "WRONG: Scale, weight" in str(report).splitlines()[0]
    model = nn.Sequential(nn.Linear(3, 3), Scale()).double()
    report = gradcheck(model, (R((2, 3)),), raise_exception=False)
    assert {f.name for f in report.findings} == {"1.weight"} and report.findings[0].input == 3
    integers = gradcheck(nn.Sequential(nn.Embedding(4, 3), Scale()).double(), np.array([0, 3]), raise_exception=False)
    assert integers.findings[0].name == "1.weight" and integers.findings[0].input == 2


def test_a_shared_parameter_is_one_input():
    report = gradcheck(Tied(detach=True).double(), R((4, 3)), raise_exception=False)
    assert report.verdict is Verdict.WRONG and report.findings[0].name == "first.weight"


def test_frozen_and_dead_parameters():
    module = nn.Sequential(Scale())
    module.requires_grad_(False)
    assert gradcheck(module, R((2, 3)))  # its weight is a constant
    module = nn.Linear(3, 2).double()
    module.spare = nn.Parameter(R(2))
    report = gradcheck(module, R((4, 3)))
    assert report.verdict is Verdict.DEAD and report.findings[0].name == "spare"


def test_no_inputs_but_parameters():
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(R(4))

        def forward(self):
            return (self.w**2).sum()

    assert gradcheck(Square(), ())


def test_an_exception_leaves_the_module_as_it_was():
    module = nn.Linear(3, 2).double()
    weight = module.weight
    with pytest.raises(RuntimeError, match="Linear"):
        gradcheck(module, R((4, 5)))
    assert module.weight is weight
