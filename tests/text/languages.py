"""Tokenizers of several languages and kinds of text, each with texts to try it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary

from .nasty import TEXTS, TRAINING

GERMAN = [
    "Die Übergröße möchte man mögen, man mochte sie schon öfter; über Straßen gehen die Füße.",
    "NAÏVE Cafés, façade, Ångström: ÀÉÎÕÜ àéîõü",
    "mo\u0308chte, Mo\u0308chte (decomposed)",
]
CHINESE = [
    "我爱北京天安门，天安门上太阳升。",
    "ELECTRA模型在2020年发表；㐀𠀀都是字",
    "漢字かな交じり文、カタカナ。",
    "，。！？",
]
TURKISH = [
    "İstanbul'da ılık bir IŞIK, İZMİR'de iyi.",
    "DİYARBAKIR ığdır Iğdır iĞDIR",
    "çağ ÇAĞ şöyle ŞÖYLE 2024'te 15 kişi",
]
PROTEIN = ["M K T A Y I A K Q R Q I S F V K", "MKTAYIAK", "m k t", "X U B O Z Z Z", "M * K - T", "D L I [MASK] T S"]
AMINO_ACIDS = [*"LAGVESIKRDTPNQFYMHCWXUBOZ"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PLAIN = "the cats of those who say that they can not"  # nothing that any casing changes


@dataclass(frozen=True)
class Language:
    """A tokenizer and texts for it; `flags` are those that transformers builds the same one from, if it can."""

    build: Callable[[], ElectraTokenizer]
    texts: list[str]
    flags: dict[str, Any] = field(default_factory=dict)
    stock: bool = True

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.texts, self.texts[::-1], strict=True))


def _turkish_custom() -> ElectraTokenizer:
    """NFC, then lower case as Turkish has it, and every digit for itself: not a pipeline of BERT's."""
    learned = train_vocabulary([text.replace("İ", "i").replace("I", "ı") for text in TURKISH * 3], size=300)
    backend = learned.backend_tokenizer
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace("İ", "i"),
            normalizers.Replace(Regex("I"), "ı"),
            normalizers.BertNormalizer(lowercase=True, strip_accents=False),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    return ElectraTokenizer(tokenizer_object=backend)


def _learned(texts: list[str], **casing: Any) -> Callable[[], ElectraTokenizer]:
    return lambda: train_vocabulary([*texts, *TRAINING], size=700, min_frequency=1, max_characters=600, **casing)


LANGUAGES = {
    "uncased": Language(_learned(GERMAN), [*TEXTS, *GERMAN], {"do_lower_case": True}),
    "cased": Language(_learned(GERMAN, lowercase=False), [*TEXTS, *GERMAN], {"do_lower_case": False}),
    "accents-kept": Language(
        _learned(GERMAN, strip_accents=False), [*TEXTS, *GERMAN], {"do_lower_case": True, "strip_accents": False}
    ),
    "chinese": Language(_learned(CHINESE * 3), [*TEXTS, *CHINESE], {"do_lower_case": True}),
    "chinese-words": Language(
        _learned(CHINESE * 3, chinese_chars=False),
        [*TEXTS, *CHINESE],
        {"do_lower_case": True, "tokenize_chinese_chars": False},
    ),
    "turkish": Language(
        _learned(TURKISH * 3, strip_accents=False),
        [*TEXTS, *TURKISH],
        {"do_lower_case": True, "strip_accents": False},
    ),
    "turkish-custom": Language(_turkish_custom, [*TEXTS, *TURKISH], stock=False),
    "protein": Language(
        lambda: ElectraTokenizer([*SPECIAL, *AMINO_ACIDS], do_lower_case=False), PROTEIN, {"do_lower_case": False}
    ),
}


def columns(tokenizer: Any, language: Language) -> list[dict[str, Any]]:
    """The ids, types and mask of the texts and of pairs of them."""
    return [
        {name: list(map(list, column)) for name, column in tokenizer(rows, padding=True).items()}
        for rows in (language.texts, language.pairs)
    ]


def without_flags(folder: Path, tokenizer: ElectraTokenizer) -> Path:
    """A model's folder with a vocab.txt and nothing that says what it is made for, as many on the Hub are."""
    folder.mkdir()
    tokenizer.save_vocabulary(folder)
    (folder / "config.json").write_text('{"model_type": "electra"}')
    return folder
