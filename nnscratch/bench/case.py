"""What a benchmark consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .library import Library

CLOSE = {"": 1e-4}


@dataclass
class Subject:
    """A case built in one library.

    run       what is timed
    outputs   name -> tensor or array: what has to be the same in both libraries; called once, before `run` is timed
    products  multiply-adds of the definition in one run, whatever the algorithm; 0 where they are not the point
    traffic   bytes in one run if everything that goes in is read once and everything that comes out is written once
    """

    run: Callable[[], Any]
    outputs: Callable[[], Mapping[str, Any]]
    products: float = 0
    traffic: float = 0


@dataclass(frozen=True)
class Case:
    """A benchmark: `build` is given a Library, in that library's process.

    group       heading in the table and panel in the chart
    per         a run does this many operations, and times are given for one
    threads     number of threads, whatever the command line says
    alone       in processes of its own: then memory and the first run are measured, too
    tolerance   first word of an output's name -> largest |ours - theirs| / |theirs|, in Euclidean norms; "" for the others
    """

    name: str
    build: Callable[[Library], Subject]
    group: str = ""
    per: int = 1
    threads: int | None = None
    alone: bool = False
    tolerance: Mapping[str, float] = field(default_factory=lambda: CLOSE)

    def tolerance_of(self, output: str) -> float:
        return self.tolerance.get(output.partition(" ")[0], self.tolerance.get("", CLOSE[""]))
