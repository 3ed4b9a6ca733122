"""The memory pool: blocks are used again, and never while anything looks at them."""

import contextlib
import ctypes
import gc
import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from nnscratch.kernels import memory
from nnscratch.kernels.memory import MAPPED, SMALLEST, aligned, aligned_like

from nnscratch import Tensor

SIZES = [SMALLEST, 10_000, MAPPED + 5, 5 << 20]


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool of the test's own."""
    gc.collect()
    pool = memory._Pool()
    monkeypatch.setattr(memory, "_pool", pool)
    return pool


def address(a):
    return a.__array_interface__["data"][0]


# ------------------------------------------------------------------------------------------------------------- hand-outs


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3), (33, 65), (1 << 18,), (7, 1 << 19)])
@pytest.mark.parametrize("dtype", [np.float32, "f8", np.int64, bool, np.uint16])
def test_shape_dtype_and_alignment(shape, dtype):
    a = aligned(shape, dtype)
    assert a.shape == shape and a.dtype == np.dtype(dtype) and a.flags.c_contiguous and a.flags.writeable
    assert a.nbytes < SMALLEST or (address(a) % 64 == 0 and memory.pooled(a))
    a[...] = 1
    assert (a == 1).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_block_is_used_again_for_similar_sizes(size, pool):
    a = aligned((size,), np.uint8)
    block = next(iter(pool.blocks))
    assert size <= block.size < size * 1.125 + 1 and len(block.buffer) >= block.offset + block.size
    place = address(a)
    del a
    for similar in (size, (size + block.size) // 2, block.size):
        b = aligned((similar,), np.uint8)
        assert address(b) == place
        del b
    assert pool.made == 1


def test_the_last_returned_comes_first():
    arrays = [aligned((3000,), np.float32) for _ in range(3)]
    places = [address(a) for a in arrays]
    assert len(set(places)) == 3
    arrays.reverse()
    while arrays:
        arrays.pop()
    again = [aligned((3000,), np.float32) for _ in range(3)]
    assert [address(a) for a in again] == places[::-1]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_aligned_like_keeps_the_order_of_axes(order):
    x = np.ones((4, 5, 6, 7), np.float32).transpose(order).copy()
    x = x.transpose(np.argsort(order))
    y = aligned_like(x, np.float64)
    assert y.shape == x.shape and y.dtype == np.float64
    assert y.strides == tuple(2 * s for s in x.strides)
    assert aligned_like(x[:, ::2]).shape == (4, 3, 6, 7)


def test_too_large_a_request(pool):
    a = aligned((1 << 20,), np.uint8)
    del a
    for shape in ((1 << 50,), (1 << 62, 8)):
        with pytest.raises((MemoryError, ValueError)):
            aligned(shape, np.uint8)
    assert pool.used == pool.reserved == 0  # what was idle was given back in the attempt
    with pytest.raises(ValueError):
        aligned((-2, -3000), np.float32)
    pool.recount()
    assert pool.used == pool.reserved == 0


# ----------------------------------------------------------------------------------- whatever looks at a block keeps it


class Sub(np.ndarray):
    pass


class Interface:
    def __init__(self, a):
        self.kept, self.__array_interface__ = a, a.__array_interface__


def generator(a):
    yield 0
    yield a.sum()


def started(a):
    running = generator(a)
    next(running)
    return running


def torch_of(how):
    def look(a):
        torch = pytest.importorskip("torch")
        t = how(torch, a)
        return t.reshape(-1)[1:].reshape(-1, 1)

    return look


class Cycle:
    def __init__(self, a):
        self.a, self.me = a, self


class Slots:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


def in_traceback(a):
    try:
        raise ValueError
    except ValueError as error:
        return error.__traceback__


LOOKS = {
    "the array": lambda a: a,
    "slice": lambda a: a[3:],
    "slice of slice": lambda a: a[3:][::2][1:, None],
    "transpose": lambda a: a.reshape(2, -1).T,
    "reshape": lambda a: a.reshape(4, -1).reshape(-1, 4)[1:].reshape(-1),
    "ravel": lambda a: a.ravel(),
    "other dtype": lambda a: a.view(np.float64)[1:].view(np.uint8),
    "real": lambda a: a.view(np.complex64).real,
    "one element": lambda a: a[5:6].reshape(()),
    "moveaxis": lambda a: np.moveaxis(a.reshape(2, 4, -1), -1, 0),
    "broadcast": lambda a: np.broadcast_to(a, (3, a.size)),
    "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (5, 5), (4, 8)),
    "sliding window": lambda a: np.lib.stride_tricks.sliding_window_view(a, 7),
    "asarray": lambda a: np.asarray(a[1:]),
    "split": lambda a: np.split(a, 2)[1],
    "subclass": lambda a: a.view(Sub)[1:],
    "subclass and back": lambda a: a.view(Sub)[1:].view(np.ndarray)[1:],
    "masked": lambda a: np.ma.masked_array(a, copy=False),
    "recarray": lambda a: a.view(np.recarray),
    "read-only": lambda a: (v := a[:], v.setflags(write=False))[0],
    "memoryview": lambda a: memoryview(a),
    "memoryview of a slice": lambda a: memoryview(a[::2])[1:],
    "data": lambda a: a.data,
    "cast memoryview": lambda a: memoryview(a).cast("B")[8:],
    "array of a memoryview": lambda a: np.asarray(memoryview(a))[1:],
    "frombuffer": lambda a: np.frombuffer(a, np.uint8)[1:],
    "ctypes buffer": lambda a: (ctypes.c_char * 64).from_buffer(a),
    "ctypes namespace": lambda a: a.ctypes,
    "ctypes pointer": lambda a: a.ctypes.data_as(ctypes.c_void_p),
    "array interface": lambda a: np.asarray(Interface(a[2:])),
    "iterator": lambda a: iter(a.reshape(2, -1)),
    "flat": lambda a: a.flat,
    "nditer": lambda a: np.nditer(a),
    "pickle buffer": lambda a: pickle.PickleBuffer(a),
    "unpickled in place": lambda a: pickle.loads(pickle.dumps(a, 5, buffer_callback=(out := []).append), buffers=out),
    "dlpack": lambda a: np.from_dlpack(a),
    "dlpack capsule": lambda a: a[1:].__dlpack__(),
    "torch.from_numpy": torch_of(lambda torch, a: torch.from_numpy(a)),
    "torch.from_dlpack": torch_of(lambda torch, a: torch.from_dlpack(a)),
    "torch and back": lambda a: pytest.importorskip("torch").from_numpy(a)[2:].numpy()[1:],
    "tensor": lambda a: Tensor(a),
    "tensor's view": lambda a: Tensor(a).reshape(2, -1).T,
    "tensor as array": lambda a: np.asarray(Tensor(a)[3:]),
    "closure": lambda a: lambda: a[0],
    "default": lambda a: lambda x=a: x,
    "generator": started,
    "object": Slots,
    "cycle": Cycle,
    "object array": lambda a: np.array([a, None], object),
    "traceback": in_traceback,
    "the buffer": lambda a: a.base,
    "array of the buffer": lambda a: np.frombuffer(a.base, np.uint8)[100:],
    "memoryview of the buffer": lambda a: memoryview(a.base)[1:],
}
BY_THE_BUFFER = ("the buffer", "array of the buffer", "memoryview of the buffer")


@pytest.mark.parametrize("size", [SMALLEST * 8, MAPPED])
@pytest.mark.parametrize("how", LOOKS)
def test_a_block_that_something_looks_at_is_not_handed_out(how, size, pool):
    a = aligned((size // 4,), np.float32)
    (block,) = pool.blocks
    a[...] = np.arange(size // 4)
    place, before = address(a), a.tobytes()
    look = LOOKS[how](a)
    del a
    others = [aligned((size // 4,), np.float32) for _ in range(4)]
    for other in others:
        other[...] = -1
    assert place not in [address(other) for other in others]
    assert ctypes.string_at(place, size) == before
    del look, others, other
    gc.collect()
    pool.settle()
    assert (block in pool.blocks) == (how not in BY_THE_BUFFER)  # which is the holder's to free
    if block in pool.blocks:
        assert place in [address(a) for a in [aligned((size // 4,), np.float32) for _ in range(5)]]


def test_what_is_brought_back_from_a_cycle_is_intact():
    saved = []

    class Phoenix:
        def __init__(self, a):
            self.view, self.me = a[1:], self

        def __del__(self):
            saved.append(self)

    a = aligned((5000,), np.float32)
    a[...] = 7
    place, _phoenix = address(a), Phoenix(a)
    del a, _phoenix
    gc.collect()
    others = [aligned((5000,), np.float32) for _ in range(3)]
    for other in others:
        other[...] = -1
    assert (saved[0].view == 7).all() and place not in [address(a) for a in others]


def test_a_finalizer_may_allocate():
    made = []

    class Last:
        def __init__(self):
            self.me, self.a = self, aligned((4000,), np.float64)

        def __del__(self):
            made.append(aligned((4000,), np.float64))

    for _ in range(20):
        Last()
    gc.collect()
    assert len({address(a) for a in made}) == len(made) == 20


def test_weak_references_do_not_hold():
    a = aligned((5000,), np.float32)
    place, seen = address(a), []
    first, second = weakref.ref(a), weakref.ref(a, lambda _: seen.append(aligned((5000,), np.float32)))
    del a
    assert first() is None and second() is None
    assert len(seen) == 1
    places = {address(seen[0]), address(aligned((5000,), np.float32))}
    assert place in places and len(places) == 2


def test_an_exception_lets_go():
    def fails():
        a = aligned((5000,), np.float32)
        places.append(address(a))
        raise KeyError

    places = []
    for _ in range(3):
        with contextlib.suppress(KeyError):
            fails()
    assert len(set(places)) == 1


@pytest.mark.parametrize("interrupted", ["ref", "pop", "append", "popleft"])
def test_an_interrupt_loses_no_block_for_long(interrupted, pool, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    class List(list):
        pop = append = interrupt

    class Deque(memory.deque):
        def popleft(self):
            super().popleft()
            raise KeyboardInterrupt

    aligned((5000,), np.float32)
    if interrupted == "ref":
        monkeypatch.setattr(memory, "_Lease", interrupt)
    elif interrupted == "popleft":
        pool.returned = Deque(pool.returned)
    else:
        size = next(iter(pool.blocks)).size
        if interrupted == "pop":
            pool.settle()
        pool.idle[size] = List(pool.idle[size])
    with pytest.raises(KeyboardInterrupt):
        aligned((5000,), np.float32)
    pool.idle.clear()
    pool.returned = memory.deque()
    pool.recount()
    assert pool.used == pool.reserved == 0 and not pool.blocks


def test_a_block_that_comes_back_during_a_recount_is_counted_once(pool, monkeypatch):
    a = aligned((5000,), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(pool, "settle", lambda: None)  # as if a garbage collection dropped the array right after it
        del a
        pool.recount()
    pool.settle()
    assert pool.used == pool.reserved == 0 and not pool.blocks and not any(pool.idle.values())


def test_dropping_an_array_runs_no_python_code():
    a, calls = aligned((5000,), np.float32), []
    sys.setprofile(lambda frame, event, arg: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        a = None
    finally:
        sys.setprofile(None)
    assert calls == [] and a is None


def test_the_buffer_cannot_be_closed_or_resized():
    large, small = aligned((MAPPED,), np.uint8), aligned((2000,), np.uint8)
    with pytest.raises(BufferError):
        large.base.close()
    with pytest.raises(BufferError):
        small.base.clear()


class Programs(RuleBasedStateMachine):
    """Random programs: what is held keeps its pattern, whatever else is allocated, looked at, dropped and overwritten."""

    def __init__(self):
        super().__init__()
        gc.collect()
        gc.freeze()  # what is here already: collections in the program are then quick
        gc.disable()  # but where the program says: Hypothesis repeats programs, and they have to do the same again
        memory._pool = self.pool = memory._Pool()
        self.held = []  # (something that looks at a block, where the block is, its size)
        self.patterns = {}  # place of a block -> its bytes, while anything looks at it
        self.count = 0

    def tag(self, a):
        """Fill an array with a pattern of its own."""
        self.count += 1
        flat = a.reshape(-1)
        flat[...] = self.count % 251
        flat[:8] = np.frombuffer(self.count.to_bytes(8, "little"), np.uint8)
        self.patterns[address(a)] = a.tobytes()

    @rule(size=st.sampled_from([1024, 1100, 4992, 5120, 8960]), hold=st.booleans())
    def allocate(self, size, hold):
        a = aligned((size,), np.uint8)
        start = address(a)
        for place, pattern in self.patterns.items():
            assert start + size <= place or place + len(pattern) <= start, "handed out twice"
        if hold:
            self.tag(a)
            self.held.append((a, start))
        else:
            a[...] = 255

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(sorted(k for k in LOOKS if "torch" not in k)), keep=st.booleans())
    def look(self, data, how, keep):
        i = data.draw(st.integers(0, len(self.held) - 1))
        thing, place = self.held[i]
        if not isinstance(thing, np.ndarray) or thing.dtype != np.uint8 or thing.shape != (thing.size,) or thing.size % 32:
            return
        if address(thing) != place or not thing.flags.writeable:
            return
        self.held.append((LOOKS[how](thing.view(np.float32)), place))
        if not keep:
            del self.held[i]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def drop(self, data):
        _, place = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if all(other != place for _, other in self.held):
            del self.patterns[place]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def write(self, data):
        thing, place = self.held[data.draw(st.integers(0, len(self.held) - 1))]
        if isinstance(thing, np.ndarray) and thing.flags.writeable and thing.dtype == np.uint8 and address(thing) == place:
            if thing.nbytes == len(self.patterns[place]):
                self.tag(thing)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def into_a_cycle(self, data):
        i = data.draw(st.integers(0, len(self.held) - 1))
        thing, place = self.held[i]
        self.held[i] = (Cycle(thing), place)

    @rule()
    def collect(self):
        gc.collect()

    @rule()
    def empty(self):
        memory.empty_cache()
        assert self.pool.reserved == self.pool.used

    @rule(limit=st.sampled_from([None, 0, 3000, 20_000]))
    def limit(self, limit):
        memory.set_memory_limit(limit)

    def teardown(self):
        gc.enable()
        gc.unfreeze()

    @invariant()
    def patterns_stand(self):
        for place, pattern in self.patterns.items():
            assert ctypes.string_at(place, len(pattern)) == pattern

    @invariant()
    def idle_blocks_are_apart(self):
        self.pool.settle()
        idle = [block for blocks in self.pool.idle.values() for block in blocks]
        assert len(set(map(id, idle))) == len(idle) and self.pool.blocks >= set(idle)
        assert self.pool.reserved == sum(block.size for block in self.pool.blocks)
        assert self.pool.used == self.pool.reserved - sum(block.size for block in idle)
        assert self.pool.reserved <= max(self.pool.limit, self.pool.used)


TestPrograms = Programs.TestCase


# ------------------------------------------------------------------------------------------------- threads and processes


def test_threads_hand_arrays_to_each_other(pool):
    wrong, passed, count, rounds = [], queue.Queue(maxsize=8), 3, 400

    def produce(name):
        rng = np.random.default_rng(name)
        for i in range(rounds):
            a = aligned((int(rng.integers(300, 3000)),), np.int64)
            a[...] = name * rounds + i
            passed.put((name * rounds + i, a if i % 2 else a[1:][::2]))
        passed.put(None)

    def consume():
        while (item := passed.get()) is not None:
            mark, a = item
            mine = aligned((a.size,), np.int64)
            mine[...] = -1
            if not ((a == mark).all() and (mine == -1).all()):
                wrong.append(mark)

    threads = [threading.Thread(target=produce, args=(i,)) for i in range(count)]
    threads += [threading.Thread(target=consume) for _ in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    gc.collect()
    pool.settle()
    held = sum(block.size for block in pool.blocks)
    assert pool.reserved == held == sum(block.size for blocks in pool.idle.values() for block in blocks)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("size", [5000, 2 << 20])
def test_a_forked_process_has_memory_of_its_own(size):
    a, b = aligned((size,), np.uint8), aligned((size,), np.uint8)
    a[...] = b[...] = 1
    del b
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            c = aligned((size,), np.uint8)
            c[...] = a[...] = 2
            del c
            ok = (aligned((size,), np.uint8) == 2).all()
            os.write(write, b"y" if ok else b"n")
        finally:
            os._exit(0)
    assert os.read(read, 1) == b"y"
    os.waitpid(child, 0)
    os.close(read), os.close(write)
    assert (a == 1).all()


SHUTDOWN = """
import sys, threading, time, atexit, queue
import numpy as np
from nnscratch import Tensor
from nnscratch.kernels.memory import aligned

kept = [aligned((3000,), np.float32) for _ in range(5)]
class Holder: pass
h = Holder(); h.me, h.a = h, aligned((1 << 20,), np.float32)[1:]
sys.modules["holder"] = h
np.holder = [Holder(), aligned((3000,), np.float32)]
np.holder[0].a, np.holder[0].list = aligned((3000,), np.float32), np.holder
class Late:
    def __init__(self): self.me, self.a = self, aligned((4000,), np.float32)
    def __del__(self): aligned_again((4000,), np.float32)
late, aligned_again = Late(), aligned
t = Tensor(aligned((3000,), np.float32))
atexit.register(lambda: aligned((3000,), np.float32).sum())
def forever():
    while True: aligned((3000,), np.float32)[...] = 1
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
"""


def test_the_interpreter_shuts_down_in_silence():
    done = subprocess.run([sys.executable, "-c", SHUTDOWN], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""


# ------------------------------------------------------------------------------------------------------------ the bounds


def test_numbers(pool):
    import nnscratch as nns

    a = aligned((1 << 21,), np.uint8)
    b = aligned((1 << 20,), np.uint8)
    del a
    numbers = nns.memory_stats()
    assert numbers["allocated_bytes.all.current"] == 1 << 20 and numbers["allocated_bytes.all.peak"] == 3 << 20
    assert numbers["reserved_bytes.all.current"] == numbers["reserved_bytes.all.peak"] == 3 << 20
    assert (numbers["num_alloc"], numbers["num_device_alloc"], numbers["num_device_free"]) == (2, 2, 0)
    nns.empty_cache()
    nns.reset_peak_memory_stats()
    numbers = nns.memory_stats()
    assert numbers["reserved_bytes.all.current"] == numbers["reserved_bytes.all.peak"] == 1 << 20
    assert numbers["allocated_bytes.all.peak"] == 1 << 20 and numbers["num_device_free"] == 1
    del b


def test_a_limit_holds_for_what_is_idle(pool):
    memory.set_memory_limit(3 << 20)
    arrays = [aligned((1 << 20,), np.uint8) for _ in range(5)]
    assert pool.reserved == pool.used == 5 << 20
    del arrays
    pool.settle()
    assert (pool.used, pool.reserved) == (0, 3 << 20)
    memory.set_memory_limit(0)
    assert pool.reserved == 0
    aligned((1 << 20,), np.uint8)
    a = aligned((2000,), np.uint8)
    assert pool.reserved == pool.used == 2048  # a limit is seen to when the next array is asked for
    del a
    memory.set_memory_limit(None)
    assert pool.reserved == 2048
    memory.empty_cache()
    aligned((1 << 20,), np.uint8)
    assert pool.reserved == 1 << 20
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="expected bytes >= 0"):
            memory.set_memory_limit(wrong)


def test_idle_memory_stays_in_proportion_to_what_is_used(pool):
    for k in range(20, 120):  # each larger than all before
        aligned((k << 18,), np.uint8)
        assert pool.reserved <= memory.SPARE * pool.highest + memory.SLACK
    assert pool.made > 2


def test_a_larger_block_serves_up_to_twice_the_size(pool, monkeypatch):
    monkeypatch.setattr(memory, "SLACK", 0)
    aligned((3 << 20,), np.uint8)
    for size in ((3 << 20) - 1, 5 << 19, (3 << 19) + 1, 3 << 19):
        a = aligned((size,), np.uint8)
        assert pool.made == 1 and pool.used == 3 << 20
        a[...] = 1
        del a
    aligned(((3 << 19) - (1 << 17),), np.uint8)  # less than half: a block of its own, for which the idle one goes
    assert pool.made == 2 and pool.reserved == (3 << 19) - (1 << 17)


def test_what_nobody_needs_any_more_is_given_back(pool, monkeypatch):
    monkeypatch.setattr(memory, "WINDOW", 16)
    aligned((4 << 20,), np.uint8)
    for _ in range(64):
        aligned((1 << 20,), np.uint8)
    assert pool.reserved == 1 << 20 and pool.made == 2


def test_the_longest_idle_goes_first(pool):
    arrays = [aligned((1 << 20,), np.uint8), aligned((5 << 18,), np.uint8), aligned((6 << 18,), np.uint8)]
    for i in (1, 0, 2):
        arrays[i] = None
        aligned((2000,), np.uint8)  # time passes
    pool.settle()
    pool.release(1)
    assert sorted(block.size for block in pool.blocks if block.size > 2048) == [4 << 18, 6 << 18]
