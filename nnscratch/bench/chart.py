"""The results of a suite as pictures: bars of ratios; for single layers also a roofline. Matplotlib is imported when used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..viz import BLUE, GREEN, GREY, ORANGE, RED, _figure, _write
from .library import SETTINGS

COLOURS = {"nnscratch": GREEN, "eager": BLUE, "expert": ORANGE}
BAR, THIN_BAR = 0.2, 0.09  # inches; thin ones, without numbers, where there are
MANY = 40  # cases


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures that the results allow: NAME.png with PyTorch's ratios, NAME-roofline.png where traffic is known."""
    name = results["suite"]
    cases = [case for case in results["cases"] if case["status"] == "timed"]
    pictures = []
    if cases and results["means"]:
        pictures.append(ratios(cases, results, folder / f"{name}.png"))
    if any(case["traffic"] for case in cases):
        pictures.append(roofline(cases, results, folder / f"{name}-roofline.png"))
    return pictures


def ratios(cases: list[dict[str, Any]], results: dict[str, Any], path: Path) -> Path:
    """PyTorch's time over ours: a pair of bars for each case, and a panel for each group, in columns where there are many."""
    others, many = list(results["means"]), len(cases) > MANY
    groups = [[case for case in cases if case["group"] == name] for name in dict.fromkeys(case["group"] for case in cases)]
    columns = in_columns(groups, max(1, round(len(cases) / MANY / 1.5)))
    height = lambda group: len(group) * len(others) * (THIN_BAR if many else BAR) + 0.75
    tallest = max(sum(map(height, column)) for column in columns)
    figure = _figure((7 if many else 9) * len(columns), tallest + 1.3)
    every = [case["summary"][name]["ratio_median"] for case in cases for name in others]
    limits = min(0.5, *every) / 1.4, max(2.0, *every) * 1.4  # room for the numbers
    for part, column in zip(figure.subfigures(1, len(columns), squeeze=False)[0], columns):
        heights = [*map(height, column), tallest - sum(map(height, column)) + 0.01]
        axes = part.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, group in zip(axes, column):
            _bars(ax, group, others, limits, numbers=not many)
        axes[-1].axis("off")
    means = "    ".join(f"{SETTINGS[name].label} {mean['ratio_median']:.2f}" for name, mean in results["means"].items())
    title = f"{results['suite']}: PyTorch's time / nnscratch's time (above 1 nnscratch is faster)"
    figure.suptitle(f"{title}\ngeometric means:    {means}\n{_where(results)}", fontsize=11)
    handles = [_patch(COLOURS[name], f"against {SETTINGS[name].label}") for name in others]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return _write(figure, path)


def _bars(ax: Any, cases: list[dict[str, Any]], others: Sequence[str], limits: tuple[float, float], numbers: bool) -> None:
    thickness = 0.8 / len(others)
    for k, name in enumerate(others):
        values = [case["summary"][name]["ratio_median"] for case in cases]
        places = [i + (k - (len(others) - 1) / 2) * thickness for i in range(len(cases))]
        ax.barh(places, [v - 1 for v in values], thickness * 0.92, left=1, color=COLOURS[name])
        for place, value in zip(places, values if numbers else ()):
            side = 1 if value >= 1 else -1
            options = {"ha": "left" if side > 0 else "right", "va": "center_baseline", "fontsize": 7.5}
            options["color"] = "black" if side > 0 else RED
            ax.annotate(f"{value:.2f}", (value, place), xytext=(3 * side, 0), textcoords="offset points", **options)
    ax.set_yticks(range(len(cases)), [case["name"] for case in cases], fontsize=8 if numbers else 7)
    ax.set_ylim(len(cases) - 0.4, -0.6)
    ax.set_xscale("log")
    ax.set_xlim(*limits)
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if limits[0] <= t <= limits[1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
    ax.set_xticks([], minor=True)
    ax.axvline(1, color="black", linewidth=0.9)
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if cases[0]["group"]:
        ax.set_title(cases[0]["group"], fontsize=9, loc="left", fontweight="bold")


def in_columns(groups: list[Any], count: int) -> list[list[Any]]:
    """Groups in their order, in at most `count` columns of about equal length."""
    columns: list[list[Any]] = [[]]
    total, filled = sum(map(len, groups)), 0
    for group in groups:
        if columns[-1] and len(columns) < count and filled + len(group) / 2 > total * len(columns) / count:
            columns.append([])
        columns[-1].append(group)
        filled += len(group)
    return columns


def roofline(cases: list[dict[str, Any]], results: dict[str, Any], path: Path) -> Path:
    """Left: GFLOP/s of the best run against multiply-adds per byte, under the measured ceilings. Right: GB/s without products."""
    figure = _figure(15, 8.5)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _roof(left, [case for case in cases if case["products"] and case["traffic"]], results)
    _bandwidth(right, [case for case in cases if not case["products"] and case["traffic"]], results)
    figure.suptitle(f"Layers under the ceilings of the machine: best runs\n{_where(results)}", fontsize=11)
    return _write(figure, path)


MARKERS = {
    "convolutions of ResNet-50": "o",
    "convolutions of DCGAN": "s",
    "other convolutions": "^",
    "dense": "D",
    "recurrent": "v",
}


def _roof(ax: Any, cases: list[dict[str, Any]], results: dict[str, Any]) -> None:
    if not cases:
        ax.axis("off")
        return
    ceiling = results["ceilings"][str(cases[0]["threads"])]
    intensity = lambda case: 2 * case["products"] / case["traffic"]
    low, high = min(map(intensity, cases)) / 1.6, max(map(intensity, cases)) * 1.6
    rates = [numbers["gflops"] for case in cases for numbers in case["summary"].values()]
    bottom, peak = min(rates) / 1.6, ceiling["gflops"]
    lines = []
    for rate, style, label in (("copy_gbs", "-", "copy from and to memory"), ("cache_gbs", "--", "copy in the cache")):
        x = [low, min(high, peak / ceiling[rate])]
        lines += ax.plot(x, [v * ceiling[rate] for v in x], style, color=GREY, label=f"{label}, {ceiling[rate]:.0f} GB/s")
    lines += ax.plot([low, high], [peak] * 2, ":", color="black", label=f"{ceiling['gflops_by']}, {peak:.0f} GFLOP/s")
    for case in cases:
        best = {name: numbers["gflops"] for name, numbers in case["summary"].items()}
        x, marker = intensity(case), MARKERS.get(case["group"], "o")
        ax.plot([x, x], [min(best.values()), max(best.values())], color=GREY, linewidth=0.4, alpha=0.5, zorder=1)
        for name, y in best.items():
            size, face, above = (34, COLOURS[name], 3) if name == "nnscratch" else (20, "none", 2)
            ax.scatter(x, y, size, marker=marker, facecolor=face, edgecolor=COLOURS[name], linewidth=0.9, zorder=above)
    ax.set_ylim(bottom, max(peak, *rates) * 1.6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(low, high)
    ax.set_xlabel("floating-point operations per byte that has to move", fontsize=9)
    ax.set_ylabel("GFLOP/s (Winograd's algorithm can exceed the ceiling: the definition's operations count)", fontsize=9)
    ax.grid(alpha=0.25, which="both", linewidth=0.5)
    ax.spines[["top", "right"]].set_visible(False)
    present = dict.fromkeys(case["group"] for case in cases)
    handles = [_patch(COLOURS[name], SETTINGS[name].label) for name in results["libraries"]]
    handles += [_marker(MARKERS.get(group, "o"), group) for group in present]
    ax.legend(handles=[*handles, *lines], loc="lower right", fontsize=8, frameon=True, framealpha=0.9)


def _bandwidth(ax: Any, cases: list[dict[str, Any]], results: dict[str, Any]) -> None:
    if not cases:
        ax.axis("off")
        return
    settings = list(results["libraries"])
    thickness = 0.84 / len(settings)
    for k, name in enumerate(settings):
        places = [i + (k - (len(settings) - 1) / 2) * thickness for i in range(len(cases))]
        ax.barh(places, [case["summary"][name]["gbs"] for case in cases], thickness * 0.9, color=COLOURS[name])
    ceiling = results["ceilings"][str(cases[0]["threads"])]
    for rate, style, label in (("copy_gbs", "-", "memory"), ("cache_gbs", "--", "cache")):
        ax.axvline(ceiling[rate], linestyle=style, color=GREY, linewidth=1.2)
        ax.annotate(
            f"copy, {label}",
            (ceiling[rate], 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=GREY,
        )
    ax.set_yticks(range(len(cases)), [case["name"] for case in cases], fontsize=7)
    ax.set_ylim(len(cases) - 0.4, -0.6)
    ax.set_xlabel("GB/s, if everything were read and written once", fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _where(results: dict[str, Any]) -> str:
    machine = results["machine"]
    threads = sorted({case["threads"] for case in results["cases"]})
    count = f"{' and '.join(map(str, threads))} thread{'s' if threads != [1] else ''}"
    busy = f"\nother processes took {machine['others']:.0%} of the machine" if (machine["others"] or 0) > 0.05 else ""
    return f"{machine['cpu']}, {count}, {machine['date'][:10]}{busy}"


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def _marker(marker: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=marker, linestyle="", markerfacecolor="none", markeredgecolor="black", markersize=6, label=label)
