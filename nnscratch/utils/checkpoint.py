"""torch.utils.checkpoint: recompute instead of keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import autograd


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,  # noqa: ARG001
    preserve_rng_state: bool = True,  # noqa: ARG001
    **kwargs: Any,
) -> Any:
    """`nnscratch.checkpoint`, which is not re-entrant and always draws the same random numbers again."""
    return autograd.checkpoint(function, *args, **kwargs)
