"""The audit for people: a line for each entry, a table of families, a page with every curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..html import STYLE, section
from ..report import Verdict
from .runner import Outcome
from .table import FAMILIES

WIDTH = 58  # of the first column
HEAD = ("verdict", "excess", "resolution", "evaluations", "seconds")
ROW = f"{{:<{WIDTH}}}  {{:<11}}  {{:>10}}  {{:>10}}  {{:>11}}  {{:>7}}"


def header(first: str) -> str:
    """The names of the columns, underlined."""
    line = ROW.format(first, *HEAD)
    return f"{line}\n{'-' * len(line)}"


def row(o: Outcome) -> str:
    """One line for an outcome."""
    return _line(o.entry.label, _cells(o.verdict, [o]))


def table(outcomes: Sequence[Outcome]) -> str:
    """The families with their sums, then every entry that did not pass, with its report."""
    lines = [header("family (entries)")]
    lines += [_line(name, cells) for name, cells in _sums(outcomes)]
    for o in outcomes:
        if not o.passed:
            lines += ["", explanation(o)]
    return "\n".join([*lines, "", conclusion(outcomes)])


def explanation(o: Outcome) -> str:
    """Why an outcome did not pass."""
    if o.report is None:
        return f"ERROR: {o.entry.label}: {type(o.error).__name__}: {o.error}"
    if o.entry.expected != (Verdict.CORRECT,):
        return f"{o.report}\nexpected: {' or '.join(v.name for v in o.entry.expected)}"
    return str(o.report)


def conclusion(outcomes: Sequence[Outcome]) -> str:
    """How many passed, in one line."""
    failed = [o for o in outcomes if not o.passed]
    spent = f"{sum(o.evaluations for o in outcomes)} evaluations, {sum(o.seconds for o in outcomes):.1f} s"
    if failed:
        return f"{len(failed)} of {len(outcomes)} entries FAILED ({spent})"
    steps = sum(o.entry.expected != (Verdict.CORRECT,) for o in outcomes)
    flat = f", {steps} of them step functions whose derivative is zero, as expected" if steps else ""
    return f"all {len(outcomes)} entries passed{flat} ({spent})"


def _line(name: str, cells: Sequence[str]) -> str:
    return ROW.format(name if len(name) <= WIDTH else name[: WIDTH - 3] + "...", *cells)


def _cells(verdict: str, outcomes: Sequence[Outcome]) -> list[str]:
    """The columns of one or several outcomes: the largest numbers, the sums."""
    return [
        verdict,
        _largest(o.excess for o in outcomes),
        _largest(o.resolution for o in outcomes),
        str(sum(o.evaluations for o in outcomes)),
        f"{sum(o.seconds for o in outcomes):.2f}",
    ]


def _largest(values: Iterable[float]) -> str:
    known = [v for v in values if not math.isnan(v)]
    return f"{max(known):.1g}" if known else "-"


def _sums(outcomes: Sequence[Outcome]) -> list[tuple[str, list[str]]]:
    """(name, columns) of each family, and of all together."""
    family = {id(entry): name for name, some in FAMILIES.items() for entry in some}
    groups: dict[str, list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault(family.get(id(o.entry), "other"), []).append(o)
    rows = []
    for name, members in {**groups, "total": list(outcomes)}.items():
        failed = sum(not o.passed for o in members)
        rows.append((f"{name} ({len(members)})", _cells(f"{failed} FAILED" if failed else "passed", members)))
    return rows


def html(outcomes: Sequence[Outcome], title: str, path: Any = None) -> str:
    """One self-contained page: families, entries, and each entry's report with its curve, failures open and first."""
    ranked = sorted(enumerate(outcomes), key=lambda pair: pair[1].passed)
    links = [(f"<a href='#entry{i}'>{escape(o.entry.label)}</a>", _cells(o.verdict, [o])) for i, o in ranked]
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(conclusion(outcomes))}</p>",
        _html_table("family (entries)", _sums(outcomes)),
        "<h1>Entries</h1>",
        _html_table("entry", links),
    ]
    for i, o in ranked:
        text = section(o.report) if o.report is not None else f"<h2 class='fault'>{escape(explanation(o))}</h2>"
        text = f"<div id='entry{i}'>{text}</div>"
        body.append(f"<details><summary>{escape(o.entry.label)}</summary>{text}</details>" if o.passed else text)
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    page = "\n".join([f"<!doctype html>\n<html lang='en'><head>{head}</head><body>", *body, "</body></html>\n"])
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page


def _html_table(first: str, rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in (first, *HEAD))
    lines = []
    for name, (verdict, *numbers) in rows:
        cells = "".join(f"<td class='number'>{cell}</td>" for cell in numbers)
        lines.append(f"<tr><td>{name}</td><td>{verdict}</td>{cells}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"
