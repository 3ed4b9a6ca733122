import itertools
import json
import threading
import traceback

import numpy as np
import pytest
from data_cases import PROFILE
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    Digits,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    current_generator,
    transforms,
)


class Noisy(Dataset):
    """A user's dataset that draws random numbers sample by sample."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i + 0.5 * current_generator().random()


def values(loader):
    """Each batch of one epoch as nested lists."""
    return [np.asarray(batch[0] if isinstance(batch, tuple) else batch).tolist() for batch in loader]


def numbers(n=10, **options):
    return DataLoader(TensorDataset(np.arange(n)), **options)


def prefetch_threads():
    return [t for t in threading.enumerate() if t.name == "nnscratch-prefetch"]


def test_order_batches_and_last_one():
    assert values(numbers(batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert values(numbers(batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(numbers(batch_size=4)) == 3 and len(numbers(batch_size=4, drop_last=True)) == 2
    assert len(numbers()) == 10
    assert values(numbers(n=0, batch_size=4)) == []


def test_batches_are_tensors():
    nns = pytest.importorskip("nnscratch")
    x, y = next(iter(DataLoader(Digits(train=False), batch_size=5)))
    assert isinstance(x, nns.Tensor) and isinstance(y, nns.Tensor)
    assert x.shape == (5, 1, 8, 8) and x.dtype == np.float32 and y.dtype == np.int64


def test_shuffle_visits_all_in_a_new_order_each_epoch():
    loader = numbers(n=50, batch_size=8, shuffle=True, seed=0)
    epochs = [sum(values(loader), []) for _ in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = numbers(n=50, batch_size=8, shuffle=True, seed=0)
    assert [sum(values(again), []) for _ in range(3)] == epochs
    assert sum(values(numbers(n=50, batch_size=8, shuffle=True, seed=1)), []) != epochs[0]


def test_seed_from_generator():
    nns = pytest.importorskip("nnscratch")
    for make in (np.random.default_rng, nns.Generator):
        one, two = (values(numbers(shuffle=True, generator=make(7))) for _ in range(2))
        assert one == two
    nns.manual_seed(3)
    first = values(numbers(shuffle=True))
    nns.manual_seed(3)
    assert values(numbers(shuffle=True)) == first


def test_samplers():
    assert values(numbers(sampler=[3, 1, 4], batch_size=2)) == [[3, 1], [4]]
    assert values(numbers(batch_sampler=[[0, 9], [5]])) == [[0, 9], [5]]
    sampler = BatchSampler(RandomSampler(range(4), num_samples=10), 4, drop_last=False)
    drawn = sum(values(numbers(n=4, batch_sampler=sampler, seed=0)), [])
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [0, 1, 2, 3] and len(drawn) == 10
    weighted = WeightedRandomSampler([0, 3, 0, 1], 400)
    drawn = sum(values(numbers(n=4, sampler=weighted, batch_size=100, seed=0)), [])
    assert set(drawn) == {1, 3} and 250 < drawn.count(1) < 350
    no_repeats = WeightedRandomSampler([1, 1, 0, 1], 3, replacement=False)
    assert sorted(sum(values(numbers(n=4, sampler=no_repeats, seed=0)), [])) == [0, 1, 3]


def test_collate_fn_gets_the_samples():
    loader = numbers(batch_size=3, collate_fn=lambda samples: [int(s[0]) for s in samples])
    assert list(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_list_is_a_dataset():
    pairs = [(1.0, 2), (3.0, 4), (5.0, 6)]
    (x, y), _ = DataLoader(pairs, batch_size=2)
    assert np.asarray(x).tolist() == [1.0, 3.0] and np.asarray(y).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"prefetch": -1}, "prefetch"),
        ({"num_workers": -1}, "num_workers"),
        ({"shuffle": True, "sampler": [1]}, "exclude"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "excludes"),
        ({"seed": -1}, "seed"),
        ({"seed": 1, "generator": np.random.default_rng()}, "not both"),
    ],
)
def test_contradictory_options(options, error):
    with pytest.raises(ValueError, match=error):
        numbers(**options)


def test_torchs_options_for_workers():
    assert DataLoader(range(3)).prefetch == 0
    assert DataLoader(range(3), num_workers=2, pin_memory=True).prefetch == 4
    assert DataLoader(range(3), num_workers=2, prefetch=1).prefetch == 1
    assert values(DataLoader(range(5), 2, num_workers=1)) == [[0, 1], [2, 3], [4]]


def test_wrong_types():
    with pytest.raises(TypeError, match="length"):
        DataLoader(iter([1]))
    with pytest.raises(TypeError, match="generator"):
        numbers(generator=3)
    with pytest.raises(ValueError, match="positive"):
        numbers(n=0, shuffle=True)
    with pytest.raises(ValueError, match="cannot draw"):
        WeightedRandomSampler([0, 1], 2, replacement=False)


# Resuming


@PROFILE
@given(
    n=st.integers(1, 20),
    batch_size=st.integers(1, 6),
    stop=st.integers(0, 12),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    drop_last=st.booleans(),
)
def test_a_resumed_loader_yields_exactly_the_rest(n, batch_size, stop, before, after, drop_last):
    options = {"batch_size": batch_size, "shuffle": True, "drop_last": drop_last}
    whole = DataLoader(Noisy(n), seed=11, prefetch=before, **options)
    reference = [values(whole) for _ in range(3)]

    first = DataLoader(Noisy(n), seed=11, prefetch=before, **options)
    done = [values([batch]) for _ in range(1) for batch in first]  # epoch 0
    assert sum(done, []) == reference[0]
    stop = min(stop, len(first))
    head = values(itertools.islice(iter(first), stop))
    state = json.loads(json.dumps(first.state_dict()))

    second = DataLoader(Noisy(n), prefetch=after, **options)
    second.load_state_dict(state)
    assert head + values(second) == reference[1]
    assert values(second) == reference[2]


def test_position_counts_batches_handed_out_not_computed():
    loader = numbers(batch_size=2, prefetch=3)
    for count, _ in enumerate(loader, start=1):
        assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (0, count)
    assert (loader.epoch, loader.position) == (1, 0)


def test_leaving_an_epoch_early_starts_the_next_one():
    loader = numbers(n=30, shuffle=True, seed=2)
    reference = [values(numbers(n=30, shuffle=True, seed=2)) for _ in range(1)]
    for _ in loader:
        break
    second = values(loader)
    assert second != reference[0] and loader.epoch == 2


def test_augmentation_does_not_depend_on_prefetch_or_position():
    def make(prefetch):
        augment = transforms.Compose([transforms.RandomCrop(8, 2), transforms.GaussianNoise()])
        return DataLoader(Digits(train=False, transform=augment), 64, shuffle=True, seed=1, prefetch=prefetch)

    plain, ahead, resumed = make(0), make(2), make(1)
    one, two = ([np.asarray(x) for x, _ in loader] for loader in (plain, ahead))
    resumed.load_state_dict(resumed.state_dict() | {"position": 3})
    three = [np.asarray(x) for x, _ in resumed]
    assert len(one) == 5 and len(three) == 2
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one[3:], three):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], np.asarray(next(iter(plain))[0]))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"samples": 11}, "samples=11"),
        ({"batch_size": 3}, "batch_size=3"),
        ({"epoch": -1}, "epoch"),
        ({"position": "2"}, "position"),
        ({"more": 1}, "keys"),
    ],
)
def test_load_state_refuses_what_does_not_fit(change, error):
    loader = numbers(batch_size=2)
    with pytest.raises(ValueError, match=error):
        loader.load_state_dict(loader.state_dict() | change)
    with pytest.raises(ValueError, match="NoneType"):
        loader.load_state_dict(None)


# The prefetch thread


class Failing(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        if i == 5:
            raise KeyError("sample 5 is broken")
        return i


def wait_for_threads():
    for thread in prefetch_threads():
        thread.join(timeout=30)
    assert prefetch_threads() == []


def test_prefetch_raises_where_the_batch_would_be_with_its_traceback():
    iterator = iter(DataLoader(Failing(), batch_size=2, prefetch=4))
    assert values([next(iterator), next(iterator)]) == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="sample 5 is broken") as caught:
        next(iterator)
    assert "__getitem__" in "".join(traceback.format_tb(caught.value.__traceback__))
    wait_for_threads()
    with pytest.raises(StopIteration):
        next(iterator)


def test_prefetch_thread_ends_with_the_epoch_on_break_and_when_dropped():
    loader = numbers(n=100, prefetch=2)
    assert len(values(loader)) == 100
    wait_for_threads()
    for _ in loader:
        assert len(prefetch_threads()) == 1
        break
    wait_for_threads()
    iterator = iter(loader)
    next(iterator)
    del iterator
    wait_for_threads()


def test_prefetch_computes_at_most_that_far_ahead():
    computed, gate = [], threading.Event()

    def collate(samples):
        computed.append(len(samples))
        if len(computed) == 4:
            gate.set()
        return samples

    iterator = iter(numbers(n=50, collate_fn=collate, prefetch=3))
    next(iterator)
    assert gate.wait(30)  # one handed out, three ahead
    next(iterator)
    assert len(computed) <= 5
    iterator.close()
    wait_for_threads()
    assert len(computed) <= 6


def test_interpreter_exits_while_a_prefetch_thread_waits():
    import subprocess
    import sys

    code = (
        "import numpy as np\n"
        "from nnscratch.data import DataLoader, TensorDataset\n"
        "it = iter(DataLoader(TensorDataset(np.arange(100)), collate_fn=list, prefetch=2))\n"
        "next(it); print('done')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")
