"""Sound cases of the library's own operations, drawn by Hypothesis, and what the checker says of them.

Half of them come through the public strategies, half from the audit's table: every op, layer and loss, on inputs of any seed,
and of any scale where the op has none of its own. A fifth are at order 2. `python tests/sound_cases.py 10000` counts the verdicts
of so many and prints every false alarm; two more numbers say after how many seconds to stop, and at which turn to start: every
turn has other cases.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from nnscratch.kernels import ConvSpec

import nnscratch as nns
import nnscratch.nn.functional as F
from nnscratch.gradcheck import audit, gradcheck, strategies
from nnscratch.gradcheck.report import FAULTS
from nnscratch.ops.conv_block import conv_block, conv_transpose_block

SCALES = (1e-8, 1e-4, 1.0, 1e4, 1e8)
SHAPES = strategies.shapes(max_dims=3, max_side=4)
MATRICES = strategies.shapes(2, 2, 2, 4)


class Family(NamedTuple):
    """Operations that take the cases of one strategy. `smooth`: without kinks in the domain that the strategy draws from."""

    draw: Callable[[Any], Any]  # of the dtype
    functions: dict[str, Callable]
    smooth: bool = True


def named(*functions: str) -> dict[str, Callable]:
    return {name: getattr(nns, name, None) or getattr(F, name) for name in functions}


def over(**options: Any) -> Callable[[Any], Any]:
    """The draw of one array."""
    options = {"shape": SHAPES, **options}
    return lambda dtype: strategies.arrays(dtype=dtype, **options).map(lambda x: ((x,), {}))


def several(strategy: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    """The draw of a tuple of arrays, or of a Case."""
    return lambda dtype: strategy(dtype=dtype, **options).map(lambda c: c if hasattr(c, "options") else (c, {}))


def recurrent(mode: str) -> Callable:
    def run(x, h, *rest, **_options):
        if mode == "lstm":
            return nns.lstm(x, h[None], rest[0][None], [rest[1:]])
        return getattr(nns, mode)(x, h[None], [rest])

    return run


def blocks(dtype: Any) -> Any:
    """Cases of conv_block: those of a convolution."""
    spec = lambda case: ConvSpec.of(case.inputs[0].shape, case.inputs[1].shape, **case.options)
    return strategies.conv_cases(dims=2, dtype=dtype).map(lambda case: (case.inputs, {"spec": spec(case)}))


def transposed_blocks(dtype: Any) -> Any:
    """Cases of conv_transpose_block: the shapes of a convolution's output, weight and input."""

    def build(case: Any) -> tuple[Any, dict[str, Any]]:
        (x, w, _), rng = case.inputs, np.random.default_rng(case.inputs[0].size)
        spec = ConvSpec.of(x.shape, w.shape, **case.options)
        drawn = [np.round(rng.standard_normal(shape), 3).astype(dtype) for shape in (spec.output_shape(len(x)), x.shape[1:2])]
        return (drawn[0], w, drawn[1]), {"spec": spec}

    return strategies.conv_cases(dims=2, dtype=dtype).map(build)


FAMILIES: dict[str, Family] = {
    "moderate": Family(
        over(scales=(1e-4, 1.0)),
        named(*"exp expm1 sin cos sinh cosh tanh atan asinh sigmoid erf softplus silu gelu mish".split()),
    ),
    "any scale": Family(
        over(scales=SCALES),
        {
            **named("neg", "square", "sum", "mean", "norm"),
            "cube": lambda x: x**3,
            "transpose": lambda x: nns.reshape(x, (-1,)).flip(0),
            "cumsum": lambda x: nns.cumsum(nns.reshape(x, (-1,)), 0),
        },
    ),
    "positive": Family(over(low=0.05, high=4.0, scales=SCALES), named("log", "sqrt", "rsqrt", "reciprocal")),
    "kinked": Family(
        over(scales=SCALES),
        {
            **named("relu", "leaky_relu", "abs", "amax"),
            "clamp": lambda x: nns.clamp(x, -0.5, 0.5),
            "sort": lambda x: nns.sort(nns.reshape(x, (-1,)), 0)[0],
        },
        False,
    ),
    "matrix": Family(
        over(shape=MATRICES),
        {
            "softmax": lambda x: F.softmax(x, 1),
            "log_softmax": lambda x: F.log_softmax(x, 0),
            "logsumexp": lambda x: nns.logsumexp(x, 1),
            "var": lambda x: nns.var(x, 1),
            "layer_norm": lambda x: F.layer_norm(x, x.shape[1:], eps=0.1),
            "prod": lambda x: nns.prod(x, 1),
            "gram": lambda x: x @ x.T,
            "index": lambda x: x[[0, 1, 0]] * x[:1],
            "cross_entropy": lambda x: F.cross_entropy(x, nns.tensor(np.arange(x.shape[0]) % x.shape[1])),
        },
    ),
    "broadcast": Family(
        several(strategies.broadcast_cases),
        {
            **named("add", "mul", "sub"),
            "div": lambda a, b: a / (b * b + 0.5),
            "mse": lambda a, b: ((a - b) ** 2).mean(),
        },
    ),
    "broadcast, kinked": Family(several(strategies.broadcast_cases), named("maximum", "minimum"), False),
    **{
        f"conv{dims}d": Family(several(strategies.conv_cases, dims=dims), {f"conv{dims}d": getattr(F, f"conv{dims}d")})
        for dims in (1, 2, 3)
    },
    **{
        f"pool{dims}d": Family(
            several(strategies.pool_cases, dims=dims),
            {name: getattr(F, name) for name in (f"max_pool{dims}d", f"avg_pool{dims}d")},
            False,
        )
        for dims in (1, 2)
    },
    "conv_block": Family(
        blocks,
        {
            "bias": lambda *args, spec: conv_block(*args, spec=spec, slope=1.0, pool=False),
            "leaky": lambda *args, spec: conv_block(*args, spec=spec, slope=0.2, pool=False),
            "pooled": lambda *args, spec: conv_block(*args, spec=spec, slope=0.0, pool=min(spec.output) > 1),
        },
        False,
    ),
    "conv_transpose_block": Family(
        transposed_blocks,
        {f"slope {slope}": partial(conv_transpose_block, slope=slope) for slope in (0.0, 0.2, 1.0)},
        False,
    ),
    **{mode: Family(several(strategies.rnn_cases, mode=mode), {mode: recurrent(mode)}) for mode in ("lstm", "gru", "rnn")},
}  # fmt: skip


TABLE = "the audit's table"
SCALELESS = "shape index linalg conv pool resample".split()  # families whose ops do not know one scale from another


class Judged(NamedTuple):
    """One case and what was said of it."""

    family: str
    function: str
    order: int
    report: Any
    inputs: Any
    options: Any
    smooth: bool = True

    def __str__(self) -> str:
        shapes = [f"{x.shape} {x.dtype}" for x in self.inputs]
        return f"{self.family}/{self.function} order {self.order} {shapes} {self.options}\n{self.inputs}\n{self.report}"


def judged(family: str, count: int, order: int = 1, start: int = 0) -> Iterator[Judged]:
    """`count` cases of a family, and the checker's report of each."""
    results: list[Judged] = []

    @seed(zlib.crc32(f"{family} {order} {start}".encode()))
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.data())
    def collect(data: Any) -> None:
        dtype = data.draw(st.sampled_from([np.float64, np.float64, np.float32])) if order == 1 else np.float64
        name, f, inputs, options, smooth = (_from_table if family == TABLE else _from_family)(family, dtype, order, data.draw)
        at = data.draw(st.integers(0, 2**16))
        report = gradcheck(f, inputs, order=order, seed=at, projections=3, raise_exception=False, _attribute=False)
        results.append(Judged(family, name, order, report, inputs, options, smooth))

    collect()
    return iter(results)


def _from_family(family: str, dtype: Any, _order: int, draw: Callable) -> tuple[str, Callable, Any, Any, bool]:
    strategy, functions, smooth = FAMILIES[family]
    name = draw(st.sampled_from(sorted(functions)))
    inputs, options = draw(strategy(dtype))
    return name, lambda *xs: functions[name](*xs, **options), inputs, options, smooth


def _from_table(_family: str, dtype: Any, order: int, draw: Callable) -> tuple[str, Callable, Any, Any, bool]:
    """An entry of the audit. On other inputs than its own it may be on a kink, or without effect."""
    family = draw(st.sampled_from([name for name in audit.FAMILIES if name != "training" or order == 1]))
    entry = draw(st.sampled_from(audit.FAMILIES[family]))
    sample = entry.draw(draw(st.integers(0, 2**32)), dtype)
    scale = draw(st.sampled_from(SCALES if family in SCALELESS else (1.0,)))
    inputs = [(scale * x).astype(x.dtype) for x in sample.inputs]
    return f"{family}: {entry.label}", sample.function, inputs, f"scale {scale:g}", False


def false_alarm(case: Judged) -> bool:
    """A fault where there is none; or, of a smooth operation, anything but CORRECT."""
    return case.report.verdict in FAULTS or (case.smooth and not case.report)


def main(count: int, limit: float = float("inf"), start: int = 0) -> None:
    """Print how many cases got which verdict, and every false alarm; stop after `limit` seconds."""
    began, tally, done, turn = time.monotonic(), Counter[tuple[str, str]](), 0, start
    while done < count and time.monotonic() - began < limit:
        for family, share in (*((name, 4) for name in FAMILIES), (TABLE, 4 * len(FAMILIES))):
            for case in (*judged(family, 4 * share, 1, turn), *judged(family, share, 2, turn)):
                done += 1
                kind = "table" if family == TABLE else "smooth" if case.smooth else "kinked"
                tally[f"order {case.order}, {kind}", case.report.verdict.name] += 1
                if false_alarm(case):
                    print(case, flush=True)
        turn += 1
    print(f"{done} cases in {time.monotonic() - began:.0f} s")
    for (group, verdict), n in sorted(tally.items()):
        print(f"{group:20} {verdict:16} {n}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
