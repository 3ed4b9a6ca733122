"""What a check says: its verdict, its findings, and the error-against-step curve that they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Verdict(IntEnum):
    """How a gradient was judged; the larger value is the graver, and the gravest that applies is reported."""

    CORRECT = 0
    """Agrees with the numeric derivative, to the stated resolution."""
    KINK = 1
    """At a kink: there is no two-sided derivative, and no way off it, or the value is outside the one-sided derivatives."""
    NOISE_LIMITED = 2
    """Agrees, but the function's own noise hides errors that a check of this dtype should see."""
    VACUOUS = 3
    """The derivative lies under its noise floor (or there is none): nothing was tested."""
    DEAD = 4
    """The input has no effect on the output."""
    SIDE_EFFECT = 5
    """The function or its VJP writes into what it was given, or reuses memory that it returned."""
    NONDETERMINISTIC = 6
    """Two calls with the same arguments differ: no numeric derivative exists."""
    WRONG = 7
    """Disagrees with the numeric derivative by more than its bound."""

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:  # its name, not its number
        return format(self.name, spec)


FAULTS = (Verdict.SIDE_EFFECT, Verdict.NONDETERMINISTIC, Verdict.WRONG)  # what raise_exception raises for


class GradcheckError(AssertionError):
    """A gradient was found faulty; `report` is the full report, and the message is its text."""

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.report = report


@dataclass
class Finding:
    """One thing that is not as it should be.

    `input` and `index` say where, `analytic` is the gradient under test there, `numeric` ± `bound` the derivative it should be,
    `ratio` = analytic / numeric. `hint` names a likely cause where one fits, `op` and `line` the recorded operation at fault.
    """

    verdict: Verdict
    message: str
    input: int | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    bound: float | None = None
    ratio: float | None = None
    hint: str | None = None
    op: str | None = None
    line: str | None = None
    order: int = 1
    name: str | None = None  # of the input

    def __post_init__(self) -> None:
        for name in ("analytic", "numeric", "bound", "ratio"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else float(value))

    @property
    def where(self) -> str:
        if self.input is None:
            return ""
        name = self.name or f"input {self.input}"
        return f"{name}[{', '.join(map(str, self.index))}]" if self.index else name

    def __str__(self) -> str:
        text = f"{self.verdict}"
        if self.order > 1:
            text += f" (order {self.order})"
        if self.where:
            text += f" at {self.where}"
        if self.op:
            text += f", op {self.op}"
        text += f": {self.message}"
        if self.hint:
            text += f" — {self.hint}"
        return text


@dataclass
class Curve:
    """The relative error of the central difference at each step, and the one-sided gap |f'+ - f'-| there.

    A sound gradient's error falls with slope 2, then rises with roundoff; a wrong one's stays on a plateau; a kink's gap stays
    flat. Steps are relative to the magnitude of the input.
    """

    steps: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    input: int | None = None

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self):
        return iter(zip(self.steps, self.errors))


@dataclass(repr=False)
class Report:
    """The outcome of one check.

    `verdict`; `findings`, gravest first (empty when CORRECT); `evaluations` of the forward; `curve`; `resolution`, the smallest
    relative error that would have been seen; `excess`, the largest difference of analytic and numeric derivative over its bound
    (at most 1 where nothing is wrong); `notes`; `seed`. True in a boolean context only when CORRECT.
    """

    verdict: Verdict
    findings: list[Finding]
    evaluations: int
    curve: Curve
    resolution: float
    seed: int
    notes: list[str] = field(default_factory=list)
    name: str = "function"
    order: int = 1
    excess: float = 0.0

    def __bool__(self) -> bool:
        return self.verdict is Verdict.CORRECT

    @property
    def ok(self) -> bool:
        """Whether no fault was found: the check may still have been inconclusive (see `verdict`)."""
        return self.verdict not in FAULTS

    def __repr__(self) -> str:
        from .text import headline

        return f"<Report {headline(self)}>"

    def __str__(self) -> str:
        from .text import as_text

        return as_text(self)

    def plot(self, path: Any = None) -> Any:
        """Draw the error against the step, log-log, with matplotlib; write it to `path` if given. Returns the figure."""
        from .picture import draw

        return draw(self, path)

    def to_html(self, path: Any = None) -> str:
        """The report as one self-contained HTML page (text, table, curve as SVG); written to `path` if given."""
        from .html import page, save

        return save(page([self]), path)


def judge(findings: list[Finding]) -> Verdict:
    """The gravest verdict among the findings; CORRECT when there are none."""
    return max((f.verdict for f in findings), default=Verdict.CORRECT)
