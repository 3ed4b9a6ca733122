"""The seven training steps; they live in `nnscratch.bench.steps`, so that an installed nnscratch has them too."""

from nnscratch.bench.library import Library
from nnscratch.bench.steps import WORKLOADS

__all__ = ["WORKLOADS", "Library"]
