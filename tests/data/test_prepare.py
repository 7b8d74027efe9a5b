"""Text is prepared once, wholly or not at all, and never with another tokenizer."""

from __future__ import annotations

import json
import logging
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from electra.data import prepare as module
from electra.data.prepare import open_prepared, prepare, read_recipe
from electra.data.segments import examples_of
from electra.data.shards import Shards
from electra.text.tokenizer import ElectraTokenizer

WORDS = ["the", "cat", "sat", "on", "mat", "[", "]", "sep", "mask", ".", "##s"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
DOCUMENTS = 60


@pytest.fixture
def tokenizer() -> ElectraTokenizer:
    return ElectraTokenizer([*SPECIAL, *WORDS])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Documents of 1 to 6 lines; line j of document i says "the" i times and then "mat" j times."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join("".join(f"{line}\n" for line in lines(i)) for i in range(DOCUMENTS)))
    return path


def lines(document: int) -> list[str]:
    return ["the " * document + "mat " * (line + 1) for line in range(1 + document % 6)]


def ids(shards: Shards) -> list[list[int]]:
    return [sequence.tolist() for sequence in shards]


def settings(**changed: Any) -> dict[str, Any]:
    return {"length": 32, "seed": 5, "held_out_fraction": 0.1, **changed}


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
    monkeypatch.setattr(module, "documents_of", lambda *_, **__: pytest.fail("the text is read again"))
    again = prepare([text], tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)
    assert again[0].path == first[0].path
    moved = text.rename(tmp_path / "moved.txt")
    assert prepare(moved, tokenizer, tmp_path / "prepared", **settings())[0].path == first[0].path


CHANGES: dict[str, Any] = {"length": 16, "seed": 6, "held_out_fraction": 0.2, "encoding": "latin-1"}


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


def test_what_is_interrupted_or_fails_leaves_nothing(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "prepared"
    examples = module.examples_of

    def interrupted(*arguments: Any, document: int, **options: Any) -> Any:
        if document == 40:
            raise KeyboardInterrupt
        return examples(*arguments, document=document, **options)

    monkeypatch.setattr(module, "examples_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(text, tokenizer, folder, **settings())
    assert not folder.exists()
    monkeypatch.undo()
    with open(text, "ab") as file:
        file.write(b"\n\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"corpus\.txt:\d+: byte 0xe9"):
        prepare(text, tokenizer, folder, **settings())
    assert not folder.exists()


def test_a_killed_preparation_is_not_taken_for_a_whole_one(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    """What a kill can leave: a hidden partial folder with everything but its name."""
    whole = prepare(text, tokenizer, tmp_path / "prepared", **settings())
    expected = ids(whole[0])
    folder = whole[0].path.parent
    folder.rename(folder.with_name(f".{folder.name}.0123.partial"))
    with pytest.raises(ValueError, match="holds no prepared text"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings(), reuse_only=True)
    assert ids(prepare(text, tokenizer, tmp_path / "prepared", **settings())[0]) == expected


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


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    def append(done: int, total: int) -> None:
        if done == total:  # once: all of it was read
            with open(text, "a") as file:
                file.write("\nmore\n")

    with pytest.raises(ValueError, match="changed while it was read"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings(), progress=append)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files, as a full disk does, the POSIX way")
def test_a_full_disk_leaves_nothing(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            prepare(text, tokenizer, tmp_path / "prepared", **settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "prepared").exists()


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
    ("option", "value"), [("length", 4), ("seed", -1), ("held_out_fraction", 0), ("held_out_fraction", 0.6)]
)
def test_options_out_of_range(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, option: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{option}={value}"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings(**{option: value}))


def test_a_folder_that_is_not_prepared_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no shards\.json"):
        read_recipe(tmp_path)


def test_a_tokenizer_without_the_ends_of_a_segment(tmp_path: Path, text: Path) -> None:
    tokenizer = ElectraTokenizer([*SPECIAL, *WORDS], cls_token=None)
    with pytest.raises(ValueError, match="no cls_token"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings())
