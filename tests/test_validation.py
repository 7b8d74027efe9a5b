"""One form of message for every value that is refused."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from electra import validation
from electra.validation import require_type


def refused(check: object, *arguments: object) -> str:
    with pytest.raises(ValueError, match=r"^\S+ is ") as error:
        check(*arguments)  # type: ignore[operator]
    return str(error.value)


def test_the_message_has_the_name_what_came_what_is_allowed_and_what_to_do() -> None:
    assert refused(validation.require, False, "length", 3, "4 or more", "give --length 4") == (
        "length is 3: it must be 4 or more; give --length 4"
    )
    assert refused(validation.require_one_of, "mode", "fsat", ("fast", "replica")) == (
        "mode is 'fsat': choose one of fast, replica. Did you mean fast?"
    )
    assert (
        refused(validation.require_one_of, "mode", 7, ("fast", "replica")) == "mode is 7: choose one of fast, replica"
    )


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None, math.nan])
def test_counts(value: object) -> None:
    assert "whole number" in refused(validation.require_count, "steps", value)


@pytest.mark.parametrize("value", [0, -0.5, True, "1", None, math.nan, math.inf])
def test_positive_numbers(value: object) -> None:
    assert "above 0" in refused(validation.require_positive, "rate", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, True, "0.5", math.nan])
def test_fractions(value: object) -> None:
    assert "from 0 to 1" in refused(validation.require_fraction, "fraction", value)


def test_what_is_allowed_passes() -> None:
    validation.require_count("steps", 0, least=0)
    validation.require_positive("rate", 1e-9)
    validation.require_fraction("fraction", 1)
    validation.require_one_of("mode", "fast", ("fast", "replica"))


def test_a_missing_extra_names_its_command() -> None:
    with pytest.raises(ImportError, match=r"scores needs no_such_package.*pip install 'electra\[train\]'"):
        validation.import_extra("no_such_package.part", "train", "scores")


def test_a_package_that_is_broken_itself_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_installed.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "half_installed", raising=False)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        validation.import_extra("half_installed", "train", "scores")


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("2", int | None, "a whole number or None"),
        (True, int, "a whole number"),
        (1.5, int, "a whole number"),
        (math.nan, float, "a finite number"),
        (True, float | None, "a finite number or None"),
        ("0.5", float, "a finite number"),
        (1, bool, "True or False"),
        ("no", bool, "True or False"),
        (1, str | Sequence[str], "a string or a list of strings"),
        ("ab", Sequence[str], "a list of strings"),
        (["a", 1], tuple[str, ...], "a list of strings"),
        (["a"], Sequence[int], "a list of whole numbers"),
        ("worst", int | Literal["best"] | None, "a whole number, 'best' or None"),
        ([], Mapping[str, Any], "a dict"),
    ],
)
def test_a_value_of_another_type_is_refused_by_the_annotation(value: object, annotation: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'x is {value!r}: it must be {words}')}$"):
        require_type("x", value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (2, int | None),
        (np.int64(2), int),
        (None, int | None),
        (1, float),
        (np.float32(0.5), float),
        (np.True_, bool),
        ("a", str | Sequence[str]),
        (("a", "b"), Sequence[str]),
        (["a"], tuple[str, ...]),
        ("best", int | Literal["best"] | None),
        ({}, Mapping[str, Any]),
        (object(), Any),
    ],
)
def test_a_value_of_the_annotated_type_is_accepted(value: object, annotation: Any) -> None:
    require_type("x", value, annotation)
