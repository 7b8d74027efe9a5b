"""A folder written here loads in transformers with the same ids, and the other way round."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers, pre_tokenizers

from electra.text.tokenizer import ElectraTokenizer
from electra.text.tokenizer_folder import CONFIG, SPECIAL_TOKENS, TOKENIZER, VOCABULARY
from electra.text.training.vocabulary import read_vocabulary

from .conftest import reference_of
from .nasty import TEXTS
from .test_parity import assert_same

FILES = {TOKENIZER, CONFIG, VOCABULARY, SPECIAL_TOKENS}


def load_theirs(folder: Path) -> Any:
    from transformers import AutoTokenizer

    (folder / "config.json").write_text('{"model_type": "electra"}')
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def ours(twins: tuple[ElectraTokenizer, Any]) -> ElectraTokenizer:
    return ElectraTokenizer(tokenizer_object=twins[0].backend_tokenizer, model_max_length=64, padding_side="left")


def test_ours_in_transformers_and_here(ours: ElectraTokenizer, tmp_path: Path) -> None:
    ours.add_special_tokens({"extra_special_tokens": ["<x>"]})
    ours.add_tokens(["Foobar"])
    paths = ours.save_pretrained(tmp_path / "new" / "folder")
    assert {Path(path).name for path in paths} == FILES == {path.name for path in (tmp_path / "new/folder").iterdir()}
    again = ElectraTokenizer.from_pretrained(tmp_path / "new/folder")
    theirs = load_theirs(tmp_path / "new/folder")
    texts = [*TEXTS, "a <x> Foobar foobar"]
    for other in (again, theirs):
        assert_same(ours(texts, padding=True), other(texts, padding=True), type(other))
        assert (other.model_max_length, other.padding_side, len(other)) == (64, "left", len(ours))
        assert other.all_special_tokens == ours.all_special_tokens
    assert again.fingerprint() == ours.fingerprint()
    assert (again.do_lower_case, again.strip_accents) == (ours.do_lower_case, ours.strip_accents)


def test_another_pipeline_in_transformers_and_here(ours: ElectraTokenizer, tmp_path: Path) -> None:
    """Rebuilt from vocabulary and flags it would give other ids, so it is not called an ElectraTokenizer."""
    backend = ours.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("fox", "dog")])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(True)])
    composed = ElectraTokenizer(ours.get_vocab(), False, compose_accents=True)
    for number, tokenizer in enumerate((ours, composed)):
        folder = tmp_path / str(number)
        tokenizer.save_pretrained(folder)
        assert json.loads((folder / CONFIG).read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
        for other in (ElectraTokenizer.from_pretrained(folder), load_theirs(folder)):
            assert_same(tokenizer(TEXTS), other(TEXTS))
    with pytest.raises(ValueError, match="lowercase cannot be set: this tokenizer normalizes text in its own way"):
        ElectraTokenizer.from_pretrained(tmp_path / "0", do_lower_case=True)


def test_theirs_here(twins: tuple[ElectraTokenizer, Any], tmp_path: Path) -> None:
    lower = bool(twins[0].do_lower_case)
    theirs = reference_of(twins[0].get_vocab(), do_lower_case=lower, model_max_length=32, truncation_side="left")
    theirs.add_tokens(["Foobar"])
    theirs.add_special_tokens({"extra_special_tokens": ["<x>"]})
    theirs.save_pretrained(tmp_path)
    ours = ElectraTokenizer.from_pretrained(tmp_path)
    texts = [*TEXTS, "a <x> Foobar foobar"]
    assert_same(ours(texts, truncation=True), theirs(texts, truncation=True))
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert (ours.model_max_length, ours.truncation_side) == (32, "left")
    ours.save_pretrained(tmp_path)  # in place, over what was there
    assert_same(load_theirs(tmp_path)(texts), theirs(texts))


def test_tokenizer_json_counts_before_flags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """transformers lower-cases a cased tokenizer.json whose tokenizer_config.json does not say do_lower_case=False."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Fox", "fox"]
    ElectraTokenizer(tokens, do_lower_case=False).save_pretrained(tmp_path)
    (tmp_path / CONFIG).write_text('{"tokenizer_class": "ElectraTokenizer"}')
    assert ElectraTokenizer.from_pretrained(tmp_path)("Fox")["input_ids"] == [2, 5, 3]
    assert ElectraTokenizer.from_pretrained(tmp_path, do_lower_case=True)("Fox")["input_ids"] == [2, 6, 3]
    assert not caplog.records
    (tmp_path / CONFIG).write_text('{"do_lower_case": true}')
    assert ElectraTokenizer.from_pretrained(tmp_path)("Fox")["input_ids"] == [2, 5, 3]
    assert "lowercase=True" in caplog.text
    assert "which is used" in caplog.text


@pytest.mark.parametrize(
    ("words", "lowercase", "strip_accents", "message"),
    [
        (["FOX", "Dog", "the"], False, None, "cased (it has upper-case letters)"),
        (["the", "fox"], True, None, "uncased"),
        (["über", "straße", "the"], True, False, "uncased, accents kept"),
        (["the", "fox"] * 60 + ["A"], True, None, "uncased"),
    ],
)
def test_casing_of_a_vocabulary_alone(
    words: list[str], lowercase: bool, strip_accents: bool | None, message: str, tmp_path: Path, caplog: Any
) -> None:
    words = [f"{word}{number:b}".replace("0", "o").replace("1", "i") for number, word in enumerate(words)]
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / VOCABULARY).write_text("\n".join(lines), encoding="utf-8")
    tokenizer = ElectraTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.do_lower_case, tokenizer.strip_accents) == (lowercase, strip_accents)
    assert message in caplog.text
    caplog.clear()
    (tmp_path / CONFIG).write_text('{"do_lower_case": true, "strip_accents": null}')
    assert ElectraTokenizer.from_pretrained(tmp_path).do_lower_case is True
    assert not caplog.records


def test_old_files_beside_a_vocabulary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["<pad>", "[UNK]", "[CLS]", "[SEP]", "same", "same"]
    (tmp_path / VOCABULARY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "added_tokens.json").write_text('{"[MASK]": 6, "foo": 9}')
    (tmp_path / SPECIAL_TOKENS).write_text('{"pad_token": {"content": "<pad>", "lstrip": false}}')
    (tmp_path / CONFIG).write_text('{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}')
    tokenizer = ElectraTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 6)
    assert tokenizer.convert_tokens_to_ids("same") == 5
    assert len(tokenizer) == 8
    assert "line 6: 'same' is already on line 5" in caplog.text
    assert "'foo' has id 7, but its folder says 9" in caplog.text
    tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "added_tokens.json").exists()
    assert (tmp_path / VOCABULARY).read_text(encoding="utf-8").split("\n")[4:6] == ["[no token 4]", "same"]


def test_a_folder_without_a_vocabulary(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("{}")
    with pytest.raises(OSError, match=r"no vocabulary: neither a tokenizer.json nor a vocab.txt"):
        ElectraTokenizer.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        ElectraTokenizer.from_pretrained(tmp_path / "nowhere")
    (tmp_path / VOCABULARY).write_text("a\n")
    (tmp_path / CONFIG).write_text('{"tokenizer_class": "BertJapaneseTokenizer"}')
    with pytest.raises(ValueError, match="BertJapaneseTokenizer, which separates words with MeCab"):
        ElectraTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [TOKENIZER, CONFIG, SPECIAL_TOKENS])
@pytest.mark.parametrize("content", [b"", b'{"version": "1.0", "trunc', b"[]", b"\xff\xfe"])
def test_damaged_files(ours: ElectraTokenizer, tmp_path: Path, name: str, content: bytes) -> None:
    ours.save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        ElectraTokenizer.from_pretrained(tmp_path)


def test_misspelt_setting(ours: ElectraTokenizer, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="do_lowercase"):
        ElectraTokenizer.from_pretrained(tmp_path, do_lowercase=False)


def test_nothing_is_left_of_a_save_that_fails(
    ours: ElectraTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(vocabulary: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("electra.text.tokenizer_folder.vocabulary_text", full)
    with pytest.raises(OSError, match="No space"):
        ours.save_pretrained(tmp_path / "folder")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ours.save_pretrained(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_unset_log_level_is_left_alone() -> None:
    assert logging.getLogger("electra").level == logging.NOTSET


@pytest.mark.parametrize(
    "word",
    ["서울", "がっこう", "ガ", "हिन्दी", "ภาษาที่", "தமிழ்", "שָׁלוֹם", "مُحَمَّد", "việt", "cafe\u0301", "ё", "й", "ά"],
)
def test_one_word_tells_that_accents_were_kept(word: str, tmp_path: Path) -> None:
    """Stripping decomposes text and drops marks, so such a word of the vocabulary would never be found."""
    words = ["the", "fox", "dog", *(f"w{number}" for number in range(500)), word]
    (tmp_path / VOCABULARY).write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8"
    )
    tokenizer = ElectraTokenizer.from_pretrained(tmp_path)
    assert tokenizer.casing is not None
    assert tokenizer.casing.effective.strip_accents is False
    assert tokenizer.tokenize(f"the {word}") == ["the", word]
    assert read_vocabulary(tmp_path / VOCABULARY).tokenize(word) == [word]


@pytest.mark.parametrize("stated", ["{}", '{"strip_accents": null}', '{"tokenize_chinese_chars": null}'])
def test_null_states_nothing_where_casing_is_inferred(stated: str, tmp_path: Path) -> None:
    (tmp_path / VOCABULARY).write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n서울", encoding="utf-8")
    (tmp_path / CONFIG).write_text(stated)
    assert ElectraTokenizer.from_pretrained(tmp_path).tokenize("서울") == ["서울"]


def test_stripping_that_is_asked_for_says_which_tokens_it_never_finds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "서울", "the", "é"]
    (tmp_path / VOCABULARY).write_text("\n".join(tokens), encoding="utf-8")
    message = "never finds 2 tokens of the vocabulary, such as '서울', 'é'. Pass strip_accents=False"
    for make in (
        lambda: ElectraTokenizer.from_pretrained(tmp_path, do_lower_case=True),
        lambda: ElectraTokenizer(tokens),
        lambda: ElectraTokenizer(tmp_path / VOCABULARY),
    ):
        caplog.clear()
        assert make().strip_accents is None
        assert message in caplog.text
    caplog.clear()
    for options in ({"strip_accents": False}, {"strip_accents": True}, {"do_lower_case": False}):
        ElectraTokenizer(tokens, **options)
    assert not caplog.records


@pytest.mark.parametrize("word", ["中文", "ᄉ", "из", "ı", "ß", "ø", "ﬁ", "😀", "½"])
def test_what_stripping_leaves_alone_says_nothing(word: str, tmp_path: Path) -> None:
    (tmp_path / VOCABULARY).write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", word]), encoding="utf-8"
    )
    assert ElectraTokenizer.from_pretrained(tmp_path).strip_accents is None
