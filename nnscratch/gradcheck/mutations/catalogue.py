"""The faults, and what it means that one is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ... import kernels
from ..audit.entry import Entry
from ..report import Report, Verdict
from ..tensors import gradcheck
from .inject import DISTORTIONS, Edit, Patch, after, detached, gradient, in_backward, in_vjp, replaced


@dataclass(frozen=True)
class Mutation:
    """A fault in the library: `patch()` injects it, `entry` is the call that shows it at `order`, `blame` the ops at fault.

    `options` are those that `gradcheck` needs to see it. `compiled`: it lies in what only large arrays go to.
    """

    name: str
    entry: Entry
    patch: Patch
    blame: tuple[str, ...]
    order: int = 1
    options: tuple[tuple[str, Any], ...] = ()
    compiled: bool = False

    @property
    def family(self) -> str:
        return self.name.partition(",")[0].partition(":")[0]

    def setting(self) -> AbstractContextManager:
        """In which the entry runs what the fault is in: compiled kernels, for those that lie there, whatever an array's size."""
        return replaced(kernels.compiled, LARGE=1) if self.compiled else nullcontext()

    def check(self, **options: Any) -> Report:
        """The report of `gradcheck` on the library with the fault in it."""
        with self.patch():
            return check_sound(self, **options)


def check_sound(mutation: Mutation, *, seed: int = 0, **options: Any) -> Report:
    """The report on the same call of the library as it is."""
    sample = mutation.entry.draw(seed)
    options = {"order": mutation.order, **dict(mutation.options), **options}
    with mutation.setting():
        report = gradcheck(sample.function, sample.inputs, seed=seed, raise_exception=False, **options)
    report.name = mutation.entry.label
    return report


def caught(report: Report) -> bool:
    """Whether a fault was seen."""
    return report.verdict is Verdict.WRONG


def attributed(mutation: Mutation, report: Report) -> bool:
    """Whether it was seen at its own order, and an op at fault was named (where the mutation names any)."""
    first = next((f for f in report.findings if f.verdict is Verdict.WRONG), None)
    return first is not None and first.order == mutation.order and (not mutation.blame or first.op in mutation.blame)


def fault(name: str, entry: Entry, patch: Patch, *blame: str, order: int = 1, **options: Any) -> Mutation:
    """A row of the catalogue."""
    return Mutation(name, entry, patch, blame, order, tuple(options.items()))


def distorted(
    name: str, entry: Entry, op: Callable, arguments: Iterable[int], order: int = 1, blame: Iterable[str] = ()
) -> list[Mutation]:
    """Every distortion of an op's gradients for these arguments."""
    record = op.primitive  # type: ignore[attr-defined]
    fused = hasattr(record, "definition")

    def patch(i: int, f: Callable[[Any], Any]) -> Patch:
        return in_backward(op, gradient(i, f)) if fused else in_vjp(op, i, after(f))

    return [
        fault(f"{name}, argument {i}: {how}", entry, patch(i, f), record.name, *blame, order=order)
        for i in arguments
        for how, f in DISTORTIONS.items()
    ]


def undifferentiated(name: str, entry: Entry, op: Callable, *arguments: int, blame: Iterable[str] = ()) -> list[Mutation]:
    """For each argument, the VJP whose own arguments are detached: only the second derivative is wrong."""
    record = op.primitive  # type: ignore[attr-defined]
    return [
        fault(f"{name}, argument {i}: detached in its VJP", entry, in_vjp(op, i, detached), record.name, *blame, order=2)
        for i in arguments
    ]


def edited(name: str, entry: Entry, op: Callable, argument: int, edit: Edit, order: int = 1, **options: Any) -> Mutation:
    """A fault of its own kind in one VJP of a primitive."""
    record = op.primitive  # type: ignore[attr-defined]
    return fault(name, entry, in_vjp(op, argument, edit), record.name, order=order, **options)
