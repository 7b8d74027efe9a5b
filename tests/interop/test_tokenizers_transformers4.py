"""Tokenizers and their folders against transformers 4.57: the same ids both ways, and the names of before version 5."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from electra.text.tokenizer import ElectraTokenizer

from ..text.languages import LANGUAGES, PLAIN, SPECIAL, Language, columns, without_flags
from ..text.surface import DESCRIBE, left_out

pytestmark = pytest.mark.interop

PROGRAM = (
    DESCRIBE
    + """
import warnings
warnings.simplefilter("ignore")
import transformers
from transformers import AutoTokenizer, ElectraTokenizer, ElectraTokenizerFast, PreTrainedTokenizerFast
transformers.logging.set_verbosity_error()

def columns(tokenizer, language):
    return [dict(tokenizer([tuple(row) if isinstance(row, list) else row for row in rows], padding=True))
            for rows in (language["texts"], language["pairs"])]

answers = {"version": transformers.__version__, "read": {}, "written": {}, "alone": {}, "slow": {}}
for name, language in given["languages"].items():
    read = {"auto": AutoTokenizer.from_pretrained(language["ours"])}
    if language["stock"]:
        read["fast"] = ElectraTokenizerFast.from_pretrained(language["ours"])
        made = ElectraTokenizerFast(vocab_file=language["vocabulary"], **language["flags"])
        slow = ElectraTokenizer(vocab_file=language["vocabulary"], **language["flags"])
        slow.save_pretrained(language["theirs_slow"])
        # this one is written in Python, and composes accents and drops characters that the others keep
        ours_read_slowly = ElectraTokenizer.from_pretrained(language["ours"])
        answers["slow"][name] = [one(given["plain"])["input_ids"] for one in (slow, ours_read_slowly)]
        answers["alone"][name] = {
            "default": columns(AutoTokenizer.from_pretrained(language["alone"]), language),
            "told": columns(AutoTokenizer.from_pretrained(language["alone"], **language["flags"]), language),
        }
    else:
        made = PreTrainedTokenizerFast.from_pretrained(language["ours"])
    made.save_pretrained(language["theirs"])
    answers["read"][name] = {key: columns(one, language) for key, one in read.items()}
    answers["written"][name] = columns(made, language)

one = ElectraTokenizerFast.from_pretrained(given["languages"]["uncased"]["ours"])
one.add_special_tokens({"additional_special_tokens": ["<x>"]})
answers["tokenizer"], answers["encoding"] = describe(one), describe(one("a"))
answers["extended"] = {role: str(token) for role, token in one.special_tokens_map_extended.items()}
answers["all_extended"] = list(map(str, one.all_special_tokens_extended))
answers["extra"] = [one.additional_special_tokens, one.additional_special_tokens_ids]
# the fast one knows no special_tokens_mask of ids
one = ElectraTokenizer.from_pretrained(given["languages"]["uncased"]["ours"])
answers["prepared"] = []
for arguments, side, options in given["prepared"]:
    one.truncation_side = side
    answers["prepared"].append(list(dict(one.prepare_for_model(*arguments, **options)).items()))
answers["truncated"] = []
for arguments, side in given["truncated"]:
    one.truncation_side = side
    answers["truncated"].append(one.truncate_sequences(*arguments))
answers["assembled"] = [
    [one.build_inputs_with_special_tokens(*ids), one.create_token_type_ids_from_sequences(*ids),
     one.get_special_tokens_mask(*ids), one.num_special_tokens_to_add(len(ids) == 2)]
    for ids in given["assembled"]
]
print(json.dumps(answers))
"""
)

SHORT, LONG = [7, 8, 9], [10, 11, 12, 13, 14, 15]
ASSEMBLED = [[SHORT], [SHORT, LONG], [[], []]]
PREPARED = [
    ([ids] if pair is None else [ids, pair], side, {**options, **cut})
    for ids, pair, side, options, cut in itertools.product(
        (SHORT, LONG),
        (None, SHORT, LONG),
        ("right", "left"),
        (
            {},
            {"padding": "max_length", "max_length": 20, "return_special_tokens_mask": True, "return_length": True},
            {"padding": True, "pad_to_multiple_of": 8, "padding_side": "left", "return_attention_mask": False},
            {"add_special_tokens": False},
        ),
        ({}, {"truncation": True, "max_length": 8}),
    )
] + [
    ([LONG, *pair], side, {"truncation": "only_first", "max_length": 9, "stride": 2, "return_overflowing_tokens": True})
    for pair, side in itertools.product(([], [SHORT]), ("right", "left"))
]
TRUNCATED = [
    ([SHORT, LONG, count, strategy, stride], side)
    for count, strategy, stride, side in itertools.product(
        (0, 1, 2), ("longest_first", "only_first", "only_second", "do_not_truncate"), (0, 2), ("right", "left")
    )
] + [([*pair, count], "right") for pair in ((LONG, SHORT), (SHORT, SHORT)) for count in range(6)]


@pytest.fixture(scope="module")
def ours() -> dict[str, ElectraTokenizer]:
    return {name: language.build() for name, language in LANGUAGES.items()}


@pytest.fixture(scope="module")
def folders(ours: dict[str, ElectraTokenizer], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in LANGUAGES}
    for name, folder in folders.items():
        ours[name].save_pretrained(folder / "ours")
        (folder / "ours" / "config.json").write_text('{"model_type": "electra"}')
        without_flags(folder / "alone", ours[name])
    return folders


@pytest.fixture(scope="module")
def theirs(transformers4: Callable[[str, Any], Any], folders: dict[str, Path]) -> Any:
    """What transformers 4.57 makes of all of this, in one process: it takes seconds to start."""
    languages = {
        name: {
            **{kind: str(folders[name] / kind) for kind in ("ours", "theirs", "theirs_slow", "alone")},
            "vocabulary": str(folders[name] / "alone" / "vocab.txt"),
            "texts": language.texts,
            "pairs": language.pairs,
            "flags": language.flags,
            "stock": language.stock,
        }
        for name, language in LANGUAGES.items()
    }
    given = {
        "languages": languages,
        "plain": PLAIN,
        "assembled": ASSEMBLED,
        "prepared": PREPARED,
        "truncated": TRUNCATED,
    }
    answers = transformers4(PROGRAM, given)
    assert answers["version"].startswith("4.57")
    return answers


@pytest.fixture(params=LANGUAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_ours_there(theirs: Any, ours: dict[str, ElectraTokenizer], name: str) -> None:
    language = LANGUAGES[name]
    for read_as, found in theirs["read"][name].items():
        assert found == columns(ours[name], language), read_as
    if language.stock:
        expected = ours[name](PLAIN)["input_ids"]
        assert theirs["slow"][name] == [expected, expected]


def test_theirs_here(theirs: Any, ours: dict[str, ElectraTokenizer], folders: dict[str, Path], name: str) -> None:
    language = LANGUAGES[name]
    again = ElectraTokenizer.from_pretrained(folders[name] / "theirs")
    assert columns(again, language) == theirs["written"][name] == columns(ours[name], language)
    if language.stock:
        assert not (folders[name] / "theirs_slow" / "tokenizer.json").exists()
        from_slow = ElectraTokenizer.from_pretrained(folders[name] / "theirs_slow")
        assert columns(from_slow, language) == theirs["written"][name]


@pytest.mark.parametrize("name", [name for name, language in LANGUAGES.items() if language.stock])
def test_a_vocabulary_alone(
    theirs: Any, ours: dict[str, ElectraTokenizer], folders: dict[str, Path], name: str
) -> None:
    """transformers lower-cases and strips accents, whatever the vocabulary; here its tokens say what it is made for."""
    language: Language = LANGUAGES[name]
    expected = columns(ours[name], language)
    assert theirs["alone"][name]["told"] == expected
    assert (theirs["alone"][name]["default"] == expected) == (language.flags == {"do_lower_case": True})
    options = {flag: value for flag, value in language.flags.items() if flag == "tokenize_chinese_chars"}
    assert columns(ElectraTokenizer.from_pretrained(folders[name] / "alone", **options), language) == expected


def test_a_protein_vocabulary_alone_is_all_unknown_there(theirs: Any) -> None:
    found = [row[1:] for row in theirs["alone"]["protein"]["default"][0]["input_ids"][:2]]
    assert set(itertools.chain(*found)) <= {SPECIAL.index(token) for token in ("[UNK]", "[SEP]", "[PAD]")}


def test_every_name_and_parameter(theirs: Any, ours: dict[str, ElectraTokenizer]) -> None:
    assert left_out(theirs["tokenizer"], ours["uncased"]) == []
    assert left_out(theirs["encoding"], ours["uncased"]("a")) == []


def test_special_tokens_by_their_older_names(theirs: Any, folders: dict[str, Path]) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(folders["uncased"] / "ours")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    described = tokenizer.special_tokens_map_extended
    assert list(described) == list(theirs["extended"])
    assert all(str(described[role]) == token for role, token in theirs["extended"].items() if role.endswith("_token"))
    assert list(map(str, described["additional_special_tokens"])) == tokenizer.additional_special_tokens
    assert list(map(str, tokenizer.all_special_tokens_extended)) == theirs["all_extended"]
    assert [tokenizer.additional_special_tokens, tokenizer.additional_special_tokens_ids] == theirs["extra"]


def test_rows_of_ids(theirs: Any, ours: dict[str, ElectraTokenizer]) -> None:
    tokenizer = ElectraTokenizer(tokenizer_object=ours["uncased"].backend_tokenizer)
    assembled = [
        [
            tokenizer.build_inputs_with_special_tokens(*ids),
            tokenizer.create_token_type_ids_from_sequences(*ids),
            tokenizer.get_special_tokens_mask(*ids),
            tokenizer.num_special_tokens_to_add(len(ids) == 2),
        ]
        for ids in ASSEMBLED
    ]
    assert assembled == theirs["assembled"]
    for (arguments, side, options), expected in zip(PREPARED, theirs["prepared"], strict=True):
        tokenizer.truncation_side = side
        found = tokenizer.prepare_for_model(*arguments, **options)
        assert [list(item) for item in found.items()] == expected, (arguments, side, options)
    for (arguments, side), expected in zip(TRUNCATED, theirs["truncated"], strict=True):
        tokenizer.truncation_side = side
        try:
            assert list(tokenizer.truncate_sequences(*arguments)) == expected, (arguments, side)
        except ValueError:  # there it is an error in the log, and nothing is cut
            assert expected[:2] == arguments[:2]
