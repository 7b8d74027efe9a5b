"""What the Hub reads of a model card, and what a person does."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from electra.hub.model_card import Score, escaped, model_card


def test_the_hub_reads_what_was_given() -> None:
    text = model_card(
        "My model",
        "Made from a book.",
        network="ElectraForSequenceClassification",
        figures={"accuracy": 0.912345, "steps": 2000},
        language=["en", "tr"],
        license="apache-2.0",
        tags=["books", "electra"],
        datasets=["me/books"],
        base_model="me/base",
    )
    facts = ModelCard(text).data.to_dict()
    assert facts == {
        "language": ["en", "tr"],
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["electra", "books"],
        "datasets": ["me/books"],
        "base_model": "me/base",
    }
    assert "# My model\n\nMade from a book." in text
    assert "| accuracy | 0.9123 |" in text
    assert "| steps | 2000 |" in text
    assert 'ElectraForSequenceClassification.from_pretrained("PATH")' in text


def test_nothing_is_claimed_that_was_not_given() -> None:
    text = model_card("D", "A discriminator.", network="ElectraForPreTraining", usage="x = 1")
    assert ModelCard(text).data.to_dict() == {"library_name": "transformers", "tags": ["electra"]}
    assert "Figures" not in text
    assert "```python\nx = 1\n```" in text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("<script>alert(1)</script>.csv", "&lt;script&gt;alert(1)&lt;/script&gt;.csv"),
        ("a_b.csv", "a_b.csv"),
        ("_a_ *b* `c` [d](http://e)", "\\_a\\_ \\*b\\* \\`c\\` \\[d\\](http:\\//e)"),
        ("x | y\n# z", "x \\| y \\# z"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("cv\u202efdp.exe", "cv\\[U+202E\\]fdp.exe"),
        ("\ud800", "\\[U+D800\\]"),
    ],
)
def test_names_are_text_in_a_card(name: str, written: str) -> None:
    assert escaped(name) == written
    card = model_card(name, escaped(name), network="ElectraModel", figures={name: name}, scores=[Score("f1", 1.0)],
                      measured_on=name)  # fmt: skip
    assert f"\n# {written}\n\n{written}\n" in card
    assert f"| {written} | {written} |" in card
    assert "<script" not in card.partition("\n---\n")[2]
    assert "\u202e" not in card
    assert ModelCard(card.encode().decode()).data.eval_results[0].dataset_name
