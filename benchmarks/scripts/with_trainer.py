"""What one scripts with transformers: a checkpoint fitted by Trainer with its defaults, and its answers.

Trainer's defaults are 8 rows a step, AdamW at 5e-5 that falls to 0, no warm-up, dropout as the checkpoint has it, rows
padded to the longest of their batch. It writes no checkpoints here, which would only cost it time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import transformers

Example = dict[str, Any]

TEXT_LENGTH, CONTEXT_LENGTH, STRIDE = 128, 384, 128
BEST, LONGEST_ANSWER = 20, 30


def answers(
    model: str, train: Sequence[Example], test: Sequence[Example], *, epochs: float, seed: int, folder: str
) -> list[Any]:
    """Fit to the first examples and answer the others: a label, a list of tags or an answer's text for each."""
    kinds = {"question": Questions, "tokens": Tags}
    kind = next((kinds[key] for key in kinds if key in train[0]), Labels)
    transformers.set_seed(seed)
    task = kind(model, train)
    run = transformers.Trainer(
        task.model,
        transformers.TrainingArguments(
            folder,
            num_train_epochs=epochs,
            seed=seed,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=task.learnt(train),
        data_collator=task.collator,
    )
    run.remove_callback(transformers.PrinterCallback)  # stdout is for the result
    run.train()
    return task.said(run, test)


class Labels:
    """A label for a text or a pair."""

    def __init__(self, model: str, train: Sequence[Example]) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.names = sorted({row["label"] for row in train})
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(self.names))
        self.collator = transformers.DataCollatorWithPadding(self.tokenizer)

    def learnt(self, rows: Sequence[Example]) -> list[Example]:
        each = zip(rows_of(self._encoded(rows)), rows, strict=True)
        return [encoded | {"labels": self.names.index(row["label"])} for encoded, row in each]

    def said(self, run: Any, rows: Sequence[Example]) -> list[Any]:
        found = run.predict(rows_of(self._encoded(rows)))
        return [self.names[number] for number in found.predictions.argmax(-1)]

    def _encoded(self, rows: Sequence[Example]) -> Any:
        texts = [[row[key] for row in rows] for key in ("text", "text_pair") if key in rows[0]]
        return self.tokenizer(*texts, truncation=True, max_length=TEXT_LENGTH)


class Tags:
    """A tag for every word, at its first token."""

    def __init__(self, model: str, train: Sequence[Example]) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.names = sorted({tag for row in train for tag in row["tags"]})
        self.model = transformers.AutoModelForTokenClassification.from_pretrained(model, num_labels=len(self.names))
        self.collator = transformers.DataCollatorForTokenClassification(self.tokenizer)

    def learnt(self, rows: Sequence[Example]) -> list[Example]:
        encoded, made = self._encoded(rows), []
        for number, (row, each) in enumerate(zip(rows, rows_of(encoded), strict=True)):
            words = first_tokens(encoded, number)
            labels = [-100 if word is None else self.names.index(row["tags"][word]) for word in words]
            made.append(each | {"labels": labels})
        return made

    def said(self, run: Any, rows: Sequence[Example]) -> list[Any]:
        encoded, answers = self._encoded(rows), []
        predicted = run.predict(rows_of(encoded)).predictions.argmax(-1)
        for number, row in enumerate(rows):
            tags = ["O"] * len(row["tokens"])  # of words that were cut off
            for word, found in zip(first_tokens(encoded, number), predicted[number], strict=False):
                if word is not None:
                    tags[word] = self.names[found]
            answers.append(tags)
        return answers

    def _encoded(self, rows: Sequence[Example]) -> Any:
        words = [row["tokens"] for row in rows]
        return self.tokenizer(words, is_split_into_words=True, truncation=True, max_length=TEXT_LENGTH)


def first_tokens(encoded: Any, number: int) -> list[int | None]:
    """For each token of a row the number of the word that it begins, else None."""
    words = encoded.word_ids(number)
    return [word if word != before else None for before, word in zip([None, *words], words, strict=False)]


class Questions:
    """An answer out of a context that is read in overlapping windows."""

    def __init__(self, model: str, train: Sequence[Example]) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.model = transformers.AutoModelForQuestionAnswering.from_pretrained(model)
        self.collator = transformers.DataCollatorWithPadding(self.tokenizer)
        self.length = min(CONTEXT_LENGTH, self.model.config.max_position_embeddings)

    def learnt(self, rows: Sequence[Example]) -> list[Example]:
        encoded, made = self._windows(rows), []
        for number, each in enumerate(rows_of(encoded)):
            answer = rows[encoded["overflow_to_sample_mapping"][number]]["answers"][0]
            start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            places = context_places(encoded, number)
            first = [i for i, (begin, stop) in places.items() if begin <= start < stop]
            last = [i for i, (begin, stop) in places.items() if begin < end <= stop]
            begins, ends = (first[0], last[0]) if first and last else (0, 0)
            made.append(each | {"start_positions": begins, "end_positions": ends})
        return made

    def said(self, run: Any, rows: Sequence[Example]) -> list[Any]:
        encoded = self._windows(rows)
        start_logits, end_logits = run.predict(rows_of(encoded)).predictions
        best = [(-np.inf, "")] * len(rows)
        for number, row in enumerate(encoded["overflow_to_sample_mapping"]):
            found = self._spans(encoded, number, start_logits[number], end_logits[number], rows[row]["context"])
            best[row] = max([best[row], *found])
        return [text for _, text in best]

    def _windows(self, rows: Sequence[Example]) -> Any:
        return self.tokenizer(
            [row["question"] for row in rows],
            [row["context"] for row in rows],
            truncation="only_second",
            max_length=self.length,
            stride=min(STRIDE, self.length // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def _spans(self, encoded: Any, number: int, starts: Any, ends: Any, context: str) -> Iterator[tuple[float, str]]:
        """The spans of a window between its best starts and ends, with their scores."""
        places = context_places(encoded, number)
        for start in map(int, np.argsort(-starts)[:BEST]):
            for end in map(int, np.argsort(-ends)[:BEST]):
                if start in places and end in places and 0 <= end - start < LONGEST_ANSWER:
                    yield float(starts[start] + ends[end]), context[places[start][0] : places[end][1]]


def context_places(encoded: Any, number: int) -> dict[int, tuple[int, int]]:
    """The characters of the context that each of its tokens in a window stands for."""
    offsets, sides = encoded["offset_mapping"][number], encoded.sequence_ids(number)
    return {i: tuple(span) for i, (span, side) in enumerate(zip(offsets, sides, strict=True)) if side == 1}


def rows_of(encoded: Any) -> list[Example]:
    """What the model is called with, a dict for each row."""
    names = ("input_ids", "token_type_ids", "attention_mask")
    return [dict(zip(names, values, strict=True)) for values in zip(*(encoded[name] for name in names), strict=True)]
