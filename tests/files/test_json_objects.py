"""JSON files that cost more than they seem are refused with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from electra.files.json_objects import DEEPEST, MOST_DIGITS, object_text, read_object


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is not valid JSON: it is nested too deep"),
        ('{"a": ' * 100_000, "is not valid JSON"),
        ('{"a": ' + "[" * 500 + "]" * 500 + "}", ": a is nested more than 100 deep"),
        ('{"a": ' + '{"b":' * 200 + "1" + "}" * 200 + "}", ": a is nested more than 100 deep"),
        ('{"a": ' + "9" * 5000 + "}", ": a holds a number of more than 1000 digits"),
        ('{"a": {"b": [0, -' + "9" * 5000 + "]}}", ": a holds a number of more than 1000 digits"),
        ("[]", "holds a JSON list, and it must be an object"),
        ("null", "holds a JSON NoneType"),
        ("", "is not valid JSON"),
    ],
)
def test_what_is_refused(text: str, message: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"settings\.json.*{message}"):
        read_object(file)


def test_what_is_not_text(file: Path) -> None:
    file.write_bytes("{}".encode("utf-16"))
    with pytest.raises(ValueError, match=r"settings\.json is not valid JSON: .*utf-8"):
        read_object(file)


def test_what_is_read(file: Path) -> None:
    nested: object = 1
    for _ in range(DEEPEST - 1):
        nested = [nested]
    values = {"a": nested, "b": int("9" * MOST_DIGITS), "c": {"d": -3, "e": 1.5e300}, "f": 0}
    file.write_text(object_text(values))
    assert read_object(file) == values
    assert type(read_object(file)["f"]) is int
