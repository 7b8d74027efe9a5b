"""The public names: one sorted list, the same for Python, type checkers and editors."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import electra

ROOT = Path(__file__).parents[2]


def seen_by_type_checkers() -> dict[str, str]:
    """name -> module of the imports under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "src/electra/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"import {alias.name} as {alias.name}, or it is private to type checkers"
            found[alias.name] = str(node.module).removeprefix("electra.")
    return found


def test_one_sorted_list() -> None:
    assert electra.__all__ == sorted(electra.__all__)
    assert set(electra.__all__) <= set(dir(electra))


def test_type_checkers_see_the_same_list() -> None:
    assert seen_by_type_checkers() == electra._HOMES


def test_every_name_can_be_imported_and_lives_where_it_says() -> None:
    for name, home in electra._HOMES.items():
        value = getattr(electra, name)
        assert getattr(import_module(f"electra.{home}"), name) is value
        assert value.__doc__, f"electra.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(electra, "ElectraForEverything")


def test_no_name_is_hidden_by_a_module() -> None:
    modules = {path.stem for path in (ROOT / "src/electra").iterdir()}
    assert not modules & set(electra.__all__)


def test_importing_electra_does_not_import_torch() -> None:
    code = "import sys, electra; dir(electra); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_is_the_package_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert electra.__version__ == project["version"]
    assert f"## {electra.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Trainer", "TrainingArguments", "DataCollatorWithPadding"])
def test_a_name_of_transformers_that_is_elsewhere(name: str) -> None:
    with pytest.raises(ImportError, match=f"electra has no {name}: .*transformers' own takes"):
        exec(f"from electra import {name}")
