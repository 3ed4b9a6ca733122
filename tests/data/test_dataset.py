import numpy as np
import pytest
from data_cases import PROFILE
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.data import ConcatDataset, Dataset, MapDataset, Subset, TensorDataset, random_split, stack


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return {"x": np.full(2, i), "label": i * i, "name": f"number {i}"}


def test_dataset_is_abstract():
    with pytest.raises(TypeError):
        Dataset()


def test_tensor_dataset_rows_and_batches():
    a, b = np.arange(12.0).reshape(6, 2), np.arange(6)
    dataset = TensorDataset(a, b)
    assert len(dataset) == 6
    row = dataset[4]
    np.testing.assert_array_equal(row[0], [8, 9])
    assert row[1] == 4 and len(list(dataset)) == 6
    assert repr(dataset) == "TensorDataset(6 samples)"
    x, y = dataset.batch([5, 0, 5])
    np.testing.assert_array_equal(x, a[[5, 0, 5]])
    np.testing.assert_array_equal(y, [5, 0, 5])


@pytest.mark.parametrize("arrays", [(np.zeros(3), np.zeros(4)), (np.float64(1.0),), ()])
def test_tensor_dataset_refuses_unequal_lengths(arrays):
    with pytest.raises(ValueError, match="expected"):
        TensorDataset(*arrays)


def test_tensor_dataset_of_tensors():
    nns = pytest.importorskip("nnscratch")
    dataset = TensorDataset(nns.tensor([1.0, 2.0, 3.0]))
    assert isinstance(dataset[1][0], nns.Tensor)
    np.testing.assert_array_equal(dataset.batch([2, 0])[0], [3.0, 1.0])


def test_default_batch_stacks_any_structure():
    batch = Squares(5).batch(np.array([3, 1]))
    np.testing.assert_array_equal(batch["x"], [[3, 3], [1, 1]])
    np.testing.assert_array_equal(batch["label"], [9, 1])
    assert batch["name"] == ["number 3", "number 1"]


def test_subclass_that_changes_items_changes_batches_too():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * part for part in super().__getitem__(i))

    np.testing.assert_array_equal(Doubled(np.arange(4)).batch([1, 3])[0], [2, 6])


def test_stack_names_differing_shapes():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        stack([np.zeros(3), np.zeros(2)])
    with pytest.raises(ValueError, match="numbers of parts"):
        stack([(1, 2), (1,)])
    with pytest.raises(ValueError, match="no samples"):
        stack([])


def test_subset_and_its_subset():
    dataset = Subset(Subset(TensorDataset(np.arange(10) * 10), [8, 1, 6, 3]), [2, 0, -1])
    assert [int(row[0]) for row in dataset] == [60, 80, 30]
    np.testing.assert_array_equal(dataset.batch([1, 2])[0], [80, 30])
    with pytest.raises(IndexError, match="10 samples"):
        Subset(TensorDataset(np.arange(10)), [3, 10])


@PROFILE
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_concat_equals_concatenation(sizes, data):
    arrays = [np.arange(n) + 100 * k for k, n in enumerate(sizes)]
    whole, dataset = np.concatenate(arrays), ConcatDataset([TensorDataset(a) for a in arrays])
    assert len(dataset) == len(whole)
    indices = data.draw(st.lists(st.integers(-len(whole), len(whole) - 1), min_size=1))
    np.testing.assert_array_equal(dataset.batch(indices)[0], whole[indices])
    assert [dataset[i][0] for i in indices] == whole[indices].tolist()


def test_concat_of_dicts_and_bad_index():
    dataset = ConcatDataset([Squares(2), Squares(3)])
    batch = dataset.batch([4, 0, 3])
    np.testing.assert_array_equal(batch["label"], [4, 0, 1])
    assert batch["name"] == ["number 2", "number 0", "number 1"]
    with pytest.raises(IndexError, match="5 samples"):
        dataset[5]


def test_map_dataset_transforms_input_and_target():
    dataset = MapDataset(TensorDataset(np.arange(4.0), np.arange(4)), lambda x: x / 2, lambda y: -y)
    assert dataset[3] == (1.5, -3)
    x, y = dataset.batch([2, 1])
    np.testing.assert_array_equal(x, [1.0, 0.5])
    np.testing.assert_array_equal(y, [-2, -1])
    with pytest.raises(ValueError, match="no target"):
        MapDataset(TensorDataset(np.arange(4.0)), None, lambda y: y)[0]


@PROFILE
@given(st.integers(0, 60), st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_split_by_fractions_has_torchs_sizes(n, weights):
    torch = pytest.importorskip("torch")
    fractions = [w / sum(weights) for w in weights]
    if sum(fractions) > 1:  # torch refuses a sum that rounds above 1
        fractions[0] -= 2 * (sum(fractions) - 1)
    parts = random_split(TensorDataset(np.arange(n)), fractions, seed=3)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parts of length 0
        theirs = torch.utils.data.random_split(range(n), fractions)
    assert [len(p) for p in parts] == [len(p) for p in theirs]
    assert sorted(i for p in parts for i in p.indices.tolist()) == list(range(n))


def test_split_by_lengths_is_seeded():
    dataset = TensorDataset(np.arange(20))
    one, two = (random_split(dataset, [12, 8], seed=5) for _ in range(2))
    other = random_split(dataset, [12, 8], seed=6)
    assert [p.indices.tolist() for p in one] == [p.indices.tolist() for p in two]
    assert one[0].indices.tolist() != other[0].indices.tolist()
    g = np.random.default_rng(1)
    assert random_split(dataset, [20], g)[0].indices.tolist() != random_split(dataset, [20], g)[0].indices.tolist()


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.6], [12, -2], [], [1.5, -0.5], [5.5, 4.5]])
def test_split_refuses_wrong_lengths(lengths):
    with pytest.raises(ValueError, match="random_split"):
        random_split(TensorDataset(np.arange(10)), lengths)


@PROFILE
@given(st.integers(0, 2**32))
def test_stratified_split_keeps_proportions(seed):
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    parts = random_split(TensorDataset(labels), [0.5, 0.3, 0.2], seed=seed, stratify=labels)
    assert sorted(i for p in parts for i in p.indices.tolist()) == list(range(100))
    for part, fraction in zip(parts, [0.5, 0.3, 0.2]):
        counts = np.bincount(labels[part.indices], minlength=3)
        np.testing.assert_allclose(counts, fraction * np.array([70, 20, 10]), atol=2.01)


def test_stratified_split_is_random_within_each_label():
    labels = np.repeat([0, 1], 30)
    chosen = [random_split(TensorDataset(labels), [20, 40], seed=s, stratify=labels)[0].indices for s in (0, 0, 1)]
    zeros = [sorted(c[labels[c] == 0].tolist()) for c in chosen]
    assert zeros[0] == zeros[1] != zeros[2]


def test_stratify_needs_one_label_per_sample():
    with pytest.raises(ValueError, match="one label for each of 4"):
        random_split(TensorDataset(np.arange(4)), [2, 2], stratify=np.zeros(3))
