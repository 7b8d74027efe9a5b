"""Hugging Face's door: a grid of ids with its masks becomes a Batch, or an error that names the argument."""

from __future__ import annotations

import torch
from torch import Tensor

from electra.batch import Batch, Layout
from electra.config import ElectraConfig


def batch_from_grid(
    config: ElectraConfig,
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    past: int = 0,
) -> Batch:
    """Ids [B, L] or vectors [B, L, E], and what goes with them -> a Batch over the grid's B * L cells.

    attention_mask: [B, past + L] (1: real), [B, L, S], or [B, 1 | N, L, S] (bool: keep; float: added to the scores).
    token_type_ids: [B, L] or [1, L], by default 0.  position_ids: likewise, by default past, past + 1, …
    """
    rows, columns, device = _shape(config, input_ids, inputs_embeds)
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
    mask = None if attention_mask is None else _mask(attention_mask, rows, columns, past, config)
    return Batch(ids, types, positions, Layout.of_grid(rows, columns, mask))


def check_range(name: str, values: Tensor, size: int, also: int | None = None) -> None:
    """Ids and labels lie in 0 … size - 1, or are `also`. Not looked at on accelerators, which would have to wait."""
    if values.device.type != "cpu" or torch.compiler.is_compiling() or not values.numel():
        return
    wrong = (values < 0) | (values >= size)
    if also is not None:
        wrong &= values != also
    if wrong.any():
        allowed = f"0 to {size - 1}" + ("" if also is None else f", or {also} where none counts")
        raise ValueError(f"{name} holds {values[wrong][0].item()}: allowed is {allowed}")


def check_shape(name: str, values: Tensor, *allowed: tuple[int, ...]) -> None:
    """A tensor has one of the shapes that are allowed."""
    if tuple(values.shape) not in allowed:
        shapes = " or ".join(str(list(shape)) for shape in allowed)
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be {shapes}")


def _shape(
    config: ElectraConfig, input_ids: Tensor | None, inputs_embeds: Tensor | None
) -> tuple[int, int, torch.device]:
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give either input_ids or inputs_embeds, and not both")
    given, name, dims = (input_ids, "input_ids", 2) if inputs_embeds is None else (inputs_embeds, "inputs_embeds", 3)
    if not isinstance(given, Tensor):
        raise ValueError(
            f"{name} is a {type(given).__name__}: it must be a tensor (the tokenizer's return_tensors='pt')"
        )
    if given.dim() != dims:
        what = "[rows, columns]" if dims == 2 else "[rows, columns, embedding_size]"
        raise ValueError(f"{name} has the shape {list(given.shape)}: it must be {what}")
    if not given.shape[0] or not given.shape[1]:
        raise ValueError(f"{name} has the shape {list(given.shape)}: there must be at least one row and one token")
    if dims == 3 and given.shape[2] != config.embedding_size:
        raise ValueError(
            f"inputs_embeds are {given.shape[2]} wide: they must be embedding_size {config.embedding_size}"
        )
    if dims == 2 and (given.is_floating_point() or given.dtype == torch.bool):
        raise ValueError(f"input_ids are {given.dtype}: they must be int64 or int32")
    return given.shape[0], given.shape[1], given.device


def _ids(name: str, values: Tensor | None, shape: tuple[int, int], size: int, device: torch.device) -> Tensor:
    """[B, L] or [1, L] -> int64 [B * L]"""
    if values is None:
        return torch.zeros(shape[0] * shape[1], dtype=torch.int64, device=device)
    check_shape(name, values, shape, (1, shape[1]))
    if values.is_floating_point() or values.dtype == torch.bool:
        raise ValueError(f"{name} are {values.dtype}: they must be int64 or int32")
    check_range(name, values, size)
    return values.expand(shape).reshape(-1).long()


def _mask(mask: Tensor, rows: int, columns: int, past: int, config: ElectraConfig) -> Tensor | None:
    keys = past + columns
    if mask.dim() == 2:
        check_shape("attention_mask", mask, (rows, keys))
        kept = mask != 0
        # without padding the kernels are faster without a mask; on an accelerator looking would mean waiting
        look = kept.device.type == "cpu" and not torch.compiler.is_compiling()
        return None if look and bool(kept.all()) else kept
    if mask.dim() == 3:
        mask = mask[:, None]
    heads = config.num_attention_heads
    check_shape("attention_mask", mask, *((r, h, columns, keys) for r in sorted({1, rows}) for h in sorted({1, heads})))
    return mask if mask.is_floating_point() else mask.bool()
