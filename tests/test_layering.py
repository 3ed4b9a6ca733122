"""One direction: kernels <- engine <- ops <- nn <- models <- cli, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [
    {"kernels"},
    {"backend", "cuda", "tensor", "tensor_types", "methods", "autograd", "ops"},  # the engine: Tensor's operators are ops
    {"nn", "optim", "data", "serialization", "utils", "viz"},
    {"models", "training", "metrics", "editing", "explain", "gradcheck"},
    {"cli", "cli_options", "cli_trained", "cli_generate", "cli_trained_options", "__main__", "bench", "warmup"},
]


def floor_of(name):
    return next((i for i, names in enumerate(FLOORS) if name in names), None)


def modules():
    for path in sorted((ROOT / "nnscratch").rglob("*.py")):
        parts = path.relative_to(ROOT / "nnscratch").with_suffix("").parts
        if parts != ("__init__",):
            yield path, parts[0], parts
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        yield path, "kernels", ("kernels", *path.relative_to(ROOT / "kernels").with_suffix("").parts)


def imported(path, parts):
    """The top-level parts of nnscratch that a file imports; absolute imports of nnscratch included."""
    package = list(parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            assert len(package) >= node.level - 1, f"{path}: imports above the package"
            target = base + (node.module.split(".") if node.module else [])
            names = [target[0]] if target else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = (node.module or "").split(".")[1:2] if (node.module or "").split(".")[0] == "nnscratch" else []
            if node.module == "nnscratch":
                names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("nnscratch.")]
        else:
            continue
        yield from ((name, node.lineno) for name in names)


@pytest.mark.parametrize("path, top, parts", list(modules()), ids=lambda v: "/".join(v) if isinstance(v, tuple) else "")
def test_no_floor_imports_a_higher_one(path, top, parts):
    mine = floor_of(top)
    assert mine is not None, f"{top} is on no floor: add it to FLOORS"
    for name, line in imported(path, parts):
        theirs = floor_of(name)
        if theirs is not None:
            assert theirs <= mine, f"{path.relative_to(ROOT)}:{line} ({top}) imports {name}, which is a higher floor"


def test_kernels_stand_alone():
    for path in (ROOT / "kernels").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert not any(n.split(".")[0] == "nnscratch" for n in names), f"{path} imports nnscratch"
