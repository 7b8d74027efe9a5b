"""The model card: README.md of a model folder, with the metadata that the Hugging Face Hub shows and searches by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from electra.validation import visible

# The Hub's name of the task that each class is for; it has none for replaced-token detection.
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
    """A score of a model. more: further values of it, such as its interval."""

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
    """The text of README.md: the Hub's metadata (YAML between two lines of dashes), then a page of Markdown.

    Args:
        title: the page's heading, text.
        description: the first paragraphs, Markdown; escape names of files and labels in it by `escaped`.
        network: the class of the weights, such as "ElectraForPreTraining".
        figures: measured values by name; floats are shown with four significant digits.
        pipeline_tag: the Hub's name of the task; by default the network's.
        language: ISO codes, such as "en".
        license: the Hub's name of it, such as "apache-2.0"; left out when None.
        tags: further tags beside "electra".
        datasets: names of data sets on the Hub.
        base_model: its name on the Hub.
        usage: Python code; by default how the model is loaded.
        scores: of the model, for the Hub's table of results (`model-index`).
        measured_on: a name for the examples that the scores are of.
    """
    from huggingface_hub import EvalResult, ModelCardData

    pipeline_tag = pipeline_tag or _PIPELINES.get(network)
    results = [
        EvalResult(
            task_type=pipeline_tag or "other",
            dataset_type=visible(measured_on),
            dataset_name=visible(measured_on),
            metric_type=score.name,
            metric_value=score.value,
            metric_args=dict(score.more) or None,
        )
        for score in scores
    ]

    metadata = ModelCardData(
        language=language if language is None or isinstance(language, str) else list(language),
        license=license,
        library_name="transformers",  # what the Hub's own code samples and widgets go by; the files are the same
        pipeline_tag=pipeline_tag,
        tags=["electra", *(tag for tag in tags if tag != "electra")],
        datasets=list(datasets) or None,
        base_model=base_model,
        model_name=visible(title) if results else None,
        eval_results=results or None,
    ).to_yaml()
    code = usage or f'from electra import {network}\n\nmodel = {network}.from_pretrained("PATH")'
    sections = [
        f"---\n{metadata.strip()}\n---",
        f"# {escaped(title)}",
        description.strip(),
        *([_table(figures)] if figures else []),
        f"## Use\n\n```python\n{code.strip()}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def escaped(text: str) -> str:
    """Text as Markdown that shows it and nothing else: names of files and labels may hold HTML, links or lists.

    Hidden characters, such as the one that reverses the direction of text, become code points, line breaks spaces.
    """
    one_line = visible(" ".join(text.split()))
    shown = _MARKDOWN.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", shown)  # else it starts a numbered list


# at the start of a line -, + and = start lists and headings; GitHub's Markdown turns www. and :// into links
_MARKDOWN = re.compile(r"[\\`*\[\]<>&|~$#]|(?<!\w)_|_(?!\w)|^[-+=]|(?<=:)/(?=/)|(?<=www)\.")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def _table(figures: Mapping[str, float | int | str]) -> str:
    rows = [
        f"| {escaped(name)} | {f'{value:.4g}' if isinstance(value, float) else escaped(str(value))} |"
        for name, value in figures.items()
    ]
    return "\n".join(["## Figures", "", "| measured | value |", "|---|---|", *rows])
