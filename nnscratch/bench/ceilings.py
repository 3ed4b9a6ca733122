"""What this machine can do: fused multiply-adds in registers, and copies from and to memory and within the cache.

    python -m nnscratch.bench.ceilings THREADS

prints them as JSON, in GFLOP/s and GB/s (bytes read and bytes written, as STREAM counts a copy). Threads share no data.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

BIG, SMALL = 512 << 20, 512 << 10  # bytes copied: by all threads, far beyond the caches; by each, within its core's own
CHAINS = 10  # independent multiply-adds: as many as latency times ports, and few enough for 16 registers


def measure(threads: int) -> dict[str, Any]:
    """{"threads", "gflops", "gflops_by", "copy_gbs", "cache_gbs"}; without Numba, GFLOP/s are those of a matrix product."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            flops, by = _multiply_adds(pool, threads), "fused multiply-adds in registers"
        except ImportError:
            flops, by = _matrix_product(), "NumPy's matrix product"
        memory, cache = (_copy(pool, threads, size) for size in (BIG // threads, SMALL))
    return {"threads": threads, "gflops": flops, "gflops_by": by, "copy_gbs": memory, "cache_gbs": cache}


def _best(work: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _multiply_adds(pool: ThreadPoolExecutor, threads: int) -> float:
    chains, lanes = _kernel()
    trips = 3_000_000
    chains(1, np.float32(1), np.float32(0))  # compile
    seconds = _best(lambda: list(pool.map(lambda _: chains(trips, np.float32(0.5), np.float32(1)), range(threads))), 30)
    return 2e-9 * trips * CHAINS * lanes * threads / seconds


def _kernel() -> tuple[Any, int]:
    """(trips, a, b) -> a number, by `trips` times x <- a x + b in each of CHAINS vectors; and the lanes of a vector."""
    from llvmlite import ir
    from numba import float32, int64, njit
    from numba.core import cgutils
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    features = cpu_target.target_context.codegen().magic_tuple()[2]
    lanes = 16 if "+avx512f" in features else 8 if "+avx" in features else 4
    vector, i32, i64 = ir.VectorType(ir.FloatType(), lanes), ir.IntType(32), ir.IntType(64)

    @intrinsic
    def chains(_typing_context, trips, a, b):  # noqa: ARG001 - Numba looks at their names
        def codegen(_context, builder, _signature, args):
            def splat(value):
                one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, i32(0))
                return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, lanes), [0] * lanes))

            kind = ir.FunctionType(vector, [vector] * 3)
            multiply_add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{lanes}f32")
            factor, summand = splat(args[1]), splat(args[2])
            before, head, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(head)
            builder.position_at_end(head)
            i, xs = builder.phi(i64), [builder.phi(vector) for _ in range(CHAINS)]
            following = builder.add(i, i64(1))
            new = [builder.call(multiply_add, [x, factor, summand]) for x in xs]
            i.add_incoming(i64(0), before)
            i.add_incoming(following, head)
            for k, (x, y) in enumerate(zip(xs, new)):
                x.add_incoming(ir.Constant(vector, [float(k)] * lanes), before)
                x.add_incoming(y, head)
            builder.cbranch(builder.icmp_signed("<", following, args[0]), head, end)
            builder.position_at_end(end)
            total = new[0]
            for x in new[1:]:
                total = builder.fadd(total, x)
            return builder.extract_element(total, i32(0))

        return float32(int64, float32, float32), codegen

    @njit(nogil=True)
    def run(trips, a, b):
        return chains(np.int64(trips), a, b)

    return run, lanes


def _matrix_product() -> float:
    n = 1536
    a, b, c = (np.ones((n, n), np.float32) for _ in range(3))
    return 2e-9 * n**3 / _best(lambda: np.matmul(a, b, out=c), 6)


def _copy(pool: ThreadPoolExecutor, threads: int, size: int) -> float:
    pairs = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(threads)]
    times = max(1, (64 << 20) // size)

    def work(pair):
        for _ in range(times):
            np.copyto(pair[1], pair[0])

    return 2e-9 * size * times * threads / _best(lambda: list(pool.map(work, pairs)), 10)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
