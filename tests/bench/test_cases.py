"""The cases themselves, in this process: both libraries compute the same, and the work is counted right."""

import numpy as np
import pytest

from nnscratch.bench import Library, convolutions, layers, overhead, scaling, steps, untuned
from nnscratch.bench.layer import Layer
from nnscratch.bench.library import array
from nnscratch.bench.measure import compare
from nnscratch.bench.training import Counter

SMALL = {
    steps.cnn: {"batch": 2, "scale": 0.1, "size": 17},
    steps.cnn_valid: {"batch": 2, "scale": 0.1, "size": 26},
    steps.dcgan: {"batch": 3, "scale": 0.06},
    steps.vae: {"batch": 4, "scale": 0.05},
    steps.vae_big: {"batch": 2, "scale": 0.002},
    steps.lstm: {"batch": 3, "scale": 0.05},
    steps.autoencoder: {"batch": 2, "scale": 0.25},
    scaling.deep: {"depth": 3, "batch": 2, "channels": 8, "size": 8},
}


def outputs(case_or_build, library, **options):
    subject = case_or_build(Library(library), **options)
    return subject, {name: array(value).copy() for name, value in subject.outputs().items()}


def test_names_are_unique():
    for suite in (steps, untuned, layers, scaling, overhead):
        names = [case.name for case in suite.cases()]
        assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("workload", SMALL, ids=lambda w: w.__name__)
def test_a_step_is_the_same_in_both_libraries(workload):
    pytest.importorskip("torch")
    ours, a = outputs(workload, "nnscratch", **SMALL[workload])
    theirs, b = outputs(workload, "torch", **SMALL[workload])
    tolerance = steps.case("", workload).tolerance
    assert any(name.startswith("gradient") for name in a) and any(name.startswith("update") for name in a)
    for name, error in compare(a, b).items():
        assert error <= tolerance[name.partition(" ")[0]], name
    assert ours.products == theirs.products > 0


def test_a_step_is_validated_from_the_same_weights_and_noise_every_time():
    first, second = (outputs(steps.autoencoder, "nnscratch", batch=2)[1] for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_noise_is_replayed_only_on_request():
    L = Library("nnscratch")
    L.replay(3)
    fixed = array(L.randn(2, 5))
    L.replay(3)
    assert np.array_equal(array(L.randn_like(L.images(2, 5))), fixed)
    L.replay(None)
    assert not np.array_equal(array(L.randn(2, 5)), fixed)


def test_multiply_adds_of_a_step():
    L = Library("nnscratch")
    net = L.network(
        L.nn.Conv2d(3, 4, 3, padding=1), L.nn.Conv2d(4, 6, 3, padding=1, groups=2), L.nn.Flatten(), L.nn.Linear(150, 7)
    )
    with Counter([net]) as counter:
        net(L.images(2, 3, 5, 5))
    assert counter.products == 2 * (2 * 25 * 4 * 27 + 3 * 25 * 6 * 18 + 3 * 150 * 7), "the first layer has no input gradient"
    net(L.images(2, 3, 5, 5))
    assert counter.products == 2 * (2 * 25 * 4 * 27 + 3 * 25 * 6 * 18 + 3 * 150 * 7), "outside the block nothing is counted"
    lstm = L.nn.LSTM(3, 5, num_layers=2)
    with Counter([lstm]) as counter:
        lstm(L.images(7, 2, 3))
    assert counter.products == 7 * 2 * 20 * (2 * 3 + 3 * 5 + 3 * 5 + 3 * 5)


def test_the_forward_work_of_convolutions():
    """Against the definition, for a strided and for a transposed one."""
    strided = Layer("", lambda L: L.nn.Conv2d(3, 4, 3, stride=2, padding=1), (2, 3, 9, 9), "")
    transposed = Layer("", lambda L: L.nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), (2, 3, 5, 5), "")
    for layer, products, size in ((strided, 2 * 4 * 25 * 27, 5), (transposed, 2 * 3 * 25 * 4 * 16, 10)):
        forward, backward = (case.build(Library("nnscratch")) for case in layer.cases())
        assert (forward.products, backward.products) == (products, 2 * products)
        weights = 3 * 4 * (9 if layer is strided else 16) + 4
        given, output = 2 * 3 * layer.shape[-1] ** 2 + weights, 2 * 4 * size**2
        assert (forward.traffic, backward.traffic) == (4 * (given + output), 4 * (2 * given + output))


TINY = [
    Layer(
        "conv",
        lambda L: L.nn.Conv2d(4, 6, 3, padding=1),
        (2, 4, 7, 7),
        "",
        parts=("forward", "input gradient", "weight gradient"),
    ),
    Layer("image", lambda L: L.nn.Conv2d(3, 6, 3), (2, 3, 7, 7), "", images=True, parts=("forward", "weight gradient")),
    Layer("pool", lambda L: L.nn.MaxPool2d(2), (2, 4, 6, 6), ""),
    Layer("norm", lambda L: L.nn.BatchNorm2d(4), (2, 4, 6, 6), ""),
    Layer("GRU", lambda L: L.nn.GRU(3, 5, batch_first=True), (2, 4, 3), ""),
    Layer("mse", lambda L: lambda x: L.F.mse_loss(x, L.images(4, 5)), (4, 5), ""),
]


@pytest.mark.parametrize("case", [case for layer in TINY for case in layer.cases()], ids=lambda case: case.name)
def test_layers_are_the_same_in_both_libraries(case):
    pytest.importorskip("torch")
    ours, theirs = (outputs(case.build, name)[1] for name in ("nnscratch", "torch"))
    assert max(compare(ours, theirs).values()) < 1e-5
    ours, theirs = (case.build(Library(name, expert=name == "torch")) for name in ("nnscratch", "torch"))
    assert (ours.products, ours.traffic) == (theirs.products, theirs.traffic)
    ours.run(), theirs.run()


@pytest.mark.parametrize("name", ["dropout 0.3, 2M: forward", "randn, 2M"])
def test_random_cases_hold_their_properties(name):
    [case] = [case for case in layers.cases() if case.name == name]
    _, values = outputs(case.build, "nnscratch")
    expected = {"wrong elements": 0, "kept share": 0.7}
    expected |= {"kept square": 1, "kept fourth power": 3, "kept beyond 2": 0.0455, "kept above 0": 0.5}
    for output, value in values.items():
        assert abs(value - expected[output]) <= 0.01 * max(1, expected[output]), output


def test_convolutions_of_resnet_have_its_shapes():
    for layer in convolutions.layers():
        assert len(layer.shape) == 4 and layer.images == (layer.shape[1] <= 3)


@pytest.mark.parametrize("case", overhead.cases(), ids=lambda case: case.name)
def test_chains_stay_finite(case):
    _, values = outputs(case.build, "nnscratch")
    assert all(np.isfinite(value).all() for value in values.values())
