import pytest

from nnscratch.data import NAMES, DataError, Digits, MovingShapes, Shapes, load


def test_sets_by_name():
    assert isinstance(load("digits", size=16), Digits) and load("digits", train=False, size=16).data.shape == (300, 1, 16, 16)
    train, test = load("shapes", n=20), load("shapes", train=False, n=20)
    assert isinstance(train, Shapes) and not (train.data == test.data).all()
    films = load("moving-shapes", n=2, frames=3)
    assert isinstance(films, MovingShapes) and films.data.shape == (2, 3, 3, 32, 32)
    assert load("moving-digits", n=2, frames=3).data.shape == (2, 3, 1, 32, 32)


def test_names_that_need_files(isolated):
    for name in ("mnist", "fashion-mnist", "kmnist", "cifar10"):
        with pytest.raises(DataError, match=f"^{name}: "):
            load(name, root=isolated)


def test_a_label_is_chosen_for_shapes_alone(tmp_path):
    assert load("shapes", n=5, label="colour").classes[0] == "red"
    for name in ("mnist", "moving-shapes", f"folder:{tmp_path}"):
        with pytest.raises(ValueError, match=f"label: only shapes have .*, not {name}"):
            load(name, label="colour")


def test_unknown_name():
    with pytest.raises(ValueError, match="'imagenet'") as caught:
        load("imagenet")
    assert all(name in str(caught.value) for name in NAMES)
