"""`train_new_from_iterator`: the same pipeline over a vocabulary learned from other text."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary

from .conftest import reference_of
from .languages import LANGUAGES, SPECIAL, TURKISH
from .nasty import TRAINING

# every pair of pieces has a frequency of its own, so that there is nothing to choose
WORDS = {"Aab": 90, "aab": 70, "cd": 41, "cde": 23, "Été": 12, "fg1": 5}
CORPUS = [f"{word} " * count for word, count in WORDS.items()]


@pytest.mark.parametrize("lower", [True, False])
def test_the_tokens_are_those_that_transformers_learns(lower: bool) -> None:
    ours = train_vocabulary(TRAINING, size=300, lowercase=lower)
    theirs = reference_of(ours.get_vocab(), do_lower_case=lower)
    learned = ours.train_new_from_iterator([CORPUS[:3], CORPUS[3:]], 40, new_special_tokens=["<n>"])
    expected = theirs.train_new_from_iterator([CORPUS[:3], CORPUS[3:]], 40, new_special_tokens=["<n>"])
    assert learned.get_vocab().keys() == expected.get_vocab().keys()
    assert list(learned.get_vocab().values()) != []
    assert learned.convert_ids_to_tokens(range(6)) == expected.convert_ids_to_tokens(range(6)) == [*SPECIAL, "<n>"]
    for text in ("Aab cde Été <n>", "fgfg 1 aabcd [MASK]"):
        assert learned.tokenize(text, add_special_tokens=True) == expected.tokenize(text, add_special_tokens=True)
    assert learned.casing == ours.casing
    assert learned.all_special_tokens == expected.all_special_tokens


def test_pipeline_roles_and_settings_stay() -> None:
    tokenizer = LANGUAGES["turkish-custom"].build()
    tokenizer.add_special_tokens({"extra_special_tokens": ["<x>"], "bos_token": "<s>"})
    tokenizer.add_tokens(["ordinary"])
    tokenizer.model_max_length, tokenizer.padding_side = 77, "left"
    learned = tokenizer.train_new_from_iterator(
        TURKISH * 3, 120, special_tokens_map={"[CLS]": "<cls>", "<x>": "<y>"}, new_special_tokens=[AddedToken("<n>")]
    )
    assert learned("I 12")[0].tokens == ["<cls>", "ı", "1", "2", "[SEP]"]
    assert (learned.cls_token, learned.bos_token, learned.sep_token) == ("<cls>", "<s>", "[SEP]")
    assert learned.extra_special_tokens == ["<y>", "<n>"]
    assert "[CLS]" not in learned.get_vocab()
    assert "ordinary" not in learned.get_vocab()
    assert (learned.model_max_length, learned.padding_side) == (77, "left")
    assert learned.decode(learned("<y> 1")["input_ids"], skip_special_tokens=True) == "1"
    assert tokenizer.cls_token == "[CLS]"


def test_an_ordinary_token_with_a_role_stays() -> None:
    tokenizer = ElectraTokenizer([*SPECIAL, "the"])
    tokenizer.mask_token = "the"
    assert str(tokenizer.special_tokens_map_extended["mask_token"]) == "the"
    learned = tokenizer.train_new_from_iterator(["a dog"], 40)
    assert learned.mask_token_id == learned.get_vocab()["the"] == len(SPECIAL)


def test_the_same_as_a_vocabulary_trained_from_scratch() -> None:
    scratch = train_vocabulary(TRAINING, size=300, min_frequency=2)
    again = ElectraTokenizer().train_new_from_iterator(iter(TRAINING), 300, min_frequency=2, limit_alphabet=256)
    assert again.get_vocab() == scratch.get_vocab()
    assert again.fingerprint() == scratch.fingerprint()


def test_nothing_is_learned_from_words_that_are_too_long_to_be_taken_apart() -> None:
    """A file may be one word, of which every piece would be a symbol of its own in memory."""
    longest = "cd" * 50
    learned = train_vocabulary([f"ab ab {longest}", "ef" * 51], size=300, min_frequency=1)
    assert {"ab", "##cd", longest} <= learned.get_vocab().keys()
    assert not any("f" in token for token in learned.get_vocab())
    with pytest.raises(ValueError, match="or words of over 100 characters"):
        train_vocabulary(["ef" * 51], size=300)


def test_rare_characters_are_left_out() -> None:
    learned = ElectraTokenizer().train_new_from_iterator(["aaa bbb a b c"], 50, limit_alphabet=2)
    assert learned.tokenize("a c") == ["a", "[UNK]"]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("one string", {}, "text_iterator is a single string"),
        ([], {}, "no text to learn a vocabulary from"),
        ([["fine", 3]], {}, r"texts\[1\] is 3"),
        (["abc"], {"vocab_size": 6}, "size=6 is too small: 5 special tokens and 3 characters"),
        (["abc"], {"special_tokens_map": {"[CSL]": "x"}}, r"\[CSL\].*Did you mean \[CLS\]"),
    ],
)
def test_what_cannot_be_learned_from(texts: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ElectraTokenizer().train_new_from_iterator(texts, **{"vocab_size": 50, **options})


def test_another_kind_of_vocabulary() -> None:
    backend = Tokenizer(WordLevel(dict(zip(SPECIAL, range(5), strict=True)), unk_token="[UNK]"))
    with pytest.raises(ValueError, match="only WordPiece with '##' can be learned, not WordLevel"):
        ElectraTokenizer(tokenizer_object=backend).train_new_from_iterator(["a"], 50)
