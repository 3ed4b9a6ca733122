"""`use()`: from then on `import nnscratch` finds this checkout, where the package is not installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class _Kernels(MetaPathFinder):
    """nnscratch.kernels, which lies beside nnscratch here."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002 - importlib's signature
        if name != "nnscratch.kernels":
            return None
        folder = ROOT / "kernels"
        return importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])


def use() -> None:
    """Nothing is done where nnscratch can be imported already."""
    if importlib.util.find_spec("nnscratch") is None:
        sys.path.insert(0, str(ROOT))
        sys.meta_path.insert(0, _Kernels())
