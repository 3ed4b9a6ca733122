"""The pytest plugin: the `gradcheck` fixture, `--gradcheck=fast|full|audit`, `--gradcheck-seed`, `--gradcheck-html=FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

LEVELS = ("fast", "full", "audit")
ENTRY_POINT = "nnscratch"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "gradient checks (nnscratch)")
    group.addoption(
        "--gradcheck", choices=LEVELS, default="full", dest="gradcheck_level",
        help="fast: 3 projections; full: 8 (the default); audit: every element of the Jacobian, and second derivatives",
    )  # fmt: skip
    group.addoption("--gradcheck-seed", type=int, default=0, help="seed of the random projections (default 0)")
    group.addoption("--gradcheck-html", metavar="FILE", help="write all reports of the run as one HTML page")


def pytest_plugin_registered(plugin: Any, manager: pytest.PytestPluginManager) -> None:
    """The installed entry point and `-p nnscratch.gradcheck.plugin` are one plugin: whichever comes first shuts out the other."""
    if getattr(plugin, "__name__", None) == __name__:
        for name in {ENTRY_POINT, __name__} - {manager.get_name(plugin)}:
            manager.set_blocked(name)


def pytest_configure(config: pytest.Config) -> None:
    config._gradcheck_reports = []  # type: ignore[attr-defined]


class Checker:
    """The fixture: `gradcheck(f, inputs, ...)` as nnscratch.gradcheck.gradcheck, `gradcheck.vjp(forward, vjp, inputs, ...)` as
    check_vjp; both fail the test unless the verdict is CORRECT or among `allow`."""

    def __init__(self, level: str, seed: int, record: Callable[[Any], None]):
        self.level, self.seed, self._record = level, seed, record

    def __call__(self, f: Callable, inputs: Any, *, allow: Sequence[Any] = (), **options: Any) -> Any:
        from . import gradcheck

        if self.level == "audit":
            options = {**options, "order": max(2, options.get("order", 1))}
        return self._judged(lambda **how: gradcheck(f, inputs, raise_exception=False, **how), options, allow)

    def vjp(self, forward: Callable, vjp: Callable, inputs: Any, *, allow: Sequence[Any] = (), **options: Any) -> Any:
        from . import check_vjp

        return self._judged(lambda **how: check_vjp(forward, vjp, inputs, **how), options, allow)

    def _judged(self, check: Callable[..., Any], options: dict[str, Any], allow: Sequence[Any]) -> Any:
        from . import BudgetError, GradcheckError, Verdict

        options = {"seed": self.seed, "projections": {"fast": 3, "full": 8, "audit": "full"}[self.level], **options}
        try:
            report = check(**options)
        except BudgetError:
            if options["projections"] != "full":
                raise
            report = check(**{**options, "projections": 8})  # too large for every element
        self._record(report)
        if report.verdict is not Verdict.CORRECT and report.verdict not in allow:
            report.notes.append(f"again with --gradcheck-seed={report.seed} --gradcheck={self.level}")
            raise GradcheckError(report)
        return report


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Iterator[Checker]:
    """Check a gradient: gradcheck(f, inputs) fails the test unless it is right."""
    config = request.config

    def record(report: Any) -> None:
        report.name = f"{request.node.nodeid}: {report.name}"
        config._gradcheck_reports.append(report)  # type: ignore[attr-defined]

    yield Checker(config.getoption("gradcheck_level"), config.getoption("--gradcheck-seed"), record)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = config._gradcheck_reports  # type: ignore[attr-defined]
    if not reports:
        return
    path = config.getoption("--gradcheck-html")
    if path:
        from .html import page, save

        save(page(reports), path)
    counts = {str(v): sum(r.verdict is v for r in reports) for v in dict.fromkeys(r.verdict for r in reports)}
    line = ", ".join(f"{n} {v}" for v, n in counts.items()) + f" at seed {config.getoption('--gradcheck-seed')}"
    terminalreporter.write_line(f"gradcheck: {line}" + (f"; report in {path}" if path else ""))
