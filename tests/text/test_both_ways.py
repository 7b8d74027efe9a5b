"""What one library saves, the other reads, with the same ids: transformers 5.23 (4.57: tests/interop)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from electra.text.tokenizer import ElectraTokenizer

from .conftest import reference_of
from .languages import AMINO_ACIDS, LANGUAGES, SPECIAL, Language, columns, without_flags


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    return LANGUAGES[request.param]


@pytest.fixture(scope="module")
def ours(language: Language) -> ElectraTokenizer:
    return language.build()


def theirs_of(folder: Path, name: str = "AutoTokenizer", **options: Any) -> Any:
    import transformers

    (folder / "config.json").write_text('{"model_type": "electra"}')
    return getattr(transformers, name).from_pretrained(folder, **options)


def test_the_texts_are_not_unknown(ours: ElectraTokenizer, language: Language) -> None:
    """Ids of unknown tokens would be equal whatever a tokenizer does to the text."""
    known = [number for row in columns(ours, language)[0]["input_ids"] for number in row if number > len(SPECIAL)]
    assert len(known) > 3 * len(language.texts)


def test_ours_in_transformers(ours: ElectraTokenizer, language: Language, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    expected = columns(ours, language)
    assert columns(theirs_of(tmp_path), language) == expected
    for name in ("ElectraTokenizer", "ElectraTokenizerFast"):
        theirs = theirs_of(tmp_path, name)
        # by these names transformers rebuilds BERT's own pipeline, which is why such a folder names another class
        assert (columns(theirs, language) == expected) == language.stock
    assert columns(ElectraTokenizer.from_pretrained(tmp_path), language) == expected


def test_theirs_here(ours: ElectraTokenizer, language: Language, tmp_path: Path) -> None:
    if language.stock:
        theirs = reference_of(ours.get_vocab(), **language.flags)
    else:
        ours.save_pretrained(tmp_path / "ours")
        theirs = theirs_of(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    again = ElectraTokenizer.from_pretrained(tmp_path / "theirs")
    assert columns(again, language) == columns(theirs, language) == columns(ours, language)
    assert again.casing == ours.casing


@pytest.mark.parametrize("name", ["uncased", "cased", "accents-kept", "protein"])
def test_a_vocabulary_alone(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """transformers lower-cases and strips accents, whatever the vocabulary; here its tokens say what it is made for."""
    language = LANGUAGES[name]
    made = language.build()
    folder = without_flags(tmp_path / name, made)
    inferred = ElectraTokenizer.from_pretrained(folder)
    assert columns(inferred, language) == columns(made, language)
    assert "no tokenizer_config.json says whether text is lowercased" in caplog.text
    caplog.clear()
    with_flags = ElectraTokenizer.from_pretrained(folder, **language.flags)
    assert not caplog.records
    assert (
        columns(with_flags, language)
        == columns(theirs_of(folder, **language.flags), language)
        == columns(made, language)
    )
    assert (columns(theirs_of(folder), language) == columns(made, language)) == (name == "uncased")


def test_a_protein_vocabulary_alone_is_all_unknown_there(tmp_path: Path) -> None:
    text = " ".join(AMINO_ACIDS)
    folder = without_flags(tmp_path / "protein", LANGUAGES["protein"].build())
    ours, theirs = ElectraTokenizer.from_pretrained(folder), theirs_of(folder)
    assert ours.unk_token_id not in ours(text)["input_ids"]
    assert set(theirs(text, add_special_tokens=False)["input_ids"]) == {theirs.unk_token_id}


def test_one_file_for_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As transformers takes it; a vocab.txt says its casing here too."""
    from transformers import BertTokenizer

    cased = LANGUAGES["cased"]
    ours = cased.build()
    vocabulary, whole = (
        next(p for p in ours.save_pretrained(tmp_path) if p.endswith(end)) for end in (".txt", "r.json")
    )
    expected = columns(ours, cased)
    assert columns(ElectraTokenizer.from_pretrained(whole), cased) == expected
    assert not caplog.records
    assert columns(ElectraTokenizer.from_pretrained(vocabulary), cased) == expected
    assert "looks cased" in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert columns(BertTokenizer.from_pretrained(vocabulary, do_lower_case=False), cased) == expected
    with pytest.raises(ValueError, match=r"not a whole tokenizer\.json"):
        ElectraTokenizer.from_pretrained(tmp_path / "special_tokens_map.json")
