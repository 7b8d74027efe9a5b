"""Text ranking: a cross-encoder scores the relevance of each text to a query."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.metrics.ranking_metrics import RankingOutcomes, list_loss, margin_loss, pair_loss
from electra.tasks.inputs.pairs import PairedTask
from electra.tasks.inputs.relevance import Relevance, gathered, read_labelled_ranking, read_relevance
from electra.tasks.inputs.texts import read_ranking
from electra.tasks.labelled_task import Column, LabelledTask, TrainingBatch, TrainingItem, label_fields
from electra.tasks.task import Encoded, label_logits, of_each
from electra.tasks.text_classification import SCORE_FUNCTIONS, score_function
from electra.validation import choose_one_of, is_count, require, require_one_of

ACTIVATIONS = {"Identity": "none", "Sigmoid": "sigmoid", "Softmax": "softmax"}
"""torch's modules that a configuration may name, and the score functions here."""
OBJECTIVES = ("pointwise", "pairwise", "listwise", "margin-mse")


@dataclass(frozen=True)
class EncodedRanking(Encoded):
    """A row for each text."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TextRanking(PairedTask[EncodedRanking], LabelledTask[EncodedRanking]):
    """Rank texts by their relevance to a query, with a cross-encoder.

    An example is a dict with `query` and `texts`, a list. A sequence is `[CLS] query [SEP] text [SEP]`; if it is too
    long, the longer of the two is truncated. To learn from, an example has `labels` too, a number for each text, 0 for
    one that is not relevant, or the `scores` that a teacher gave them.

    Returns:
        list[dict]: `[{"corpus_id", "score"}]`, best first; `corpus_id` is the text's number, from 0. With
            `return_documents`, `text` too.

    Attributes:
        max_length: the longest sequence in tokens. Default: as the model was fine-tuned, else what it reads.
        truncation: True is "longest_first"; see `PairedTask`.
        top_k: how many texts to return. Default: all.
        return_documents: add each text as `text`.
        function_to_apply: computes scores from logits: "sigmoid", "softmax", "none", or "default": the
            `sentence_transformers` activation of the configuration, else sigmoid for one output and softmax for
            several.
        label: the output to rank by, a label's name or number. Default: the only one, or the second of two.
        objective: what is learnt from examples. "pointwise": for each text whether it is relevant (binary
            cross-entropy, for two outputs cross-entropy); "pairwise": for each pair which is more relevant (RankNet);
            "listwise": a softmax over a query's texts; "margin-mse": a teacher's differences. Default: "margin-mse"
            with scores of a teacher, else "listwise" if every query has a relevant text and another, or some label is
            above 1, else "pointwise".
    """

    name: ClassVar[str] = "text-ranking"
    architecture: ClassVar[str] = "ElectraForSequenceClassification"
    parts: ClassVar[tuple[str, ...]] = ("query", "texts")
    usual_truncation: ClassVar[str] = "longest_first"
    usual_length: ClassVar[int] = 256
    columns: ClassVar[tuple[Column, ...]] = (
        Column("query", ("query", "question"), "the query"),
        Column("texts", ("texts", "passages", "documents"), "the texts to rank", required=False),
        Column("text", ("passage", "text", "document"), "a text", required=False),
        Column("positive", ("positive", "positives"), "a text that answers the query", required=False),
        Column("negative", ("negative", "negatives"), "texts that do not", required=False),
        Column("label", ("label", "labels", "relevance"), "how relevant a text is", required=False),
        Column("scores", ("scores", "score"), "a teacher's scores", required=False),
    )
    ids: ClassVar[tuple[str, ...]] = ("id", "guid")  # a qid is the query's, with a record for each of its texts

    top_k: int | None = None
    return_documents: bool = False
    function_to_apply: str | None = "default"
    label: str | int | None = None
    objective: str | None = None
    # both are read off the configuration, and are no options
    labels: tuple[str, ...] = field(default=("LABEL_0",), metadata={"derived": True})
    activation: str | None = field(default=None, metadata={"derived": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "function_to_apply", score_function(self.function_to_apply))
        require(self.top_k is None or is_count(self.top_k), "top_k", self.top_k, "1 or more, or None for all texts")
        if self.objective is not None:
            require_one_of("objective", self.objective, OBJECTIVES)

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        task = cls(
            max_length=config.max_position_embeddings,
            labels=tuple(config.id2label[i] for i in range(config.num_labels)),
            activation=_activation(config),
        ).with_options(**{**cls.fitted_options(config), **options})
        task.function()  # an activation or a label that is unknown is refused before a model is loaded
        task.label_number()
        return task

    @classmethod
    def recognises(cls, names: Collection[str]) -> bool:
        return "query" in names and not set(names).isdisjoint({"texts", "passages", "passage", "positive", "positives"})

    @classmethod
    def read_example(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return read_labelled_ranking(values)

    @classmethod
    def gather(cls, examples: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
        """Combine lines of one query and one text each into one example for each query."""
        return gathered(examples)

    @classmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        task = cls(labels=tuple(options.pop("labels", ("LABEL_0",)))).with_options(**options)
        known = of_each(lambda example: read_relevance(example, task.objective), examples)
        if task.objective is not None:
            return task
        if all(each.teacher for each in known):
            return replace(task, objective="margin-mse")
        contrasts = [any(each.labels) and len(set(each.labels)) > 1 for each in known]
        graded = any(max(each.labels) > 1 for each in known)  # pointwise learns labels from 0 to 1 only
        listwise = all(contrasts) or (graded and any(contrasts))
        return replace(task, objective="listwise" if listwise else "pointwise")

    def config_fields(self) -> dict[str, Any]:
        return {**label_fields(self.labels), "problem_type": None}

    def function(self) -> str:
        """The name of the score function, the default resolved."""
        if self.function_to_apply != "default":
            return str(self.function_to_apply)
        if self.activation is None:
            return "sigmoid" if len(self.labels) == 1 else "softmax"
        name = self.activation.rsplit(".", 1)[-1]
        if name not in ACTIVATIONS or not self.activation.startswith("torch."):
            raise ValueError(
                f"the activation in config.json is {self.activation!r}: choose one of {', '.join(ACTIVATIONS)} of "
                f"torch.nn, or give function_to_apply ({', '.join(SCORE_FUNCTIONS)})"
            )
        return ACTIVATIONS[name]

    def label_number(self) -> int:
        """The index of the output to rank by."""
        if self.label is None:
            if len(self.labels) > 2:
                raise ValueError(f"the model has {len(self.labels)} labels: name the one to rank by with label=…")
            return len(self.labels) - 1
        if self.label in self.labels:
            return self.labels.index(str(self.label))
        if isinstance(self.label, int) and 0 <= self.label < len(self.labels):
            return self.label
        raise ValueError(f"label is {self.label!r}{choose_one_of(self.label, self.labels)}")

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedRanking]:
        read = of_each(read_ranking, examples)
        encoded = self.pair_each([each.query for each in read], [each.texts for each in read], tokenizer)
        return [EncodedRanking(*rows, each.texts) for rows, each in zip(encoded, read, strict=True)]

    def infer(self, model: nn.Module, batch: Batch) -> list[float]:
        """A score for each sequence."""
        logits = label_logits(model(batch).logits, self.labels)
        scores: list[float] = SCORE_FUNCTIONS[self.function()](logits)[:, self.label_number()].tolist()
        return scores

    def decode(self, encoded: EncodedRanking, outputs: Sequence[float], tokenizer: Any) -> list[dict[str, Any]]:
        order = sorted(range(len(outputs)), key=lambda i: -outputs[i])[: self.top_k]
        texts = [{"text": encoded.texts[i]} if self.return_documents else {} for i in order]
        return [{"corpus_id": i, "score": outputs[i], **text} for i, text in zip(order, texts, strict=True)]

    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        """Items of one text, of two (the more relevant first, with the difference) or of all texts of a query."""
        known = of_each(lambda example: read_relevance(example, self.objective), examples)
        encoded = self.encode_all(examples, tokenizer)
        made = of_each(lambda pair: self._items(*pair), zip(encoded, known, strict=True))
        return [item for items in made for item in items]

    def check(self, examples: Sequence[Any], tokenizer: Any) -> None:
        of_each(lambda example: read_relevance(example, None), examples)

    def _items(self, encoded: EncodedRanking, known: Relevance) -> list[TrainingItem]:
        rows, values = encoded.rows, known.labels
        if self.objective == "pointwise":
            return [TrainingItem((row,), (value,)) for row, value in zip(rows, values, strict=True)]
        if self.objective == "listwise":
            total = sum(values)
            return [TrainingItem(rows, tuple(value / total for value in values))] if total else []
        scores = known.teacher or values  # which may order a pair the other way round
        better = [(i, j) for i, j in permutations(range(len(rows)), 2) if values[i] > values[j]]
        return [TrainingItem((rows[i], rows[j]), (scores[i] - scores[j],)) for i, j in better]

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: `targets`, float32: the numbers of every item, concatenated."""
        targets = torch.tensor([number for item in items for number in item.labels])
        return TrainingBatch.of(items, {"targets": targets})

    def loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor:
        logits, targets = model(batch.batch).logits.float(), batch.labels["targets"]
        if self.objective == "pointwise":
            if len(self.labels) == 2:
                return F.cross_entropy(logits, (targets > 0).long())
            return F.binary_cross_entropy_with_logits(logits[:, self.label_number()], targets)
        scores = logits[:, self.label_number()]
        if self.objective == "listwise":
            return list_loss(scores, batch.sizes, targets)
        pairs = scores.view(-1, 2)
        return margin_loss(pairs, targets) if self.objective == "margin-mse" else pair_loss(pairs)

    def for_scoring(self) -> Self:
        return replace(self, top_k=None, function_to_apply="none")

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> RankingOutcomes:
        expected = of_each(lambda example: read_relevance(example, None), examples)
        by_text = [{each["corpus_id"]: each["score"] for each in ranking} for ranking in predictions]
        scores = [[by[i] for i in range(len(by))] for by in by_text]
        return RankingOutcomes.of(scores, [each.labels for each in expected])


def _activation(config: ElectraConfig) -> str | None:
    """The dotted name under which sentence-transformers writes a cross-encoder's activation, today's or the old one."""
    settings = getattr(config, "sentence_transformers", None)
    if isinstance(settings, Mapping) and settings.get("activation_fn") is not None:
        return str(settings["activation_fn"])
    legacy = getattr(config, "sbert_ce_default_activation_function", None)
    return None if legacy is None else str(legacy)
