"""The README runs, and its tree is the tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from electra import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_python_blocks_run_in_order(tmp_path: Path) -> None:
    script = "\n".join(blocks("python"))
    assert script
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def commands() -> list[list[str]]:
    lines = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    return [words[1:] for words in lines if words and words[0] == "electra"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_electra_commands_are_understood(words: list[str]) -> None:
    words = words[: words.index(">")] if ">" in words else words
    cli.application().parse_args(words, exit_on_error=False, print_error=False)


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    used = re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), flags=re.MULTILINE)
    assert set(used) <= targets
    assert used
