"""`pipeline(task, model)(texts)`: a task and a model as one call, in Hugging Face's shapes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from electra.config import ElectraConfig
from electra.hardware import devices as hardware
from electra.inference.engine import engine_for
from electra.inference.kernel_library import PRECISIONS
from electra.inference.predictor import load, predict
from electra.tasks.catalogue import find_task, task_for
from electra.tasks.feature_extraction import FeatureExtraction
from electra.tasks.task import ExampleError, Task
from electra.text.special_tokens import check_embeddings
from electra.text.tokenizer import ElectraTokenizer
from electra.training.progress import Reporter
from electra.validation import require_count, require_one_of

# Options of transformers' pipelines that change no answer here: nothing is ever padded, tokenizers are always the fast
# ones, and tasks that read long texts in windows have nothing to truncate.
WITHOUT_EFFECT = (
    *("padding", "truncation", "num_workers", "use_fast", "framework", "trust_remote_code"),
    *("return_tensors", "return_attention_mask", "return_token_type_ids"),
)
TOKENIZER_OPTIONS = ("tokenizer_kwargs", "tokenize_kwargs")
# Arguments of transformers' pipeline() for other models or of other versions, and what to do without them. None and
# False are accepted.
FOREIGN = {
    **dict.fromkeys(
        ("feature_extractor", "image_processor", "video_processor", "processor", "pipeline_class", "modelcard"),
        "ELECTRA's pipelines have a model and a tokenizer only: leave it out",
    ),
    "use_auth_token": "it is called token now",
    **dict.fromkeys(
        ("load_in_4bit", "load_in_8bit", "quantization_config"),
        "quantized weights are not supported: use dtype='bfloat16' to halve the memory",
    ),
}

Device = str | int | torch.device

log = logging.getLogger("electra")


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | nn.Module | None = None,
    config: ElectraConfig | str | os.PathLike[str] | None = None,
    tokenizer: Any = None,
    *,
    device: Device | None = None,
    device_map: Any = None,
    dtype: str | torch.dtype | None = None,
    torch_dtype: str | torch.dtype | None = None,
    precision: str | None = None,
    num_threads: int | None = None,
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    progress: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """Make a function of texts that does a task with a model.

    What the function returns and which options it has, each task's class says: `electra.tasks.text_classification`,
    `token_classification`, `question_answering`, `multiple_choice`, `text_ranking`, `zero_shot_classification`,
    `fill_mask`, `text_generation`, `feature_extraction` and `replaced_tokens`.

    A model that `electra finetune` fitted answers as it was evaluated: with the same length, thresholds and options.
    An option that is given overrides these, with a warning.

    >>> classify = pipeline("text-classification", "path/to/model")  # doctest: +SKIP
    >>> classify(["good", "bad"])  # doctest: +SKIP
    [{'label': 'POSITIVE', 'score': 0.99}, {'label': 'NEGATIVE', 'score': 0.98}]

    Args:
        task: text-classification (sentiment-analysis), token-classification (ner), question-answering,
            multiple-choice, text-ranking, zero-shot-classification, fill-mask, text-generation, feature-extraction or
            replaced-token-detection. Default: what the model's config.json says it was made for.
        model: a folder, a name on the hub, or a model; with a model, its `tokenizer` must be given.
        config: a configuration, or where to find one, in place of the folder's.
        tokenizer: a tokenizer, or where to find one. Default: the model's folder.
        device: "cpu", "cuda", "cuda:1", a number (-1: the CPU) or a torch.device. Default: the accelerator of this
            machine, if there is one; a model that is given stays where it is. A number without an accelerator means
            the CPU, with a warning.
        device_map: transformers' argument with the same meaning.
        dtype: the dtype to compute in. Default: as the model was saved.
        torch_dtype: the old name of `dtype`.
        precision: compute on the CPU by kernels for its processor, whose answers are the same, to the last bit, for a
            text alone and in a batch: "float32"; "bfloat16" or "int8", which are faster and change the answers a
            little; "auto": the fastest that changes them by less than 3 %. `python -m electra.inference.compiling`
            builds the kernels. Torch computes what they cannot, and the pipeline's `repr` says why. Default: torch.
        num_threads: how many threads the kernels use. Default: as many as torch.
        batch_size: how many sequences at most go through the network at once. Default: as many as fit into
            `batch_tokens`.
        batch_tokens: how many tokens at once; see `electra.inference.predictor.predict`.
        progress: show a progress bar on stderr for every list of examples.
        revision: a branch, tag or commit of a repository on the hub.
        token: the token for the hub.
        cache_dir: the hub's cache.
        local_files_only: do not ask the hub.
        model_kwargs: further arguments of the model's `from_pretrained`.
        options: the task's options, such as `top_k`: the fields of its class in `electra.tasks`. They can be given in
            every call too. What transformers takes and has no effect here is accepted: `use_fast`, `framework`,
            `trust_remote_code`, `num_workers`, `padding`.

    Returns:
        A `Pipeline`, to call with an example or many.

    Raises:
        ValueError: an unknown task or option (with a suggestion), an option of another type, a model without the
            head for the task, or a precision that there are no kernels for here.
        OSError: no such model.
    """
    if model is None:
        raise ValueError("pipeline() needs a model: a folder, a name on the Hugging Face hub, or a model object")
    _check_precision(precision, num_threads)  # before anything is loaded
    hub: dict[str, Any] = {
        "revision": revision,
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
    }
    options = _without_foreign(options)
    dtype = dtype if dtype is not None else torch_dtype or "auto"
    if config is not None and not isinstance(config, ElectraConfig):
        config = ElectraConfig.from_pretrained(config, **hub)
    if isinstance(model, nn.Module):
        kind = _kind_of(model, config, task)
        if tokenizer is None:
            raise ValueError("a model object has no tokenizer: give pipeline(…, tokenizer=…) too")
        loaded = model if dtype == "auto" else model.to(hardware.precision(torch.device("cpu"), dtype))
        device = device_map if device is None else device
    else:
        settings = config or ElectraConfig.from_pretrained(model, **hub)
        kind = find_task(task, settings.architectures) if task else task_for(settings, str(model))
        kind.from_config(settings, **_task_options(kind, options))  # refuses a wrong option before anything is loaded
        tokenizer = model if tokenizer is None else tokenizer
        where: dict[str, Any] = {"dtype": dtype, "device_map": device_map, **(model_kwargs or {}), **hub}
        loaded = load(kind, model, config=config, **where)
        device = "auto" if device is None and device_map is None else device
    settings = config or loaded.config  # type: ignore[assignment]
    kind.log_overrides(settings, _task_options(kind, options))
    fitted = kind.from_config(settings, **_task_options(kind, options))
    if isinstance(tokenizer, (str, os.PathLike)):
        tokenizer = ElectraTokenizer.from_pretrained(str(tokenizer), **hub)
    check_embeddings(tokenizer, int(getattr(getattr(loaded, "config", None), "vocab_size", sys.maxsize)))
    if device is not None:
        loaded = loaded.to(_device(device))
    return Pipeline(
        fitted,
        loaded,
        tokenizer,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        progress=progress,
        precision=precision,
        num_threads=num_threads,
    )


class Pipeline:
    """A task, a model and a tokenizer, to call with examples; `pipeline` returns it.

    A text (or a dict, such as a pair) is answered by the task's answer, a list of them by a list, and any other
    iterable (a generator, a dataset) by an iterator that reads examples as its answers are read. An example of several
    parts may be given by their names: `answer(question=…, context=…)`.

    Attributes:
        options: the task with its options, an object of a class in `electra.tasks`.
        model: the network.
        tokenizer: the model's.
        batch_size: how many sequences at most go through the network at once.
        batch_tokens: how many tokens at once.
        progress: whether a progress bar is shown for lists.
        engine: what computes the model, where a precision was asked for; None: the model itself, by torch.
    """

    def __init__(
        self,
        options: Task[Any],
        model: nn.Module,
        tokenizer: Any,
        *,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        progress: bool = False,
        precision: str | None = None,
        num_threads: int | None = None,
    ) -> None:
        self.options = options
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.progress = progress
        _check_precision(precision, num_threads)
        self.engine = engine_for(model, precision, num_threads)

    @property
    def task(self) -> str:
        """The task's name."""
        return self.options.name

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def __call__(
        self, *arguments: Any, batch_size: int | None = None, progress: bool | None = None, **named: Any
    ) -> Any:
        """Answer an example or many.

        Args:
            arguments: an example, a list or another iterable of examples, or the parts of an example.
            batch_size: how many sequences at most go through the network at once, in this call.
            progress: show a progress bar in this call.
            named: parts of the example, or options of the task for this call.

        Returns:
            What the task's class says under "Returns": for a list a list of these, for another iterable an iterator.

        Raises:
            ValueError: an example that the task cannot use, or an answer that is NaN; an unknown option.
        """
        inputs, options = self.options.read_call(arguments, named)
        task = self.options.with_options(**_task_options(type(self.options), options))
        inputs = task.arrange(inputs)
        rows = self.batch_size if batch_size is None else batch_size
        if self.engine is not None and self.engine.model is not self.model:  # another model was assigned
            self.engine = engine_for(self.model, self.engine.precision, self.engine.num_threads)

        def answers(examples: Iterable[Any]) -> Iterator[Any]:
            return predict(
                self.model,
                self.tokenizer,
                task,
                examples,
                batch_tokens=self.batch_tokens,
                batch_size=rows,
                engine=self.engine,
            )

        if isinstance(inputs, (str, Mapping)):
            try:
                (answer,) = answers([inputs])
            except ExampleError as error:
                raise ValueError(error.problem) from error
            return task.present(answer, inputs, options)
        if not isinstance(inputs, (list, tuple)):
            return answers(_iterated(inputs))
        shown = self.progress if progress is None else progress
        results = list(_with_progress(answers(inputs), len(inputs)) if shown else answers(inputs))
        return results[0] if task.one_is_bare and len(results) == 1 else results

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write model and tokenizer into a folder.

        Args:
            folder: made if need be.
        """
        self.model.save_pretrained(folder)  # type: ignore[operator]
        self.tokenizer.save_pretrained(folder)

    def __repr__(self) -> str:
        computed_by = "" if self.engine is None else f" by {self.engine.describe()}"
        return f"Pipeline({self.options!r}, {type(self.model).__name__} on {self.device}{computed_by})"


def _check_precision(precision: str | None, num_threads: int | None) -> None:
    """Refuse an unknown precision, and a number of threads that nothing would use."""
    if precision is not None:
        require_one_of("precision", precision, PRECISIONS)
    if num_threads is None:
        return
    require_count("num_threads", num_threads)
    if precision is None:
        raise ValueError(
            f"num_threads is {num_threads}: without a precision torch computes; give precision='float32' too, or use "
            "torch.set_num_threads"
        )


def _task_options(kind: type[Task[Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    """The task's own options: those in a tokenizer's dict included, those without effect left out."""
    plain = {name: value for name, value in options.items() if name not in TOKENIZER_OPTIONS}
    for name in TOKENIZER_OPTIONS:
        inner = options.get(name) or {}
        if not isinstance(inner, Mapping):
            raise ValueError(f"{name} is {inner!r}: it must be a dict, such as {{'truncation': True}}")
        for twice in inner.keys() & plain.keys():
            raise ValueError(f"{twice} is given twice, by itself and in {name}")
        plain |= inner
    if kind is FeatureExtraction and plain.get("padding") == "max_length":
        raise ValueError(
            "padding is 'max_length': answers have the text's own tokens only; pad them where you use them"
        )
    known = kind.__dataclass_fields__
    return {name: value for name, value in plain.items() if name in known or name not in WITHOUT_EFFECT}


def _without_foreign(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without transformers' arguments for other models and versions, which may be None or False only."""
    for name, advice in FOREIGN.items():
        if options.get(name) not in (None, False):
            raise ValueError(f"pipeline() has no argument {name}: {advice}")
    return {name: value for name, value in options.items() if name not in FOREIGN}


def _device(device: Device) -> torch.device:
    """As `hardware.choose`; a number on a machine without an accelerator is the CPU, as in transformers."""
    if (
        isinstance(device, int)
        and not isinstance(device, bool)
        and device >= 0
        and not torch.accelerator.is_available()
    ):
        log.warning("device is %d, and this machine has no accelerator: computing on the CPU", device)
        return torch.device("cpu")
    return hardware.choose(device)


def _with_progress(answers: Iterator[Any], count: int) -> Iterator[Any]:
    """The answers, with a progress bar on stderr."""
    with Reporter().counting("examples") as counter:
        for done, answer in enumerate(answers, start=1):
            counter(done, count)
            yield answer


def _iterated(inputs: Any) -> Iterable[Any]:
    """An iterator over the examples of a generator, an iterable, or a dataset that only has a length and items."""
    if isinstance(inputs, Iterable):
        return inputs
    if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):
        return (inputs[i] for i in range(len(inputs)))
    raise ValueError(f"expected a text, a dict, a list or an iterable of these, got {type(inputs).__name__}")


def _kind_of(model: nn.Module, config: ElectraConfig | None, task: str | None) -> type[Task[Any]]:
    """The task of a model object.

    Raises:
        ValueError: its head is for another task. Wrappers of other classes are not checked.
    """
    settings = config or getattr(model, "config", None)
    if not isinstance(settings, ElectraConfig):
        raise ValueError(f"the model, {type(model).__name__}, has no ElectraConfig as its `config`: pass config=…")
    name = type(model).__name__
    architectures = [name, *(settings.architectures or ())]
    kind = find_task(task, architectures) if task else task_for(settings, name, architectures)
    if name.startswith("Electra") and name != kind.architecture and kind is not FeatureExtraction:
        raise ValueError(f"{kind.name} is done by {kind.architecture}, and the model is {name}")
    return kind
