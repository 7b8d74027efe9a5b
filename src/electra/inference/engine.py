"""The engine: a model whose encoder runs on kernels wherever it can, and on torch wherever it cannot."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from electra.inference.checks import available_precisions, kernels_for
from electra.inference.kernel_library import PRECISIONS, KernelsError
from electra.inference.packed_model import PackedModel, why_not
from electra.inference.precision import AUTO_BOUND, FASTEST_FIRST, relative_difference, sample_batch
from electra.inference.watching import Watch, needs_torch
from electra.validation import require_count, require_one_of

if TYPE_CHECKING:
    from electra.batch import Batch
    from electra.inference.head_kernels import HeadKernels

log = logging.getLogger("electra")


class Engine:
    """Runs a model over ragged batches on CPUs, by kernels for this processor.

    The weights are packed when the first batch comes, and again when they change. Whatever the kernels cannot do goes
    to torch, with the same answers: models in training, with hooks or with gradients, on a GPU, decoders, padded
    inputs, attention weights, hidden states of inner layers. Several threads may use one engine.

    A sequence gets the same answer, to the last bit, alone and in any batch, with any number of threads.

    >>> engine = Engine(model, precision="int8")  # doctest: +SKIP
    >>> engine(batch).logits  # doctest: +SKIP

    Attributes:
        model: the model that was given. It is not changed.
        precision: what products compute in: "float32", "bfloat16" or "int8".
        num_threads: how many threads compute; None: torch's number.
        why_torch: why this model runs on torch; None where kernels run.
        differences: precision="auto": how much the answers of each precision that was tried differ from float32's.
    """

    def __init__(self, model: nn.Module, *, precision: str = "float32", num_threads: int | None = None) -> None:
        """Choose the kernels for a model.

        Args:
            model: an ElectraModel, or a model with a head.
            precision: "float32"; "bfloat16", or "int8" with one scale for each token and each output of a layer, which
                change the answers a little; "auto": the fastest whose answers on a few hundred random tokens differ
                from float32's by less than `AUTO_BOUND`.
            num_threads: how many threads compute. Default: torch's number.

        Raises:
            ValueError: an unknown precision, or one that there are no kernels for here.
        """
        require_one_of("precision", precision, PRECISIONS)
        if num_threads is not None:
            require_count("num_threads", num_threads)
        self.model, self.num_threads = model, num_threads
        self.precision = "float32" if precision == "auto" else precision
        self.differences: dict[str, float] = {}
        self._lock = threading.Lock()
        self._packed: tuple[nn.Module, Watch, PackedModel | None] | None = None
        self._heads: HeadKernels | None = None
        self._process = os.getpid()
        self.why_torch = self._choose_kernels()
        if self.why_torch and precision not in ("float32", "auto"):
            there = ", ".join({"float32": None} | dict.fromkeys(self._possible()))
            raise ValueError(
                f"precision is {precision!r}: it needs kernels, and {self.why_torch}. Possible here: {there}"
            )
        if precision == "auto" and not self.why_torch:
            self._choose_precision()

    def _choose_kernels(self) -> str | None:
        """Take the kernels for the precision; why not, where that cannot be."""
        encoder = find_encoder(self.model)
        if encoder is None:
            return f"{type(self.model).__name__} has no ElectraModel inside"
        reason = why_not(encoder)
        if reason is None:
            try:
                self._library, self._kernels = kernels_for(self.precision)
            except KernelsError as error:
                reason = str(error)
        return reason

    def _possible(self) -> list[str]:
        encoder = find_encoder(self.model)
        return [] if encoder is None or why_not(encoder) else available_precisions()

    def _choose_precision(self) -> None:
        batch = sample_batch(find_encoder(self.model).config)  # type: ignore[union-attr]
        if type(self.model).__name__ == "ElectraForMultipleChoice":
            return  # what its rows are choices of is not known
        with torch.inference_mode():
            expected = self(batch)
            for precision in FASTEST_FIRST[:-1]:
                if precision not in available_precisions():
                    continue
                candidate = Engine(self.model, precision=precision, num_threads=self.num_threads)
                difference = self.differences[precision] = relative_difference(candidate(batch), expected)
                if difference < AUTO_BOUND:
                    self.precision, self._packed = precision, candidate._packed
                    self._library, self._kernels = candidate._library, candidate._kernels
                    break
        log.info("precision=auto: %s (%s)", self.precision, self._describe_differences())

    def _describe_differences(self) -> str:
        tried = [f"{name} differs from float32 by {100 * far:.2f} %" for name, far in self.differences.items()]
        return "; ".join([*tried, f"allowed are {100 * AUTO_BOUND:g} %"])

    @property
    def kernels(self) -> str | None:
        """The instruction set of the kernels: "amx", "avx512", …; None: the model runs on torch."""
        return None if self.why_torch else self._kernels.name

    @property
    def higher_precision_layers(self) -> tuple[str, ...]:
        """int8: the layers that would lose too much, and stay in bfloat16 or float32."""
        packed = self._current()
        return () if packed is None else tuple(packed.kept)

    def describe(self) -> str:
        """One line: what computes."""
        if self.why_torch:
            return f"torch, {self.precision} (no kernels: {self.why_torch})"
        kept = self.higher_precision_layers
        line = f"{self._kernels.name} kernels, {self.precision}"
        return line + (f" ({len(kept)} layers in a higher precision: {', '.join(kept)})" if kept else "")

    def __repr__(self) -> str:
        return f"Engine({type(self.model).__name__}, {self.describe()})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, and other processes, pack the weights for themselves."""
        return _engine, (self.model, self.precision, self.num_threads)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The model's output, as the model itself gives it."""
        return self.view()(*arguments, **named)

    def view(self) -> nn.Module:
        """The model as it is now, with an encoder and heads that compute by kernels and share its parameters."""
        encoder = find_encoder(self.model)
        if self.why_torch or encoder is None:
            return self.model
        from electra.inference.encoder_view import view_of

        view: nn.Module = view_of(self.model, encoder, self, self._head_kernels(), self._threads)
        return view

    def _head_kernels(self) -> HeadKernels | None:
        from electra.inference.head_kernels import HeadKernels

        if self._heads is None:
            try:
                self._heads = HeadKernels(*kernels_for("float32"))
            except KernelsError as error:
                log.info("the model's head runs on torch: %s", error)
        return self._heads

    def encode(self, batch: Batch, *, first: bool = False, selected: Tensor | None = None) -> Tensor | None:
        """The hidden states of a ragged batch, [T, H], in the model's number type; None where torch must compute.

        Args:
            batch: T tokens.
            first: those of each sequence's first token alone, [B, H].
            selected: those of these tokens alone, int64 in ascending order.
        """
        if self.why_torch or needs_torch() or not _is_ragged(batch):
            return None
        packed = self._current()
        if packed is None:
            return None
        offsets = batch.layout.cumulative_lengths
        assert offsets is not None
        chosen = None
        if first:
            chosen = offsets[:-1].contiguous(), torch.arange(offsets.shape[0])
        elif selected is not None:
            chosen = selected.contiguous(), torch.searchsorted(selected, offsets)
        return packed.encode(batch, self._threads(), chosen)

    def _threads(self) -> int:
        if os.getpid() != self._process:  # the threads of torch's pool stayed in the parent, and would be waited for
            torch.set_num_threads(1)
            self._process = os.getpid()
        return self.num_threads or torch.get_num_threads()

    def _current(self) -> PackedModel | None:
        """The packed weights, packed anew where the model's have changed; None where torch must compute."""
        encoder = find_encoder(self.model)
        if self.why_torch or encoder is None:
            return None
        current = self._packed
        if current is None or current[0] is not encoder or current[1].has_changed():
            with self._lock:
                current = self._packed  # another thread may have packed them by now
                if current is None or current[0] is not encoder or current[1].has_changed():
                    watch = Watch(encoder, self._library)
                    fits = why_not(encoder) is None
                    packed = PackedModel(encoder, self._library, self._kernels, self.precision) if fits else None
                    current = self._packed = (encoder, watch, packed)
        return None if current[1].is_hooked() else current[2]


def engine_for(model: nn.Module, precision: str | None, num_threads: int | None = None) -> Engine | None:
    """The engine for a precision, None for none. Where torch has to compute all the same, a warning says why.

    Args:
        model: an ElectraModel, or a model with a head, on its device.
        precision: as in `Engine`; None: no engine.
        num_threads: as in `Engine`.

    Raises:
        ValueError: a precision that there are no kernels for here.
    """
    if precision is None:
        return None
    engine = Engine(model, precision=precision, num_threads=num_threads)
    if engine.why_torch:
        log.warning("precision is %s: torch computes, because %s", precision, engine.why_torch)
    return engine


def _engine(model: nn.Module, precision: str, num_threads: int | None) -> Engine:
    return Engine(model, precision=precision, num_threads=num_threads)


def find_encoder(model: nn.Module) -> nn.Module | None:
    """The ElectraModel that a model is or that its `electra` is; None: there is none, or it is a subclass."""
    from electra.models import ElectraModel

    # a direct child: a wrapper such as PEFT's has the attribute too, and calls the model that it wraps
    encoder = model if isinstance(model, ElectraModel) else model._modules.get("electra")
    return encoder if type(encoder) is ElectraModel else None


def _is_ragged(batch: Batch) -> bool:
    layout = batch.layout
    return layout.grid is None and layout.real is None and batch.device.type == "cpu"
