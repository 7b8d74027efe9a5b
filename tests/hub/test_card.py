"""What the Hub reads of a model card, and what a person does."""

from __future__ import annotations

from huggingface_hub import ModelCard

from electra.hub.model_card import model_card


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
