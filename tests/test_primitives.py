"""Primitives stay few: what can be composed exactly, stably and quickly is composed."""

import gc

import nnscratch  # noqa: F401
import nnscratch.nn  # noqa: F401
from nnscratch.autograd import Primitive


def test_fewer_than_eighty():
    ours = [o for o in gc.get_objects() if type(o) is Primitive and o.forward.__module__.startswith("nnscratch.ops")]
    names = sorted(p.name for p in ours)
    assert 40 < len(names) < 80, names
