"""Benchmarks beside PyTorch: each case is validated, then timed, in processes that take turns.

    library.py   torch or nnscratch under one set of names; the settings in which they run
    case.py      what a benchmark consists of
    steps.py, untuned.py, convolutions.py, layers.py, scaling.py, overhead.py      the cases, written once for both libraries
    child.py     the process of one setting, which builds, validates and times what it is asked to
    measure.py   the parent: starts the processes, compares their results, gives them turns
    ceilings.py  what the machine can do: multiply-adds and copies, measured in the same run
    record.py, table.py, chart.py      the results as JSON, Markdown and pictures
    command.py   `nnscratch bench`

A benchmark of one's own is a Python file with a function `cases()` that returns a list of `Case`: `nnscratch bench mine.py`.
"""

from .case import Case, Subject
from .library import SETTINGS, Library, Setting

__all__ = ["SETTINGS", "Case", "Library", "Setting", "Subject"]
