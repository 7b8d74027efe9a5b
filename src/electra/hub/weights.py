"""Tensors by name, from and to the files of a model folder.

Read: ``model.safetensors``, the same in shards with an index, and the older ``pytorch_model.bin``, whole or in shards.
Written: safetensors only. Tensors are read to the CPU, in the number type of the file.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from electra.hub.hub_names import Location, find_file

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
    """The weights under other names."""
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
    """All weights of a model folder or hub repository, on the CPU.

    use_safetensors: True or False to look at safetensors files or at `.bin` files alone (default: the former first).
    weights_only: read a `.bin` file, which is a pickle, without running code from it. False trusts the file fully.
    variant: "fp16" reads ``model.fp16.safetensors``. The rest is `find_file`'s.

    Old names are put in today's (``LayerNorm.gamma`` is ``LayerNorm.weight``). Raises `OSError` when there are no
    weights or a shard is missing, `ValueError` when a file is damaged; both name the file, and the tensor if known.
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


def write_weights(
    folder: Path, state: Mapping[str, Tensor], *, max_shard_size: int | str = "50GB", variant: str | None = None
) -> None:
    """Write `state` as ``model.safetensors``, or in shards of at most `max_shard_size` with an index, into `folder`.

    `max_shard_size` is in bytes, or as "200MB", "5GB". Raises `OSError` when the disk is full. Not atomic by itself:
    give it a folder that `adding_to_folder` or `writing_folder` made.
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
    """Patterns of the files that `write_weights` may write: what a new save has to take the place of."""
    names = ("model.safetensors", "model-?????-of-?????.safetensors", "model.safetensors.index.json")
    return [_with_variant(name, variant) for name in names]


# -- the two file formats ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    file: str
    read: Callable[[Path], dict[str, Tensor]]


def _forms(use_safetensors: bool | None, weights_only: bool) -> Iterator[_Form]:
    if use_safetensors is not False:
        yield _Form("model.safetensors", _read_safetensors)
    if not use_safetensors:
        yield _Form("pytorch_model.bin", lambda file: _read_pickle(file, weights_only))


def _read(file: Path, form: _Form) -> Weights:
    tensors = form.read(file)
    return Weights(tensors, dict.fromkeys(tensors, file))


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            # copied out of the mapped file, where tensors lie at odd addresses: kernels add up in another order there,
            # and a network would not answer to the last bit what it answered before it was saved
            return {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(_damaged(file, _first_tensor_cut_off(file) or str(error))) from error


def _read_pickle(file: Path, weights_only: bool) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=weights_only)
    except pickle.UnpicklingError as error:
        if code := re.search(r"Unsupported (?:global|class)\S*(?: GLOBAL)? (\S+)", str(error)):
            raise ValueError(
                f"{file} holds more than tensors ({code[1]}), and reading that would run code from it. If you trust "
                "whoever made the file, give weights_only=False."
            ) from error
        raise ValueError(_damaged(file, "it is no file that torch.save wrote")) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is torch's answer to a zip file without its end
            raise
        raise ValueError(_damaged(file, "its end is missing")) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(_damaged(file, _first_line(error))) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} holds a {type(content).__name__}; expected tensors by name (a state dict).")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise ValueError(
            f"{file} is not a state dict: {_some(strange)} are not tensors. If one of them holds the weights, save "
            "that one alone with torch.save."
        )
    return dict(content)


def _damaged(file: Path, what: str) -> str:
    size = file.stat().st_size
    if size < 1000 and file.read_bytes().startswith(b"version https://git-lfs"):
        return f"{file} is a pointer of Git LFS, not the weights themselves. Run `git lfs pull` in that folder."
    return f"{file} ({size:,} bytes) is damaged or incomplete: {what}. Download it or save it again."


def _first_tensor_cut_off(file: Path) -> str | None:
    """For a safetensors file whose header can be read: which tensor the end of the file cuts off.

    The format: the header's length in 8 bytes, the header (JSON, offsets from the header's end), the tensors.
    """
    size = file.stat().st_size
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, size)))
        ends = sorted((v["data_offsets"][1], name) for name, v in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    cut_off = [name for end, name in ends if 8 + length + end > size]
    if not cut_off:
        return None
    return f"it should have {8 + length + ends[-1][0]:,} bytes; {cut_off[0]!r} is the first tensor that is cut off"


# -- shards --------------------------------------------------------------------------------------------------------


def _read_shards(name_or_path: str | os.PathLike[str], index: Path, form: _Form, location: Location) -> Weights:
    by_file: dict[str, list[str]] = {}
    for tensor, filename in _weight_map(index).items():
        by_file.setdefault(filename, []).append(tensor)
    tensors: dict[str, Tensor] = {}
    files: dict[str, Path] = {}
    for filename, names in sorted(by_file.items()):
        file = find_file(name_or_path, filename, **location)
        if file is None:
            raise FileNotFoundError(
                f"{index} lists {filename}, which is not beside it. It holds {len(names)} tensors: {_some(names)}."
            )
        shard = form.read(file)
        if lacking := sorted(set(names) - set(shard)):
            raise ValueError(f"{file} lacks {_some(lacking)}, which {index.name} says it holds. Save the model again.")
        tensors |= shard
        files |= dict.fromkeys(shard, file)
    return Weights(tensors, files)


def _weight_map(index: Path) -> dict[str, str]:
    """Which tensor is in which file, as an index says."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        wrong = [name for name in weight_map.values() if Path(name).is_absolute() or ".." in Path(name).parts]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(_damaged(index, f"no table of tensors and files ({type(error).__name__}: {error})")) from error
    if wrong:
        raise ValueError(
            f"{index} points outside its folder, at {_some(wrong)}; a model has all its files in one place."
        )
    return dict(weight_map)


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


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
