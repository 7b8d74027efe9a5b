"""How well a tokenizer suits a text: each number by hand on a text of a few words."""

from __future__ import annotations

import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training import tokenizer_report as module
from electra.text.training.tokenizer_report import problems_of, report_of
from electra.text.training.vocabulary import train_vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(*words: str, **casing: bool) -> ElectraTokenizer:
    return ElectraTokenizer([*SPECIAL, *words], **casing)


def test_the_figures_of_a_small_text() -> None:
    fit = report_of(
        tokenizer("the", "cat", "un", "##a", "##b", "##c", "##d", "."), ["The cat. zoo", "unabcd zoo zoé the"]
    )
    assert (fit.lines, fit.words, fit.pieces, fit.characters) == (2, 8, 12, 30)
    assert (fit.unknown_words, fit.unknown_rate) == (3, 3 / 8)
    assert fit.unknown == [("zoo", 2), ("zoé", 1)]
    assert fit.unknown_characters == [("o", 3), ("z", 3)]  # e, without its accent, is in "the"
    assert fit.words_by_pieces == {"1": 7, "2": 0, "3": 0, "4": 0, "5 or more": 1}
    assert fit.most_cut == [("unabcd", ["un", "##a", "##b", "##c", "##d"])]
    assert fit.pieces_per_word == 12 / 8
    assert fit.longest_pieces[:2] == ["the", "cat"]
    assert (fit.used, fit.vocabulary) == (8, 13)
    assert (fit.lowercases, fit.strips_accents) == (True, True)
    letters = len("Thecatzoounabcdzoozoéthe")
    assert (fit.capitals, fit.accents) == (1 / letters, 1 / letters)
    assert fit.samples[0] == ("The cat. zoo", ["the", "cat", ".", "[UNK]"])


def test_problems_name_what_is_bad_and_what_to_do() -> None:
    text = ["Über den Wolken"]
    words = ("über", "den", "wolken", "uber")
    assert list(problems_of(report_of(tokenizer(*words), ["den den"]))) == []
    small, accents = problems_of(report_of(tokenizer(*words), text))
    assert "lowercases, and 15.4% of the letters of the text are upper case" in small
    assert "strips accents, and 7.7% of the letters" in accents
    kept = list(problems_of(report_of(tokenizer(*words, strip_accents=False), text)))
    assert [problem.split(",")[0] for problem in kept] == ["the tokenizer lowercases"]
    [unknown] = problems_of(report_of(tokenizer(*words, do_lower_case=False), text))
    assert "66.7% of the words are unknown" in unknown
    assert "'Wolken', 'Über'" in unknown


def test_one_unknown_word_in_a_hundred_is_the_limit() -> None:
    known = ["the " * 99 + "zoo"]
    assert list(problems_of(report_of(tokenizer("the"), known))) == []
    assert len(list(problems_of(report_of(tokenizer("the"), [*known, "zoo"])))) == 1


def test_no_text_has_no_problems() -> None:
    assert list(problems_of(report_of(tokenizer("the"), []))) == []


def test_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines come in parts, rare unknown words and much-cut words are forgotten; what is shown stays."""
    monkeypatch.setattr(module, "WORDS_KEPT", 40)
    monkeypatch.setattr(module, "LONGEST_LINE", 100)
    line = " ".join(["zoo zoo", *(f"x{chr(0x3B1 + i % 20)}{chr(0x3B1 + i // 20)}" for i in range(400)), "zoo"])
    count = module._Count(tokenizer("a", *(f"##{i}" for i in range(10))))
    for start in range(0, len(line), 100):
        count.add([line[start : start + 100]])
    assert len(count.unknown) <= 40
    assert count.fit().unknown[0] == ("zoo", 2 + 1)
    cut = report_of(tokenizer("a", *(f"##{i}" for i in range(10))), [f"a{i:06}" for i in range(300)] + ["a" + "1" * 50])
    assert cut.most_cut[0][0] == "a" + "1" * 50
    assert len(cut.most_cut) == module.SHOWN


def test_a_giant_line_is_counted_in_parts_and_a_giant_word_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    add = module._Count.add
    watched = lambda self, lines: (sizes.append(sum(map(len, lines))), add(self, lines))  # noqa: E731
    monkeypatch.setattr(module._Count, "add", watched)
    fit = report_of(tokenizer("the"), ["the " * 100_000, "x" * 10_000, *["the"] * 1000])
    assert max(sizes) < module.CHARACTERS_AT_ONCE + module.LONGEST_LINE
    assert (fit.words, fit.unknown) == (101_001, [("x" * 100, 1)])


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({}, "ﬁ 2024", ["[UNK]", "2024"]),
        ({"unicode_form": "NFKC"}, "ﬁn ２０２４", ["fin", "2024"]),
        ({"split_digits": True}, "fin 2024", ["fin", "2", "0", "2", "4"]),
        ({"unicode_form": "NFC", "lowercase": False}, "e\u0301t", ["[UNK]"]),
    ],
)
def test_unicode_forms_and_digits(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, object], text: str, tokens: list[str]
) -> None:
    trained = train_vocabulary(["fin 2024"] * 3, size=60, min_frequency=1, **options)
    folder = tmp_path_factory.mktemp("tokenizer")
    trained.save_pretrained(folder)
    for one in (trained, ElectraTokenizer.from_pretrained(folder)):
        assert one.tokenize(text) == tokens
        assert (one.cls_token, one.mask_token) == ("[CLS]", "[MASK]")


def test_an_unknown_unicode_form() -> None:
    with pytest.raises(ValueError, match="unicode_form is 'NFD': choose one of None, NFC, NFKC"):
        train_vocabulary(["text"], size=60, unicode_form="NFD")
