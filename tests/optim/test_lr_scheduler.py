"""Every schedule against PyTorch's over 100 steps, and resumed in the middle from its JSON state."""

import json
import math

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import optim
from nnscratch.optim import lr_scheduler as ours

CASES = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda t: 0.97**t),
    "LambdaLR each": lambda m, o: m.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.5]),
    "StepLR": lambda m, o: m.StepLR(o, 7, gamma=0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [30, 5, 5, 80], gamma=0.3),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.95),
    "ConstantLR": lambda m, o: m.ConstantLR(o, 0.25, total_iters=10),
    "LinearLR": lambda m, o: m.LinearLR(o, 0.1, total_iters=20),
    "LinearLR down": lambda m, o: m.LinearLR(o, 1.0, 0.0, total_iters=50),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, total_iters=40, power=2.0),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, T_max=30, eta_min=0.01),
    "CosineAnnealingLR once": lambda m, o: m.CosineAnnealingLR(o, T_max=100),
    "WarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=9, eta_min=0.001),
    "WarmRestarts growing": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=2),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, max_lr=0.3, total_steps=101),
    "OneCycleLR linear": lambda m, o: m.OneCycleLR(o, [0.3, 0.1], epochs=20, steps_per_epoch=6, anneal_strategy="linear"),
    "OneCycleLR three": lambda m, o: m.OneCycleLR(o, max_lr=0.3, total_steps=120, three_phase=True, cycle_momentum=False),
    "warm-up, then cosine": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.01, total_iters=10), m.CosineAnnealingLR(o, T_max=80)], milestones=[10]
    ),
    "three in a row": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.5, 3), m.ExponentialLR(o, 0.9), m.StepLR(o, 10)], milestones=[8, 40]
    ),
}


def pair(torch, kind="SGD"):
    a = [nns.tensor([1.0], requires_grad=True), nns.tensor([2.0], requires_grad=True)]
    b = [torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return (
        getattr(optim, kind)([{"params": [a[0]]}, {"params": [a[1]], "lr": 0.02}], lr=0.1, **options),
        getattr(torch.optim, kind)([{"params": [b[0]]}, {"params": [b[1]], "lr": 0.02}], lr=0.1, **options),
    )


def settings(optimizer):
    keys = ("lr", "momentum", "betas")
    return [[np.ravel(g[k]).tolist() for k in keys if k in g] for g in optimizer.param_groups]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_equals_torch_for_100_steps(name, kind):
    torch = pytest.importorskip("torch")
    a, b = pair(torch, kind)
    mine, theirs = CASES[name](ours, a), CASES[name](torch.optim.lr_scheduler, b)
    for t in range(100):
        for x, y in zip(settings(a), settings(b)):
            for u, v in zip(x, y):
                np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-15, err_msg=f"step {t}")
        np.testing.assert_allclose(mine.get_last_lr(), theirs.get_last_lr(), rtol=1e-9, atol=1e-15)
        b.step()
        mine.step()
        theirs.step()


@pytest.mark.parametrize("name", CASES)
def test_resumes_from_its_state(name):
    p = [nns.tensor([1.0], requires_grad=True), nns.tensor([1.0], requires_grad=True)]

    def make():
        optimizer = optim.SGD([{"params": [p[0]]}, {"params": [p[1]]}], lr=0.1, momentum=0.9)
        return optimizer, CASES[name](ours, optimizer)

    whole, schedule = make()
    expected = []
    for _ in range(60):
        expected.append(settings(whole))
        schedule.step()

    first, schedule = make()
    for _ in range(25):
        schedule.step()
    state = json.loads(json.dumps(schedule.state_dict()))
    second, resumed = make()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(state)
    for t in range(25, 60):
        assert settings(second) == expected[t], f"step {t}"
        resumed.step()


def test_resumes_at_a_given_epoch():
    p = nns.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.raises(KeyError, match="initial_lr"):
        ours.StepLR(optimizer, 2, last_epoch=3)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    assert ours.StepLR(optimizer, 2, gamma=0.5, last_epoch=3).get_last_lr() == [0.025]


PLATEAUS = [
    {"patience": 2},
    {"patience": 0, "cooldown": 3, "factor": 0.5},
    {"mode": "max", "patience": 3, "threshold": 0.1},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 1},
    {"mode": "max", "threshold_mode": "abs", "patience": 1, "min_lr": [0.01, 0.001]},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateau_equals_torch_and_resumes(options):
    torch = pytest.importorskip("torch")
    a, b = pair(torch)
    mine, theirs = ours.ReduceLROnPlateau(a, **options), torch.optim.lr_scheduler.ReduceLROnPlateau(b, **options)
    rng = np.random.default_rng(0)
    metrics = np.concatenate(
        [np.linspace(1, 0.5, 15), 0.5 + 0.05 * rng.standard_normal(60), [math.nan, math.inf, -math.inf, 0.4]]
    )
    for t, metric in enumerate(metrics):
        mine.step(metric)
        theirs.step(metric)
        np.testing.assert_allclose(mine.get_last_lr(), theirs.get_last_lr(), rtol=1e-12, err_msg=f"step {t}")
        assert (mine.best, mine.num_bad_epochs) == (theirs.best, theirs.num_bad_epochs)
        if t == 40:
            state = json.loads(json.dumps(mine.state_dict()))
            mine = ours.ReduceLROnPlateau(a)
            mine.load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: ours.StepLR(o, 0), "step_size"),
        (lambda o: ours.ConstantLR(o, 1.5), "factor"),
        (lambda o: ours.LinearLR(o, 0.0), "start_factor"),
        (lambda o: ours.CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 0), "T_0"),
        (lambda o: ours.OneCycleLR(o, 0.1), "total_steps"),
        (lambda o: ours.OneCycleLR(o, 0.1, total_steps=-1), "total_steps"),
        (lambda o: ours.OneCycleLR(o, [0.1, 0.2], total_steps=9), "expected 1 values"),
        (lambda o: ours.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="square"), "anneal_strategy"),
        (lambda o: ours.LambdaLR(o, [abs, abs]), "expected 1 functions"),
        (lambda o: ours.SequentialLR(o, [ours.StepLR(o, 2)], [3]), "milestone"),
        (lambda o: ours.ReduceLROnPlateau(o, factor=1.0), "factor"),
        (lambda o: ours.ReduceLROnPlateau(o, mode="least"), "'least'"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(optim.SGD([nns.tensor([1.0], requires_grad=True)], momentum=0.9))


def test_one_cycle_ends_and_needs_a_momentum():
    p = nns.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="Adagrad has no momentum"):
        ours.OneCycleLR(optim.Adagrad([p]), 0.1, total_steps=3)
    schedule = ours.OneCycleLR(optim.SGD([p], momentum=0.9), 0.1, total_steps=10)
    with pytest.raises(ValueError, match="beyond total_steps=10"):
        for _ in range(12):
            schedule.step()
    with pytest.raises(TypeError, match="expected an Optimizer, got int"):
        ours.StepLR(3, 1)
