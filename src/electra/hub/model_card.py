"""The README.md of a model folder, in the form that the Hugging Face Hub shows and searches by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What the Hub offers to try a model with; the discriminator's own task has no name there.
_PIPELINES = {
    "ElectraModel": "feature-extraction",
    "ElectraForMaskedLM": "fill-mask",
    "ElectraForCausalLM": "text-generation",
    "ElectraForSequenceClassification": "text-classification",
    "ElectraForTokenClassification": "token-classification",
    "ElectraForQuestionAnswering": "question-answering",
    "ElectraForMultipleChoice": "multiple-choice",
}


@dataclass(frozen=True)
class Score:
    """A score of a model, and what else is known of it, such as its interval."""

    name: str
    value: float
    more: Mapping[str, float | int] = field(default_factory=dict)


def model_card(
    title: str,
    description: str,
    *,
    network: str,
    figures: Mapping[str, float | int | str] | None = None,
    pipeline_tag: str | None = None,
    language: str | Sequence[str] | None = None,
    license: str | None = None,
    tags: Sequence[str] = (),
    datasets: Sequence[str] = (),
    base_model: str | None = None,
    usage: str | None = None,
    scores: Sequence[Score] = (),
    measured_on: str = "",
) -> str:
    """The text of README.md: the Hub's table of facts (YAML between two lines of dashes), then a page of Markdown.

    title, description: the page's heading and first paragraphs. network: the class that the weights are of, such as
    "ElectraForPreTraining". figures: measured values by name; floats are shown with four digits. pipeline_tag: the
    Hub's task (default: the network's). language: ISO codes, such as "en". license: the Hub's name of it, such as
    "apache-2.0"; left out when None. datasets: names of data sets on the Hub. usage: Python code (default: loading).
    scores: of the model, for the Hub's table of results (`model-index`). measured_on: a name for the examples that they
    are of.
    """
    from huggingface_hub import EvalResult, ModelCardData

    pipeline_tag = pipeline_tag or _PIPELINES.get(network)
    results = [
        EvalResult(
            task_type=pipeline_tag or "other",
            dataset_type=measured_on,
            dataset_name=measured_on,
            metric_type=score.name,
            metric_value=score.value,
            metric_args=dict(score.more) or None,
        )
        for score in scores
    ]

    facts = ModelCardData(
        language=language if language is None or isinstance(language, str) else list(language),
        license=license,
        library_name="transformers",  # what the Hub's own code samples and widgets go by; the files are the same
        pipeline_tag=pipeline_tag,
        tags=["electra", *(tag for tag in tags if tag != "electra")],
        datasets=list(datasets) or None,
        base_model=base_model,
        model_name=title if results else None,
        eval_results=results or None,
    ).to_yaml()
    code = usage or f'from electra import {network}\n\nmodel = {network}.from_pretrained("PATH")'
    sections = [
        f"---\n{facts.strip()}\n---",
        f"# {title}",
        description.strip(),
        *([_table(figures)] if figures else []),
        f"## Use\n\n```python\n{code.strip()}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _table(figures: Mapping[str, float | int | str]) -> str:
    rows = [f"| {name} | {f'{value:.4g}' if isinstance(value, float) else value} |" for name, value in figures.items()]
    return "\n".join(["## Figures", "", "| measured | value |", "|---|---|", *rows])
