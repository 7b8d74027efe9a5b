"""Google's TensorFlow checkpoints to model folders, and back to the same bits; TensorFlow itself is not needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from electra import models
from electra.config import ElectraConfig
from electra.files.atomic import write_text, writing_folder
from electra.google import hparams as settings
from electra.google.checkpoint_heads import JOINT_SPAN, JOINT_SPAN_ALONE, SPAN, TAGGER, Head, classifier
from electra.google.checkpoint_networks import KINDS, Network, heads_of, networks_in, what_is_left
from electra.google.checkpoint_state import LazyTensors, as_array, read_state, read_values, variables_of, variables_used
from electra.google.tensorflow.bundle import Bundle, find_checkpoint, write_bundle
from electra.google.variable_names import STEP, Scopes, slot, variable_name
from electra.hub.model_card import model_card
from electra.models import ElectraPreTrainedModel
from electra.objective.replaced_token_detection import ReplacedTokenDetection
from electra.text.backend import Casing
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocab_file import index, infer_casing, read_tokens
from electra.training.run.checkpoints import Checkpoint, Checkpoints

log = logging.getLogger("electra")

FORMATS = ("pytorch", "tensorflow")
ORIGIN = "google_checkpoint"
"""The key of config.json that says what a folder was converted from, as far as that decides how it is written back."""

# in the order in which they are written: where Google's code has the two networks of pretraining
_PAIR = {"discriminator": Scopes(), "generator": Scopes("generator", "electra")}


@dataclass(frozen=True)
class ConvertConfig:
    """What to convert, and into what.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    source: Path
    """A TensorFlow checkpoint: model.ckpt-N, or its folder. With --to tensorflow, a model folder or a run's folder."""
    output: Path
    """A new folder: in it discriminator and generator, or one named like the task; or the TensorFlow checkpoint."""
    _: KW_ONLY
    to: str = "pytorch"
    """pytorch (a model folder, for this package and for transformers) or tensorflow."""
    vocab: Path | None = None
    """The checkpoint's vocab.txt (by default the one beside it, if there is one)."""
    attention_heads: int | None = None
    """Of the discriminator, where hparams.json beside the checkpoint does not say and it is not hidden size / 64."""
    task: str | None = None
    """For a fine-tuned network of a task that is not one of Google's: text-classification or token-classification."""
    optimizer: bool = False
    """Convert the optimizer's state too (adam_m, adam_v), with which pretraining can go on."""

    def __post_init__(self) -> None:
        for name in ("source", "output", "vocab"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value).expanduser())
        if self.to not in FORMATS:
            raise ValueError(f"to is {self.to!r}: allowed is {' or '.join(FORMATS)}")
        if self.task is not None and self.task not in KINDS:
            raise ValueError(f"task is {self.task!r}: allowed is {' or '.join(KINDS)}")
        if self.attention_heads is not None and self.attention_heads < 1:
            raise ValueError(f"attention_heads is {self.attention_heads}: allowed is 1 or more")
        given = [name for name in ("vocab", "attention_heads", "task") if getattr(self, name) is not None]
        if self.to == "tensorflow" and given:
            raise ValueError(f"{given[0]} is of use with a TensorFlow checkpoint only, and --to tensorflow was given")


def convert(config: ConvertConfig) -> dict[str, Any]:
    """Convert, and return what was written: folders, by network, or the checkpoint's prefix.

    All or nothing: `config.output` is there afterwards whole, or as it was.

    Raises:
        ValueError: the source is damaged (the variable is named), or holds what has no class on the other side (it is
            said what), or the output is not empty.
        OSError: a file is missing or cannot be written.
    """
    if config.output.exists() and (not config.output.is_dir() or any(config.output.iterdir())):
        raise ValueError(f"the output {config.output} is there already: give a new or an empty folder")
    with writing_folder(config.output) as folder, torch.no_grad():
        written = _to_tensorflow(config, folder) if config.to == "tensorflow" else _from_tensorflow(config, folder)
    return {name: str(config.output / place) for name, place in written.items()}


# -- from TensorFlow -----------------------------------------------------------------------------------------------


def _from_tensorflow(config: ConvertConfig, folder: Path) -> dict[str, str]:
    """Write every network of the checkpoint into `folder`; returns their folders' names by their own."""
    bundle = _bundle(config.source)
    try:
        networks = networks_in(bundle.shapes, config.task)
    except ValueError as error:
        raise ValueError(f"{bundle.prefix}: {error}.") from error
    main = next((network for network in networks if network.scopes.encoder == "electra"), networks[0])
    given = settings.read_settings(bundle.prefix.with_name("hparams.json"), main.fields)
    tokenizer = _tokenizer(config.vocab, bundle.prefix, given, main)
    step = int(bundle.read(STEP)) if STEP in bundle.shapes else 0
    used: set[str] = set()
    for network in networks:
        shape = _configuration(network, config.attention_heads, given, step)
        used |= _write_model(folder / network.name, bundle, network, shape, tokenizer)
    if config.optimizer:
        _write_optimizer(bundle, networks, step, folder)
    for text in what_is_left(set(bundle.shapes) - used):
        log.warning("%s: not converted: %s.", bundle.prefix, text)
    written = [network.name for network in networks] + (["checkpoints"] if config.optimizer else [])
    return dict(zip(written, written, strict=True))


def _bundle(source: Path) -> Bundle:
    """The checkpoint that is meant; a model folder is a ValueError that says what it is."""
    if any((source / name / "config.json").is_file() for name in ("", *_PAIR)):
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
    model = _on_meta(network.architecture, shape)
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
    heads = heads or settings.heads(given) or heads_of(width)
    if width % heads:
        raise ValueError(f"{heads} attention heads do not divide the hidden size, {width}: give --attention-heads")
    origin: dict[str, Any] = {"global_step": step}
    if network.head is not None:
        origin["task"] = network.name
    if network.token_types is not None:
        origin["token_types"] = list(network.token_types)
    fields = {**network.fields, **settings.overrides(given), "num_attention_heads": heads, ORIGIN: origin}
    return ElectraConfig(**fields)


def _on_meta(architecture: str, config: ElectraConfig) -> ElectraPreTrainedModel:
    """A network without memory for its parameters."""
    with torch.device("meta"):
        model: ElectraPreTrainedModel = getattr(models, architecture)(config)
    return model


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


# -- the optimizer's state -----------------------------------------------------------------------------------------


def _write_optimizer(bundle: Bundle, networks: list[Network], step: int, folder: Path) -> None:
    """Write parameters and moments as a checkpoint of a pretraining run."""
    if {network.name: network.scopes for network in networks} != _PAIR:
        raise ValueError(
            f"{bundle.prefix}: the optimizer's state can be converted of a discriminator and a generator that share "
            "their embeddings and nothing else, and these are other networks: leave out --optimizer"
        )
    pair = {
        network.name: _on_meta(network.architecture, ElectraConfig(**network.fields, num_attention_heads=1))
        for network in networks
    }
    variables = _variables_in_training(pair)
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


def _variables_in_training(pair: Mapping[str, ElectraPreTrainedModel]) -> dict[str, str]:
    """The variable of every parameter of a run's two networks, by the names that they have in its checkpoints."""
    both = ReplacedTokenDetection(pair["generator"], pair["discriminator"])
    names = ((name, *name.split(".", 1)) for name, _ in both.named_parameters())
    return {name: variable_name(own, _PAIR[network]) for name, network, own in names}


# -- to TensorFlow -------------------------------------------------------------------------------------------------


def _to_tensorflow(config: ConvertConfig, folder: Path) -> dict[str, str]:
    """Write the networks of `config.source` as one checkpoint into `folder`; returns its prefix's name."""
    folders = _model_folders(config.source)
    loaded = {name: _load(path) for name, path in folders.items()}
    origin = _origin(next(iter(loaded.values())))
    if config.optimizer:
        step, variables = _of_run(loaded, config.source)
    else:
        step, variables = int(origin.get("global_step", 0)), _of_models(loaded, folders)

    def values(name: str) -> NDArray[Any]:
        return np.array(step, np.int64) if name == STEP else as_array(name, variables[name])

    prefix = folder / f"model.ckpt-{step}"
    write_bundle(prefix, ((name, values(name)) for name in sorted([*variables, STEP])))
    write_text(folder / "hparams.json", _hparams(loaded))
    vocab = next((path / "vocab.txt" for path in folders.values() if (path / "vocab.txt").is_file()), None)
    if vocab is not None:
        write_text(folder / "vocab.txt", vocab.read_text(encoding="utf-8"))
    return {"checkpoint": prefix.name}


def _model_folders(source: Path) -> dict[str, Path]:
    """The folders with a model: the source itself, or the two of a pretraining run."""
    if (source / "config.json").is_file():
        return {source.absolute().name: source}
    halves = {name: source / name for name in _PAIR if (source / name / "config.json").is_file()}
    if not halves:
        raise FileNotFoundError(
            f"{source} is no model folder: it has no config.json, and no discriminator or generator with one in it"
        )
    return halves


def _load(path: Path) -> ElectraPreTrainedModel:
    """The network of a folder, whole. Raises ValueError where its class is not said or a part of it is missing."""
    named = [name for name in ElectraConfig.from_pretrained(path).architectures or [] if hasattr(models, name)]
    if not named:
        raise ValueError(f"{path / 'config.json'} does not say, under architectures, which class of ours it is of")
    loader: Any = getattr(models, named[0])
    model, info = loader.from_pretrained(path, device_map="cpu", output_loading_info=True)
    if info["missing_keys"]:
        raise ValueError(f"{path} lacks {', '.join(sorted(info['missing_keys']))}, which {named[0]} has")
    whole: ElectraPreTrainedModel = model
    return whole


def _origin(model: ElectraPreTrainedModel) -> dict[str, Any]:
    return dict(getattr(model.config, ORIGIN, {}))


def _of_models(loaded: Mapping[str, ElectraPreTrainedModel], folders: Mapping[str, Path]) -> dict[str, Tensor]:
    """The variables of the networks, as parameters are."""
    variables: dict[str, Tensor] = {}
    for name, model in loaded.items():
        origin, head = _origin(model), _head(model)
        scopes = _scopes_of_generator(loaded) if name == "generator" and len(loaded) > 1 else Scopes()
        types = origin.get("token_types")
        try:
            variables |= variables_of(
                model.state_dict(),
                scopes,
                head=head,
                task=origin.get("task", name),
                token_types=None if types is None else tuple(types),
            )
        except ValueError as error:
            raise ValueError(f"{folders[name]}: {error}.") from error
    return variables


def _head(model: ElectraPreTrainedModel) -> Head | None:
    """How the model's head is written, if it was fine-tuned."""
    name = type(model).__name__
    if name in ("ElectraForPreTraining", "ElectraForMaskedLM", "ElectraModel"):
        return None
    heads = (classifier(model.config.hidden_size), TAGGER, SPAN, _joint_head(model))
    found = next((head for head in heads if head.architecture == name), None)
    if found is None:
        raise ValueError(f"{name} has no counterpart in Google's code, so it cannot be written as its checkpoint")
    return found


def _joint_head(model: ElectraPreTrainedModel) -> Head:
    return JOINT_SPAN if hasattr(model, "answerable") else JOINT_SPAN_ALONE


def _scopes_of_generator(loaded: Mapping[str, ElectraPreTrainedModel]) -> Scopes:
    """What a generator shares with the discriminator beside it: its embeddings, its whole encoder, or nothing."""
    generator, discriminator = (loaded[name].base_model for name in ("generator", "discriminator"))
    if _equal(generator, discriminator):
        return Scopes()
    if _equal(generator.embeddings, discriminator.embeddings):
        return Scopes("generator", "electra")
    if generator.config.embedding_size != generator.config.hidden_size:
        raise ValueError(
            "the generator has other embeddings than the discriminator, and another width than they have: in Google's "
            "code embeddings of its own are as wide as it is. Convert one of the two at a time"
        )
    return Scopes("generator", "generator")


def _equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether all parameters of two networks are the same."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _of_run(loaded: Mapping[str, ElectraPreTrainedModel], source: Path) -> tuple[int, dict[str, Tensor]]:
    """The last checkpoint of a run: its step, and parameters and moments by variable, as parameters are."""
    checkpoint = Checkpoints(source / "checkpoints").latest()
    if checkpoint is None or set(loaded) != set(_PAIR):
        raise ValueError(f"{source} is not the folder of a pretraining run with a checkpoint: leave out --optimizer")
    variables: dict[str, Tensor] = {}
    for name, variable in _variables_in_training(loaded).items():
        variables[variable] = checkpoint.tensors["networks"][name]
        for moment in "mv":
            variables[slot(variable, moment)] = checkpoint.tensors["optimizer"][f"{name}.{moment}"]
    return checkpoint.step, variables


def _hparams(loaded: Mapping[str, ElectraPreTrainedModel]) -> str:
    """hparams.json, with which Google's scripts build these networks, and `convert` reads them back."""
    main = next(iter(loaded.values()))
    generator = loaded["generator"].config.to_dict() if len(loaded) > 1 else None
    return settings.settings_of(main.config.to_dict(), generator=generator, task=_origin(main).get("task"))
