"""Arguments of a forward pass: padded tensors become a Batch, and what no network can read is refused by name.

Values are checked on the CPU only: on an accelerator, reading them would make the host wait for the device at every
call. Under a tracer they are not checked either: a graph must not depend on the values of its example inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.hardware.torch_internals import dispatch_modes, tracing_state, transforms_active

# -- padded inputs -------------------------------------------------------------------------------------------------


def batch_from_padded(
    config: ElectraConfig,
    words: Tensor,
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    past: int = 0,
) -> Batch:
    """Padded tensors as transformers' callers give them -> a Batch over all B * L cells, the padding included.

    Args:
        config: the network's.
        words: the weight of the word embeddings, whose device and dtype the arguments have to match.
        input_ids: int64 or int32 [B, L]. Either these or `inputs_embeds`.
        attention_mask: [B, past + L] (1: token, 0: padding), or [B | 1, L, S] or [B | 1, N | 1, L, S] (bool or whole
            numbers: which keys a query attends to; float: added to the attention scores).
        token_type_ids: [B, L] or [1, L]. Default: 0.
        position_ids: [B, L] or [1, L]. Default: past, past + 1, …
        inputs_embeds: vectors in place of ids, [B, L, E].
        past: how many tokens a cache holds before these.

    Raises:
        ValueError: an argument has a type, device, dtype, shape or value that the network cannot read.
    """
    rows, columns, device = _batch_size(words, input_ids, inputs_embeds)
    if position_ids is None and past + columns > config.max_position_embeddings:
        raise ValueError(
            f"the input is {past + columns} tokens long and the model's positions end at "
            f"{config.max_position_embeddings} (max_position_embeddings): truncate the text, with the tokenizer's "
            "truncation=True"
        )
    shape = (rows, columns)
    types = _flat_ids("token_type_ids", token_type_ids, shape, config.type_vocab_size, device)
    if position_ids is None:
        positions = torch.arange(past, past + columns, device=device).repeat(rows)
    else:
        positions = _flat_ids("position_ids", position_ids, shape, config.max_position_embeddings, device)
    # with inputs_embeds the ids are not read: zeros stand in for them
    ids = _flat_ids("input_ids", input_ids, shape, config.vocab_size, device)
    mask = None if attention_mask is None else _layout_mask(attention_mask, rows, columns, past, config, device)
    return Batch(ids, types, positions, Layout.of_grid(rows, columns, mask))


def _batch_size(words: Tensor, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int, torch.device]:
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give either input_ids or inputs_embeds, and not both")
    values, name, dims = (input_ids, "input_ids", 2) if inputs_embeds is None else (inputs_embeds, "inputs_embeds", 3)
    values = check_tensor(name, values, words.device)
    if values.dim() != dims:
        expected = "[rows, columns]" if dims == 2 else "[rows, columns, embedding_size]"
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be {expected}")
    if not values.shape[0] or not values.shape[1]:
        raise ValueError(f"{name} has the shape {list(values.shape)}: there must be at least one row and one token")
    if dims == 3:
        if values.shape[2] != words.shape[1]:
            raise ValueError(f"inputs_embeds are {values.shape[2]} wide: they must be embedding_size {words.shape[1]}")
        check_real(name, values, words)
    return values.shape[0], values.shape[1], values.device


def _flat_ids(name: str, values: Tensor | None, shape: tuple[int, int], size: int, device: torch.device) -> Tensor:
    """[B, L] or [1, L] -> int64 [B * L]; None -> zeros."""
    if values is None:
        return torch.zeros(shape[0] * shape[1], dtype=torch.int64, device=device)
    check_tensor(name, values, device)
    check_shape(name, values, shape, (1, shape[1]))
    check_whole(name, values)
    check_range(name, values, size)
    return values.expand(shape).reshape(-1).long()


def _layout_mask(
    mask: Tensor, rows: int, columns: int, past: int, config: ElectraConfig, device: torch.device
) -> Tensor | None:
    """The mask as a Layout holds it: bool [B, S], or [B | 1, N | 1, L, S]; None where nothing is masked."""
    check_tensor("attention_mask", mask, device)
    keys = past + columns
    if mask.dim() == 2:
        check_shape("attention_mask", mask, (rows, keys))
        check_mask("attention_mask", mask)
        kept = mask != 0
        # the kernels are faster without a mask. A traced graph keeps it: it will be called with other masks
        return None if _is_readable(kept) and bool(kept.all()) else kept
    if mask.dim() == 3:
        mask = mask[:, None]
    heads = config.num_attention_heads
    check_shape("attention_mask", mask, *((r, h, columns, keys) for r in sorted({1, rows}) for h in sorted({1, heads})))
    check_mask("attention_mask", mask)
    return mask if mask.is_floating_point() else mask.bool()


# -- ragged batches, cross-attention -------------------------------------------------------------------------------


def check_batch(config: ElectraConfig, words: Tensor, batch: Batch) -> None:
    """Refuse a ragged batch that this network cannot read.

    Raises:
        ValueError: a sequence is too long, or a tensor has the wrong type, device, dtype, shape or values.
    """
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


def check_encoder_states(states: Tensor, mask: Tensor | None, rows: int, width: int, words: Tensor) -> None:
    """Refuse what a decoder's cross-attention cannot read.

    Args:
        states: encoder_hidden_states, [B, S, H].
        mask: encoder_attention_mask, [B, S] or [B | 1, 1, L, S].
        rows, width: B and H of this call.
        words: the weight of the word embeddings, whose device and dtype the states have to match.
    """
    check_tensor("encoder_hidden_states", states, words.device)
    if states.dim() != 3 or states.shape[0] != rows or states.shape[2] != width or not states.shape[1]:
        raise ValueError(
            f"encoder_hidden_states has the shape {list(states.shape)}: it must be [{rows}, columns, {width}]"
        )
    check_real("encoder_hidden_states", states, words)
    if mask is None:
        return
    check_tensor("encoder_attention_mask", mask, words.device)
    if mask.dim() == 2:
        check_shape("encoder_attention_mask", mask, (rows, states.shape[1]))
    elif mask.dim() != 4 or mask.shape[-1] != states.shape[1] or mask.shape[0] not in (1, rows):
        raise ValueError(
            f"encoder_attention_mask has the shape {list(mask.shape)}: it must be {[rows, states.shape[1]]}"
        )
    check_mask("encoder_attention_mask", mask)


# -- single tensors ------------------------------------------------------------------------------------------------


def check_tensor(name: str, value: object, device: torch.device | None = None) -> Tensor:
    """The value, if it is a tensor on this device (None, or "meta": on any)."""
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name} is a {type(value).__name__}: it must be a tensor (the tokenizer's return_tensors='pt')"
        )
    if device is not None and device.type != "meta" and value.device != device:
        raise ValueError(f"{name} is on {value.device} and the model on {device}: move it there, with .to({device!r})")
    return value


def check_whole(name: str, values: Tensor) -> None:
    """Ids, positions and classes are whole numbers."""
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be int64 or int32")


def check_real(name: str, values: Tensor, like: Tensor) -> None:
    """Vectors are finite floating-point numbers, and not wider than the weights that read them."""
    if not values.is_floating_point():
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be {like.dtype}, as the model's weights")
    mixed = torch.is_autocast_enabled(values.device.type)
    if not mixed and torch.promote_types(values.dtype, like.dtype) != like.dtype:
        raise ValueError(f"{name} has the dtype {values.dtype} and the model's weights {like.dtype}: convert one")
    check_finite(name, values)


def check_finite(name: str, values: Tensor) -> None:
    """No NaN, no infinity."""
    _refuse_complex(name, values)
    if _is_readable(values) and not values.isfinite().all():
        wrong = values[~values.isfinite()].flatten()[0].item()
        raise ValueError(f"{name} holds {wrong}: only finite numbers are allowed")


def check_range(name: str, values: Tensor, size: int, also: int | None = None) -> None:
    """Ids and labels lie in 0 … size - 1, or are `also`."""
    _refuse_complex(name, values)
    if not _is_readable(values):
        return
    # not > in place of <=: so that NaN is outside
    wrong = ~((values >= 0) & (values <= size - 1))
    if also is not None:
        wrong &= values != also
    if wrong.any():
        allowed = f"0 to {size - 1}" + ("" if also is None else f", or {also} where none counts")
        raise ValueError(f"{name} holds {values[wrong][0].item()}: allowed is {allowed}")


def check_shape(name: str, values: Tensor, *allowed: tuple[int, ...]) -> None:
    """A tensor has one of the shapes that are allowed."""
    if not any(tuple(values.shape) == shape for shape in allowed):  # not `in`: a compiler compares symbols by it
        shapes = " or ".join(str(list(shape)) for shape in dict.fromkeys(allowed))
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be {shapes}")


def check_mask(name: str, mask: Tensor) -> None:
    """A mask of two dimensions, or of whole numbers, holds 0 and 1; others hold what is added to the scores."""
    if mask.is_floating_point() and mask.dim() > 2:
        check_finite(name, mask.masked_fill(mask == -torch.inf, 0))
    elif mask.dtype != torch.bool:
        check_range(name, mask, 2)


def _refuse_complex(name: str, values: Tensor) -> None:
    if values.is_complex():
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be real numbers")


def _is_readable(values: Tensor) -> bool:
    """Whether decisions may depend on these values: they are on the CPU, and nothing records what is computed."""
    return (
        values.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and tracing_state() is None  # torch.jit.trace
        and not transforms_active()  # torch.func
        and not dispatch_modes()  # make_fx, fake tensors
        and bool(values.numel())
    )
