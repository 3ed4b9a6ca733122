"""A report for the terminal: the fault in the first line, what is known of it below, and the curve in ASCII."""

from __future__ import annotations

import math
import textwrap

from .report import Curve, Finding, Report, Verdict

WIDTH = 88
ROWS = 10

ADVICE = {
    Verdict.CORRECT: "the gradient agrees with the numeric derivative",
    Verdict.KINK: "no two-sided derivative at these inputs",
    Verdict.NOISE_LIMITED: "agrees as far as the function's own noise lets it be seen",
    Verdict.VACUOUS: "nothing was tested",
    Verdict.DEAD: "an input has no effect",
    Verdict.SIDE_EFFECT: "arguments or results are written to",
    Verdict.NONDETERMINISTIC: "the same call gives different results",
    Verdict.WRONG: "the gradient is wrong",
}


def as_text(report: Report) -> str:
    lines = [headline(report)]
    for f in report.findings[:6]:
        lines += _finding(f)
    if len(report.findings) > 6:
        lines.append(f"  ... and {len(report.findings) - 6} more findings")
    lines += [line for note in report.notes for line in _wrapped(f"note: {note}")]
    if len(report.curve) > 2:
        lines += ["", *ascii_curve(report.curve)]
    return "\n".join([*lines, "", figures(report)])


def figures(report: Report) -> str:
    """Resolution, worst excess, evaluations and seed, in one line."""
    parts = [f"resolution {report.resolution:.1g}"] if 0 < report.resolution < math.inf else []
    parts += [f"worst excess over bound {report.excess:.2g}"] if report.excess > 0 else []
    return ", ".join([*parts, f"{report.evaluations} evaluations", f"seed {report.seed}"])


def headline(report: Report) -> str:
    """Verdict, function, place and cause in one line of at most WIDTH characters."""
    text = f"{report.verdict}: {report.name}"
    if report.order > 1:
        text += f", order {report.order}"
    if not report.findings:
        return _cut(f"{text}: {ADVICE[report.verdict]}")
    f = report.findings[0]
    if f.where:
        text += f", {f.where}"
    if f.op:
        text += f", op {f.op}"
    plain = f.verdict is Verdict.WRONG and f.index is not None and f.ratio is not None and math.isfinite(f.ratio)
    return _cut(f"{text}: {f.hint or (f'{number(f.ratio, 6)} times what it should be' if plain else f.message)}")


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ") or [indent]


def number(x: float | None, digits: int = 8) -> str:
    return "-" if x is None else f"{x:.{digits}g}"


def _finding(f: Finding) -> list[str]:
    lines = _wrapped(str(f).replace(" — ", ": "))
    if f.analytic is not None and f.numeric is not None:
        values = (
            f"analytic {number(f.analytic)}   numeric {number(f.numeric)} ± {number(f.bound, 2)}   ratio {number(f.ratio, 6)}"
        )
        lines.append("    " + values)
    if f.line:
        lines += _wrapped(f"called at {f.line}", "    ")
    return lines


def _decade(x: float) -> float:
    return math.log10(x) if x > 0 else -math.inf


def ascii_curve(curve: Curve) -> list[str]:
    """Relative error (*) and one-sided gap (o) against the step, both in powers of ten."""
    points = [(h, e, g) for h, e, g in zip(curve.steps, curve.errors, curve.gaps) if math.isfinite(e)]
    points.sort(key=lambda p: p[0])
    finite = [_decade(v) for _, e, g in points for v in (e, g) if v > 0 and math.isfinite(v)]
    if not finite:
        return ["  the difference is exactly zero at every step"]
    top, bottom = math.ceil(min(max(finite), 3)), math.floor(max(min(finite), -17))
    height = max(1, math.ceil((top - bottom) / ROWS))
    top = bottom + height * math.ceil((top - bottom) / height)
    lines = ["  relative error (*) of the central difference, one-sided gap (o), against the step"]
    for level in range(top, bottom - 1, -height):
        near = [[v > 0 and abs(min(max(_decade(v), bottom), top) - level) <= height / 2 for v in (e, g)] for _, e, g in points]
        marks = [
            "*" if error or (e == 0 and level == bottom) else "o" if gap else " " for (error, gap), (_, e, _) in zip(near, points)
        ]
        lines.append(f"  1e{level:+03d} |{''.join('   ' + mark for mark in marks)}".rstrip())
    lines.append("       +" + "-" * (4 * len(points) + 1))
    first, last = f"{points[0][0]:.0e}", f"{points[-1][0]:.0e}"
    lines.append("        " + first + " " * max(1, 4 * len(points) - len(first) - len(last)) + last + "  step")
    lines.append(f"  {reading(curve)}")
    return lines


def reading(curve: Curve) -> str:
    """What the shape of the curve says."""
    pairs = sorted((h, e) for h, e in zip(curve.steps, curve.errors) if math.isfinite(e))
    if len(pairs) < 3:
        return ""
    low = min(e for _, e in pairs)
    if min(curve.gaps[-2:]) > 0.1 and low > 1e-4:
        return "the one-sided gap stays as the step shrinks: a kink"
    if low > 1e-4:
        return f"the error stays on a plateau, {low:.1g} at least: no step makes it agree"
    return f"the error falls to {max(low, 1e-17):.1g} before roundoff takes over"
