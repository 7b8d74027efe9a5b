"""Weights to start from: networks or a whole run, checked and taken over"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from electra.config import PRESETS, ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.language_models import ElectraForMaskedLM, ElectraForPreTraining
from electra.objective.replaced_token_detection import ReplacedTokenDetection
from electra.pretraining.networks import Networks, published
from electra.pretraining.pretrain_config import SHRINK, PretrainConfig
from electra.training.optimizer import Adam
from electra.training.run.checkpoints import Checkpoint, Checkpoints, restore

SHAPE = (
    *("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps"),
)


def check_init(config: PretrainConfig) -> None:
    """Refuse a run to start from that does not exist, or that lacks the tokenizer that is needed."""
    if config.init is None:
        return
    if not config.init.is_dir():
        raise FileNotFoundError(
            f"init is {config.init}: there is no such folder. Give that of a run, or one that `electra convert` wrote"
        )
    if config.vocab is None and not Path(str(config.init_tokenizer)).is_dir():
        raise ValueError(
            f"{config.init} has no tokenizer: give vocab, with the one that its networks were trained with"
        )


def check_shapes(config: PretrainConfig, shape: ElectraConfig) -> None:
    """Refuse networks to start from whose shapes differ from the run's, by config.json alone, before hours of work.

    Args:
        shape: of the run's discriminator, with its vocabulary (for mlm, of its one network).
    """
    wanted = {"discriminator": shape, "generator": config.generator_of(shape), "model": shape}
    given = {"discriminator": config.init_discriminator, "generator": config.init_generator}
    if config.init is not None:
        names = ("model",) if config.objective == "mlm" else ("discriminator", "generator")
        given = {name: str(config.init / name) for name in names if (config.init / name / "config.json").is_file()}
    for role, name in given.items():
        if name not in (None, SHRINK):
            _check_shape(ElectraConfig.from_pretrained(str(name)), wanted[role], str(name), config, role)


@torch.no_grad()
def start_from_networks(networks: Networks, config: PretrainConfig) -> None:
    """Take over the weights of the networks to start from; what they lack (a head) stays as it was initialised.

    Shared embeddings are those of the discriminator, or of the generator if it alone is given.

    Raises:
        ValueError: a network of another shape, or two whose embeddings differ though they are to share them.
        OSError: there is no such folder or repository.
    """
    if config.init_generator not in (None, SHRINK):
        _take(networks.generator, str(config.init_generator), config)
    if not isinstance(networks, ReplacedTokenDetection) or config.init_discriminator is None:
        return
    shared = networks.discriminator.electra.embeddings.word_embeddings.weight
    before = shared.clone()
    _take(networks.discriminator, config.init_discriminator, config)
    if config.init_generator == SHRINK:
        shrink(networks.discriminator, networks.generator)
    elif config.init_generator is not None and not config.untied and not torch.allclose(before, shared, atol=1e-6):
        raise ValueError(
            f"{config.init_generator} and {config.init_discriminator} have different word embeddings, so they were not "
            "trained together, and the generator cannot use the discriminator's: give one of them, or untied"
        )


@torch.no_grad()
def start_from_run(networks: Networks, optimizer: Adam, config: PretrainConfig) -> tuple[int, str]:
    """Take over the run in `config.init`: networks and Adam's moments of its last checkpoint, else its model folders.

    Returns:
        The step to continue after (0 unless `config.keep_step`), and a description of what was taken.

    Raises:
        ValueError: it has neither; its networks or moments are of other shapes; every checkpoint is damaged; its step
            is to be kept, and there is none, or none is left of `steps`.
        OSError: a model folder cannot be read.
    """
    assert config.init is not None
    folders = {name: config.init / name for name in published(networks)}
    for name, network in published(networks).items():
        if (folders[name] / "config.json").is_file():
            _check_shape(ElectraConfig.from_pretrained(folders[name]), network.config, str(folders[name]), config, name)
    checkpoints = Checkpoints(config.init / "checkpoints")
    checkpoint = checkpoints.latest()
    if checkpoint is None:
        return 0, _take_folders(networks, folders, config)
    path = checkpoints.path(checkpoint.step)
    _check_step(checkpoint, path, config)
    try:
        restore(dict(networks.named_parameters()), checkpoint.tensors.get("networks", {}))
        optimizer.load_moments(checkpoint.tensors.get("optimizer", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    step = checkpoint.step if config.keep_step else 0
    return step, f"networks and moments of {path}, {'continuing after' if step else 'at'} step {step:,} here"


def _take_folders(networks: Networks, folders: dict[str, Path], config: PretrainConfig) -> str:
    """Take over the networks of model folders; a description of them."""
    missing = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if missing:
        raise ValueError(
            f"init is {config.init}, which has no checkpoints, and no {' and no '.join(missing)}: give the folder of a "
            f"run of objective {config.objective}, or one that `electra convert` wrote"
        )
    if config.keep_step:
        raise ValueError(
            f"{config.init} has no checkpoints, so its step is not known: leave keep_step out; or convert with "
            "--optimizer, if it comes from a checkpoint with an optimizer's state"
        )
    discriminator, generator = folders.get("discriminator"), folders.get("generator") or folders["model"]
    name = None if discriminator is None else str(discriminator)
    start_from_networks(networks, replace(config, init=None, init_discriminator=name, init_generator=str(generator)))
    return f"networks of {config.init}; it has no checkpoints, so the optimizer starts without moments"


def _check_step(checkpoint: Checkpoint, path: Path, config: PretrainConfig) -> None:
    steps = config.recipe.steps
    if config.keep_step and checkpoint.step >= steps:
        raise ValueError(
            f"{path} has taken {checkpoint.step:,} steps and steps is {steps:,}, so none is left: give more steps "
            "(those before count too), or leave keep_step out"
        )


def _take(network: ElectraPreTrainedModel, name: str, config: PretrainConfig) -> None:
    """Copy the weights of a folder or hub name into the network."""
    kind = ElectraForMaskedLM if isinstance(network, ElectraForMaskedLM) else ElectraForPreTraining
    given, loading = kind.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    role = "generator" if kind is ElectraForMaskedLM else "discriminator"
    _check_shape(given.config, network.config, name, config, role)
    if kind is ElectraForMaskedLM and not given.config.tie_word_embeddings:
        raise ValueError(
            f"{name} has an output layer of its own, and here it shares the word embeddings: give a generator whose "
            "config.json has tie_word_embeddings true"
        )
    weights = dict(given.named_parameters())
    for own, parameter in network.named_parameters():
        if own not in loading["missing_keys"]:
            parameter.copy_(weights[own])


def _check_shape(given: ElectraConfig, wanted: ElectraConfig, name: str, config: PretrainConfig, role: str) -> None:
    differing = [field for field in SHAPE if getattr(given, field) != getattr(wanted, field)]
    if not differing:
        return
    listed = "; ".join(f"{field} {getattr(given, field)}, here {getattr(wanted, field)}" for field in differing)
    if differing == ["vocab_size"]:
        remedy = "give its own vocabulary as vocab, or leave vocab out"
    else:
        fitting = [f"size {size}" for size in PRESETS if _has_shape_of(given, size, config, role)]
        remedy = f"give {' or '.join(fitting)}" if fitting else f"give one of the shape of size {config.size}"
    raise ValueError(f"{name} does not fit: {listed}. Its shape and vocabulary must be those of the run: {remedy}")


def _has_shape_of(given: ElectraConfig, size: str, config: PretrainConfig, role: str) -> bool:
    shape = ElectraConfig.preset(size)
    if role != "discriminator":
        shape = config.generator_of(shape)
    return all(getattr(given, field) == getattr(shape, field) for field in SHAPE if field != "vocab_size")


def shrink(discriminator: ElectraPreTrainedModel, generator: ElectraPreTrainedModel) -> None:
    """Fill the generator's layers with evenly spaced units of the discriminator's; its head stays as initialised.

    Of every axis of n units the generator's m are numbers i * n // m: the uniform selection of Xu et al.,
    "Initializing Models with Larger Ones" (2024), which keeps a unit's place the same in all layers. If the
    discriminator has no projection of its embeddings, the generator's projection selects those units.
    """
    given = dict(discriminator.base_model.named_parameters())
    for name, parameter in generator.base_model.named_parameters():
        if name.startswith("embeddings."):
            continue
        if name in given:
            parameter.copy_(evenly_spaced(given[name], parameter.shape))
        elif name.endswith("weight"):
            parameter.copy_(evenly_spaced(torch.eye(parameter.shape[1]), parameter.shape))
        else:
            parameter.zero_()


def evenly_spaced(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Evenly spaced entries of every axis, as many as `shape` has: [n, …] -> shape"""
    for axis, (large, small) in enumerate(zip(tensor.shape, shape, strict=True)):
        tensor = tensor.index_select(axis, torch.arange(small, device=tensor.device) * large // small)
    return tensor
