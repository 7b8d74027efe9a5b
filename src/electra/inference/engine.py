"""The engine: a model whose encoder runs on kernels wherever it can, and on torch wherever it cannot."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from electra.inference.checks import available_precisions, kernels_for
from electra.inference.library import FORMATS, KernelsError
from electra.inference.packing import PackedModel, why_not
from electra.inference.watching import Watch, is_instrumented

if TYPE_CHECKING:
    from electra.batch import Batch

log = logging.getLogger("electra")

PRECISIONS = ("float32", "bfloat16", "int8", "auto")


class Engine:
    """Runs a model's encoder over ragged batches on CPUs, by kernels for this processor.

    The weights are packed when the first batch comes, and again when they change. Whatever the kernels cannot do goes
    to torch, with the same answers: models in training, with hooks or with gradients, on a GPU, decoders, padded
    inputs, attention weights, hidden states of inner layers. Several threads may use one engine.

    A sequence gets the same answer, to the last bit, alone and in any batch, with any number of threads.

    Attributes:
        model: the model that was given. It is not changed.
        precision: what products compute in: "float32", "bfloat16" or "int8".
        why_torch: why this model runs on torch; None where kernels run.
    """

    def __init__(self, model: nn.Module, *, precision: str = "float32", num_threads: int | None = None) -> None:
        """
        Args:
            model: an ElectraModel, or a model with a head.
            precision: "float32"; "bfloat16", or "int8" with one scale for each token and each output of a layer, which
                change the answers a little.
            num_threads: how many threads compute. Default: torch's number.

        Raises:
            ValueError: an unknown precision, or one that there are no kernels for here.
        """
        if precision not in FORMATS:
            raise ValueError(f"precision={precision!r}: choose one of {', '.join(FORMATS)}")
        if num_threads is not None and (isinstance(num_threads, bool) or num_threads < 1):
            raise ValueError(f"num_threads={num_threads!r}: at least 1 is needed")
        self.model, self.precision, self.num_threads = model, precision, num_threads
        self._encoder = find_encoder(model)
        self._lock = threading.Lock()
        self._packed: PackedModel | None = None
        self._watch: Watch | None = None
        self._process = os.getpid()
        self.why_torch: str | None = None
        self._choose_kernels()

    def _choose_kernels(self) -> None:
        reason = None if self._encoder is not None else f"{type(self.model).__name__} has no ElectraModel inside"
        reason = reason or why_not(self._encoder)  # type: ignore[arg-type]
        try:
            self._library, self._kernels = kernels_for(self.precision)
        except KernelsError as error:
            reason = reason or str(error)
        if reason and self.precision != "float32":
            there = [p for p in available_precisions() if p != "float32"] if self._encoder is not None else []
            can = ", ".join(["float32", *there])
            raise ValueError(f"precision={self.precision!r} needs kernels for this model: {reason}. Possible: {can}")
        self.why_torch = reason

    @property
    def kernels(self) -> str | None:
        """The instruction set of the kernels: "amx", "avx512", …; None: the model runs on torch."""
        return None if self.why_torch else self._kernels.name

    @property
    def higher_precision_layers(self) -> tuple[str, ...]:
        """int8: the layers that would lose too much, and stay in bfloat16 or float32."""
        packed = self._current()
        return tuple(packed.kept) if packed is not None else ()

    def describe(self) -> str:
        """One line: what computes."""
        if self.why_torch:
            return f"torch, {self.precision} (no kernels: {self.why_torch})"
        kept = self.higher_precision_layers
        line = f"{self._kernels.name} kernels, {self.precision}"
        return line + (f" ({len(kept)} layers in a higher precision: {', '.join(kept)})" if kept else "")

    def __repr__(self) -> str:
        return f"Engine({type(self.model).__name__}, {self.describe()})"

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The model's output, as the model itself gives it."""
        return self.view()(*arguments, **named)

    def view(self) -> nn.Module:
        """The model, with its encoder replaced by this engine's: heads and parameters are the model's own."""
        from electra.inference.encoder_view import view_of

        return self.model if self._encoder is None else view_of(self.model, self._encoder, self)

    def encode(self, batch: Batch, *, first: bool = False, selected: Tensor | None = None) -> Tensor | None:
        """The hidden states of a ragged batch, [T, H], in the model's number type; None where it is torch's turn.

        Args:
            first: those of each sequence's first token alone, [B, H].
            selected: those of these tokens alone, int64 in ascending order.
        """
        if self.why_torch or is_instrumented() or not _is_ragged(batch):
            return None
        packed = self._current()
        if packed is None:
            return None
        offsets = batch.layout.cumulative_lengths
        assert offsets is not None and self._encoder is not None
        chosen = None
        if first:
            chosen = offsets[:-1].contiguous(), torch.arange(offsets.shape[0])
        elif selected is not None:
            chosen = selected.contiguous(), torch.searchsorted(selected, offsets)
        hidden = packed.encode(batch, self._threads(), chosen)
        return hidden.to(self._encoder.embeddings.word_embeddings.weight.dtype)  # type: ignore[union-attr]

    def _threads(self) -> int:
        if os.getpid() != self._process:  # the threads of torch's pool stayed in the parent, and would be waited for
            torch.set_num_threads(1)
            self._process = os.getpid()
        return self.num_threads or torch.get_num_threads()

    def _current(self) -> PackedModel | None:
        """The packed weights, packed anew where the model's have changed; None where it is torch's turn."""
        if self.why_torch or self._encoder is None:
            return None
        packed, watch = self._packed, self._watch
        if watch is None or watch.has_changed():
            with self._lock:
                packed, watch = self._pack()
        return None if watch.is_hooked() else packed

    def _pack(self) -> tuple[PackedModel | None, Watch]:
        if self._watch is None or self._watch.has_changed():
            watch = Watch(self._encoder)  # type: ignore[arg-type]
            fits = why_not(self._encoder) is None  # type: ignore[arg-type]
            self._packed = (
                PackedModel(self._encoder, self._library, self._kernels, self.precision) if fits else None
            )
            self._watch = watch
        assert self._watch is not None
        return self._packed, self._watch


def find_encoder(model: nn.Module) -> nn.Module | None:
    """The ElectraModel that a model is or that its `electra` is; None: there is none."""
    from electra.models import ElectraModel

    encoder = model if isinstance(model, ElectraModel) else getattr(model, "electra", None)
    return encoder if type(encoder) is ElectraModel else None


def _is_ragged(batch: Batch) -> bool:
    layout = batch.layout
    return layout.grid is None and layout.real is None and batch.device.type == "cpu"
