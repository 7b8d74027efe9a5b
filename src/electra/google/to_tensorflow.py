"""Model folders, or a pretraining run with its optimizer's state -> a TensorFlow checkpoint for Google's code"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from electra import models
from electra.config import ElectraConfig
from electra.files.atomic import write_text
from electra.google import hparams
from electra.google.checkpoint_heads import JOINT_SPAN, JOINT_SPAN_ALONE, SPAN, TAGGER, Head, classifier
from electra.google.checkpoint_state import as_array, variables_of
from electra.google.convert_config import ORIGIN, ConvertConfig
from electra.google.pretraining_pair import PAIR, variables_in_training
from electra.google.tensorflow.bundle import write_bundle
from electra.google.variable_names import STEP, Scopes, slot
from electra.models import ElectraPreTrainedModel
from electra.training.run.checkpoints import Checkpoints


def to_tensorflow(config: ConvertConfig, folder: Path) -> dict[str, str]:
    """Write the networks of `config.source` as one checkpoint, to the same bits where they came from one.

    Args:
        config: `source` is a model folder, or a run's folder with two of them.
        folder: an empty one; hparams.json and vocab.txt are written into it too.

    Returns:
        The name of the checkpoint's prefix, as `checkpoint`.

    Raises:
        ValueError: a network has no counterpart in Google's code.
        OSError: a file is missing.
    """
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
    halves = {name: source / name for name in PAIR if (source / name / "config.json").is_file()}
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
    if checkpoint is None or set(loaded) != set(PAIR):
        raise ValueError(f"{source} is not the folder of a pretraining run with a checkpoint: leave out --optimizer")
    variables: dict[str, Tensor] = {}
    for name, variable in variables_in_training(loaded).items():
        variables[variable] = checkpoint.tensors["networks"][name]
        for moment in "mv":
            variables[slot(variable, moment)] = checkpoint.tensors["optimizer"][f"{name}.{moment}"]
    return checkpoint.step, variables


def _hparams(loaded: Mapping[str, ElectraPreTrainedModel]) -> str:
    """hparams.json, with which Google's scripts build these networks, and `convert` reads them back."""
    main = next(iter(loaded.values()))
    generator = loaded["generator"].config.to_dict() if len(loaded) > 1 else None
    return hparams.settings_of(main.config.to_dict(), generator=generator, task=_origin(main).get("task"))
