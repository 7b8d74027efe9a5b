"""Token classification: a label for every word, such as the names in a text or parts of speech."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.metrics import task_metrics as metrics
from electra.metrics.entity_metrics import EntityOutcomes
from electra.metrics.tag_schemes import OUTSIDE as OUTSIDE
from electra.metrics.tag_schemes import recognise_scheme, unrecognised
from electra.nn.heads import IGNORED
from electra.tasks.inputs.texts import Words, read_single_text, read_words
from electra.tasks.inputs.token_offsets import EncodedTokens, Tokens, in_windows, tokenize, tokenize_words
from electra.tasks.labelled_task import ClassificationTask, Column, TrainingBatch, TrainingItem, label_of
from electra.tasks.outputs.entities import STRATEGIES, entities
from electra.tasks.task import label_logits, of_each
from electra.validation import require, require_one_of

log = logging.getLogger("electra")


@dataclass(frozen=True, kw_only=True)
class TokenClassification(ClassificationTask[EncodedTokens]):
    """Label the tokens of a text, such as the named entities in it.

    An example is a string, a list of words, or a dict with `text` or `tokens`. A text longer than the model reads is
    split into overlapping windows, so that every token gets a label.

    Returns:
        list[dict]: without aggregation `{"entity", "score", "index", "word", "start", "end"}` for every token, with it
            `{"entity_group", "score", "word", "start", "end"}` for every entity. `start` and `end` are characters of
            the text (of the words joined by `delimiter`).

    Attributes:
        max_length: the longest sequence in tokens; longer texts are read in windows. Default: as the model was
            fine-tuned, else what it reads.
        labels: the names of the model's outputs. Default: the model's `id2label`.
        aggregation_strategy: "none", "simple", "first", "average" or "max"; see `electra.tasks.outputs.entities`.
            Default: "first" for a model that `electra finetune` fitted, else "none".
        ignore_labels: labels that are left out of the answer: a name, or a list of names.
        stride: how many tokens neighbouring windows of a long text share. Default: a quarter of a window.
        is_split_into_words: inputs are lists of words. A dict with the key `tokens` always is.
        delimiter: joins words to the text that `start` and `end` refer to.
        offset_mapping: the characters of each token, `(start, end)`, in place of the tokenizer's: for one text, or a
            list of these for a list of texts. [CLS] and [SEP] have an entry too, as in a tokenizer's output. A dict
            with the key `offset_mapping` does the same.
    """

    name: ClassVar[str] = "token-classification"
    aliases: ClassVar[tuple[str, ...]] = ("ner",)
    architecture: ClassVar[str] = "ElectraForTokenClassification"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("tokens", ("tokens", "words"), "the words"),
        Column("tags", ("tags", "ner_tags", "ner", "labels", "chunk", "pos"), "their tags"),
    )

    aggregation_strategy: str = "none"
    ignore_labels: str | Sequence[str] = (OUTSIDE,)
    stride: int | None = None
    is_split_into_words: bool = False
    delimiter: str | None = " "
    offset_mapping: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        strategy = str(self.aggregation_strategy).lower()
        require_one_of("aggregation_strategy", strategy, STRATEGIES)
        object.__setattr__(self, "aggregation_strategy", strategy)
        # a string would match labels that are parts of it
        ignored = (self.ignore_labels,) if isinstance(self.ignore_labels, str) else self.ignore_labels
        object.__setattr__(self, "ignore_labels", tuple(ignored))
        object.__setattr__(self, "delimiter", " " if self.delimiter is None else self.delimiter)

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        task = cls(max_length=config.max_position_embeddings, labels=labels)
        return task.with_options(**{**cls.fitted_options(config), **options})

    @classmethod
    def fitted_options(cls, config: ElectraConfig) -> dict[str, Any]:
        """As in the base class. Words are labelled by their first token, which is what fine-tuning learns."""
        fitted = super().fitted_options(config)
        return {"aggregation_strategy": "first", **fitted} if cls.is_fitted(config) else fitted

    @classmethod
    def read_example(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Read words and tags: lists of strings, or strings that are split at spaces, as CSV files have them."""
        example = {key: value.split() if isinstance(value, str) else value for key, value in values.items()}
        for key, value in example.items():
            require(isinstance(value, list), key, value, "a list of words")
        return {key: [str(word) for word in value] for key, value in example.items()}

    @classmethod
    def gather(cls, examples: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
        """Keep sentences without words; refuse examples none of which has a word."""
        if not any(example["tokens"] for example in examples):
            raise ValueError("no sentence has a word")
        return super().gather(examples)

    @classmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        """Collect the labels of examples `{"tokens", "tags"}`, O first, unless the options have `labels`."""
        if "labels" in options:
            return cls().with_options(**options)
        found = {str(tag) for tags in of_each(_tags, examples) for tag in tags}
        if len(found) < 2:
            raise ValueError(f"the examples' tags are {sorted(found)}: a classifier needs at least two")
        return cls(labels=tuple(sorted(found, key=lambda tag: (tag != OUTSIDE, tag)))).with_options(**options)

    def arrange(self, inputs: Any) -> Any:
        """Recognise a list of words as one text if texts are lists of words; put offsets beside their texts."""
        lists = isinstance(inputs, (list, tuple))
        if lists and self.is_split_into_words and not all(isinstance(text, (list, tuple, Mapping)) for text in inputs):
            inputs = [inputs]
        if self.offset_mapping is None:
            return inputs
        if isinstance(inputs, str):
            return {"text": inputs, "offset_mapping": self.offset_mapping}
        if not lists or len(inputs) != len(self.offset_mapping):
            given = f"{len(inputs)} texts" if lists else f"a {type(inputs).__name__}"
            raise ValueError(
                f"offset_mapping has {len(self.offset_mapping)} lists, for {given}: one for each is needed"
            )
        keys = ["text" if isinstance(text, str) else "tokens" for text in inputs]
        each = zip(keys, inputs, self.offset_mapping, strict=True)
        return [{key: text, "offset_mapping": offsets} for key, text, offsets in each]

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedTokens]:
        texts = of_each(self._read, examples)
        words = iter(tokenize_words([text for text in texts if isinstance(text, Words)], tokenizer))
        plain = iter(tokenize([text for text in texts if isinstance(text, str)], tokenizer))
        tokens = [next(plain) if isinstance(text, str) else next(words) for text in texts]
        placed = of_each(_placed, zip(tokens, examples, strict=True))
        return [in_windows(found, tokenizer, self.max_length, self.stride) for found in placed]

    def _read(self, example: Any) -> str | Words:
        split = self.is_split_into_words or isinstance(example, (list, tuple))
        split = split or (isinstance(example, Mapping) and "tokens" in example)
        return read_words(example, str(self.delimiter)) if split else read_single_text(example)

    def infer(self, model: nn.Module, batch: Batch) -> list[np.ndarray]:
        """[sequence's tokens, K] for each sequence: probabilities, float32."""
        scores = label_logits(model(batch).logits, self.labels).softmax(-1).cpu()
        return [row.numpy() for row in batch.layout.split(scores)]

    def decode(self, encoded: EncodedTokens, outputs: Sequence[np.ndarray], tokenizer: Any) -> list[dict[str, Any]]:
        scores = encoded.merge(outputs)
        return entities(
            encoded.tokens, scores, self.labels, self.aggregation_strategy, tokenizer, ignored=self.ignore_labels
        )

    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        """An item for every window; -100 except for each word's first token, in the window that scores it."""
        targets = of_each(self.target, examples)
        encoded = self.encode_all([{"tokens": example["tokens"]} for example in examples], tokenizer)
        return [item for e, target in zip(encoded, targets, strict=True) for item in _labelled(e, target)]

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: int64 [T], -100 where ignored."""
        labels = torch.tensor([label for item in items for label in item.labels])
        return TrainingBatch.of(items, {"labels": labels}, int((labels != IGNORED).sum()))

    def target(self, example: Any) -> list[int]:
        """The indices of a labelled example's tags, one for each word."""
        words, tags = read_words(example).words, _tags(example)
        if len(words) != len(tags):
            raise ValueError(f"{len(words)} tokens and {len(tags)} tags: each token has a tag")
        return [self.label_index(tag) for tag in self._as_labels(tags)]

    def _as_labels(self, tags: Sequence[Any]) -> Sequence[Any]:
        """The tags, or the labels that mean the same where the tags are of another scheme than the labels."""
        if all(isinstance(tag, str) and tag in self.labels for tag in tags):
            return tags
        names = list(map(str, tags))
        own, other = recognise_scheme(self.labels), recognise_scheme(set(names))
        if own is None or (other is None and set(names) != {OUTSIDE}):
            return tags
        return own.write(other.to_iob2(names) if other else names) or tags

    def for_scoring(self) -> Self:
        return replace(self, aggregation_strategy="none", ignore_labels=())

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> metrics.Outcomes:
        """Compare entities if the labels are of a tag scheme, such as O, B-PER, I-PER; else each word's label.

        Labels of which only some are of a scheme are compared by words, with a warning.
        """
        expected = of_each(self.target, examples)
        each = zip(predictions, examples, strict=True)
        predicted = [[label for label, _ in self.word_labels(*pair)] for pair in each]
        scheme = recognise_scheme(self.labels)
        if scheme is not None:
            return EntityOutcomes.of_scheme(predicted, [[self.labels[i] for i in tags] for tags in expected], scheme)
        if others := unrecognised(self.labels):
            log.warning(
                "the labels %s fit no tag scheme, the others do: words are scored, not entities", ", ".join(others)
            )
        numbers = [[self.labels.index(tag) for tag in tags] for tags in predicted]
        return metrics.word_outcomes(numbers, expected, self.labels)

    def word_labels(self, tokens: Sequence[dict[str, Any]], example: Any) -> list[tuple[str, float]]:
        """Each word's label and its probability: its first token's, in the answer that `for_scoring()` gave.

        A word without tokens (control characters) has the first label, with certainty.
        """
        words = read_words(example, str(self.delimiter))
        found: dict[int, tuple[str, float]] = {}
        bounds = [*words.starts[1:], len(words.text) + 1]
        word = 0
        for token in tokens:
            while token["start"] >= bounds[word]:
                word += 1
            found.setdefault(word, (token["entity"], token["score"]))
        return [found.get(i, (self.labels[0], 1.0)) for i in range(len(words.words))]


def _placed(pair: tuple[Tokens, Any]) -> Tokens:
    """Tokens with the offsets that came with the example, if any did."""
    tokens, example = pair
    given = example.get("offset_mapping") if isinstance(example, Mapping) else None
    if given is None:
        return tokens
    if len(given) != len(tokens) + 2 or any(len(span) != 2 for span in given):
        raise ValueError(
            f"offset_mapping has {len(given)} entries: a (start, end) is needed for each of the text's {len(tokens)} "
            "tokens and for [CLS] and [SEP]"
        )
    return replace(tokens, spans=tuple((int(start), int(end)) for start, end in given[1:-1]))


def _tags(example: Any) -> list[Any]:
    tags = label_of(example, "tags", "ner_tags", "labels")
    if not isinstance(tags, (list, tuple)):
        raise ValueError(f"'tags' is a list with a tag for each token, not {tags!r}")
    return list(tags)


def _labelled(encoded: EncodedTokens, target: Sequence[int]) -> list[TrainingItem]:
    words = encoded.tokens.words or ()
    begins = [i == 0 or words[i] != words[i - 1] for i in range(len(words))]
    made = []
    for row, window in zip(encoded.rows, encoded.windows, strict=True):
        labels = [IGNORED] * len(row)
        for i in range(window.first, window.last):
            if begins[i]:
                labels[1 + i - window.start] = target[words[i]]
        made.append(TrainingItem((row,), labels))
    return made
