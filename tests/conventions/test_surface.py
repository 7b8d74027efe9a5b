"""docs/coming-from-transformers.md against both libraries: its tests exist, its list of what is missing is whole."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from tests.parity.twins import SIZES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("coming-from-*.md"))
PAGE = (ROOT / "docs/coming-from-transformers.md").read_text(encoding="utf-8")
MODELS = sorted(name for name in electra.__all__ if name.startswith("Electra") and hasattr(transformers, name))
MODELS = [name for name in MODELS if not re.search("Config|Tokenizer|PreTrainedModel", name)]
SIGNATURES = {
    "models": ["from_pretrained", "save_pretrained", "resize_token_embeddings", "num_parameters", "push_to_hub"],
    "configuration": ["from_pretrained", "save_pretrained", "to_json_string", "to_json_file", "push_to_hub"],
    "tokenizer": [
        *("from_pretrained", "save_pretrained", "__call__", "__init__", "pad", "decode", "batch_decode"),
        *("tokenize", "add_tokens", "add_special_tokens", "convert_ids_to_tokens", "num_special_tokens_to_add"),
    ],
}


def objects(library: Any, kind: str) -> list[Any]:
    """One of each class, with all attributes that an object has."""
    config = library.ElectraConfig(**SIZES)
    if kind == "configuration":
        return [config]
    if kind == "tokenizer":
        return [library.ElectraTokenizer()]
    return [getattr(library, name)(config) for name in MODELS]


@cache
def listed(kind: str) -> frozenset[str]:
    """The names that the page's last table gives for a kind of object."""
    table = PAGE[PAGE.index("## What is not here") :]
    rows = re.findall(rf"^\| {re.escape(kind)} \| (.+?) \|", table, flags=re.MULTILINE)
    return frozenset(name for row in rows for name in re.findall(r"`(\w+)`", row))


def public(thing: Any) -> set[str]:
    return {name for name in {*dir(thing), *vars(thing)} if not name.startswith("_")}


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "kwargs", "args")]


def positional(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.kind is not one.KEYWORD_ONLY and one.name != "self"]


def test_every_class_of_transformers_is_here() -> None:
    from transformers.models.electra import modeling_electra

    assert {name for name in modeling_electra.__all__ if not hasattr(electra, name)} == set()
    for name in (
        "ElectraConfig",
        "ElectraTokenizer",
        "ElectraTokenizerFast",
        "AutoConfig",
        "AutoTokenizer",
        "pipeline",
    ):
        assert hasattr(electra, name)
        assert hasattr(transformers, name)


@pytest.mark.parametrize("kind", ["models", "configuration", "tokenizer"])
def test_every_public_name_is_here_or_listed(kind: str) -> None:
    missing = set()
    for ours, theirs in zip(objects(electra, kind), objects(transformers, kind), strict=True):
        missing |= public(theirs) - public(ours) - set(dir(torch.nn.Module))
    assert missing - listed(kind) == set(), "not here, and not on the page"
    assert {name for name in listed(kind) if all(hasattr(ours, name) for ours in objects(electra, kind))} == set()


@pytest.mark.parametrize("kind", SIGNATURES)
def test_every_argument_is_here_or_listed(kind: str) -> None:
    ours, theirs = objects(electra, kind)[0], objects(transformers, kind)[0]
    for method in SIGNATURES[kind]:
        wanted, taken = parameters(getattr(theirs, method)), parameters(getattr(ours, method))
        allowed = listed(f"arguments of {kind}")
        assert {name for name in wanted if name not in taken} - allowed == set(), method
        by_place = [name for name in positional(getattr(ours, method)) if name in wanted]
        assert by_place == [name for name in wanted if name in taken][: len(by_place)], f"{method}: another order"


@pytest.mark.parametrize("name", MODELS)
def test_forward_takes_the_same_arguments_in_the_same_order(name: str) -> None:
    wanted = parameters(getattr(transformers, name).forward)
    taken = parameters(getattr(electra, name).forward)
    assert taken[: len(wanted)] == wanted
    assert {"output_attentions", "output_hidden_states", "return_dict"} <= set(taken)


def test_the_pipeline_function_takes_the_same_arguments() -> None:
    missing = set(parameters(transformers.pipeline)) - set(parameters(electra.pipeline))
    assert missing == listed("arguments of pipeline()")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_the_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"


def rows() -> list[list[str]]:
    """The cells of every row of the tables whose last column says what shows it."""
    found = []
    for table in re.findall(r"^\|[^\n]*\| shown by \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE):
        found += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return found


def test_every_row_has_a_test_or_a_reason() -> None:
    assert len(rows()) > 100
    for row in rows():
        assert len(row) == 3, row
        assert re.match(r"`tests/[\w/]+\.py::\w+`|reason: \w", row[2]), row


def test_every_heading_of_the_reference_is_a_heading_here(shared: Path) -> None:
    reference = (shared / "reference/surface.md").read_text(encoding="utf-8")
    numbers = re.findall(r"^## (\d+)\.", reference, flags=re.MULTILINE)
    assert re.findall(r"^## (\d+)\. ", PAGE, flags=re.MULTILINE) == numbers
