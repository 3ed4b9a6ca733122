"""The error-against-step curve as a figure."""

from __future__ import annotations

from typing import Any

from .report import Report
from .text import headline


def draw(report: Report, path: Any = None) -> Any:
    """Log-log error and one-sided gap against the step; written to `path` if given. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("report.plot needs matplotlib; report.to_html and print(report) draw the curve without it") from None
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    curve = report.curve
    for values, style, label in ((curve.errors, "o-", "relative error"), (curve.gaps, "s--", "one-sided gap")):
        points = [(h, v) for h, v in zip(curve.steps, values) if v > 0]
        if points:
            axes.plot(*zip(*points), style, label=label, markersize=4)
    if axes.lines:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend()
    axes.set(xlabel="step, relative to the size of the input", ylabel="relative to the derivative")
    axes.set_title(headline(report), fontsize=9, wrap=True)
    axes.grid(True, alpha=0.3)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
