"""What lowercasing and stripping destroy of a text: in the report, and in the casing of a new vocabulary."""

from __future__ import annotations

import unicodedata

import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training import letters as module
from electra.text.training.letters import choose_casing
from electra.text.training.tokenizer_report import problems_of, report_of
from electra.text.training.vocabulary import train_vocabulary

TEXTS = {
    "Hindi": "हिन्दी में लिखा हुआ पाठ",
    "Tamil": "தமிழ் மொழி",
    "Thai": "ภาษาที่ใช้",
    "Hebrew with points": "שָׁלוֹם עֲלֵיכֶם",
    "Arabic with points": "مُحَمَّدٌ رَسُولٌ",
    "decomposed": unicodedata.normalize("NFD", "café déjà été"),
    "Vietnamese, decomposed": unicodedata.normalize("NFD", "tiếng Việt"),
    "with U+0307": "i\u0307stanbul",
}


def bert(text: str, **casing: bool) -> ElectraTokenizer:
    return ElectraTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(text))], **casing)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_marks_of_their_own_are_counted_with_the_flag_that_keeps_them(text: str) -> None:
    stripped = report_of(bert(text), [text])
    marks = sum(unicodedata.category(one)[0] == "M" for one in text)
    letters = sum(one.isalpha() for one in text)
    nonspacing = sum(unicodedata.category(one) == "Mn" for one in text)
    assert stripped.marks == pytest.approx(marks / (marks + letters))
    assert stripped.removed == pytest.approx(nonspacing / (marks + letters))
    [problem] = [one for one in problems_of(stripped) if "marks that are characters of their own" in one]
    assert "--keep-accents" in problem
    assert f"U+{ord(stripped.removed_marks[0]):04X}" in problem
    assert ("--unicode nfc" in problem) == any("\u0300" <= mark <= "\u036f" for mark in text)
    kept = report_of(bert(text, strip_accents=False), [text])
    assert (kept.marks, kept.removed, kept.removed_marks) == (stripped.marks, 0, [])
    assert not any("marks" in one for one in problems_of(kept))


def test_syllables_of_hangul_are_taken_apart_by_stripping_alone() -> None:
    text = "서울은 크다"
    [problem] = [one for one in problems_of(report_of(bert(text), [text])) if "apart" in one]
    assert "100.0% of the letters of the text apart, such as syllables of Hangul" in problem
    assert report_of(bert(text, strip_accents=False), [text]).decomposed == 0


def test_joiners_have_no_flag_that_keeps_them() -> None:
    text = "می\u200cروم خانه\u200cها"
    for tokenizer in (bert(text), bert(text, do_lower_case=False)):
        fit = report_of(tokenizer, [text])
        assert fit.joiners == ["\u200c"]
        assert fit.removed_joiners == 2 / len(text)
        assert any("U+200C: no flag keeps them" in problem for problem in problems_of(fit))
    assert report_of(bert("a"), ["a b"]).removed_joiners == 0


def test_turkish_dots_are_named() -> None:
    text = "Istanbul ılık, İzmir güzel"
    problems = list(problems_of(report_of(bert(text), [text])))
    assert any("İ and ı" in problem and "--cased" in problem for problem in problems)
    assert not any("İ and ı" in problem for problem in problems_of(report_of(bert(text, do_lower_case=False), [text])))


@pytest.mark.parametrize(
    ("text", "lowercase", "strip_accents", "reason"),
    [
        ("The river is wide, and a café is by it. " * 3 + "It flows to the sea. " * 20, True, None, ""),
        ("Большая река течёт к морю", True, False, "keeps accents: stripping would change 4.8%"),
        ("서울은 크다", True, False, "keeps accents: stripping would change 100.0%"),
        ("がっこうへ行く", True, False, "most often が"),
        ("हिन्दी में", True, False, r"most often U\+0902"),
        ("été déjà", True, False, "most often é, à"),
        ("中文的句子", True, None, ""),
        ("Istanbul ılık", False, None, "is cased: the text has the letters İ and ı"),
        ("", True, None, ""),
    ],
)
def test_the_casing_of_a_new_vocabulary_is_chosen_by_what_the_text_would_lose(
    text: str, lowercase: bool, strip_accents: bool | None, reason: str
) -> None:
    choice = choose_casing([text])
    assert (choice.casing.lowercase, choice.casing.strip_accents) == (lowercase, strip_accents)
    assert bool(choice.reason) == bool(reason)
    if reason:
        with pytest.raises(ValueError, match=reason):
            raise ValueError(choice.reason)


def test_what_is_asked_for_is_taken() -> None:
    assert choose_casing(["서울"], cased=False, keep_accents=False).casing.effective.strip_accents is True
    assert choose_casing(["서울"], cased=True).casing.lowercase is False
    assert choose_casing(["ı"], cased=False).casing.lowercase is True
    assert choose_casing(["the"], keep_accents=True).casing.strip_accents is False
    assert choose_casing(["ı"], keep_accents=True).casing.lowercase is False
    assert choose_casing(["서울"], keep_accents=False).casing.effective.strip_accents is True


def test_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLED_CHARACTERS", 100)
    read: list[int] = []

    def texts() -> object:
        for number in range(50):
            read.append(number)
            yield "the sea " * 4

    assert choose_casing(texts()).reason == ""  # type: ignore[arg-type]
    assert len(read) == 4


def test_a_vocabulary_of_korean_keeps_its_syllables() -> None:
    texts = ["서울은 크다", "바다는 넓다"] * 10
    casing = choose_casing(texts).casing
    tokenizer = train_vocabulary(texts, size=80, lowercase=casing.lowercase, strip_accents=casing.strip_accents)
    assert tokenizer.tokenize("서울은") == ["서울은"]
