"""Masked-language modelling: which tokens does the generator expect in place of [MASK]?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from electra.batch import Batch
from electra.tasks.inputs.texts import read_single_text
from electra.tasks.inputs.token_offsets import EncodedTokens, Tokens, in_windows, tokenize
from electra.tasks.task import Task, of_each
from electra.validation import require_count

log = logging.getLogger("electra")

Choice = tuple[float, int]
"""A probability and the token that has it."""


@dataclass(frozen=True, kw_only=True)
class FillMask(Task[EncodedTokens]):
    """Predict the tokens in place of [MASK], with a generator.

    An example is a string with one [MASK] or several, each predicted on its own. A text longer than the model reads is
    split into overlapping windows.

    Returns:
        list[dict] | list[list[dict]]: the most probable tokens `{"score", "token", "token_str", "sequence"}`, best
            first; a list of such lists for a text with several masks.

    Attributes:
        max_length: the longest sequence in tokens. Default: what the model reads.
        top_k: how many tokens for each mask.
        targets: choose among these tokens only. One that is not in the vocabulary is replaced by its first piece.
        stride: how many tokens neighbouring windows of a long text share. Default: a quarter of a window.
    """

    name: ClassVar[str] = "fill-mask"
    architecture: ClassVar[str] = "ElectraForMaskedLM"
    one_is_bare: ClassVar[bool] = True

    top_k: int = 5
    targets: str | Sequence[str] | None = None
    stride: int | None = None
    # set by `for_tokenizer`; not options
    target_ids: tuple[int, ...] | None = field(default=None, metadata={"derived": True})
    mask_token_id: int = field(default=103, metadata={"derived": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("top_k", self.top_k)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        if tokenizer.mask_token_id is None:
            raise ValueError("the tokenizer has no mask token: fill-mask needs one, such as [MASK]")
        targets = None if self.targets is None else target_ids(self.targets, tokenizer)
        return replace(super().for_tokenizer(tokenizer), target_ids=targets, mask_token_id=tokenizer.mask_token_id)

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedTokens]:
        def encode(tokens: Tokens) -> EncodedTokens:
            if tokenizer.mask_token_id not in tokens.ids:
                raise ValueError(f"the text has no {tokenizer.mask_token} to fill: {tokens.text[:60]!r}")
            return in_windows(tokens, tokenizer, self.max_length, self.stride)

        return of_each(encode, tokenize(of_each(read_single_text, examples), tokenizer))

    def infer(self, model: nn.Module, batch: Batch) -> list[list[list[Choice]]]:
        """The best tokens for each mask of each sequence. Logits over the vocabulary are computed at the masks only."""
        masks = (batch.input_ids == self.mask_token_id).nonzero()[:, 0]
        probabilities = vocabulary_scores(model, batch, masks).float().softmax(-1)
        if self.target_ids is not None:
            probabilities = probabilities[:, list(self.target_ids)]
        values, places = probabilities.topk(min(self.top_k, probabilities.shape[-1]))
        tokens = places.tolist()
        if self.target_ids is not None:
            tokens = [[self.target_ids[place] for place in mask] for mask in tokens]
        choices = iter([list(zip(*pair, strict=True)) for pair in zip(values.tolist(), tokens, strict=True)])
        per_row = [int((row == self.mask_token_id).sum()) for row in batch.layout.split(batch.input_ids.cpu())]
        return [[next(choices) for _ in range(count)] for count in per_row]

    def decode(self, encoded: EncodedTokens, outputs: Sequence[list[list[Choice]]], tokenizer: Any) -> list[Any]:
        """`[{…}]` for one mask, `[[{…}], …]` for several."""
        ids = encoded.tokens.ids
        found: list[tuple[int, list[Choice]]] = []
        for window, choices in zip(encoded.windows, outputs, strict=True):
            places = [i for i in range(window.start, window.stop) if ids[i] == self.mask_token_id]
            owned = (window.first <= place < window.last for place in places)
            found += [pair for pair, ours in zip(zip(places, choices, strict=True), owned, strict=True) if ours]
        alone = len(found) == 1
        whole = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]

        def filled(place: int, score: float, token: int) -> dict[str, Any]:
            sequence = [*whole[: place + 1], token, *whole[place + 2 :]]
            # with several masks the others stay visible, and with them [CLS] and [SEP], as in transformers
            text = tokenizer.decode(
                [i for i in sequence if i != tokenizer.pad_token_id],
                skip_special_tokens=alone,
            )
            return {"score": score, "token": token, "token_str": tokenizer.decode([token]), "sequence": text}

        answers = [[filled(place, *choice) for choice in choices] for place, choices in found]
        return answers[0] if alone else answers


def vocabulary_scores(model: nn.Module, batch: Batch, positions: Tensor) -> Tensor:
    """Compute logits over the vocabulary at some tokens only: positions [M] -> [M, V]."""
    hidden = model.electra(batch).last_hidden_state[positions]  # type: ignore[operator]
    scores: Tensor = model.predict_words(hidden)  # type: ignore[operator]
    return scores


def target_ids(targets: str | Sequence[str], tokenizer: Any) -> tuple[int, ...]:
    """The ids of some words, each once; a word outside the vocabulary is replaced by its first piece."""
    vocabulary = tokenizer.get_vocab()
    found: dict[int, None] = {}
    for target in [targets] if isinstance(targets, str) else targets:
        if target in vocabulary:
            found[vocabulary[target]] = None
            continue
        pieces = tokenizer.encode(target, add_special_tokens=False)
        if not pieces:
            log.warning("the target %r has no token and is ignored", target)
            continue
        piece = tokenizer.convert_ids_to_tokens(pieces[0])
        log.warning("the target %r is not in the vocabulary: it is replaced by %r", target, piece)
        found[pieces[0]] = None
    if not found:
        raise ValueError(f"targets={targets!r}: none of them has a token in the vocabulary")
    return tuple(found)
