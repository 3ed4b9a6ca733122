"""How exact float32 convolutions must be: a choice per thread, or per `with` block."""

from contextvars import ContextVar
from types import TracebackType

MODES = ("fast", "strict")

_mode: ContextVar[str] = ContextVar("nnscratch.kernels.precision", default="fast")


class precision:
    """Compute with this precision from now on in this thread, or inside a `with` block.

    "fast" (the default) lets float32 convolutions take Winograd's algorithm, whose errors are about ten times those of a
    direct sum; "strict" forbids it. float64 is always direct. Raises ValueError for another mode.
    """

    def __init__(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"precision must be one of {', '.join(MODES)}, got {mode!r}")
        self._previous = _mode.get()
        _mode.set(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _mode.set(self._previous)


def strict() -> bool:
    return _mode.get() == "strict"
