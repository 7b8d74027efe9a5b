"""Hugging Face's door: a grid of ids with its masks becomes a Batch, or an error that names the argument."""

from __future__ import annotations

import torch
from torch import Tensor

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.nn.arguments import check_finite, check_range, check_real, check_shape, check_tensor, check_whole


def batch_from_grid(
    config: ElectraConfig,
    words: Tensor,
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    past: int = 0,
) -> Batch:
    """Ids [B, L] or vectors [B, L, E], and what goes with them -> a Batch over the grid's B * L cells.

    words: the word embeddings, whose device and dtype everything must go with.
    attention_mask: [B, past + L] (1: real, 0: padding), [B, L, S], or [B, 1 | N, L, S] (bool: keep; float: added to
    the scores).  token_type_ids: [B, L] or [1, L], by default 0.  position_ids: likewise, by default past, past + 1, …
    """
    rows, columns, device = _shape(words, input_ids, inputs_embeds)
    if position_ids is None and past + columns > config.max_position_embeddings:
        raise ValueError(
            f"the input is {past + columns} tokens long and the model's positions end at "
            f"{config.max_position_embeddings} (max_position_embeddings): truncate the text, with the tokenizer's "
            "truncation=True"
        )
    shape = (rows, columns)
    types = _ids("token_type_ids", token_type_ids, shape, config.type_vocab_size, device)
    if position_ids is None:
        positions = torch.arange(past, past + columns, device=device).repeat(rows)
    else:
        positions = _ids("position_ids", position_ids, shape, config.max_position_embeddings, device)
    if input_ids is None:
        ids = torch.zeros(rows * columns, dtype=torch.int64, device=device)
    else:
        ids = _ids("input_ids", input_ids, shape, config.vocab_size, device)
    mask = None if attention_mask is None else _mask(attention_mask, rows, columns, past, config, device)
    return Batch(ids, types, positions, Layout.of_grid(rows, columns, mask))


def check_batch(config: ElectraConfig, words: Tensor, batch: Batch) -> None:
    """A ragged batch that this network can read."""
    longest = batch.layout.longest
    if longest > config.max_position_embeddings:
        raise ValueError(
            f"a row is {longest} tokens long and the model's positions end at "
            f"{config.max_position_embeddings} (max_position_embeddings): truncate it or split it into windows"
        )
    for name, size in (
        ("input_ids", config.vocab_size),
        ("token_type_ids", config.type_vocab_size),
        ("position_ids", config.max_position_embeddings),
    ):
        values = check_tensor(f"the Batch's {name}", getattr(batch, name), words.device)
        check_shape(f"the Batch's {name}", values, (batch.layout.tokens,))
        check_whole(f"the Batch's {name}", values)
        check_range(f"the Batch's {name}", values, size)


def check_memory(name: str, states: Tensor, mask: Tensor | None, rows: int, width: int, words: Tensor) -> None:
    """What cross-attention reads, [B, S, H], and its mask, [B, S] or [B, 1, L, S]."""
    check_tensor(name, states, words.device)
    if states.dim() != 3 or states.shape[0] != rows or states.shape[2] != width or not states.shape[1]:
        raise ValueError(f"{name} has the shape {list(states.shape)}: it must be [{rows}, columns, {width}]")
    check_real(name, states, words)
    if mask is None:
        return
    check_tensor("encoder_attention_mask", mask, words.device)
    if mask.dim() == 2:
        check_shape("encoder_attention_mask", mask, (rows, states.shape[1]))
    elif mask.dim() != 4 or mask.shape[-1] != states.shape[1] or mask.shape[0] not in (1, rows):
        raise ValueError(
            f"encoder_attention_mask has the shape {list(mask.shape)}: it must be {[rows, states.shape[1]]}"
        )
    _check_kept("encoder_attention_mask", mask)


def _shape(words: Tensor, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int, torch.device]:
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give either input_ids or inputs_embeds, and not both")
    given, name, dims = (input_ids, "input_ids", 2) if inputs_embeds is None else (inputs_embeds, "inputs_embeds", 3)
    given = check_tensor(name, given, words.device)
    if given.dim() != dims:
        what = "[rows, columns]" if dims == 2 else "[rows, columns, embedding_size]"
        raise ValueError(f"{name} has the shape {list(given.shape)}: it must be {what}")
    if not given.shape[0] or not given.shape[1]:
        raise ValueError(f"{name} has the shape {list(given.shape)}: there must be at least one row and one token")
    if dims == 3:
        if given.shape[2] != words.shape[1]:
            raise ValueError(f"inputs_embeds are {given.shape[2]} wide: they must be embedding_size {words.shape[1]}")
        check_real(name, given, words)
    return given.shape[0], given.shape[1], given.device


def _ids(name: str, values: Tensor | None, shape: tuple[int, int], size: int, device: torch.device) -> Tensor:
    """[B, L] or [1, L] -> int64 [B * L]"""
    if values is None:
        return torch.zeros(shape[0] * shape[1], dtype=torch.int64, device=device)
    check_tensor(name, values, device)
    check_shape(name, values, shape, (1, shape[1]))
    check_whole(name, values)
    check_range(name, values, size)
    return values.expand(shape).reshape(-1).long()


def _mask(
    mask: Tensor, rows: int, columns: int, past: int, config: ElectraConfig, device: torch.device
) -> Tensor | None:
    check_tensor("attention_mask", mask, device)
    keys = past + columns
    if mask.dim() == 2:
        check_shape("attention_mask", mask, (rows, keys))
        _check_kept("attention_mask", mask)
        kept = mask != 0
        # without padding the kernels are faster without a mask; on an accelerator looking would mean waiting
        look = kept.device.type == "cpu" and not torch.compiler.is_compiling()
        return None if look and bool(kept.all()) else kept
    if mask.dim() == 3:
        mask = mask[:, None]
    heads = config.num_attention_heads
    check_shape("attention_mask", mask, *((r, h, columns, keys) for r in sorted({1, rows}) for h in sorted({1, heads})))
    _check_kept("attention_mask", mask)
    return mask if mask.is_floating_point() else mask.bool()


def _check_kept(name: str, mask: Tensor) -> None:
    """A mask of two dimensions, and one of whole numbers, holds 0 and 1; others hold what is added to the scores."""
    if mask.is_floating_point() and mask.dim() > 2:
        check_finite(name, mask.masked_fill(mask == -torch.inf, 0))
    elif mask.dtype != torch.bool:
        check_range(name, mask, 2)
