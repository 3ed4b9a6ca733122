"""The judge of edits on Shapes: what counts as the same, and a small edit measured by another road than the judge."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models, optim
from nnscratch.data import COLOURS, Shapes, render_shapes
from nnscratch.editing import relabel
from nnscratch.editing.judge import ATTRIBUTES, PERIOD, TOLERANCE, ShapeJudge, agrees, turn_of


def attributes(n=200, seed=0):
    return {name: values[:n] for name, values in Shapes(n, seed=seed).attributes.items()}


def test_everything_agrees_with_itself_and_with_equal_looks():
    truth = attributes()
    assert all(agrees(truth, truth)[name].all() for name in ATTRIBUTES)
    period = PERIOD[truth["shape"]]
    turned = {**truth, "rotation": truth["rotation"] + 3 * period}
    assert agrees(turned, truth)["rotation"].all()
    np.testing.assert_allclose(render_shapes(**turned), render_shapes(**truth), atol=1e-3)
    np.testing.assert_allclose(
        turn_of(truth["shape"], turned["rotation"])[0], turn_of(truth["shape"], truth["rotation"])[0], atol=1e-5
    )
    halfway = {**truth, "rotation": truth["rotation"] + period / 2}
    np.testing.assert_array_equal(agrees(halfway, truth)["rotation"], period == 0)
    np.testing.assert_array_equal(turn_of(truth["shape"], truth["rotation"])[1], period > 0)


@pytest.mark.parametrize("name", ["size", "x", "y", "rotation"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_tolerances_are_where_they_are_said_to_be(name, sign):
    truth = attributes()
    unit = PERIOD[truth["shape"]] if name == "rotation" else 1.0
    for part, same in ((0.95, True), (1.05, False)):
        moved = {**truth, name: truth[name] + sign * part * TOLERANCE[name] * unit}
        found = agrees(moved, truth)
        seen = np.broadcast_to(unit, 200) > 0
        assert (found[name][seen] == same).all()
        assert all(found[other].all() for other in ATTRIBUTES if other != name)


def test_classes_must_be_equal():
    truth = attributes()
    for name, classes in (("shape", 6), ("colour", 8)):
        assert not agrees({**truth, name: (truth[name] + 1) % classes}, truth)[name].any()


def test_the_judge_reads_what_its_heads_say():
    """Weights 0 and chosen biases: every reading is known."""
    judge = ShapeJudge((2, 2, 2), 4)
    for head in (judge.shape, judge.colour, judge.place, judge.turn):
        head.weight.data[...] = 0
        head.bias.data[...] = 0
    judge.shape.bias.data[3], judge.colour.bias.data[5] = 1, 1  # a star, blue
    judge.place.bias.data[...] = [0.25, 0.5, 0.75]
    judge.turn.bias.data[...] = [0, -2]  # three quarters of its period of 72 degrees
    read = judge.read(np.zeros((3, 3, 32, 32), np.float32), batch=2)
    expected = {"shape": 3, "colour": 5, "size": 0.25, "x": 0.5, "y": 0.75, "rotation": 54.0}
    for name in ATTRIBUTES:
        np.testing.assert_allclose(read[name], np.full(3, expected[name]), err_msg=name)
    truth = {name: np.full(3, value) for name, value in expected.items()}
    assert all(found.all() for found in agrees(read, truth).values())
    loss = judge.loss(nns.zeros(3, 3, 32, 32), truth).item()
    by_hand = np.log(np.e + 5) - 1 + np.log(np.e + 7) - 1 + 1  # the turn (0, -2) is one too long
    assert loss == pytest.approx(by_hand, rel=1e-5)


def test_another_label_changes_the_colour_and_leaves_the_place():
    """Trained for seconds on small pictures; colours and places are measured on the pixels themselves."""
    nns.manual_seed(0)
    train, test = Shapes(1500, seed=0, size=16), Shapes(200, seed=1, size=16)
    model = models.VAE((3, 16, 16), hidden=128, latent=8, classes=len(COLOURS))
    optimizer, rng = optim.Adam(model.parameters(), lr=3e-3), np.random.default_rng(0)
    for _ in range(12):
        for batch in rng.permutation(1500)[:1472].reshape(-1, 32):
            optimizer.zero_grad()
            model.loss(nns.as_tensor(train.batch(batch)[0]), labels=train.attributes["colour"][batch])[0].backward()
            optimizer.step()
    own = test.attributes["colour"]
    wanted = (own + 1 + np.arange(200) % 7) % 8

    def colour_and_place(images):
        weight = images.max(1)
        total = weight.sum((1, 2)) + 1e-6
        mean = images.sum((2, 3)) / total[:, None]  # of the lit pixels, by their light
        names = np.array(list(COLOURS.values()))
        colour = np.square(mean[:, None] / mean.max(1)[:, None, None] - names / names.max(1)[:, None]).sum(2).argmin(1)
        places = (np.arange(16) + 0.5) / 16
        return colour, (weight.sum(1) * places).sum(1) / total, (weight.sum(2) * places).sum(1) / total

    colour, x, y = colour_and_place(test.images)
    assert (colour == own).mean() > 0.98 and np.abs(x - test.attributes["x"]).max() < 1 / 16, "the measure itself is right"
    found, moved_x, moved_y = colour_and_place(relabel(model, test.images, own, wanted))
    kept = (np.abs(moved_x - x) < 1 / 16) & (np.abs(moved_y - y) < 1 / 16)
    assert (found == wanted).mean() >= 0.9 and kept.mean() >= 0.9
    same, _, _ = colour_and_place(relabel(model, test.images, own, own))
    assert (same == own).mean() >= 0.9, "and its own label changes nothing"
