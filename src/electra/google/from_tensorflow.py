"""A TensorFlow checkpoint of Google's code -> model folders, and the optimizer's state as a run's checkpoint"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from electra.config import ElectraConfig
from electra.files.atomic import write_text
from electra.google import hparams
from electra.google.checkpoint_networks import Network, describe_unused, heads_of, networks_in
from electra.google.checkpoint_state import LazyTensors, read_state, read_values, variables_used
from electra.google.convert_config import ORIGIN, ConvertConfig
from electra.google.pretraining_pair import PAIR, network_on_meta, variables_in_training
from electra.google.tensorflow.bundle import Bundle, find_checkpoint
from electra.google.variable_names import STEP, slot
from electra.hub.model_card import model_card
from electra.text.backend import Casing
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocab_file import index, infer_casing, read_tokens
from electra.training.run.checkpoints import Checkpoint, Checkpoints

log = logging.getLogger("electra")


def from_tensorflow(config: ConvertConfig, folder: Path) -> dict[str, str]:
    """Write every network of a checkpoint into a folder.

    Args:
        config: `source` is the checkpoint, the other fields say how it is read.
        folder: an empty one.

    Returns:
        The names of the folders in it, by the networks' names.

    Raises:
        ValueError: the checkpoint is damaged (the message names the variable), or holds what has no class here.
        OSError: a file is missing.
    """
    bundle = _bundle(config.source)
    try:
        networks = networks_in(bundle.shapes, config.task)
    except ValueError as error:
        raise ValueError(f"{bundle.prefix}: {error}.") from error
    main = next((network for network in networks if network.scopes.encoder == "electra"), networks[0])
    given = hparams.read_settings(bundle.prefix.with_name("hparams.json"), main.fields)
    tokenizer = _tokenizer(config.vocab, bundle.prefix, given, main)
    step = int(bundle.read(STEP)) if STEP in bundle.shapes else 0
    used: set[str] = set()
    for network in networks:
        shape = _configuration(network, config.attention_heads, given, step)
        used |= _write_model(folder / network.name, bundle, network, shape, tokenizer)
    if config.optimizer:
        _write_optimizer(bundle, networks, step, folder)
    for text in describe_unused(set(bundle.shapes) - used):
        log.warning("%s: not converted: %s.", bundle.prefix, text)
    written = [network.name for network in networks] + (["checkpoints"] if config.optimizer else [])
    return dict(zip(written, written, strict=True))


def _bundle(source: Path) -> Bundle:
    """The checkpoint that is meant; a model folder is a ValueError that says what it is."""
    if any((source / name / "config.json").is_file() for name in ("", *PAIR)):
        raise ValueError(
            f"{source} is a model folder, which from_pretrained reads as it is: give a TensorFlow checkpoint, or "
            "--to tensorflow to write one"
        )
    return Bundle(find_checkpoint(source))


def _write_model(
    folder: Path, bundle: Bundle, network: Network, shape: ElectraConfig, tokenizer: ElectraTokenizer | None
) -> set[str]:
    """Write a network as a model folder; returns the variables that it was made of."""
    if tokenizer is not None:
        shape.pad_token_id = tokenizer.pad_token_id
    model = network_on_meta(network.architecture, shape)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=read_state(bundle, network, shapes))
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_text(folder / "README.md", _card(network, bundle.prefix.name, getattr(shape, ORIGIN)["global_step"]))
    return variables_used(network, list(shapes))


def _tokenizer(vocab: Path | None, prefix: Path, given: Mapping[str, Any], network: Network) -> ElectraTokenizer | None:
    """The tokenizer of the given vocab.txt, or of the one beside the checkpoint."""
    path = vocab or prefix.with_name("vocab.txt")
    if vocab is None and not path.is_file():
        log.warning("%s has no vocab.txt beside it, so what is written has no tokenizer: give --vocab", prefix)
        return None
    tokens = read_tokens(path, strict=False)
    rows = network.fields["vocab_size"]
    if len(tokens) > rows:
        raise ValueError(
            f"{path} has {len(tokens):,} tokens, and the word embeddings of {prefix} have {rows:,} rows: it is the "
            "vocabulary of another model"
        )
    casing = Casing(bool(given["do_lower_case"])) if "do_lower_case" in given else infer_casing(tokens)
    try:
        return ElectraTokenizer(
            index(tokens),
            do_lower_case=casing.lowercase,
            strip_accents=casing.strip_accents,
            model_max_length=network.fields["max_position_embeddings"],
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _configuration(network: Network, heads: int | None, given: Mapping[str, Any], step: int) -> ElectraConfig:
    """The network's configuration. The number of heads that is given is that of the discriminator."""
    width = network.fields["hidden_size"]
    if network.scopes.encoder == "generator":
        heads = heads_of(width)
    heads = heads or hparams.heads(given) or heads_of(width)
    if width % heads:
        raise ValueError(f"{heads} attention heads do not divide the hidden size, {width}: give --attention-heads")
    origin: dict[str, Any] = {"global_step": step}
    if network.head is not None:
        origin["task"] = network.name
    if network.token_types is not None:
        origin["token_types"] = list(network.token_types)
    fields = {**network.fields, **hparams.overrides(given), "num_attention_heads": heads, ORIGIN: origin}
    return ElectraConfig(**fields)


def _card(network: Network, checkpoint: str, step: int) -> str:
    """The README.md of a model folder."""
    about = {
        "ElectraForPreTraining": "It tells which tokens were replaced, and is the network to fine-tune.",
        "ElectraForMaskedLM": "It fills in masked tokens.",
        "ElectraModel": "It is a bare encoder.",
    }.get(network.architecture, f"It was fine-tuned for the task {network.name}.")
    return model_card(
        f"ELECTRA, {network.name}",
        f"{about} Converted from the TensorFlow checkpoint {checkpoint} of Google's code, after {step:,} steps.",
        network=network.architecture,
    )


def _write_optimizer(bundle: Bundle, networks: list[Network], step: int, folder: Path) -> None:
    """Write parameters and moments as a checkpoint of a pretraining run."""
    if {network.name: network.scopes for network in networks} != PAIR:
        raise ValueError(
            f"{bundle.prefix}: the optimizer's state can be converted of a discriminator and a generator that share "
            "their embeddings and nothing else, and these are other networks: leave out --optimizer"
        )
    pair = {
        network.name: network_on_meta(network.architecture, ElectraConfig(**network.fields, num_attention_heads=1))
        for network in networks
    }
    variables = variables_in_training(pair)
    if lacking := [slot(name, "m") for name in variables.values() if slot(name, "m") not in bundle.shapes]:
        raise ValueError(
            f"{bundle.prefix} has no {lacking[0]}: it was saved without the optimizer's state, as the published ones "
            "are. Leave out --optimizer"
        )

    def reader(variable: str) -> Callable[[], Tensor]:
        return lambda: read_values(bundle, variable)

    parameters = {name: reader(variable) for name, variable in variables.items()}
    moments = {f"{name}.{moment}": reader(slot(of, moment)) for name, of in variables.items() for moment in "mv"}
    groups = {"networks": LazyTensors(parameters), "optimizer": LazyTensors(moments), "window": {}}
    Checkpoints(folder / "checkpoints").save(Checkpoint(step, groups))
