"""The results of a suite as Markdown."""

from __future__ import annotations

from typing import Any

from .library import SETTINGS


def markdown(results: dict[str, Any]) -> str:
    """What was measured and on what; a table of times for each group; memory and first runs; what was not timed."""
    parts = [f"# Benchmark `{results['suite']}`\n\n{conditions(results)}"]
    cases = [case for case in results["cases"] if case["status"] == "timed"]
    for group in dict.fromkeys(case["group"] for case in cases):
        members = [case for case in cases if case["group"] == group]
        parts.append((f"## {group}\n\n" if group else "") + times(members, results))
    if results["means"]:
        parts.append("Geometric means: " + "; ".join(_mean(name, mean) for name, mean in results["means"].items()) + ".")
    if any(case["sides"]["nnscratch"].get("peak_mb") and "cold_ms" in case for case in cases):
        parts.append("## Memory and first steps\n\n" + resources(cases, results))
    faults = [f"- {case['name']}: {case['status']}, {case['fault']}" for case in results["cases"] if case["status"] != "timed"]
    if faults:
        parts.append("## Not timed\n\n" + "\n".join(faults))
    return "\n\n".join(parts) + "\n"


def conditions(results: dict[str, Any]) -> str:
    """A paragraph: machine, libraries, settings, ceilings, method."""
    machine, options = results["machine"], results["options"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['date']}.",
        f"Python {machine['python']}, " + ", ".join(f"{name} {version}" for name, version in machine["packages"].items()) + ".",
    ]
    counts = {name: {case["sides"].get(name, {}).get("threads") for case in results["cases"]} for name in results["libraries"]}
    threads = {name: " and ".join(map(str, sorted(all - {None}))) for name, all in counts.items()}
    if any(threads.values()):
        lines.append("Threads: " + ", ".join(f"{SETTINGS[name].label} {all}" for name, all in threads.items() if all) + ".")
    for count, ceiling in results["ceilings"].items():
        flops = f"{ceiling['gflops']:.0f} GFLOP/s ({ceiling['gflops_by']})"
        copies = f"copy {ceiling['copy_gbs']:.1f} GB/s from and to memory, {ceiling['cache_gbs']:.0f} GB/s in the cache"
        lines.append(f"Measured ceilings, {count} thread{'s' if count != '1' else ''}: {flops}, {copies}.")
    if machine["others"] is not None:
        busy = " Absolute times mean little, and ratios less than usual." if machine["others"] > 0.02 else ""
        lines.append(f"Other processes took {machine['others']:.0%} of the machine meanwhile.{busy}")
    rounds = f"{options['rounds']} round{'s' if options['rounds'] > 1 else ''}"
    if len(results["libraries"]) > 1:
        lines.append(
            f"{rounds} in which the processes take turns. Ratios are PyTorch's time over ours, of medians and, in brackets, of "
            "bests: above 1 nnscratch is faster. Every case was first validated against each setting of PyTorch."
        )
    else:
        lines.append(f"{rounds}. PyTorch is not installed: nnscratch is timed alone, and not validated.")
    return "\n".join(lines)


def times(cases: list[dict[str, Any]], results: dict[str, Any]) -> str:
    """One row a case: medians, ratios, and rates of the best run."""
    others = [name for name in results["libraries"] if name != "nnscratch"]
    rated = [rate for rate in ("gflops", "gbs") if any(rate in case["summary"]["nnscratch"] for case in cases)][:1]
    names = {"gflops": "GFLOP/s (of peak)", "gbs": "GB/s (of copy)"}
    header = ["case", *(SETTINGS[name].label for name in ["nnscratch", *others])]
    header += [f"ratio {name}" for name in others] + [names[rate] for rate in rated]
    rows = []
    for case in cases:
        summary = case["summary"]
        row = [case["name"], *(duration(summary[name]["median_ms"]) for name in ["nnscratch", *others])]
        row += [f"{summary[name]['ratio_median']:.2f} ({summary[name]['ratio_best']:.2f})" for name in others]
        rows.append(row + [_rate(case, rate, results) for rate in rated])
    return grid(header, rows)


def resources(cases: list[dict[str, Any]], results: dict[str, Any]) -> str:
    """One row a case: peak memory, first runs, and how far the results are apart."""
    names = list(results["libraries"])
    header = ["case", *(f"peak memory, {SETTINGS[name].label}" for name in names), "first step, nothing compiled"]
    header += [f"first step, {SETTINGS[name].label}" for name in names] + ["largest difference"]
    rows = []
    for case in cases:
        sides = case["sides"]
        row = [case["name"], *(_megabytes(sides[name]["peak_mb"]) for name in names)]
        row.append(duration(case["cold_ms"]) if case.get("cold_ms") else "")
        row += [duration(sides[name]["first_ms"]) for name in names]
        rows.append([*row, largest_difference(case)])
    return grid(header, rows)


def largest_difference(case: dict[str, Any]) -> str:
    """'3e-07 (loss), 2e-06 (gradient)': by first word of the outputs' names, over all settings."""
    worst: dict[str, float] = {}
    for side in case["sides"].values():
        for name, error in side.get("errors", {}).items():
            kind = name.partition(" ")[0]
            worst[kind] = max(worst.get(kind, 0.0), error)
    return ", ".join(f"{error:.0e} ({kind})" for kind, error in worst.items())


def grid(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def duration(ms: float) -> str:
    """Three digits and a unit: '4.64 µs', '12.3 ms', '1.81 s'."""
    value, unit = (ms * 1e3, "µs") if ms < 1 else (ms, "ms") if ms < 1e3 else (ms * 1e-3, "s")
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f} {unit}"


def line(case: dict[str, Any]) -> str:
    """A case in one line, for a person who waits."""
    if case["status"] != "timed":
        return f"{case['name']}: {case['status']}, {case['fault']}"
    summary = case["summary"]
    ratios = [f"{name} x{numbers['ratio_median']:.2f}" for name, numbers in summary.items() if "ratio_median" in numbers]
    return f"{case['name']}: {', '.join([duration(summary['nnscratch']['median_ms']), *ratios])}"


def _rate(case: dict[str, Any], rate: str, results: dict[str, Any]) -> str:
    value = case["summary"]["nnscratch"].get(rate)
    if value is None:
        return ""
    top = results["ceilings"][str(case["threads"])]["gflops" if rate == "gflops" else "copy_gbs"]
    return f"{value:.3g} ({value / top:.0%})"


def _mean(setting: str, mean: dict[str, float]) -> str:
    return f"{SETTINGS[setting].label} {mean['ratio_median']:.2f} ({mean['ratio_best']:.2f})"


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} MB"
