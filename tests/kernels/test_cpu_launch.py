"""The loop over items of work: every item once, on one thread or several, whatever calls it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("nnscratch.kernels.cpu")  # NUMBA_DISABLE_JIT=1

from nnscratch.kernels.cpu.launch import SMALL, parallel, threads
from numba.core.caching import FunctionCache


@parallel
def count_up(index, y, step):
    y[index] += step


@parallel
def who(index, worker, y):
    total = 0.0
    for i in range(20000):
        total += np.sqrt(i + index)
    y[index] = worker + 0 * total


@parallel
def scratch(index, sizes):
    sizes[index] = len(np.empty(sizes[index], np.uint8))


@pytest.mark.parametrize("nanoseconds", [0, 10 * SMALL])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_every_item_runs_once(count, nanoseconds):
    y = np.zeros(count)
    count_up(count, y, 2.0, nanoseconds=nanoseconds)
    assert (y == 2).all()


def test_workers_are_numbered_below_threads():
    y = np.full(500, -1.0)
    who(len(y), y, nanoseconds=1e9)
    assert set(np.unique(y)) <= set(range(threads()))


def test_small_work_stays_on_one_worker():
    y = np.full(50, -1.0)
    who(len(y), y, nanoseconds=0)
    assert (y == 0).all()


@pytest.mark.parametrize("nanoseconds", [0, 1e9])
def test_an_item_without_memory_raises(nanoseconds):
    with pytest.raises(MemoryError, match="1 of 3 items of the kernel scratch"):
        scratch(3, np.array([1, 1 << 60, 1]), nanoseconds=nanoseconds)


def test_several_python_threads_at_once():
    def run(seed):
        x = np.zeros(3000)
        for _ in range(20):
            count_up(len(x), x, float(seed), nanoseconds=1e9)
        return (x == 20 * seed).all()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_layers_and_a_forked_child(layer):
    script = (
        "import os, sys, warnings; import numpy as np; from nnscratch.kernels.cpu import conv;"
        "from nnscratch.kernels import ConvSpec;"
        "x, w = np.ones((8, 16, 16, 16), 'f'), np.ones((16, 16, 3, 3), 'f'); spec = ConvSpec.of(x.shape, w.shape);"
        "y = conv(x, w, spec=spec); warnings.simplefilter('ignore'); child = os.fork();\n"
        "if not child: os._exit(int(not np.array_equal(conv(x, w, spec=spec), y)))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=300).returncode == 0


def test_a_cache_of_other_sources_is_no_obstacle(monkeypatch):
    """Its index names the named tuples that kernels took; one that is gone must not stop the kernel from compiling."""
    flushed = []

    def load(*arguments):
        raise AttributeError("no such named tuple")

    monkeypatch.setattr(FunctionCache, "load_overload", load)
    monkeypatch.setattr(FunctionCache, "flush", lambda cache: flushed.append(cache))
    monkeypatch.setenv("NNSCRATCH_QUIET", "1")
    assert count_up.entry._cache.load_overload(None, None) is None
    assert flushed == [count_up.entry._cache]
