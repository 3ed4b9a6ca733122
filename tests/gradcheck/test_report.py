"""What a report shows: text, curve, figure, page; and the small promises of its parts."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.gradcheck import Verdict, check_vjp, gradcheck

X = np.random.default_rng(0).standard_normal((6, 5))


def wrong(g, y, x):
    gx = g * np.cos(x)
    gx[2, 3] *= 1.25
    return (gx,)


RIGHT = check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [X])
WRONG = check_vjp(np.sin, wrong, [X])


@pytest.mark.parametrize("report", [RIGHT, WRONG], ids=["right", "wrong"])
def test_the_text_fits_a_terminal(report):
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(f"{report.verdict.name}: sin")
    assert lines[-1].endswith(f"{report.evaluations} evaluations, seed 0")
    assert sum("*" in line for line in lines) >= 2


def test_the_first_line_says_what_is_wrong_and_where():
    assert "input 0[2, 3]" in str(WRONG).splitlines()[0]
    assert "ratio 1.25" in str(WRONG)


def test_the_curve_falls_with_slope_two_and_a_wrong_one_stays():
    steps, errors = np.array(RIGHT.curve.steps), np.array(RIGHT.curve.errors)
    large = steps > 1e-3
    slope = np.polyfit(np.log(steps[large]), np.log(errors[large]), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)
    assert min(errors) < 1e-9 < 1e-4 < min(WRONG.curve.errors)
    assert list(RIGHT.curve)[0] == (0.25, errors[0]) and len(RIGHT.curve) == len(steps)


def test_the_gap_of_a_kink_is_flat():
    curve = gradcheck(nns.relu, np.zeros(3), subgradient=True).curve
    assert np.ptp(curve.gaps) < 1e-6 * curve.gaps[0]


def test_a_figure_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    figure = WRONG.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert figure.axes[0].get_xscale() == "log"
    check_vjp(lambda x: np.ones(2), lambda g, y, x: (0 * x,), [X]).plot()


def test_the_page_stands_alone(tmp_path):
    text = WRONG.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert "<svg" in text and "input 0[2, 3]" in text
    assert not re.search(r"(src|href)=|https?://", text)
    report = gradcheck(lambda x: (x * x.detach()).sum(), X, raise_exception=False)
    report.name = "<script>alert(1)</script>"
    assert "<script>" not in report.to_html()


def test_the_gravest_verdict_wins():
    assert sorted(Verdict) == [
        Verdict[n] for n in "CORRECT KINK NOISE_LIMITED VACUOUS DEAD SIDE_EFFECT NONDETERMINISTIC WRONG".split()
    ]
    assert f"{Verdict.WRONG}" == str(Verdict.WRONG) == "WRONG"


def test_importing_it_is_light():
    heavy = ["matplotlib", "hypothesis", "pytest", "torch", "jax", "scipy"]
    code = f"import sys, nnscratch.gradcheck; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_examples_in_the_guide():
    import doctest

    import nnscratch.gradcheck

    result = doctest.testmod(nnscratch.gradcheck)
    assert result.attempted > 25 and result.failed == 0


def test_the_report_printed_in_the_readme():
    readme = Path(__file__).resolve().parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("README.md is not here: the suite also runs away from the checkout")
    (shown,) = re.findall(r"```text\n(WRONG: .*?)\n```", readme.read_text(), re.DOTALL)

    def vjp(g, y, x):
        gx = g * (1 - y**2)
        gx[1, 2] *= 1.001
        return (gx,)

    lines = str(check_vjp(np.tanh, vjp, [np.linspace(-2, 2, 12).reshape(3, 4)])).splitlines()
    assert lines[:6] == shown.splitlines()[:6]  # rounding moves a mark of the curve, or the count, from one machine to another
    assert lines[-1].split()[:4] == shown.splitlines()[-1].split()[:4]


def test_the_worst_excess_is_below_one_only_where_all_is_right():
    assert 0 < RIGHT.excess < 0.1 and "worst excess over bound" in str(RIGHT)
    assert WRONG.excess > 1e5 and f"{WRONG.excess:.2g}" in WRONG.to_html()
    single = check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [X.astype(np.float32)])
    assert RIGHT.excess < single.excess < 1  # rounding in float32 is part of it
    square = lambda x: (x * x).sum()
    assert gradcheck(square, X, order=2).excess >= gradcheck(square, X).excess
