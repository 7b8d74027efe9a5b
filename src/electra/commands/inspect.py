"""What a model folder holds, read from its config and from the headers of its weight files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from electra.commands.verb import verb

if TYPE_CHECKING:  # `electra inspect --help` does not wait for torch
    from electra.config import ElectraConfig

# Tensors by which a head is known, the head's name, and what its network is. The first that is found counts.
_NETWORKS = (
    ("discriminator_predictions.", "replaced tokens", "discriminator"),
    ("generator_predictions.", "masked tokens", "generator"),
    ("classifier.out_proj.", "text classification", "fine-tuned encoder"),
    ("qa_outputs.", "question answering", "fine-tuned encoder"),
    ("end_hidden.", "question answering", "fine-tuned encoder"),
    ("sequence_summary.", "multiple choice", "fine-tuned encoder"),
    ("classifier.", "token classification", "fine-tuned encoder"),
)
_PARTS = {"electra.embeddings.": "embeddings", "electra.embeddings_project.": "projection", "electra.": "encoder"}


@dataclass(frozen=True)
class InspectConfig:
    """Options of `electra inspect`."""

    model: str
    """A model folder, or a name on the Hugging Face hub."""
    _: KW_ONLY
    json: bool = False
    """Print one JSON object instead of lines to read."""


@dataclass(frozen=True)
class Description:
    """A model's description, made without running it. Parameters are counted in numbers, `weight_bytes` in bytes."""

    model: str
    network: str
    """discriminator, generator, fine-tuned encoder or bare encoder."""
    head: str | None
    """What the head answers, or None for a bare encoder."""
    architectures: tuple[str, ...]
    """The classes that config.json names."""
    layers: int
    hidden_size: int
    attention_heads: int
    feed_forward_size: int
    embedding_size: int
    longest_row: int
    """Tokens of the longest row the position embeddings allow."""
    vocabulary_size: int
    parameters: int
    parameters_by_part: Mapping[str, int]
    weight_bytes: int
    dtypes: tuple[str, ...]
    labels: tuple[str, ...]
    """Of a classifier, in the order of its outputs; empty for every other head."""
    tokenizer: Mapping[str, object] | None
    problems: tuple[str, ...]
    """Messages about inconsistencies."""


@verb(InspectConfig)
def inspect(config: InspectConfig) -> Description:
    """Describe a model from its config, its tensors' names and shapes, and its tokenizer, without running it.

    Returns:
        Sizes, heads, labels, tokenizer, and inconsistencies.

    Raises:
        OSError: the model does not exist.
        ValueError: it is not an ELECTRA, or damaged.
    """
    return describe(config.model)


def print_description(config: InspectConfig) -> None:
    """Print the description of `config.model` to stdout, as a table or as JSON (the command line)."""
    description = describe(config.model)
    if config.json:
        print(json.dumps(asdict(description), ensure_ascii=False))
    else:
        _show(description)


def describe(model: str) -> Description:
    """Read a model's config, its tensors' names and shapes, and its tokenizer.

    Only the headers of safetensors files are read.

    Args:
        model: a folder, or a name on the Hugging Face hub.

    Raises:
        OSError: the folder has no config.json or no weights.
        ValueError: the model is not an ELECTRA.
    """
    from electra.config import ElectraConfig
    from electra.hub.weights import read_headers

    _refuse_run_folder(model)
    config = ElectraConfig.from_pretrained(model)
    tensors = read_headers(model)
    shapes = {_with_prefix(name): header.shape for name, header in tensors.items()}
    network, head, classifies = _network(shapes)
    tokenizer = _tokenizer(model)
    return Description(
        model=model,
        network=network,
        head=head,
        architectures=tuple(config.architectures or ()),
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        attention_heads=config.num_attention_heads,
        feed_forward_size=config.intermediate_size,
        embedding_size=config.embedding_size,
        longest_row=config.max_position_embeddings,
        vocabulary_size=config.vocab_size,
        parameters=sum(map(prod, shapes.values())),
        parameters_by_part=_by_part(shapes),
        weight_bytes=sum(prod(header.shape) * _bytes_of(header.dtype) for header in tensors.values()),
        dtypes=tuple(sorted({header.dtype for header in tensors.values()})),
        labels=tuple(config.id2label[i] for i in sorted(config.id2label)) if classifies else (),
        tokenizer=tokenizer,
        problems=tuple(_problems(config, shapes, tokenizer)),
    )


def _refuse_run_folder(model: str) -> None:
    folder = Path(model)
    halves = [half for half in ("discriminator", "generator") if (folder / half / "config.json").is_file()]
    if halves and not (folder / "config.json").is_file():
        choice = " or ".join(str(folder / half) for half in halves)
        raise ValueError(f"{model} is the folder of a pretraining run: say which of its models, {choice}")


def _bytes_of(dtype: str) -> int:
    bits = "".join(filter(str.isdigit, dtype))
    return int(bits) // 8 if bits else 1


def _with_prefix(name: str) -> str:
    """A bare encoder's tensors are saved without the `electra.` that they have under a head."""
    return f"electra.{name}" if name.startswith(("embeddings.", "embeddings_project.", "encoder.")) else name


def _network(shapes: Mapping[str, object]) -> tuple[str, str | None, bool]:
    """(which network, what its head answers, whether it has labels)."""
    for prefix, head, network in _NETWORKS:
        if any(name.startswith(prefix) for name in shapes):
            return network, head, head.endswith("classification")
    return "bare encoder", None, False


def _by_part(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, shape in shapes.items():
        part = next((part for prefix, part in _PARTS.items() if name.startswith(prefix)), "head")
        counts[part] = counts.get(part, 0) + prod(shape)
    return counts


def _tokenizer(model: str) -> dict[str, object] | None:
    """Kind, size and longest text of the tokenizer beside the weights, or None where there is none."""
    from electra.hub.hub_names import find_file
    from electra.text.tokenizer import ElectraTokenizer

    if not any(find_file(model, name) for name in ("tokenizer.json", "vocab.txt")):
        return None
    tokenizer = ElectraTokenizer.from_pretrained(model)
    return {
        "class": type(tokenizer).__name__,
        "tokens": len(tokenizer),
        "longest_row": tokenizer.model_max_length if tokenizer.model_max_length < 10**9 else None,
        "fingerprint": tokenizer.fingerprint(),
    }


def _problems(
    config: ElectraConfig, shapes: Mapping[str, tuple[int, ...]], tokenizer: Mapping[str, object] | None
) -> Iterator[str]:
    words = shapes.get("electra.embeddings.word_embeddings.weight")
    if words is None:
        yield "the weights have no word embeddings: this is not a whole ELECTRA"
    elif words != (config.vocab_size, config.embedding_size):
        configured = (config.vocab_size, config.embedding_size)
        yield f"config.json says that the word embeddings are {configured}, in the weights they are {words}"
    if tokenizer is None:
        yield "there is no tokenizer"
    elif int(str(tokenizer["tokens"])) > config.vocab_size:
        yield f"the tokenizer has {tokenizer['tokens']} tokens, the network only {config.vocab_size}"


def _show(description: Description) -> None:
    """The description as a small table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in _lines(description):
        table.add_row(name, value)
    console = Console(markup=False, highlight=False)
    console.print(description.model, style="bold")
    console.print(table)


def _lines(d: Description) -> Iterator[tuple[str, str]]:
    yield "network", d.network + (f", its head answers: {d.head}" if d.head else "")
    yield "saved as", ", ".join(d.architectures) or "not said"
    yield (
        "encoder",
        f"{d.layers} layers, {d.hidden_size} wide, {d.attention_heads} heads, feed-forward {d.feed_forward_size}",
    )
    yield "embeddings", f"{d.vocabulary_size:,} tokens x {d.embedding_size}, rows up to {d.longest_row} tokens"
    yield "parameters", f"{d.parameters:,} ({', '.join(f'{part} {n:,}' for part, n in d.parameters_by_part.items())})"
    yield "weights", f"{d.weight_bytes / 1e6:,.1f} MB, {', '.join(d.dtypes)}"
    if d.labels:
        yield "labels", ", ".join(d.labels[:12]) + (f" and {len(d.labels) - 12} more" if len(d.labels) > 12 else "")
    if d.tokenizer:
        yield (
            "tokenizer",
            f"{d.tokenizer['class']}, {d.tokenizer['tokens']:,} tokens, fingerprint {d.tokenizer['fingerprint']!s:.12}",
        )
    for problem in d.problems:
        yield "problem", problem
