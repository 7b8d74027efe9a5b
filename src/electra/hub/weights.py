"""Weights of a model folder: tensors by name, read from and written to its files.

Read: ``model.safetensors``, the same in shards with an index, and the older ``pytorch_model.bin``, whole or in shards.
Written: safetensors only. Tensors are read to the CPU, in the file's dtype.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from electra.files.json_objects import read_object
from electra.hub.hub_names import Location, find_file
from electra.hub.weight_files import (
    TensorHeader,
    read_pickle,
    read_safetensors,
    read_safetensors_header,
    some,
)
from electra.validation import shown

# Names of the first BERT checkpoints, and what DistributedDataParallel and torch.compile put before every name.
_LEGACY_SUFFIXES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")

_OTHER_FORMATS = {
    "tf_model.h5": "TensorFlow (Keras) weights",
    "flax_model.msgpack": "Flax weights",
    "checkpoint": "a TensorFlow checkpoint",
    "adapter_model.safetensors": "a PEFT adapter, not a whole model",
}


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the file that each was read from."""

    tensors: Mapping[str, Tensor]
    files: Mapping[str, Path]


def renamed(weights: Weights, key_mapping: Mapping[str, str]) -> Weights:
    """The weights under other names.

    Args:
        weights: of a checkpoint.
        key_mapping: regular expressions to search the names for, and what to put in their place.

    Raises:
        ValueError: a pattern is no regular expression, or two tensors get one name.
    """
    names = {name: name for name in weights.tensors}
    for pattern, replacement in key_mapping.items():
        try:
            names = {name: re.sub(pattern, replacement, new) for name, new in names.items()}
        except re.error as error:
            raise ValueError(f"key_mapping has {pattern!r}, which is no regular expression: {error}") from error
    if len(set(names.values())) < len(names):
        raise ValueError(f"key_mapping={dict(key_mapping)} gives two tensors of the checkpoint one name")
    tensors = {names[name]: tensor for name, tensor in weights.tensors.items()}
    return Weights(tensors, {names.get(name, name): file for name, file in weights.files.items()})


def read_weights(
    name_or_path: str | os.PathLike[str],
    *,
    use_safetensors: bool | None = None,
    weights_only: bool = True,
    variant: str | None = None,
    **location: Unpack[Location],
) -> Weights:
    """All weights of a model folder or hub repository, on the CPU, under today's names.

    Args:
        name_or_path: the folder or repository.
        use_safetensors: True or False reads safetensors files or `.bin` files alone. Default: the former first.
        weights_only: read a `.bin` file, which is a pickle, without running code from it. False trusts the file fully.
        variant: "fp16" reads ``model.fp16.safetensors``.
        **location: as in `find_file`.

    Raises:
        OSError: there are no weights, a shard is missing, a file may not be read, or memory is too small.
        ValueError: a file is damaged, or an index contradicts its shards. The message names the file, and the tensor
            if it is known.
    """
    tried = []
    for form in _forms(use_safetensors, weights_only):
        whole = _with_variant(form.file, variant)
        if file := find_file(name_or_path, whole, **location):
            return _modern(_read(file, form))
        index = _with_variant(f"{form.file}.index.json", variant)
        if file := find_file(name_or_path, index, **location):
            return _modern(_read_shards(name_or_path, file, form, location))
        tried += [whole, index]
    raise FileNotFoundError(_no_weights(name_or_path, tried, location))


def read_headers(name_or_path: str | os.PathLike[str], **location: Unpack[Location]) -> dict[str, TensorHeader]:
    """The shapes and dtypes of a model's tensors, from the headers of safetensors files where there are any.

    Raises as `read_weights`.
    """
    if file := find_file(name_or_path, "model.safetensors", **location):
        return read_safetensors_header(file)
    if index := find_file(name_or_path, "model.safetensors.index.json", **location):
        headers: dict[str, TensorHeader] = {}
        owners = _weight_map(index)
        for file, names in _shards(name_or_path, index, owners, location):
            shard = read_safetensors_header(file)
            _check_shard(file, shard, names, index, owners)
            headers |= shard
        return headers
    tensors = read_weights(name_or_path, **location).tensors
    return {name: TensorHeader(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}


def write_weights(
    folder: Path, state: Mapping[str, Tensor], *, max_shard_size: int | str = "50GB", variant: str | None = None
) -> None:
    """Write weights as ``model.safetensors``, or in shards with an index.

    Not atomic by itself: give it a folder that `adding_to_folder` or `writing_folder` made.

    Args:
        folder: where to.
        state: tensors by name.
        max_shard_size: the largest file, in bytes, or as "200MB", "5GB".
        variant: "fp16" writes ``model.fp16.safetensors``.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    from huggingface_hub import split_torch_state_dict_into_shards

    state = _unshared(state)
    pattern = _with_variant("model{suffix}.safetensors", variant)
    split = split_torch_state_dict_into_shards(state, filename_pattern=pattern, max_shard_size=max_shard_size)
    for filename, names in split.filename_to_tensors.items():
        try:
            save_file({name: state[name] for name in names}, folder / filename, metadata={"format": "pt"})
        except SafetensorError as error:
            raise _not_written(folder / filename, error) from error
    if split.is_sharded:
        total = sum(tensor.numel() for tensor in state.values())
        index = {
            "metadata": {"total_parameters": total, **split.metadata},
            "weight_map": dict(sorted(split.tensor_to_filename.items())),
        }
        text = json.dumps(index, indent=2) + "\n"
        (folder / _with_variant("model.safetensors.index.json", variant)).write_text(text, encoding="utf-8")


def weight_files(variant: str | None = None) -> list[str]:
    """Patterns of the files that `write_weights` may write: what a new save replaces."""
    names = ("model.safetensors", "model-?????-of-?????.safetensors", "model.safetensors.index.json")
    return [_with_variant(name, variant) for name in names]


# -- the two file formats ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    file: str
    read: Callable[[Path], dict[str, Tensor]]


def _forms(use_safetensors: bool | None, weights_only: bool) -> Iterator[_Form]:
    if use_safetensors is not False:
        yield _Form("model.safetensors", read_safetensors)
    if not use_safetensors:
        yield _Form("pytorch_model.bin", lambda file: read_pickle(file, weights_only))


def _read(file: Path, form: _Form) -> Weights:
    tensors = form.read(file)
    return Weights(tensors, dict.fromkeys(tensors, file))


# -- shards --------------------------------------------------------------------------------------------------------


def _read_shards(name_or_path: str | os.PathLike[str], index: Path, form: _Form, location: Location) -> Weights:
    tensors: dict[str, Tensor] = {}
    files: dict[str, Path] = {}
    owners = _weight_map(index)
    for file, names in _shards(name_or_path, index, owners, location):
        shard = form.read(file)
        _check_shard(file, shard, names, index, owners)
        if repeated := sorted(shard.keys() & tensors.keys()):
            raise ValueError(f"{file} and {files[repeated[0]]} both hold {some(repeated)}. Save the model again.")
        tensors |= shard
        files |= dict.fromkeys(shard, file)
    return Weights(tensors, files)


def _shards(
    name_or_path: str | os.PathLike[str], index: Path, owners: Mapping[str, str], location: Location
) -> Iterator[tuple[Path, list[str]]]:
    """Each shard of an index, and the tensors that it should hold."""
    by_file: dict[str, list[str]] = {}
    for tensor, filename in owners.items():
        by_file.setdefault(filename, []).append(tensor)
    for filename, names in sorted(by_file.items()):
        file = find_file(name_or_path, filename, **location)
        if file is None:
            raise FileNotFoundError(
                f"{index} lists {filename}, which is not beside it. It holds {len(names)} tensors: {some(names)}."
            )
        yield file, names


def _check_shard(
    file: Path, shard: Mapping[str, object], names: list[str], index: Path, owners: Mapping[str, str]
) -> None:
    """A shard holds what the index says, and nothing that the index gives to another shard."""
    if lacking := sorted(set(names) - set(shard)):
        raise ValueError(f"{file} lacks {some(lacking)}, which {index.name} says it holds. Save the model again.")
    if foreign := sorted(shard.keys() & owners.keys() - set(names)):
        raise ValueError(
            f"{file} holds {some(foreign)}, which {index.name} says is in {owners[foreign[0]]}. Save the model again."
        )


def _weight_map(index: Path) -> dict[str, str]:
    """Which tensor is in which file, as an index says."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(
            f"{index}: weight_map is {shown(weight_map)}: it must give a file for each tensor. Save the model again."
        )
    if wrong := [shown(name, 80) for name in weight_map.values() if not isinstance(name, str) or not name.strip("\0")]:
        raise ValueError(f"{index}: weight_map has {some(wrong)}: each tensor must have the name of a file.")
    if outside := [name for name in weight_map.values() if not _is_inside(name)]:
        raise ValueError(
            f"{index} points outside its folder, at {some(sorted(set(outside)))}; a model has all its files in one "
            "place."
        )
    return dict(weight_map)


def _is_inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and ".." not in parts and not Path(name).is_absolute() and parts[0] != ""


# -- names ---------------------------------------------------------------------------------------------------------


def _modern(weights: Weights) -> Weights:
    """The same tensors under today's names."""
    names = {name: _modern_name(name) for name in _without_wrapper(weights.tensors)}
    originals = dict(zip(names, weights.tensors, strict=True))
    return Weights(
        {new: weights.tensors[originals[name]] for name, new in names.items()},
        {new: weights.files[originals[name]] for name, new in names.items()},
    )


def _without_wrapper(names: Mapping[str, Tensor]) -> list[str]:
    """The names without a prefix that all of them carry because the model was wrapped when it was saved."""
    stripped = list(names)
    for _ in range(2):  # a compiled model inside DistributedDataParallel, or the reverse
        for prefix in _WRAPPER_PREFIXES:
            if stripped and all(name.startswith(prefix) for name in stripped):
                stripped = [name.removeprefix(prefix) for name in stripped]
    return stripped


def _modern_name(name: str) -> str:
    for old, new in _LEGACY_SUFFIXES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _with_variant(filename: str, variant: str | None) -> str:
    """ "model.safetensors" -> "model.fp16.safetensors"; "….index.json" -> "….index.fp16.json"."""
    if not variant:
        return filename
    stem, end = filename.rsplit(".", 1)
    return f"{stem}.{variant}.{end}"


# -- small ---------------------------------------------------------------------------------------------------------


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor contiguous and with memory of its own, as safetensors files want it."""
    own: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device: it has a shape and no values, so it cannot be saved.")
        tensor = tensor.detach().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(storage.data_ptr())
        own[name] = tensor
    return own


def _no_weights(name_or_path: str | os.PathLike[str], tried: list[str], location: Location) -> str:
    message = f"{str(name_or_path)!r} has none of {', '.join(tried)}"
    folder = Path(name_or_path).expanduser() / location.get("subfolder", "")
    if not folder.is_dir():
        return f"{message}, or they are not in the cache and the Hugging Face Hub may not be asked."
    found = [what for name, what in _OTHER_FORMATS.items() if (folder / name).exists()]
    if any(re.fullmatch(r".*ckpt.*\.index", file.name) for file in folder.iterdir()):
        found.append("a TensorFlow checkpoint, of which `electra convert` makes a model folder")
    holds = f" It holds {found[0]}." if found else ""
    return f"{message}.{holds} Save a model there with save_pretrained, or give the folder of one."


def _not_written(file: Path, error: SafetensorError) -> OSError:
    """A full disk, as an `OSError` with its number; safetensors gives it in words only."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return OSError(f"{file} could not be written: {error}")
    return OSError(int(number[1]), os.strerror(int(number[1])), str(file))
