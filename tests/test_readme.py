"""Every Python example of the README runs, in order, in one namespace."""

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_examples():
    if not README.exists():  # the suite also runs away from the checkout
        import pytest

        pytest.skip("README.md is not here")
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
    assert abs(namespace["y"].item() - 0.479425538604203) < 1e-6
