"""Reports as one self-contained HTML page, each with its curve as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .report import FAULTS, Curve, Finding, Report, Verdict
from .text import figures, headline, number, reading

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222; background: #fff }
h2 { font-size: 1em; margin: 2em 0 .5em; border-left: .5em solid #2a7; padding-left: .6em }
h2.fault { border-color: #c33 } h2.unsure { border-color: #d90 }
table { border-collapse: collapse; font-size: .9em; margin: .5em 0 } td, th { border: 1px solid #ddd; padding: .25em .6em }
th { text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: .9em } .note { color: #555; font-size: .9em }
svg text { font: 11px system-ui, sans-serif; fill: #555 }
"""


def page(reports: Sequence[Report], title: str = "Gradient check") -> str:
    """All reports on one page, faults first, with a summary."""
    ranked = sorted(reports, key=lambda r: -r.verdict)
    counts = {v: sum(r.verdict is v for r in reports) for v in reversed(Verdict)}
    summary = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    body = "\n".join(section(r) for r in ranked)
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>\n"
        f"<style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(summary)}</p>\n{body}\n</body></html>\n"
    )


def save(text: str, path: Any) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def section(report: Report) -> str:
    kind = "fault" if report.verdict in FAULTS else "" if report.verdict is Verdict.CORRECT else "unsure"
    parts = [f"<section><h2 class='{kind}'>{escape(headline(report))}</h2>"]
    if report.findings:
        head = "".join(f"<th>{name}</th>" for name in ("verdict", "where", "analytic", "numeric", "bound", "ratio", "what", "op"))
        rows = "".join(_row(f) for f in report.findings)
        parts.append(f"<table><tr>{head}</tr>{rows}</table>")
    parts += [f"<p class='note'>{escape(note)}</p>" for note in report.notes]
    if len(report.curve) > 2:
        parts.append(svg(report.curve))
        parts.append(f"<p class='note'>{escape(reading(report.curve))}</p>")
    parts.append(f"<p class='note'>{escape(figures(report))}</p></section>")
    return "\n".join(parts)


def _row(f: Finding) -> str:
    numbers = "".join(f"<td class='number'>{number(v, 6)}</td>" for v in (f.analytic, f.numeric, f.bound, f.ratio))
    what = escape(f.message) + (f"<br><b>{escape(f.hint)}</b>" if f.hint else "")
    op = escape(f.op or "") + (f"<br><code>{escape(f.line)}</code>" if f.line else "")
    return f"<tr><td>{f.verdict}</td><td>{escape(f.where)}</td>{numbers}<td>{what}</td><td>{op}</td></tr>"


def svg(curve: Curve, width: int = 520, height: int = 220) -> str:
    """Error (solid) and one-sided gap (dashed) against the step, log-log."""
    left, right, top, bottom = 60, 12, 10, 34
    log = lambda v: math.log10(v) if v > 0 and math.isfinite(v) else None
    series = [[(log(h), log(v)) for h, v in sorted(zip(curve.steps, values))] for values in (curve.errors, curve.gaps)]
    lines = [[(x, y) for x, y in points if x is not None and y is not None] for points in series]
    every = [p for points in lines for p in points]
    if not every:
        return "<p class='note'>The difference is exactly zero at every step.</p>"
    x0, x1 = min(p[0] for p in every), max(p[0] for p in every)
    y0, y1 = math.floor(min(p[1] for p in every)), math.ceil(max(p[1] for p in every))
    across = lambda x: left + (x - x0) / ((x1 - x0) or 1) * (width - left - right)
    down = lambda y: top + (y1 - y) / ((y1 - y0) or 1) * (height - top - bottom)
    parts = [f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img'>"]
    for y in range(y0, y1 + 1, max(1, (y1 - y0) // 6)):
        parts.append(f"<line x1='{left}' x2='{width - right}' y1='{down(y):.1f}' y2='{down(y):.1f}' stroke='#eee'/>")
        parts.append(f"<text x='{left - 6}' y='{down(y) + 4:.1f}' text-anchor='end'>1e{y}</text>")
    for x in range(math.ceil(x0), math.floor(x1) + 1, 2):
        parts.append(f"<text x='{across(x):.1f}' y='{height - 16}' text-anchor='middle'>1e{x}</text>")
    for points, style in zip(lines, ("stroke='#06c'", "stroke='#999' stroke-dasharray='4 3'")):
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        parts.append(f"<polyline points='{path}' fill='none' {style} stroke-width='1.5'/>")
    parts.append(
        f"<text x='{width / 2}' y='{height - 2}' text-anchor='middle'>step (solid: relative error; dashed: one-sided gap)</text>"
    )
    return "\n".join([*parts, "</svg>"])
