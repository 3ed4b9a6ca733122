"""Which op is wrong: run the function once, then check every op that depended on the inputs by itself, on its real arguments."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import autograd, backend
from ..autograd.graph import Node
from ..autograd.modes import observers
from ..autograd.primitives import make_op
from ..tensor import Tensor
from .report import Report, Verdict

_LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_KERNELS = os.path.join(os.path.dirname(os.path.dirname(_LIBRARY)), "kernels") + os.sep


@dataclass
class Call:
    """One op as it was called: its record, arguments and keywords, and which arguments depend on the inputs."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    depends: list[int]
    line: str


class _Trace:
    """Collects the ops run in this thread, under no_grad so that every argument comes whole."""

    def __init__(self, inputs: Sequence[Tensor]):
        self.calls: list[Call] = []
        self._alive = [t.data for t in inputs]  # holding the arrays keeps their ids unique
        self._depends = {id(data) for data in self._alive}
        self._thread = threading.get_ident()

    def __call__(self, node: Node, result: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        args = [a.data if isinstance(a, Tensor) else a for a in node.args]
        depends = [i for i, a in enumerate(args) if id(a) in self._depends]
        if depends:
            parts = [t.data for t in (result if isinstance(result, tuple) else (result,))]
            self._alive += parts
            self._depends |= {id(data) for data in parts}
            kept = tuple(np.copy(a, order="K") if backend.is_array(a) else a for a in args)
            self.calls.append(Call(node.op, kept, node.kwargs or {}, depends, _line()))

    def cotangents(self, node: Node, edges: Any, gs: Any) -> None:
        pass


def trace(f: Callable, arrays: Sequence[Any], device: str = "cpu") -> list[Call]:
    """The ops that f runs at these arrays, in order, as far as they depend on them."""
    inputs = [Tensor(backend.to_device(np.copy(a), device)) for a in arrays]
    tracer = _Trace(inputs)
    observers.append(tracer)
    try:
        with autograd.no_grad():
            f(*inputs)
    finally:
        observers.remove(tracer)
    return tracer.calls


def attribute(report: Report, f: Callable, arrays: Sequence[Any], device: str, subgradient: bool = False) -> None:
    """Name, in the report's wrong findings, the first op that is wrong by itself, and the line that called it.

    `subgradient`: what it means there too; an op is checked on the very ties and kinks of its arguments then.
    """
    calls = trace(f, arrays, device)
    for projections in (3, 12):  # "every op is right" is said only after a closer look
        for call in calls:
            local = _check_alone(call, report, projections, subgradient)
            if local is not None and local.verdict is Verdict.WRONG:
                for finding in report.findings:
                    if finding.verdict is Verdict.WRONG:
                        finding.op, finding.line = call.op.name, call.line
                        finding.hint = local.findings[0].hint or finding.hint
                return
    report.notes.append("every recorded op is right by itself: the fault lies between them (a detached value, or a hook)")


def _check_alone(call: Call, report: Report, projections: int, subgradient: bool) -> Report | None:
    """The check of one op on its real arguments, at the order of the report; None where there is none to make."""
    from .tensors import gradcheck

    free = [i for i in call.depends if call.args[i].dtype.kind == "f"]
    if not free:
        return None
    try:
        local = gradcheck(
            _alone(call, free), [call.args[i] for i in free], order=report.order, seed=report.seed + projections, budget=None,
            projections=projections, subgradient=subgradient, raise_exception=False, _attribute=False,
        )  # fmt: skip
    except Exception as fault:  # the op cannot be run alone: say so and look on
        note = f"op {call.op.name} could not be checked by itself: {fault}"
        report.notes += [note] if note not in report.notes else []
        return None
    report.evaluations += local.evaluations
    return local


def _alone(call: Call, free: Sequence[int]) -> Callable:
    op = make_op(call.op, call.op.forward)

    def run(*tensors: Tensor) -> Any:
        args = [Tensor(a) if backend.is_array(a) else a for a in call.args]
        for i, t in zip(free, tensors):
            args[i] = t
        return op(*args, **call.kwargs)

    run.__name__ = call.op.name
    return run


def _line() -> str:
    """The innermost line outside the library, with its text."""
    import linecache

    frame: Any = sys._getframe(1)
    while frame is not None:
        path = os.path.abspath(frame.f_code.co_filename)
        if not path.startswith((_LIBRARY, _KERNELS)):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}: {linecache.getline(path, frame.f_lineno).strip()}"
        frame = frame.f_back
    return "<unknown>"
