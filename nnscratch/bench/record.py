"""The results of a suite as one JSON document: every time that was measured, and what follows from them.

    {"schema": 1, "suite": "steps", "machine": {...}, "libraries": {setting: {...}}, "options": {...},
     "settings": {setting: {...}}, "ceilings": {threads: {"gflops", "copy_gbs", "cache_gbs", ...}}, "means": {...},
     "cases": [...]}

A case: "name", "group", "status" ("timed"; "wrong" or "failed", with "fault"), "products" (multiply-adds of a run), "traffic"
(bytes), "threads", "sides": {setting: {"ms": [[a round's times], ...], "errors": {output: error}}}; if it was alone, also
"cold_ms" and on each side "first_ms", "peak_mb", "growth_mb"; if it was timed, "summary": {setting: {"median_ms", "best_ms",
"gflops", "gbs"}}, in PyTorch's settings with "ratio_median" and "ratio_best": its time divided by ours.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import machine
from .library import SETTINGS
from .measure import Options

SCHEMA = 1


def summarise(case: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Medians (of the rounds' medians), bests, rates of the best, and ratios; `case` has been timed."""
    summary: dict[str, dict[str, float]] = {}
    for setting, side in case["sides"].items():
        best = min(min(turn) for turn in side["ms"])
        numbers = {"median_ms": statistics.median(statistics.median(turn) for turn in side["ms"]), "best_ms": best}
        seconds = best * case["per"] * 1e-3
        if case["products"]:
            numbers["gflops"] = 2e-9 * case["products"] / seconds
        if case["traffic"]:
            numbers["gbs"] = 1e-9 * case["traffic"] / seconds
        summary[setting] = numbers
    for setting, numbers in summary.items():
        if setting != "nnscratch" and "nnscratch" in summary:
            for which in ("median", "best"):
                numbers[f"ratio_{which}"] = numbers[f"{which}_ms"] / summary["nnscratch"][f"{which}_ms"]
    return summary


def document(
    suite: str, cases: list[dict], about: dict, ceilings: dict[str, dict], options: Options, others: float | None = None
) -> dict[str, Any]:
    """Everything about a run, as JSON has it. `cases` are the records of `measure`; `others` took that share of the machine."""
    cases = [case | {"summary": summarise(case)} if case["status"] == "timed" else case for case in cases]
    return {
        "schema": SCHEMA,
        "suite": suite,
        "machine": machine.describe() | {"others": others},
        "libraries": about,
        "options": asdict(options),
        "settings": {name: asdict(SETTINGS[name]) for name in about},
        "ceilings": ceilings,
        "means": means(cases),
        "cases": cases,
    }


def means(cases: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Geometric means of the ratios: {setting: {"ratio_median", "ratio_best"}}."""
    timed = [case["summary"] for case in cases if case["status"] == "timed"]
    result: dict[str, dict[str, float]] = {}
    for setting in SETTINGS:
        if timed and setting in timed[0] and setting != "nnscratch":
            columns = {name: [summary[setting][name] for summary in timed] for name in ("ratio_median", "ratio_best")}
            result[setting] = {name: statistics.geometric_mean(values) for name, values in columns.items()}
    return result


def write(results: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
