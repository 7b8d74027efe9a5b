"""Text generation: continuations of a text, by a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from electra.batch import Batch, Row
from electra.generation.generation_config import GenerationConfig
from electra.generation.generation_options import FIELDS, refuse_unknown
from electra.tasks.inputs.texts import read_single_text
from electra.tasks.task import NOT_FINITE, Encoded, Task, of_each
from electra.validation import require_one_of

# transformers 5.23, for what neither the call nor the model sets; without sampling there is no temperature
DEFAULTS: dict[str, Any] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}

ARGUMENTS = ("generation_config", "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "streamer")
"""Arguments of `generate` beside the fields of its config that a pipeline accepts."""

_REFUSED = ("return_dict_in_generate", "output_scores", "output_logits", "output_attentions", "output_hidden_states")

# With these options each prompt is a batch of its own: they count its padding, or see the whole batch.
_ALONE = (
    *("max_length", "min_length", "forced_bos_token_id", "no_repeat_ngram_size", "stop_strings", "max_time"),
    *("logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "streamer"),
)


@dataclass(frozen=True)
class EncodedPrompt(Encoded):
    """A prompt as one sequence."""

    text: str


@dataclass(frozen=True, kw_only=True)
class TextGeneration(Task[EncodedPrompt]):
    """Generate continuations of a text, with a decoder.

    An example is a string, the prompt. Every option of `generate` is one of the task too (`max_new_tokens`,
    `do_sample`, `num_beams`, …). By default it samples at a temperature of 0.7, at most 256 tokens or as many as the
    model has positions for. `max_length` is `generate`'s: of the whole text, in tokens.

    Returns:
        list[dict]: `[{"generated_text"}]`, as many as `num_return_sequences`; with `return_tensors`
            `[{"generated_token_ids"}]`.

    Attributes:
        max_length: the longest text in tokens, prompt included. Default: what the model reads.
        return_full_text: put the prompt before the answer. Default: True.
        return_tensors: answer with `{"generated_token_ids"}`, the prompt's included.
        return_text: answer with the text, which is the default.
        prefix: a text to put before every prompt; it is not in the answer.
        stop_sequence: stop after any of these strings; `stop_strings` of `generate`.
        add_special_tokens: put the prompt between [CLS] and [SEP], as the tokenizer does by default.
        truncation: truncate a prompt to `max_length`, or to the model's positions.
        handle_long_generation: "hole" drops the beginning of a prompt that leaves no room for the answer.
        skip_special_tokens: leave special tokens out of the answer.
        clean_up_tokenization_spaces: remove spaces before punctuation; see the tokenizer's `decode`.
        tokenizer_encode_kwargs: `add_special_tokens` and `truncation` in a dict of their own.
    """

    name: ClassVar[str] = "text-generation"
    architecture: ClassVar[str] = "ElectraForCausalLM"

    return_full_text: bool | None = None
    return_tensors: bool | None = None
    return_text: bool | None = None
    prefix: str | None = None
    stop_sequence: str | list[str] | None = None
    add_special_tokens: bool = True
    truncation: bool = False
    handle_long_generation: str | None = None
    skip_special_tokens: bool = True
    clean_up_tokenization_spaces: bool | None = None
    tokenizer_encode_kwargs: Mapping[str, Any] | None = None
    # `generate`'s options, found by `with_options`, and the tokenizer, which stop strings need
    generate: Mapping[str, Any] = field(default_factory=dict, metadata={"derived": True})
    tokenizer: Any = field(default=None, repr=False, metadata={"derived": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("return_full_text", "return_tensors", "return_text")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: give one of them")
        if self.handle_long_generation is not None:
            require_one_of("handle_long_generation", self.handle_long_generation, ("hole",))

    def with_options(self, **options: Any) -> Self:
        """A copy with other options: its own, or `generate`'s."""
        inner = options.get("tokenizer_encode_kwargs") or {}
        for name in inner:
            if name not in ("add_special_tokens", "truncation"):
                raise ValueError(f"tokenizer_encode_kwargs has {name!r}: choose one of add_special_tokens, truncation")
        options |= inner
        generates = {name: value for name, value in options.items() if name in (*FIELDS, *ARGUMENTS)}
        own = {name: value for name, value in options.items() if name not in generates}
        for name in _REFUSED:
            if generates.get(name):
                raise ValueError(f"{name}: a pipeline answers with texts; for more, call the model's generate()")
        known = [name for name, kind in type(self).__dataclass_fields__.items() if not kind.metadata.get("derived")]
        refuse_unknown(own, self.name, *known, *ARGUMENTS)
        return replace(self, generate={**self.generate, **generates}, **own)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        return replace(super().for_tokenizer(tokenizer), tokenizer=tokenizer)

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedPrompt]:
        texts = of_each(read_single_text, examples)
        if not texts:
            return []
        limits = {"truncation": True, "max_length": self.generate.get("max_length") or self.max_length}
        found = tokenizer(
            [(self.prefix or "") + text for text in texts],
            add_special_tokens=self.add_special_tokens,
            padding=False,
            return_attention_mask=False,
            verbose=False,
            **(limits if self.truncation else {"truncation": False}),
        )

        def encode(pair: tuple[str, list[int]]) -> EncodedPrompt:
            text, ids = pair
            if not ids:
                raise ValueError("the prompt has no token: give a text, or add_special_tokens=True")
            return EncodedPrompt((Row(self._with_room(ids)),), 0, text)

        return of_each(encode, list(zip(texts, found["input_ids"], strict=True)))

    def _with_room(self, ids: list[int]) -> list[int]:
        """Drop the prompt's beginning, as far as the answer needs the room."""
        if self.handle_long_generation is None:
            return ids
        new = self.generate.get("max_new_tokens")
        if new is None:
            longest = self.generate.get("max_length")
            new = DEFAULTS["max_new_tokens"] if longest is None else max(longest - len(ids), 1)
        if new >= self.max_length:
            raise ValueError(f"{new} new tokens leave no room for a prompt: the model reads {self.max_length}")
        return ids[-(self.max_length - new) :] if len(ids) + new > self.max_length else ids

    def infer(self, model: nn.Module, batch: Batch) -> list[list[list[int]]]:
        """The answers for each sequence: token ids, the prompt's included."""
        rows = list(batch.layout.split(batch.input_ids))
        options = self._options(model)
        answers: list[list[list[int]]] = [[] for _ in rows]
        for chosen, more in self._together(rows, options, model):
            made = _generate(model, [rows[i] for i in chosen], {**options, **more}, self._ends(model))
            for i, answer in zip(chosen, made, strict=True):
                answers[i] = answer
        return answers

    def _settings(self, model: Any) -> dict[str, Any]:
        """The options of `generate` that the call or the model sets."""
        config = self.generate.get("generation_config")
        of_config = {} if config is None else GenerationConfig.of(config).to_diff_dict()
        return {**model.generation_config.to_diff_dict(), **of_config, **self.generate}

    def _ends(self, model: Any) -> tuple[int, ...]:
        ends = self._settings(model).get("eos_token_id")
        return () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)

    def _options(self, model: Any) -> dict[str, Any]:
        """The arguments of `generate`: the call's, and defaults for what the model does not set either."""
        settings = self._settings(model)
        added = {name: value for name, value in DEFAULTS.items() if name not in settings}
        if "max_length" in settings:
            added.pop("max_new_tokens", None)
        if not (settings | added).get("do_sample"):
            added.pop("temperature", None)
        if "pad_token_id" not in settings and self.tokenizer.pad_token_id is not None:
            added["pad_token_id"] = self.tokenizer.pad_token_id
        if self.stop_sequence is not None:
            added["stop_strings"] = self.stop_sequence
        return {**self.generate, **added, "tokenizer": self.tokenizer}

    def _together(
        self, rows: Sequence[Tensor], options: Mapping[str, Any], model: Any
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Group the sequences into batches, each with the options that differ for it.

        Each sequence must get the answer that it would get alone. So it is alone if an option counts the padding, or if
        it has less room than the default number of new tokens.
        """
        settings = {**self._settings(model), **options}
        rooms = [int(model.config.max_position_embeddings) + 1 - len(row) for row in rows]
        default = DEFAULTS["max_new_tokens"] if "max_new_tokens" not in self._settings(model) else 0
        tight = {i for i, room in enumerate(rooms) if settings.get("max_new_tokens") and 0 < room < default}
        alone = range(len(rows)) if any(settings.get(name) for name in _ALONE) else sorted(tight)
        for i in alone:
            yield [i], {"max_new_tokens": rooms[i]} if i in tight else {}
        if others := [i for i in range(len(rows)) if i not in alone]:
            yield others, {}

    def decode(
        self, encoded: EncodedPrompt, outputs: Sequence[list[list[int]]], tokenizer: Any
    ) -> list[dict[str, Any]]:
        (answers,) = outputs
        if self.return_tensors:
            return [{"generated_token_ids": ids} for ids in answers]
        prompt_tokens = len(encoded.rows[0])
        before = "" if self.return_full_text is False else encoded.text
        how = {
            "skip_special_tokens": self.skip_special_tokens,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
        }
        return [{"generated_text": before + tokenizer.decode(ids[prompt_tokens:], **how)} for ids in answers]


def _generate(
    model: Any, rows: Sequence[Tensor], options: Mapping[str, Any], ends: tuple[int, ...]
) -> list[list[list[int]]]:
    """Generate from sequences of ids; answers end where they would end if each sequence were alone."""
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    ids = pad_sequence([row.flip(0) for row in rows], batch_first=True).flip(1)
    first = torch.tensor([longest - length for length in lengths], device=ids.device)
    mask = (torch.arange(longest, device=ids.device) >= first[:, None]).long()
    processors = [*(options.get("logits_processor") or ()), _refuse_nan]
    made = model.generate(input_ids=ids, attention_mask=mask, **{**options, "logits_processor": processors})
    found = []
    for answers, length in zip(made.view(len(rows), -1, made.shape[1]).tolist(), lengths, strict=True):
        stop = longest + max(_new_tokens(answer[longest:], ends) for answer in answers)
        found.append([answer[longest - length : stop] for answer in answers])
    return found


def _refuse_nan(ids: Tensor, scores: Tensor) -> Tensor:
    """A processor of logits: NaN would be answered with some token or other."""
    if scores.isnan().any():
        raise ValueError(NOT_FINITE)
    return scores


def _new_tokens(ids: Sequence[int], ends: tuple[int, ...]) -> int:
    """Count the tokens up to and including the first end token."""
    return next((count for count, token in enumerate(ids, start=1) if token in ends), len(ids))
