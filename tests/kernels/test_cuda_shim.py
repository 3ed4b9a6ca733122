"""The shim finds what it is for: each faulty kernel here fails in its way, and its sound neighbour passes."""

import os
import types

import numpy as np
import pytest
from cuda_shim import library

pytestmark = pytest.mark.skipif(not library.usable(), reason="needs g++ on x86-64 Linux")

KERNELS = r"""
#include "device.cuh"
#define KERNEL(NAME) extern "C" __global__ void NAME(float *y, int n)

// y[i] = i's mirror image, by way of shared memory
template <bool BARRIER>
__device__ void mirror(float *y, int n) {
  float *all = (float *)shared_memory();
  int i = threadIdx.x;
  all[i] = (float)(blockIdx.x * 100 + i);
  if (BARRIER) __syncthreads();
  y[blockIdx.x * n + i] = all[n - 1 - i];
}
KERNEL(sound) { mirror<true>(y, n); }
KERNEL(no_barrier) { mirror<false>(y, n); }

// The same between warps that meet within themselves many times before: they must not go in step.
KERNEL(late_barrier) {
  float *all = (float *)shared_memory();
  float v = (float)threadIdx.x;
  for (int i = 0; i < 8; i++) {
    all[64 * i + threadIdx.x] = v + i;
    v = __shfl_xor_sync(0xffffffffu, v, 1);
  }
  float sum = 0;
  for (int i = 0; i < 6; i++) sum += all[64 * i + n - 1 - threadIdx.x];
  __syncthreads();
  y[blockIdx.x * n + threadIdx.x] = sum;
}

KERNEL(divergent) {
  if (threadIdx.x < 7) __syncthreads();
  y[threadIdx.x] = 0;
}
KERNEL(half_a_warp) {
  float v = 1;
  if (threadIdx.x % 32 < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  y[threadIdx.x] = v;
}
KERNEL(different_instructions) {
  float v = 1;
  if (threadIdx.x % 32 < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  else __syncwarp();
  y[threadIdx.x] = v;
}
KERNEL(unwritten_shared) { y[threadIdx.x] = ((float *)shared_memory())[threadIdx.x]; }
KERNEL(behind_shared) {
  ((float *)shared_memory())[n + threadIdx.x] = 1;
  y[threadIdx.x] = 0;
}

// The last element of y is copied over the first, in the background.
template <int WAIT>
__device__ void copied(float *y, int n) {
  float *all = (float *)shared_memory();
  copy_async<4>(all + threadIdx.x, y + n - 1 - threadIdx.x, true);
  copy_commit();
  copy_commit();
  copy_wait<WAIT>();
  __syncthreads();
  float v = all[threadIdx.x];
  copy_wait<0>();
  __syncthreads();
  y[threadIdx.x] = v;
}
KERNEL(waits) { copied<1>(y, n); }
KERNEL(waits_too_little) { copied<2>(y, n); }
KERNEL(never_waits) {
  copy_async<4>(shared_memory() + 4 * threadIdx.x, y + threadIdx.x, true);
  copy_commit();
}
KERNEL(not_aligned) {
  copy_async<16>(shared_memory() + 16 * threadIdx.x, y + 1 + 4 * threadIdx.x, true);
  copy_commit();
  copy_wait<0>();
}
KERNEL(not_rounded) {
  float d[4] = {};
  unsigned a[4] = {0x3f800001u, 0, 0, 0}, b[2] = {};
  mma_tf32(d, a, b);
  y[threadIdx.x] = d[0];
}
// A block that reads what another wrote.
KERNEL(between_blocks) {
  y[blockIdx.x * n + threadIdx.x] = blockIdx.x ? y[threadIdx.x] + 1 : 1;
}
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    from nnscratch.kernels.cuda import loader

    folder = tmp_path_factory.mktemp("kernels")
    (folder / "faults.cuh").write_text(KERNELS)
    (folder / "device.cuh").write_text((library.HERE / "device.cuh").read_text())
    original, loader.source = loader.source, lambda family, before: expand(family, folder)
    expand = original
    try:
        library.library("faults")
    finally:
        loader.source = original


class Memory:
    def __init__(self, array):
        self._inner = array


def run(name, order="forward", n=64, blocks=2, shared=4 * 64):
    y = Memory(np.arange(float(blocks * n), dtype=np.float32))
    library.Function("faults", name, order)((blocks,), (n,), (y, np.int32(n)), shared_mem=shared)
    return y._inner


@pytest.mark.parametrize("name", ["sound", "waits"])
def test_sound_kernels_pass(kernels, name):
    results = [run(name, order, blocks=1) for order in library.ORDERS]
    np.testing.assert_array_equal(results[0], np.arange(64)[::-1])
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("name", ["no_barrier", "between_blocks", "late_barrier"])
def test_races_show_in_the_orders(kernels, name):
    results = [run(name, order, shared=4 * 64 * 8) for order in library.ORDERS]
    assert not all(np.array_equal(results[0], other, equal_nan=True) for other in results[1:])


@pytest.mark.parametrize("name", ["unwritten_shared", "waits_too_little"])
def test_what_has_not_been_written_is_nan(kernels, name):
    assert np.isnan(run(name, blocks=1)).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("divergent", "wait for others that never come"),
        ("half_a_warp", "wait for others that never come"),
        ("different_instructions", "different instructions"),
        ("never_waits", "copies in flight"),
        ("not_aligned", "not aligned"),
        ("not_rounded", "not a TF32 number"),
    ],
)
def test_faults_are_named(kernels, name, message):
    with pytest.raises(RuntimeError, match=f"{name}: .*{message}"):
        run(name, blocks=1, shared=16 * 64)


@pytest.mark.skipif(library.SANITIZED, reason="ASan is asked below")
def test_writes_behind_shared_memory_are_found(kernels):
    with pytest.raises(RuntimeError, match="behind the shared memory"):
        run("behind_shared", blocks=1, n=32, shared=4 * 32)


@pytest.mark.skipif(not library.SANITIZED, reason="for tests/cuda_shim/sanitized.py")
@pytest.mark.parametrize(("name", "arrays"), [("behind_shared", 64), ("sound", 32)], ids=["shared", "global"])
def test_asan_ends_a_process_that_writes_outside(kernels, name, arrays):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 2)
        y = Memory(np.zeros(arrays, np.float32))
        library.Function("faults", name)((1,), (64,), (y, np.int32(64)), shared_mem=256)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        text = report.read()
    assert os.waitpid(child, 0)[1] != 0
    assert b"heap-buffer-overflow" in text


def test_a_kernel_that_no_test_runs_is_named(monkeypatch):
    from cuda_shim import coverage
    from nnscratch.kernels.cuda import loader

    monkeypatch.setattr(coverage, "library", lambda family: (None, ["softmax_f32", "new"] if family == "rows" else []))
    ran = {("softmax_f32", order) for order in library.ORDERS} | {("new", "reverse")}
    assert loader.FAMILIES and coverage.missing(ran) == {"new": ["forward", "shuffled"]}
    session = types.SimpleNamespace(exitstatus=0)
    monkeypatch.setattr(library.Function, "ran", ran)
    coverage.pytest_sessionfinish(session, 0)
    assert session.exitstatus == 1
    ran |= {("new", order) for order in library.ORDERS}
    session.exitstatus = 0
    coverage.pytest_sessionfinish(session, 0)
    assert session.exitstatus == 0


def test_arguments_must_be_of_the_declared_types(kernels):
    y = Memory(np.zeros(64, np.float32))
    for wrong in (np.int64(64), 64, np.float32(64), np.uint32(64)):
        with pytest.raises(AssertionError, match="declared 'i'"):
            library.Function("faults", "sound")((1,), (64,), (y, wrong), shared_mem=256)
    with pytest.raises(AssertionError, match="unknown origin"):
        library.Function("faults", "sound")((1,), (64,), (np.uint64(64), np.int32(64)), shared_mem=256)
    with pytest.raises(AssertionError, match="points to float64, declared 'F'"):
        library.Function("faults", "sound")((1,), (64,), (Memory(np.zeros(64)), np.int32(64)), shared_mem=256)
