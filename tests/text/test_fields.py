"""What a tokenizer's files may hold, field by field; other models' tokenizers; keywords of other versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers, processors

from electra.auto import AutoTokenizer
from electra.text.encode.call_options import NO_LIMIT
from electra.text.tokenizer import ElectraTokenizer
from electra.text.tokenizer_fields import FIELDS
from electra.text.training.vocabulary import read_vocabulary

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "[c1]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    return tmp_path


def load(folder: Path, name: str, values: Any, **keywords: Any) -> ElectraTokenizer:
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / name).write_text(text, encoding="utf-8")
    return ElectraTokenizer.from_pretrained(folder, **{"do_lower_case": True, **keywords})


WRONG = (
    "text",
    "",
    5,
    -1,
    0,
    2.5,
    True,
    [],
    [5],
    ["", "a"],
    {},
    {"a": 1},
    {"content": 5},
    {"content": "a", "lstrip": 3},
)
RIGHT: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("model_max_length", "max_len"), (5,)),
    **dict.fromkeys(("model_input_names", "never_split"), ([],)),
    "tokenizer_class": ("",),
    **{name: (True,) for name, (_, allowed) in FIELDS.items() if allowed == "true or false"},
    **{name: ("text",) for name, (_, allowed) in FIELDS.items() if allowed.startswith("a token")},
    **dict.fromkeys(("extra_special_tokens", "additional_special_tokens"), ([], {})),
    "added_tokens_decoder": ({},),
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_every_wrong_type_is_named_with_its_file(name: str, folder: Path) -> None:
    right = [(type(value), value) for value in RIGHT.get(name, ())]
    wrong = [value for value in WRONG if (type(value), value) not in right]
    if name == "tokenizer_class":  # any string is a class's name, of which only WordPiece's are read
        wrong = [value for value in wrong if not isinstance(value, str)]
    if name in ("extra_special_tokens", "additional_special_tokens"):
        wrong = [value for value in wrong if value != {"content": "a", "lstrip": 3}]
    for value in wrong:
        with pytest.raises(ValueError, match=rf"tokenizer_config\.json: {name} is .*: it must be "):
            load(folder, "tokenizer_config.json", {name: value})
    load(folder, "tokenizer_config.json", {name: None})


@pytest.mark.parametrize("key", ["a", "-1", "²", "1.5", "9" * 5000, ""])
def test_ids_of_added_tokens_are_digits(key: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: added_tokens_decoder is .*strings of digits"):
        load(folder, "tokenizer_config.json", {"added_tokens_decoder": {key: {"content": "a"}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"<x>": "9"}', r"added_tokens\.json: <x> is '9': it must be the token's id"),
        ('{"<x>": true}', r"added_tokens\.json: <x> is True"),
        ('{"<x>": -4}', r"added_tokens\.json: <x> is -4"),
        ('{"<x>": [3]}', r"added_tokens\.json: <x> is \[3\]"),
        ('{"": 9}', r"added_tokens\.json: a token is ''"),
        ("[]", r"added_tokens\.json holds a JSON list"),
        ("[" * 100_000, r"added_tokens\.json is not valid JSON"),
        ('{"<x>": ' + "9" * 5000 + "}", r"added_tokens\.json: <x> holds a number of more than 1000 digits"),
        ('{"<x>": ' + "9" * 900 + "}", r"added_tokens\.json: <x> is 999"),
        ('{"<x>": 1e400}', r"added_tokens\.json: <x> is inf"),
    ],
    ids=range(10),
)
def test_a_damaged_added_tokens_json(text: str, message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load(folder, "added_tokens.json", text)
    assert len(str(error.value)) < 500


def test_a_special_tokens_map_is_checked_too(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"special_tokens_map\.json: mask_token is 5: it must be a token"):
        load(folder, "special_tokens_map.json", {"mask_token": 5})


def test_the_length_is_stated_or_the_models_positions_and_never_1e30(folder: Path) -> None:
    assert ElectraTokenizer.from_pretrained(folder).model_max_length == NO_LIMIT
    (folder / "config.json").write_text('{"model_type": "electra", "max_position_embeddings": 128}')
    assert load(folder, "tokenizer_config.json", {}).model_max_length == 128
    assert load(folder, "tokenizer_config.json", {"model_max_length": 1e30}).model_max_length == 128
    assert load(folder, "tokenizer_config.json", {"model_max_length": int(1e30)}).model_max_length == 128
    assert load(folder, "tokenizer_config.json", {"max_len": 64}).model_max_length == 64
    assert load(folder, "tokenizer_config.json", {"max_len": 64, "model_max_length": 32}).model_max_length == 32
    assert load(folder, "tokenizer_config.json", {"max_len": 64}, model_max_length=16).model_max_length == 16
    assert load(folder, "tokenizer_config.json", {}, max_len=8).model_max_length == 8
    ElectraTokenizer(WORDS).save_pretrained(folder / "new")
    assert "model_max_length" not in json.loads((folder / "new" / "tokenizer_config.json").read_text())
    ElectraTokenizer(WORDS, model_max_length=7).save_pretrained(folder / "new")
    assert json.loads((folder / "new" / "tokenizer_config.json").read_text())["model_max_length"] == 7


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("BertJapaneseTokenizer", "separates words with MeCab .*is_split_into_words"),
        ("ElectraJapaneseTokenizer", "separates words with MeCab"),
        ("AlbertTokenizer", "has a AlbertTokenizer, and of a vocab.txt only BERT's WordPiece is read"),
        ("XLMRobertaTokenizerFast", "only BERT's WordPiece"),
    ],
)
def test_a_vocab_txt_of_another_kind_of_tokenizer_is_refused(file: str, kind: str, message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load(folder, file, {"tokenizer_class": kind})
    ElectraTokenizer(WORDS).backend_tokenizer.save(str(folder / "tokenizer.json"))
    assert ElectraTokenizer.from_pretrained(folder).tokenize("cats") == ["cat", "##s"]
    for right in ("BertTokenizer", "ElectraTokenizerFast", "DistilBertTokenizer", None):
        assert load(folder, file, {"tokenizer_class": right}).tokenize("cats") == ["cat", "##s"]


@pytest.mark.parametrize("fields", [{"word_tokenizer_type": "mecab"}, {"subword_tokenizer_type": "character"}])
def test_fields_of_japanese_tokenizers_tell_too(fields: dict[str, str], folder: Path) -> None:
    for file in ("config.json", "tokenizer_config.json"):
        with pytest.raises(ValueError, match="separates words with MeCab"):
            load(folder, file, fields)
        load(folder, file, {"word_tokenizer_type": "basic"})


def test_keywords_of_other_versions_work_or_are_named(folder: Path) -> None:
    never = ElectraTokenizer(WORDS, never_split=["[c1]", "the"])
    assert never.tokenize("the [c1] cats") == ["the", "[c1]", "cat", "##s"]
    assert never.tokenize("[C1]") != ["[c1]"]
    assert load(folder, "tokenizer_config.json", {"never_split": ["[c1]"]}).tokenize("a [c1]") == ["[UNK]", "[c1]"]
    with pytest.raises(
        ValueError, match=r"never_split is \['<new>'\]: it must be tokens of the vocabulary; add_tokens"
    ):
        ElectraTokenizer(WORDS, never_split=["<new>"])
    with pytest.raises(ValueError, match="never_split is 'the': it must be a list"):
        ElectraTokenizer(WORDS, never_split="the")
    words = [*WORDS, "é"]
    assert ElectraTokenizer(words, keep_accents=True).tokenize("É") == ["é"]
    assert ElectraTokenizer(words, keep_accents=False).strip_accents is True
    assert load(folder, "tokenizer_config.json", {"keep_accents": True}).strip_accents is False
    with pytest.raises(ValueError, match="keep_accents is 'yes': it must be True or False"):
        ElectraTokenizer(words, keep_accents="yes")
    with pytest.raises(ValueError, match=r"do_basic_tokenize is False: it must be True; .*is_split_into_words=True"):
        ElectraTokenizer(words, do_basic_tokenize=False)
    assert ElectraTokenizer(words, do_basic_tokenize=True, never_split=None, max_len=9).model_max_length == 9
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'do_lowercase'. Did you mean do_lower_case\?"):
        ElectraTokenizer(words, do_lowercase=True)


@pytest.mark.parametrize("name", ["extra_special_tokens", "additional_special_tokens", "model_input_names"])
def test_a_string_is_no_list_of_its_letters(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 'abc': it must be a list"):
        ElectraTokenizer(WORDS, **{name: "abc"})


def doubling(times: int) -> Any:
    return normalizers.Sequence([normalizers.Replace("a", "aa") for _ in range(times)])


@pytest.mark.parametrize(
    "normalizer",
    [
        doubling(20),
        normalizers.Sequence([doubling(4), doubling(4)]),
        normalizers.Replace("a", "a" * 1000),
        normalizers.Sequence([normalizers.Replace(" ", " " * 15), normalizers.Replace(" ", " " * 15)]),
        normalizers.Prepend("x" * 10_000),
    ],
    ids=range(5),
)
def test_a_normalizer_that_multiplies_is_refused(normalizer: Any, tmp_path: Path) -> None:
    backend = ElectraTokenizer(WORDS).backend_tokenizer
    backend.normalizer = normalizer
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"tokenizer\.json: normalizer can make .* characters of one"):
        ElectraTokenizer.from_pretrained(tmp_path)


def test_ordinary_normalizers_and_templates_pass_and_a_giant_template_does_not(tmp_path: Path) -> None:
    backend: Tokenizer = ElectraTokenizer(WORDS).backend_tokenizer
    steps = [
        normalizers.Replace("``", '"'),
        normalizers.Replace(" ", "▁"),
        normalizers.NFKD(),
        normalizers.Prepend("▁"),
    ]
    backend.normalizer = normalizers.Sequence([*steps, *(normalizers.Replace("  ", " ") for _ in range(30))])
    backend.save(str(tmp_path / "tokenizer.json"))
    ElectraTokenizer.from_pretrained(tmp_path)
    template = "$A" + " [CLS]" * 5000
    backend.post_processor = processors.TemplateProcessing(
        single=template, pair=template + " $B", special_tokens=[("[CLS]", 2)]
    )
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="post_processor puts 5,000 special tokens into a row"):
        ElectraTokenizer.from_pretrained(tmp_path)


def test_a_tokenizer_json_for_a_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    ElectraTokenizer(WORDS, do_lower_case=False).backend_tokenizer.save(str(path))
    assert read_vocabulary(path).tokenize("the cats") == ["the", "cat", "##s"]
    assert read_vocabulary(path).do_lower_case is False
    assert read_vocabulary(path, lowercase=True).do_lower_case is True
    with pytest.raises(ValueError, match=r"this is JSON, .*ElectraTokenizer\(tokenizer_file"):
        ElectraTokenizer(path)


def test_the_tokenizer_of_a_bert_folder_has_a_hint(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match=r"'bert'.*ElectraTokenizer\.from_pretrained"):
        AutoTokenizer.from_pretrained(folder)
    assert ElectraTokenizer.from_pretrained(folder).tokenize("cats") == ["cat", "##s"]
