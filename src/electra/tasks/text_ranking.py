"""Text ranking: a cross-encoder reads a query beside each of many texts, and says how well they go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Self

from torch import nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.tasks import score_functions
from electra.tasks.pairs import PairedTask, token_ids
from electra.tasks.score_functions import SCORE_FUNCTIONS
from electra.tasks.task import Encoded, of_each
from electra.tasks.texts import Ranking, read_ranking

ACTIVATIONS = {"Identity": "none", "Sigmoid": "sigmoid", "Softmax": "softmax"}
"""torch's modules that a configuration may name -> ours."""


@dataclass(frozen=True)
class EncodedRanking(Encoded):
    """A row for each text."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TextRanking(PairedTask[EncodedRanking]):
    """A query and texts -> `[{"corpus_id", "score"}]`, best first; `corpus_id` is a text's number, from 0 on.

    A row is `[CLS] query [SEP] text [SEP]`; where it is too long, the longer of the two is cut.

    Attributes:
        truncation: True is "longest_first"; see `PairedTask`.
        top_k: how many texts to return; None: all.
        return_documents: add each text as `text`.
        function_to_apply: what makes scores of the network's outputs: "sigmoid", "softmax", "none", or "default": what
            the configuration names as its `sentence_transformers` activation, else sigmoid for one label and softmax
            for several.
        label: by whose score to rank, a label's name or number. Default: the only label, or the second of two.
    """

    name: ClassVar[str] = "text-ranking"
    architecture: ClassVar[str] = "ElectraForSequenceClassification"
    parts: ClassVar[tuple[str, ...]] = ("query", "texts")
    usual_truncation: ClassVar[str] = "longest_first"

    top_k: int | None = None
    return_documents: bool = False
    function_to_apply: str | None = "default"
    label: str | int | None = None
    # both are read off the configuration, and are no options
    labels: tuple[str, ...] = field(default=("LABEL_0",), metadata={"derived": True})
    activation: str | None = field(default=None, metadata={"derived": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "function_to_apply", score_functions.named(self.function_to_apply))
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k}: a number from 1 on, or None for all texts")

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        task = cls(
            max_length=config.max_position_embeddings,
            labels=tuple(config.id2label[i] for i in range(config.num_labels)),
            activation=_activation(config),
        ).with_options(**options)
        task.function()  # an activation or a label that is unknown is refused before a model is loaded
        task.label_number()
        return task

    def function(self) -> str:
        """Which of SCORE_FUNCTIONS makes the scores."""
        if self.function_to_apply != "default":
            return str(self.function_to_apply)
        if self.activation is None:
            return "sigmoid" if len(self.labels) == 1 else "softmax"
        name = self.activation.rsplit(".", 1)[-1]
        if name not in ACTIVATIONS or not self.activation.startswith("torch."):
            raise ValueError(
                f"the configuration's activation is {self.activation!r}; there is {', '.join(ACTIVATIONS)} of "
                f"torch.nn: give function_to_apply ({', '.join(SCORE_FUNCTIONS)})"
            )
        return ACTIVATIONS[name]

    def label_number(self) -> int:
        """By which of the network's outputs to rank."""
        if self.label is None:
            if len(self.labels) > 2:
                raise ValueError(f"the model tells {len(self.labels)} labels apart: say with label=… whose score ranks")
            return len(self.labels) - 1
        if self.label in self.labels:
            return self.labels.index(str(self.label))
        if isinstance(self.label, int) and 0 <= self.label < len(self.labels):
            return self.label
        raise ValueError(f"label={self.label!r} is none of the model's: {', '.join(map(repr, self.labels))}")

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedRanking]:
        found = of_each(read_ranking, examples)
        queries = iter(token_ids([each.query for each in found], tokenizer))
        texts = iter(token_ids(list(chain.from_iterable(each.texts for each in found)), tokenizer))

        def encode(example: Ranking) -> EncodedRanking:
            rows, lost = self.pair(next(queries), [next(texts) for _ in example.texts], tokenizer)
            return EncodedRanking(rows, lost, example.texts)

        return of_each(encode, found)

    def infer(self, model: nn.Module, batch: Batch) -> list[float]:
        """A score for each row."""
        logits = model(batch).logits
        if logits.shape[-1] != len(self.labels):
            raise ValueError(f"the model tells {logits.shape[-1]} labels apart, its configuration {len(self.labels)}")
        scores: list[float] = SCORE_FUNCTIONS[self.function()](logits.float())[:, self.label_number()].tolist()
        return scores

    def decode(self, encoded: EncodedRanking, outputs: Sequence[float], tokenizer: Any) -> list[dict[str, Any]]:
        order = sorted(range(len(outputs)), key=lambda i: -outputs[i])[: self.top_k]
        texts = [{"text": encoded.texts[i]} if self.return_documents else {} for i in order]
        return [{"corpus_id": i, "score": outputs[i], **text} for i, text in zip(order, texts, strict=True)]


def _activation(config: ElectraConfig) -> str | None:
    """The dotted name under which sentence-transformers writes a cross-encoder's activation, today's or the old one."""
    settings = getattr(config, "sentence_transformers", None)
    if isinstance(settings, Mapping) and settings.get("activation_fn") is not None:
        return str(settings["activation_fn"])
    legacy = getattr(config, "sbert_ce_default_activation_function", None)
    return None if legacy is None else str(legacy)
