import numpy as np
import pytest

from nnscratch.data import COLOURS, SHAPES, DataLoader, MovingShapes, Shapes, render_shapes, transforms
from nnscratch.data.shapes import shape_masks, uniform


def test_picture_i_depends_on_seed_and_i_alone():
    few, many = Shapes(5, seed=3), Shapes(1500, seed=3)
    np.testing.assert_array_equal(few.data, many.data[:5])
    for name, values in few.attributes.items():
        np.testing.assert_array_equal(values, many.attributes[name][:5])


def test_other_seeds_give_other_pictures_and_none_of_the_same():
    hashes = [{image.tobytes() for image in Shapes(300, seed=seed).data} for seed in (0, 1, 2**63)]
    assert [len(h) for h in hashes] == [300] * 3
    assert not hashes[0] & hashes[1] and not hashes[1] & hashes[2]


def test_uniform_numbers_are_uniform_and_uncorrelated():
    index = np.arange(20000)
    u = np.array([uniform(seed, index, stream) for seed in (0, 1) for stream in (0, 1, 16)])
    assert u.min() >= 0 and u.max() < 1
    assert abs(np.corrcoef(u) - np.eye(len(u))).max() < 5 / np.sqrt(20000)
    assert abs(np.corrcoef(u[0, 1:], u[0, :-1])[0, 1]) < 5 / np.sqrt(20000)
    for row in u:
        counts = np.histogram(row, 10, (0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 40  # chi-square, 9 degrees of freedom


def test_attributes_describe_the_picture():
    shapes = Shapes(400, seed=1, size=48)
    a, images = shapes.attributes, shapes.images
    assert images.shape == (400, 3, 48, 48) and images.dtype == np.float32
    assert set(a["shape"]) == set(range(len(SHAPES))) and set(a["colour"]) == set(range(len(COLOURS)))
    np.testing.assert_array_equal(shapes.labels, a["shape"])
    weight = images.sum(axis=1)
    row, column = (np.mgrid[:48, :48] + 0.5) / 48
    total = weight.sum(axis=(1, 2))
    np.testing.assert_allclose((weight * column).sum(axis=(1, 2)) / total, a["x"], atol=0.004)
    np.testing.assert_allclose((weight * row).sum(axis=(1, 2)) / total, a["y"], atol=0.004)
    brightest = images.reshape(400, 3, -1).max(axis=2)
    np.testing.assert_allclose(brightest, np.array(list(COLOURS.values()))[a["colour"]], atol=0.003)
    for edge in (weight[:, 0], weight[:, -1], weight[:, :, 0], weight[:, :, -1]):
        assert edge.max() < 1.8  # at most half-covered where a shape touches the edge


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("circle", np.pi * 0.9**2),
        ("ring", np.pi * (0.94**2 - 0.46**2)),
        ("square", 2.0),
        ("triangle", 3 * np.sqrt(3) / 4),
        ("star", 5 * 0.45 * np.sin(np.pi / 5)),
        ("cross", 4 * 0.95 * 0.3 * 2 - 0.36),
    ],
)
@pytest.mark.parametrize("rotation", [0.0, 17.0])
def test_areas(name, area, rotation):
    one = lambda v: np.array([v])
    mask = shape_masks(one(SHAPES.index(name)), one(0.5), one(0.5), one(0.4), one(rotation), 200)
    assert mask.min() == 0 and mask.max() == 1
    np.testing.assert_allclose(mask.sum(), area * (0.4 * 200) ** 2, rtol=0.004)


def test_rotation_is_counter_clockwise_and_y_points_down():
    one = lambda v: np.array([v])
    upright, turned = (
        render_shapes(one(SHAPES.index("triangle")), one(0), one(0.5), one(0.5), one(0.4), one(r), pixels=64)[0] for r in (0, 90)
    )
    np.testing.assert_allclose(np.rot90(upright, axes=(1, 2)), turned, atol=1e-4)
    width = (upright[0] > 0.2).sum(axis=1)
    assert width[16] < width[40]  # the corner is at the top
    low = render_shapes(one(0), one(0), one(0.5), one(0.8), one(0.1), one(0), pixels=64)[0, 0]
    assert low[40:].sum() > 0 and low[:40].sum() == 0


def test_each_attribute_with_classes_can_be_the_label():
    sets = {label: Shapes(300, label=label) for label in ("shape", "colour", "size")}
    for label in ("shape", "colour"):
        np.testing.assert_array_equal(sets[label].labels, sets[label].attributes[label])
    assert sets["colour"].classes == tuple(COLOURS)
    radius, size = sets["size"].attributes["size"], sets["size"]
    assert size.classes == ("small", "medium", "large") and size.labels.dtype == np.int64
    for k, (low, high) in enumerate([(0.16, 0.22), (0.22, 0.28), (0.28, 0.34)]):
        assert 60 < (size.labels == k).sum() < 140
        assert low <= radius[size.labels == k].min() and radius[size.labels == k].max() < high
    assert all((one.data == size.data).all() for one in sets.values()), "the pictures are the same"


def test_bad_arguments():
    for options in ({"n": 0}, {"size": 0}, {"n": 2.5}, {"seed": -1}, {"seed": 2**64}, {"label": "weight"}, {"label": []}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Shapes(**{"n": 2} | options)
    for options in ({"frames": 0}, {"objects": 3}, {"kind": "cats"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            MovingShapes(**{"n": 2} | options)


@pytest.mark.parametrize(("kind", "channels"), [("shapes", 3), ("digits", 1)])
def test_moving_shapes(kind, channels):
    films = MovingShapes(6, frames=7, seed=2, size=24, kind=kind)
    (film,) = films[4]
    assert film.shape == (7, channels, 24, 24) and film.dtype == np.float32
    assert 0 <= film.min() and 0.5 < film.max() <= 1
    np.testing.assert_array_equal(films.data[:2], MovingShapes(2, frames=7, seed=2, size=24, kind=kind).data)
    assert not np.array_equal(films.data, MovingShapes(6, frames=7, seed=3, size=24, kind=kind).data)
    flipped = MovingShapes(6, 7, 2, 24, transforms.RandomHorizontalFlip(1), kind=kind)
    np.testing.assert_array_equal(flipped[4][0], film[..., ::-1])
    np.testing.assert_array_equal(flipped.batch([0, 4])[0][1], film[..., ::-1])
    (batch,) = next(iter(DataLoader(films, batch_size=4)))
    assert np.asarray(batch).shape == (4, 7, channels, 24, 24)


@pytest.mark.parametrize("kind", ["shapes", "digits"])
def test_objects_move_as_their_attributes_say(kind):
    films = MovingShapes(20, frames=40, seed=5, size=64, kind=kind, objects=1)
    a = {key: values[:, 0] for key, values in films.attributes.items()}
    weight = films.data.astype(np.float64).sum(axis=2)
    row, column = (np.mgrid[:64, :64] + 0.5) / 64
    total = weight.sum(axis=(2, 3))
    x, y = ((weight * grid).sum(axis=(2, 3)) / total for grid in (column, row))
    offset_x, offset_y = x[:, 0] - a["x"], y[:, 0] - a["y"]  # a digit's centre of mass is not its middle
    for n in range(20):
        px, py, vx, vy, r = (a[key][n] for key in ("x", "y", "vx", "vy", "size"))
        for t in range(40):
            np.testing.assert_allclose([x[n, t] - offset_x[n], y[n, t] - offset_y[n]], [px, py], atol=0.01)
            px, vx = bounce(px + vx, vx, r)
            py, vy = bounce(py + vy, vy, r)


def bounce(position, velocity, radius):
    if position < radius:
        return 2 * radius - position, -velocity
    if position > 1 - radius:
        return 2 * (1 - radius) - position, -velocity
    return position, velocity


def test_number_of_objects():
    assert MovingShapes(50, frames=1, objects=1).attributes["visible"].sum() == 50
    assert MovingShapes(50, frames=1, objects=2).attributes["visible"].sum() == 100
    assert 50 < MovingShapes(50, frames=1).attributes["visible"].sum() < 100
