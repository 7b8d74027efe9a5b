"""Text is prepared once, wholly or not at all, and never with another tokenizer."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import WhitespaceSplit

from electra.data.preparation import example_sets
from electra.data.preparation.packing import pieces
from electra.data.preparation.prepare import _key, open_prepared, prepare, read_recipe
from electra.data.preparation.segments import examples_of
from electra.text.tokenizer import ElectraTokenizer
from tests.data.toy import DOCUMENTS, SPECIAL, WORDS, ids, lines, settings


def test_every_document_is_in_one_of_the_two_sets_by_its_number(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    train, held_out = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    expected: dict[bool, list[list[int]]] = {False: [], True: []}
    for number in range(DOCUMENTS):
        sentences = [tokenizer.convert_tokens_to_ids(line.split()) for line in lines(number)]
        examples = examples_of(sentences, length=32, cls_token_id=2, sep_token_id=3, seed=5, document=number)
        expected[number % 10 == 5] += examples
    assert ids(train) == expected[False]
    assert ids(held_out) == expected[True]
    marks = held_out.documents.tolist()
    assert len(marks) == 6 + 1
    assert all(before < after for before, after in pairwise(marks))
    recorded = json.loads((train.path.parent / "shards.json").read_text())
    words = sum(len(line.split()) for number in range(DOCUMENTS) for line in lines(number))
    assert recorded["tokens_read"] == words
    assert recorded["train"] == {"examples": len(train), "tokens": train.tokens, "documents": 54}


def test_text_that_looks_like_a_special_token_is_text(tmp_path: Path, tokenizer: ElectraTokenizer) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the [SEP] cat [MASK]\n\nthe cat\n")
    (example,) = ids(prepare(path, tokenizer, tmp_path, **settings(held_out_fraction=0.5))[0])
    tokens = " ".join(tokenizer.convert_ids_to_tokens(example))
    assert tokens == "[CLS] the [ sep ] cat [ mask ] [SEP]"


@pytest.mark.parametrize("symbol", [None, "|"])
def test_so_it_is_where_the_tokenizer_does_not_part_it(
    tmp_path: Path, tokenizer: ElectraTokenizer, symbol: str | None
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the [SEP] cat|[MASK] [UNK] [CLS]\n\nthe|cat\n")
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer, backend.normalizer = WhitespaceSplit(), Replace("|", " ")
    whole = ElectraTokenizer(tokenizer_object=backend)
    (example,) = prepare(path, whole, tmp_path, **settings(held_out_fraction=0.5, word_boundaries=symbol))[0]
    assert whole.convert_ids_to_tokens(example.tolist()) == [
        *("[CLS]", "the", "[UNK]", "cat" if symbol is None else "[UNK]"),
        *(("[UNK]",) if symbol is None else ()),
        *("[UNK]", "[UNK]", "[SEP]"),
    ]


def test_text_is_neither_cut_nor_padded_by_the_tokenizers_own_settings(
    tmp_path: Path, tokenizer: ElectraTokenizer
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the cat sat on the mat\n\nthe cat\n")
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=20)
    (example,) = ids(prepare(path, tokenizer, tmp_path, **settings(held_out_fraction=0.5))[0])
    assert len(example) == 8
    assert tokenizer.backend_tokenizer.truncation is not None  # nor are they changed


def test_the_second_time_it_is_only_opened(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    monkeypatch.setattr(example_sets, "documents_of", lambda *_, **__: pytest.fail("the text is read again"))
    again = prepare([text], tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)
    assert again[0].path == first[0].path
    moved = text.rename(tmp_path / "moved.txt")
    assert prepare(moved, tokenizer, tmp_path / "prepared", **settings())[0].path == first[0].path


CHANGES: dict[str, Any] = {
    "length": 16,
    "segments": "packed",
    "seed": 6,
    "held_out_fraction": 0.2,
    "encoding": "latin-1",
    "text_field": "body",
}


@pytest.mark.parametrize("name", [*CHANGES, "tokenizer", "files"])
def test_another_recipe_is_another_folder_or_refused(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, name: str
) -> None:
    first = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    prepare(text, tokenizer, tmp_path / "prepared", **settings(seed=99, length=64))  # further away
    before = ids(first[0])
    options = settings(**({name: CHANGES[name]} if name in CHANGES else {}))
    if name == "tokenizer":
        tokenizer = ElectraTokenizer([*SPECIAL, *WORDS[::-1]])
    if name == "files":
        text.write_text(text.read_text().replace("mat", "cat", 1))  # as long as before
    message = {"files": "the files changed", "tokenizer": tokenizer.fingerprint()}.get(name, f"{name} was ")
    with pytest.raises(ValueError, match=message) as caught:
        prepare(text, tokenizer, tmp_path / "prepared", **options, reuse_only=True)
    assert ";" not in str(caught.value)  # only what differs from the nearest
    other = prepare(text, tokenizer, tmp_path / "prepared", **options)
    assert other[0].path.parent != first[0].path.parent
    assert ids(first[0]) == before


def test_a_touched_or_replaced_file_is_read_again(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    first = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    state = text.stat()
    os.utime(text, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    touched = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    assert touched[0].path.parent != first[0].path.parent
    text.write_text(text.read_text()[:-4] + "cat\n")
    os.utime(text, ns=(state.st_atime_ns, state.st_mtime_ns))  # as after unpacking an archive with old times
    replaced = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    assert replaced[0].path.parent not in (first[0].path.parent, touched[0].path.parent)


def test_only_what_is_to_be_used_again_may_have_other_times(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    """As copies on another machine have."""
    first = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    os.utime(text, ns=(0, 0))
    again = prepare(text, tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)
    assert again[0].path == first[0].path
    content = text.read_text()
    for other in (content + "mat\n", content.replace("the", "cat", 1), content[:-4] + "cat\n"):
        text.write_text(other)
        with pytest.raises(ValueError, match="the files changed"):
            prepare(text, tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)


@pytest.mark.parametrize("reuse_only", [False, True])
@pytest.mark.parametrize("described", [False, True])
def test_a_file_that_is_to_be_read_in_another_way(
    tmp_path: Path, tokenizer: ElectraTokenizer, reuse_only: bool, described: bool
) -> None:
    """Of what was prepared before kinds were described, the name that was recorded tells it."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"{word} mat", "id": "the"}) + "\n\n" for word in WORDS))
    first = prepare(path, tokenizer, tmp_path / "prepared", **settings())[0].path.parent
    if not described:
        told = json.loads((first / "shards.json").read_text())
        assert told["recipe"]["files"][0].pop("kind") == "jsonl"
        (first / "shards.json").write_text(json.dumps(told))
        first = first.rename(tmp_path / "prepared" / _key(told["recipe"]))
    again = prepare(path, tokenizer, tmp_path / "prepared", **settings(), reuse_only=reuse_only)
    assert again[0].path.parent == first
    renamed = path.rename(tmp_path / "a.txt")
    if reuse_only:
        with pytest.raises(ValueError, match="the files changed"):
            prepare(renamed, tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)
    else:
        records = ids(again[0])
        assert ids(prepare(renamed, tokenizer, tmp_path / "prepared", **settings())[0]) != records


def test_plain_text_is_described_as_it_was(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    """So that what was prepared before is found by its key."""
    folder = prepare(text, tokenizer, tmp_path / "prepared", **settings())[0].path.parent
    assert [set(source) for source in read_recipe(folder)["files"]] == [{"bytes", "changed_ns", "ends_sha256"}]


def test_shards_of_another_tokenizer_are_refused_with_both_fingerprints(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    folder = prepare(text, tokenizer, tmp_path / "prepared", **settings())[0].path.parent
    other = ElectraTokenizer([*SPECIAL, *WORDS[1:], WORDS[0]])
    with pytest.raises(ValueError, match="another tokenizer") as caught:
        open_prepared(folder, other)
    assert tokenizer.fingerprint() in str(caught.value)
    assert other.fingerprint() in str(caught.value)
    assert len(open_prepared(folder, tokenizer)[0]) > 0


def test_packed_examples_hold_every_token_once_and_in_order(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    cls, sep = 2, 3
    prepared = prepare(text, tokenizer, tmp_path / "prepared", **settings(segments="packed"))
    documents = [tokenizer.convert_tokens_to_ids(" ".join(lines(i)).split()) for i in range(DOCUMENTS)]
    rows = [row for shards in prepared for example in ids(shards) for row in rows_of(example, cls)]
    assert all(row[0] == cls and row[-1] == sep and len(row) <= 32 for row in rows)
    assert Counter(token for row in rows for token in row[1:-1]) == Counter(t for one in documents for t in one)
    expected = [piece for number, one in enumerate(documents) if number % 10 != 5 for piece in pieces(one, 30)]
    got = [row[1:-1] for example in ids(prepared[0]) for row in rows_of(example, cls)]
    assert sorted(got) == sorted(expected)
    told = json.loads((prepared[0].path.parent / "shards.json").read_text())
    assert told["tokens_kept"] == told["tokens_read"] == sum(map(len, documents))
    assert told["train"]["documents"] == 54
    faithful = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    kept = json.loads((faithful[0].path.parent / "shards.json").read_text())["tokens_kept"]
    assert kept == sum(token not in (cls, sep) for shards in faithful for one in shards for token in one.tolist())
    assert kept < told["tokens_read"]


def rows_of(example: list[int], cls: int) -> list[list[int]]:
    starts = [place for place, token in enumerate(example) if token == cls]
    return [example[first:last] for first, last in pairwise([*starts, len(example)])]


def test_replaced_bytes_are_counted_and_told(
    tmp_path: Path, tokenizer: ElectraTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"the cat\n\nthe caf\xe9 \xff\n\nthe mat\n\nthe \xff\n")
    with pytest.raises(ValueError, match=r"a\.txt:3: byte 0xe9"):
        prepare(path, tokenizer, tmp_path / "prepared", **settings(held_out_fraction=0.5))
    with caplog.at_level(logging.WARNING):
        made = prepare(
            path, tokenizer, tmp_path / "prepared", **settings(held_out_fraction=0.5, invalid_utf8="replace")
        )
    assert "3 places" in caplog.text
    assert "a.txt:3" in caplog.text
    assert json.loads((made[0].path.parent / "shards.json").read_text())["replaced"] == 3


@pytest.mark.parametrize("name", ["train.bin", "held_out.idx", "shards.json"])
def test_damaged_shards_are_made_again_with_a_warning(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    first = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    expected = ids(first[0])
    damaged = first[0].path.parent / name
    os.truncate(damaged, damaged.stat().st_size // 2)
    with pytest.raises(ValueError, match=name):
        open_prepared(damaged.parent, tokenizer)
    with caplog.at_level(logging.WARNING):
        again = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    assert ids(again[0]) == expected
    assert name in caplog.text


def test_too_little_text_to_hold_any_out(tmp_path: Path, tokenizer: ElectraTokenizer) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the cat\n\nthe mat\n\nthe cat sat\n")
    with pytest.raises(ValueError, match=r"has 3 document\(s\), too few .* of 0.33 or more"):
        prepare(path, tokenizer, tmp_path / "prepared", **settings())
    assert len(prepare(path, tokenizer, tmp_path / "prepared", **settings(held_out_fraction=0.33))[1]) == 1
    path.write_text("the cat\nthe mat\n")
    with pytest.raises(ValueError, match="blank lines separate documents"):
        prepare(path, tokenizer, tmp_path / "prepared", **settings())
    path.write_text("\x07\n\nthe mat\n")  # a control character: text to us, nothing to the tokenizer
    with pytest.raises(ValueError, match="no example to train on"):
        prepare(path, tokenizer, tmp_path / "prepared", **settings(held_out_fraction=0.5))


@pytest.mark.parametrize(
    ("option", "value"),
    [("length", 4), ("seed", -1), ("held_out_fraction", 0), ("held_out_fraction", 0.6), ("segments", "loose")],
)
def test_options_out_of_range(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, option: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"{option}={value!r}"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings(**{option: value}))


def test_a_folder_that_is_not_prepared_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no shards\.json"):
        read_recipe(tmp_path)


def test_a_tokenizer_without_the_ends_of_a_segment(tmp_path: Path, text: Path) -> None:
    tokenizer = ElectraTokenizer([*SPECIAL, *WORDS], cls_token=None)
    with pytest.raises(ValueError, match="no cls_token"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings())
