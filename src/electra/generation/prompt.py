"""The prompts of a call, checked: ids or vectors, and all that the network reads beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from electra.nn.cache import KeyValueCache
from electra.nn.input_checks import check_shape


@dataclass(frozen=True)
class Prompt:
    """R rows of n ids and of L columns for the network to read: L = n, unless vectors are read in place of ids.

    Attributes:
        ids: what the answer begins with, int64 [R, n]; n = 0 where there are only vectors.
        mask: 1, or 0 for padding, which is on the left, int64 [R, L].
        position_ids: int64 [R, L], counted from each row's first token.
        token_type_ids: int64 [R, L].
        inputs_embeds: [R, L, E].
        encoder_hidden_states: what cross-attention reads, [R, S, H].
        encoder_attention_mask: [R, S].
        past_key_values: what an earlier call has read of these columns.
    """

    ids: Tensor
    mask: Tensor
    position_ids: Tensor
    token_type_ids: Tensor | None = None
    inputs_embeds: Tensor | None = None
    encoder_hidden_states: Tensor | None = None
    encoder_attention_mask: Tensor | None = None
    past_key_values: KeyValueCache | None = None

    @property
    def rows(self) -> int:
        return self.ids.shape[0]

    @property
    def columns(self) -> int:
        """How many columns of `ids` there are."""
        return self.ids.shape[1]

    @property
    def read_columns(self) -> int:
        """How many columns the network reads."""
        return self.mask.shape[1]

    @property
    def last_position(self) -> int:
        return int(self.position_ids[:, -1].max())

    def repeat(self, times: int) -> Prompt:
        """Every row so many times in succession."""
        if times == 1:
            return self
        if self.past_key_values is not None:
            raise ValueError(
                "past_key_values hold one row for each prompt: leave them out for several answers or beams"
            )
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        longer: dict[str, Any] = {name: value.repeat_interleave(times, 0) for name, value in tensors.items()}
        return replace(self, **longer)


def read_prompt(
    inputs: Mapping[str, Any], bos: int | None, pad: int | None, ends: tuple[int, ...], device: torch.device
) -> Prompt:
    """The inputs of `generate` as a Prompt.

    Args:
        inputs: by name.
        bos: what a text without a prompt begins with.
        pad: the padding token.
        ends: tokens that end a text.
        device: of the network.

    Raises:
        ValueError: an input does not fit; the message names it.
    """
    for name, value in inputs.items():
        if value is not None and name != "past_key_values" and not isinstance(value, Tensor):
            raise ValueError(
                f"{name} is a {type(value).__name__}: it must be a tensor; what a tokenizer made with "
                "return_tensors='pt' is given as generate(**encoding)"
            )
    tensors = {name: value.to(device) for name, value in inputs.items() if isinstance(value, Tensor)}
    ids, vectors = _ids(tensors, bos, device), tensors.get("inputs_embeds")
    shape = (ids.shape[0], ids.shape[1] if vectors is None else vectors.shape[1])
    for name in ("inputs_embeds", "encoder_hidden_states", "encoder_attention_mask"):
        if name in tensors and tensors[name].shape[0] != ids.shape[0]:
            raise ValueError(f"{name} has {tensors[name].shape[0]} rows, and there are {ids.shape[0]} prompts")
    mask = _mask(tensors.get("attention_mask"), ids, shape, pad, ends)
    return Prompt(
        ids,
        mask,
        _positions(tensors.get("position_ids"), mask),
        _types(tensors.get("token_type_ids"), mask),
        vectors,
        tensors.get("encoder_hidden_states"),
        tensors.get("encoder_attention_mask"),
        _past(inputs.get("past_key_values"), shape[1]),
    )


def _ids(inputs: Mapping[str, Tensor], bos: int | None, device: torch.device) -> Tensor:
    """The prompt's ids [B, n]; without any the text begins with bos, for each row of the other inputs."""
    ids, vectors = inputs.get("input_ids"), inputs.get("inputs_embeds")
    if ids is not None and (ids.dim() != 2 or not len(ids) or ids.is_floating_point() or ids.dtype == torch.bool):
        raise ValueError(
            f"input_ids are {ids.dtype} {list(ids.shape)}: they must be int64 or int32, [rows, columns], a row at least"
        )
    if vectors is not None and (vectors.dim() != 3 or not vectors.numel()):
        raise ValueError(
            f"inputs_embeds have the shape {list(vectors.shape)}: it must be [rows, columns, width], none of them 0"
        )
    rows = next((value.shape[0] for value in (ids, vectors, *inputs.values()) if value is not None), 1)
    if ids is not None and (ids.shape[1] or vectors is not None):
        return ids.long()
    if vectors is not None:
        return torch.zeros(rows, 0, dtype=torch.int64, device=device)
    if bos is None:
        raise ValueError(
            "there is no prompt, and no token for a text to begin with: give input_ids, or bos_token_id (texts of "
            "ELECTRA begin with the tokenizer's cls_token_id)"
        )
    return torch.full((rows, 1), bos, device=device)


def _mask(given: Tensor | None, ids: Tensor, shape: tuple[int, int], pad: int | None, ends: tuple[int, ...]) -> Tensor:
    """[B, L]; without a mask, padding is recognised by its id, unless that ends texts too."""
    if given is not None:
        check_shape("attention_mask", given, shape)
        mask = (given != 0).long()
    elif pad is None or pad in ends or ids.shape != shape:
        mask = torch.ones(shape, dtype=torch.int64, device=ids.device)
    else:
        mask = (ids != pad).long()
    wrong = (mask[:, -1] == 0).nonzero()
    if len(wrong):
        raise ValueError(
            f"row {int(wrong[0])} of the prompts ends in padding, which no text can continue: pad on the left, with "
            "the tokenizer's padding_side='left'"
        )
    return mask


def _positions(given: Tensor | None, mask: Tensor) -> Tensor:
    """[B, L]: padding is at 0, as in transformers."""
    if given is not None:
        check_shape("position_ids", given, tuple(mask.shape), (1, mask.shape[1]))
        return given.long().expand_as(mask)
    return (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)


def _types(given: Tensor | None, mask: Tensor) -> Tensor | None:
    if given is None:
        return None
    check_shape("token_type_ids", given, tuple(mask.shape), (1, mask.shape[1]))
    return given.expand_as(mask)


def _past(given: Any, columns: int) -> KeyValueCache | None:
    if given is None:
        return None
    if not isinstance(given, KeyValueCache):
        raise ValueError(f"past_key_values is a {type(given).__name__}: give what an earlier call returned")
    if given.get_seq_length() >= columns:
        raise ValueError(
            f"past_key_values hold {given.get_seq_length()} tokens and the prompt has {columns}: give the whole text, "
            "with at least one token that they do not hold"
        )
    return given
