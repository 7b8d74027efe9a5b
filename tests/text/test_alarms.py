"""Text that the vocabulary does not know, and tokens that the network has no embedding for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from electra import ElectraConfig, ElectraForSequenceClassification, pipeline
from electra.text.special_tokens import check_embeddings
from electra.text.tokenizer import ElectraTokenizer
from tests.parity.twins import SIZES

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sea"]


@pytest.mark.parametrize(
    ("text", "options", "example"),
    [
        ("서울은 크다", {}, ", such as '서울은'"),
        (["the cat", "чудесный день сегодня"], {}, ", such as 'чудесный'"),
        ([("the", "чудесный день")], {}, ""),
        ([["чудесный", "день"]], {"is_split_into_words": True}, ""),
        ("서울", {"truncation": True, "max_length": 3}, ", such as '서울'"),
    ],
    ids=str,
)
def test_text_that_is_mostly_unknown_is_an_alarm_once(
    text: Any, options: dict[str, Any], example: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = ElectraTokenizer(WORDS)
    for _ in range(2):
        tokenizer(text, **options)
    assert [record.getMessage().split(". Use")[0].partition("[UNK]")[2] for record in caplog.records] == [example]
    assert caplog.records[0].getMessage().startswith("most of the text is unknown to the tokenizer: ")


@pytest.mark.parametrize("text", ["the cat", "", "the unknown", ["the cat dog", "чудесный"], "[UNK] the"])
def test_text_that_is_half_known_is_none(text: Any, caplog: pytest.LogCaptureFixture) -> None:
    ElectraTokenizer(WORDS)(text)
    assert not caplog.records


def model(vocab_size: int) -> ElectraForSequenceClassification:
    return ElectraForSequenceClassification(ElectraConfig(**{**SIZES, "vocab_size": vocab_size})).eval()


def test_a_pipeline_says_that_it_cannot_read_the_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model(len(WORDS)).save_pretrained(tmp_path)
    ElectraTokenizer(WORDS).save_pretrained(tmp_path)
    classify = pipeline("text-classification", str(tmp_path), device="cpu")
    classify("the cat")
    assert "unknown to the tokenizer" not in caplog.text
    classify("чудесный день")
    assert "most of the text is unknown to the tokenizer: 2 of 2 tokens are [UNK], such as 'чудесный'" in caplog.text


def test_a_tokenizer_longer_than_the_network_is_named_with_token_and_cure(tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer(WORDS)
    network = model(len(WORDS))
    check_embeddings(tokenizer, len(WORDS))
    classify = pipeline("text-classification", network, tokenizer=tokenizer)
    tokenizer.add_tokens(["<new>", "<newer>"])
    message = r"11 tokens and the network 9 .*: '<new>' \(id 9\) and 1 more has none.*resize_token_embeddings\(11\)"
    with pytest.raises(ValueError, match=message):
        classify("the cat")
    with pytest.raises(ValueError, match=message):
        pipeline("text-classification", network, tokenizer=tokenizer)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        pipeline("text-classification", str(tmp_path))
    network.resize_token_embeddings(len(tokenizer))
    assert pipeline("text-classification", network, tokenizer=tokenizer)("the <new> cat")
