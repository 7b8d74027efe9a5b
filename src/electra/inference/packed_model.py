"""A model's weights, packed once for a set of kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.inference.kernel_library import FORMATS, KernelSet, Library, Sequences

if TYPE_CHECKING:
    from electra.batch import Batch

MULTIPLE = 64
"""Widths must be multiples of this, and those of heads of half of it."""
EXACT_GELU = ("gelu", "gelu_python")
INT8_ERROR = 0.05
"""The largest relative error of a row of int8 weights; a layer that has a larger one keeps its precision."""
SPAN_TOKENS = 512
"""About how many tokens go through all layers together."""

_REFUSALS = {
    1: "input_ids: token {where} has an id outside the vocabulary of {vocabulary}",
    2: "token_type_ids: token {where} has a type outside of 0 to {last_type}",
    3: "position_ids: token {where} has a position outside of 0 to {last_position}",
    4: "the layout's sequence {where} does not follow the one before it, or has no tokens",
    5: "the selected tokens of sequence {where} are not its own",
}
_PLAIN = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.Dropout, nn.ModuleList)
_PARTS = ("projection", "query", "key", "value", "output", "intermediate", "narrowing")


def why_not(encoder: nn.Module) -> str | None:
    """Why the kernels cannot compute this ElectraModel; None: they can."""
    config: Any = encoder.config
    heads = config.hidden_size // config.num_attention_heads
    if config.is_decoder or config.add_cross_attention:
        return "it is a decoder"
    if config.hidden_act not in EXACT_GELU:
        return f"its activation is {config.hidden_act}"
    for name in ("embedding_size", "hidden_size", "intermediate_size"):
        if getattr(config, name) % MULTIPLE:
            return f"its {name} is {getattr(config, name)}, not a multiple of {MULTIPLE}"
    if heads % (MULTIPLE // 2):
        return f"its heads are {heads} wide, not a multiple of {MULTIPLE // 2}"
    for i, layer in enumerate(encoder.encoder.layer):  # type: ignore[union-attr,arg-type]
        if layer.intermediate.intermediate_act_fn is not F.gelu:
            return f"layer {i} has another activation than its configuration"
    for name, module in encoder.named_modules():
        own = [p for p in module._parameters.values() if p is not None]
        if not all(type(p) is nn.Parameter and p.device.type == "cpu" for p in own):
            return f"a parameter of {name} is no plain tensor on the CPU"
        if type(module) not in _PLAIN and (own or not type(module).__module__.startswith("electra.")):
            return f"{name} is a {type(module).__name__}"
        if isinstance(module, (nn.Linear, nn.LayerNorm)) and module.bias is None:
            return f"{name} has no bias"
    return None


class PackedModel:
    """The weights of an ElectraModel as a set of kernels reads them.

    Tables and LayerNorms are read where they are. Where the model is not float32, they are copies.

    Attributes:
        kept: the int8 layers that stay in a higher precision, by their names in the model.
    """

    def __init__(self, encoder: Any, library: Library, kernels: KernelSet, precision: str) -> None:
        self._library, self._kept_alive = library, list[Tensor]()
        self.kernels, self.precision = kernels, precision
        self.kept: list[str] = []
        config = encoder.config
        self.hidden, self.dtype = config.hidden_size, encoder.embeddings.word_embeddings.weight.dtype
        self.limits = {
            "vocabulary": encoder.embeddings.word_embeddings.num_embeddings,
            "last_type": encoder.embeddings.token_type_embeddings.num_embeddings - 1,
            "last_position": encoder.embeddings.position_embeddings.num_embeddings - 1,
        }
        sizes = (
            config.embedding_size,
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            len(encoder.encoder.layer),
            self.limits["vocabulary"],
            self.limits["last_position"] + 1,
            self.limits["last_type"] + 1,
        )
        self._handle = library.functions.electra_new(
            kernels.index, (ctypes.c_int32 * len(sizes))(*sizes), config.layer_norm_eps
        )
        if not self._handle:
            raise MemoryError("no memory for the packed weights")
        with torch.inference_mode():
            self._pack(encoder)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.functions.electra_free(self._handle)

    @property
    def bytes(self) -> int:
        """How much memory the packed weights take."""
        return int(self._library.functions.electra_packed_bytes(self._handle))

    def _pack(self, encoder: Any) -> None:
        functions, handle = self._library.functions, self._handle
        embeddings = encoder.embeddings
        tables = (embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings)
        pointers = [self._lasting(table.weight) for table in tables]
        functions.electra_embeddings(handle, *pointers, *self._norm(embeddings.LayerNorm))
        if hasattr(encoder, "embeddings_project"):
            self._pack_group(0, {"projection": encoder.embeddings_project}, "embeddings_project")
        for i, layer in enumerate(encoder.encoder.layer):
            heads, name = layer.attention.self, f"encoder.layer.{i}"
            self._pack_group(
                i, {"query": heads.query, "key": heads.key, "value": heads.value}, f"{name}.attention.self"
            )
            self._pack_group(i, {"output": layer.attention.output.dense}, f"{name}.attention.output.dense")
            self._pack_group(i, {"intermediate": layer.intermediate.dense}, f"{name}.intermediate.dense")
            self._pack_group(i, {"narrowing": layer.output.dense}, f"{name}.output.dense")
            norms = (*self._norm(layer.attention.output.LayerNorm), *self._norm(layer.output.LayerNorm))
            functions.electra_norms(handle, i, *norms)

    def _pack_group(self, layer: int, group: dict[str, nn.Linear], name: str) -> None:
        """Pack layers that are one product. int8 that loses too much is packed again, in the higher precision."""
        if self._pack_as(layer, group, self.precision) > INT8_ERROR and self.precision == "int8":
            higher = next(p for p in ("bfloat16", "float32") if p in self.kernels.precisions)
            self._pack_as(layer, group, higher)
            self.kept.append(name)

    def _pack_as(self, layer: int, group: dict[str, nn.Linear], precision: str) -> float:
        worst = 0.0
        for part, linear in group.items():
            weight, bias = (t.detach().float().contiguous() for t in (linear.weight, linear.bias))
            error = self._library.functions.electra_pack(
                self._handle, layer, _PARTS.index(part), FORMATS[precision], weight.data_ptr(), bias.data_ptr()
            )
            if error < 0:
                raise MemoryError("no memory for the packed weights")
            worst = max(worst, error)
        return worst

    def _norm(self, norm: nn.LayerNorm) -> Iterator[int]:
        return map(self._lasting, (norm.weight, norm.bias))

    def _lasting(self, tensor: Tensor) -> int:
        """Where a tensor's numbers are, as float32, for as long as this object lives."""
        values = tensor.detach().float().contiguous()
        self._kept_alive.append(values)
        return values.data_ptr()

    def encode(self, batch: Batch, threads: int, selected: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The hidden states of a ragged batch, in the model's number type: [T, H].

        selected: token indices in ascending order, and where those of each sequence begin (B + 1 numbers); the last
        layer then computes these alone: [selected, H]. int64, both.
        """
        offsets = batch.layout.cumulative_lengths
        assert offsets is not None
        ids, types, positions = (t.contiguous() for t in (batch.input_ids, batch.token_type_ids, batch.position_ids))
        offsets, tokens = offsets.contiguous(), ids.shape[0]
        if any(t.dtype != torch.int64 or t.shape != ids.shape for t in (ids, types, positions)):
            raise ValueError("input_ids, token_type_ids and position_ids must be int64 and equally long")
        if selected is not None and int(selected[1][-1]) != selected[0].shape[0]:
            raise ValueError(f"the selected tokens must be below {tokens}, in ascending order")
        output = torch.empty(tokens if selected is None else selected[0].shape[0], self.hidden)
        chosen = (None, None) if selected is None else (selected[0].data_ptr(), selected[1].data_ptr())
        sequences = Sequences(
            offsets.shape[0] - 1,
            ids.data_ptr(),
            types.data_ptr(),
            positions.data_ptr(),
            offsets.data_ptr(),
            *chosen,
            output.data_ptr(),
        )
        where = ctypes.c_int64()
        refusal = self._library.functions.electra_run(
            self._handle, ctypes.byref(sequences), tokens, threads, SPAN_TOKENS, ctypes.byref(where)
        )
        if refusal in _REFUSALS:
            raise ValueError(_REFUSALS[refusal].format(where=where.value, **self.limits))
        if refusal:
            raise MemoryError(f"no memory for a batch of {tokens} tokens")
        return output.to(self.dtype)
