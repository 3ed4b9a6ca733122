"""Every Python example of the README runs, in order, in one namespace; the files it names exist; its commands are understood."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="README.md is not here: the suite also runs away from the checkout")


def test_files_exist():
    text = README.read_text()
    named = re.findall(r"`((?:nnscratch|kernels|tests|benchmarks)/[\w/.]*)`", text) + re.findall(r'src="(.*?)"', text)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_commands_are_understood():
    from nnscratch.cli import COMMANDS, parser

    shell = "\n".join(re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL))
    commands = re.findall(r"(?:^|&& )nnscratch (.*)$", shell, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        assert callable(parser(COMMANDS).parse_args(shlex.split(command, comments=True)).command)


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
    assert namespace["history"][-1]["test_accuracy"] > 0.5
    assert abs(namespace["y"].item() - 0.479425538604203) < 1e-6
