"""`pipeline(task, model)(texts)`: a task and a model as one call, in Hugging Face's shapes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from electra.config import ElectraConfig
from electra.hardware import devices as hardware
from electra.inference.predictor import load, predict
from electra.tasks.catalogue import find_task, task_for
from electra.tasks.feature_extraction import FeatureExtraction
from electra.tasks.task import ExampleError, Task
from electra.text.special_tokens import check_embeddings
from electra.text.tokenizer import ElectraTokenizer

# Options of transformers' pipelines that change no answer here: nothing is ever padded, tokenizers are always the fast
# ones, and tasks that read long texts in windows have nothing to truncate.
WITHOUT_EFFECT = ("padding", "truncation", "num_workers", "use_fast", "framework", "trust_remote_code")
TOKENIZER_OPTIONS = ("tokenizer_kwargs", "tokenize_kwargs")
# What transformers' pipeline() takes for tasks other than ELECTRA's, or to run code that is not here.
FOREIGN = ("feature_extractor", "image_processor", "video_processor", "processor", "pipeline_class", "modelcard")

Device = str | int | torch.device


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
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """A function of texts that does a task with a model.

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
            machine, if there is one; a model that is given stays where it is.
        dtype: what to compute in (`torch_dtype` is its old name). Default: as the model was saved.
        batch_size: how many rows at most go through the network at once. Default: as many as fit into `batch_tokens`.
        batch_tokens: how many tokens at once; see `electra.inference.predictor.predict`.
        revision, token, cache_dir, local_files_only: where on the hub, as for `from_pretrained`.
        model_kwargs: further arguments of the model's `from_pretrained`.
        options: the task's options, such as `top_k`: the fields of its class in `electra.tasks`. They can be given in
            every call too. What transformers takes and has no effect here is accepted: `use_fast`, `framework`,
            `trust_remote_code`, `num_workers`, `padding`.

    Raises:
        ValueError: an unknown task or option (with a suggestion), or a model that is for another task.
        OSError: no such model.
    """
    if model is None:
        raise ValueError("pipeline() needs a model: a folder, a name on the Hugging Face hub, or a model object")
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
        kind = find_task(task, settings.architectures) if task else task_for(settings.architectures, str(model))
        kind.from_config(settings, **_task_options(kind, options))  # refuses a wrong option before anything is loaded
        tokenizer = model if tokenizer is None else tokenizer
        where: dict[str, Any] = {"dtype": dtype, "device_map": device_map, **(model_kwargs or {}), **hub}
        loaded = load(kind, model, config=config, **where)
        device = "auto" if device is None and device_map is None else device
    chosen = kind.from_config(config or loaded.config, **_task_options(kind, options))  # type: ignore[arg-type]
    if isinstance(tokenizer, (str, os.PathLike)):
        tokenizer = ElectraTokenizer.from_pretrained(str(tokenizer), **hub)
    check_embeddings(tokenizer, int(getattr(getattr(loaded, "config", None), "vocab_size", sys.maxsize)))
    if device is not None:
        loaded = loaded.to(hardware.choose(device))
    return Pipeline(chosen, loaded, tokenizer, batch_size=batch_size, batch_tokens=batch_tokens)


class Pipeline:
    """What `pipeline` returns.

    A text (or a dict, such as a pair) gives its answer, a list of them gives a list, and any other iterable (a
    generator, a dataset) gives an iterator that reads on as it is read. An example of several parts may be given by
    their names: `answer(question=…, context=…)`.

    Attributes:
        task: the task's name.
        options: the task with its options, an object of `electra.tasks`.
        model, tokenizer: what it works with.
    """

    def __init__(
        self,
        options: Task[Any],
        model: nn.Module,
        tokenizer: Any,
        *,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        self.options = options
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens

    @property
    def task(self) -> str:
        return self.options.name

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def __call__(self, *given: Any, batch_size: int | None = None, **named: Any) -> Any:
        """The answers; what is named is a part of the example, or an option of the task for this call."""
        inputs, options = self.options.read_call(given, named)
        task = self.options.with_options(**_task_options(type(self.options), options))
        inputs = task.arrange(inputs)
        rows = self.batch_size if batch_size is None else batch_size

        def answers(examples: Iterable[Any]) -> Iterator[Any]:
            return predict(self.model, self.tokenizer, task, examples, batch_tokens=self.batch_tokens, batch_size=rows)

        if isinstance(inputs, (str, Mapping)):
            try:
                (answer,) = answers([inputs])
            except ExampleError as error:
                raise ValueError(error.problem) from error
            return task.present(answer, inputs, options)
        if not isinstance(inputs, (list, tuple)):
            return answers(_iterated(inputs))
        found = list(answers(inputs))
        return found[0] if task.one_is_bare and len(found) == 1 else found

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write model and tokenizer into a folder."""
        self.model.save_pretrained(folder)  # type: ignore[operator]
        self.tokenizer.save_pretrained(folder)

    def __repr__(self) -> str:
        return f"Pipeline({self.options!r}, {type(self.model).__name__} on {self.device})"


def _task_options(kind: type[Task[Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    """The task's own options: the tokenizer's are taken out of their dict, those without effect are dropped."""
    plain = {name: value for name, value in options.items() if name not in TOKENIZER_OPTIONS}
    for name in TOKENIZER_OPTIONS:
        inner = options.get(name) or {}
        if not isinstance(inner, Mapping):
            raise ValueError(f"{name}={inner!r}: it must be a dict, such as {{'truncation': True}}")
        for twice in inner.keys() & plain.keys():
            raise ValueError(f"{twice} is given twice, by itself and in {name}")
        plain |= inner
    known = kind.__dataclass_fields__
    return {name: value for name, value in plain.items() if name in known or name not in WITHOUT_EFFECT}


def _without_foreign(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without transformers' arguments for other models, which may be None and nothing else."""
    for name in FOREIGN:
        if options.get(name) is not None:
            raise ValueError(f"{name}=…: ELECTRA's pipelines have a model and a tokenizer, and no {name}: leave it out")
    return {name: value for name, value in options.items() if name not in FOREIGN}


def _iterated(inputs: Any) -> Iterable[Any]:
    """A generator or iterable as it is; a dataset that only has a length and items, item by item."""
    if isinstance(inputs, Iterable):
        return inputs
    if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):
        return (inputs[i] for i in range(len(inputs)))
    raise ValueError(f"expected a text, a dict, a list or an iterable of these, got {type(inputs).__name__}")


def _kind_of(model: nn.Module, config: ElectraConfig | None, task: str | None) -> type[Task[Any]]:
    """What a model object is to do.

    A model whose head is for something else is a `ValueError`; what only wraps a model is let through.
    """
    settings = config or getattr(model, "config", None)
    if not isinstance(settings, ElectraConfig):
        raise ValueError(f"the model, {type(model).__name__}, has no ElectraConfig as its `config`: give config=…")
    name = type(model).__name__
    architectures = [name, *(settings.architectures or ())]
    kind = find_task(task, architectures) if task else task_for(architectures, name)
    if name.startswith("Electra") and name != kind.architecture and kind is not FeatureExtraction:
        raise ValueError(f"{kind.name} is done by {kind.architecture}, and the model is {name}")
    return kind
