"""Verbs as functions: a config's fields as arguments, with help that lists them."""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY, dataclass, fields
from importlib import import_module
from pathlib import Path

import pytest

import electra
from electra import cli
from electra.commands.verb import field_docstrings, verb


@dataclass(frozen=True)
class Copy:
    """What to copy."""

    files: tuple[str, ...]
    """Files to read."""
    _: KW_ONLY
    output: Path
    """Where to."""
    catalogue: Path | None = None
    """A list."""
    model: str = "m"
    """A name or a folder."""
    times: int = 1
    """How often."""


@verb(Copy)
def copied(config: Copy) -> Copy:
    """Copy it.

    Raises:
        OSError: it cannot be read.
    """
    return config


def test_fields_are_arguments() -> None:
    config = copied("a.txt", output="out", catalogue="c.toml", times=2)
    assert config == Copy(("a.txt",), output=Path("out"), catalogue=Path("c.toml"), times=2)
    assert copied(["a", "b"], output=Path("o"), model=Path("m")) == Copy(("a", "b"), output=Path("o"), model="m")
    assert copied(Path("a"), output="o").files == ("a",)


def test_a_config_is_taken_as_it_is() -> None:
    config = Copy(("a",), output=Path("b"))
    assert copied(config) is config


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("a",), {"outptu": "b"}, r"copied\(\) has no argument 'outptu'. Did you mean output\?"),
        (("a",), {}, r"copied\(\): missing a required.* argument: 'output'"),
        ((), {"output": "b"}, r"copied\(\): missing a required.* argument: 'files'"),
        (("a", "b"), {"output": "c"}, r"copied\(\): too many positional arguments"),
    ],
)
def test_wrong_arguments_are_type_errors(arguments: tuple[str, ...], options: dict[str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        copied(*arguments, **options)


def test_help_lists_the_fields() -> None:
    assert list(inspect.signature(copied).parameters) == ["files", "output", "catalogue", "model", "times"]
    documented = inspect.getdoc(copied) or ""
    assert "    catalogue: A list." in documented
    assert documented.index("Args:") < documented.index("Raises:")


@pytest.mark.parametrize("name", ["pretrain", "finetune", "evaluate", "convert", "report", "inspect", "quickstart"])
def test_every_verb_is_a_function_of_the_package(name: str) -> None:
    function = getattr(electra, name)
    module = import_module(cli.module_of(name))
    config = getattr(module, f"{name.title()}Config")
    assert list(inspect.signature(function).parameters) == [field.name for field in fields(config)]
    assert set(field_docstrings(config)) == {field.name for field in fields(config)}
    assert "Args:" in function.__doc__


def test_a_verb_with_a_wrong_field_says_so() -> None:
    with pytest.raises(TypeError, match=r"pretrain\(\) has no argument 'ouput'. Did you mean output\?"):
        electra.pretrain("corpus.txt", ouput="run")
