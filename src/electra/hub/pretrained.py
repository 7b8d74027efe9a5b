"""`from_pretrained` and `save_pretrained`: a network from a folder or hub name, and back into a folder."""

from __future__ import annotations

import copy
import errno
import inspect
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from electra.files.atomic import adding_to_folder
from electra.hub.hub_names import Location
from electra.hub.load_options import (
    DeviceMap,
    choose_device,
    choose_dtype,
    first_float,
    refuse_unknown,
    without_idle,
)
from electra.hub.push import Pushed, upload
from electra.hub.weight_files import is_out_of_memory
from electra.hub.weight_matching import Match, incomplete, match, notices, of_encoder, wrong_shapes
from electra.hub.weights import Weights, read_weights, renamed, weight_files, write_weights

log = logging.getLogger("electra")

PathLike = str | os.PathLike[str]
if TYPE_CHECKING:
    _Network = nn.Module
else:
    _Network = object


class Pretrained(Pushed, _Network):
    """Mixin for an `nn.Module` built from one configuration: `Network(config)`."""

    config_class: ClassVar[type[Any]]
    base_model_prefix: ClassVar[str] = "electra"
    _tied_weights_keys: ClassVar[Mapping[str, str]] = {}
    _keys_to_ignore_on_load: ClassVar[tuple[str, ...]] = ()
    config: Any

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the parameters of this one module (not of those inside it), in place."""
        raise NotImplementedError

    def tie_weights(self) -> None:
        """Let the names in `_tied_weights_keys` share their tensor, if the configuration says so."""

    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: PathLike | None, *, output_loading_info: Literal[True], **options: Any
    ) -> tuple[Self, dict[str, Any]]: ...
    @overload
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: PathLike | None,
        *,
        output_loading_info: Literal[False] = False,
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: PathLike | None,
        *,
        config: Any = None,
        dtype: str | torch.dtype | None = "auto",
        torch_dtype: str | torch.dtype | None = None,
        device_map: DeviceMap | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        attn_implementation: str | None = None,
        generation_config: Any = None,
        state_dict: Mapping[str, Tensor] | None = None,
        key_mapping: Mapping[str, str] | None = None,
        use_safetensors: bool | None = None,
        weights_only: bool = True,
        variant: str | None = None,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: PathLike | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **config_overrides: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Load a network from a folder or a repository on the Hugging Face Hub, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` (here or in transformers) wrote, or a name
                like "google/electra-small-discriminator". None: `config` and `state_dict` are both given.
            config: a configuration, or the folder or name to read it from (as the weights are: `subfolder`, `token`,
                …). Default: the one beside the weights.
            dtype: of the parameters: a torch.dtype, its name, or "auto" (the default): the configuration's `dtype`,
                else that of the checkpoint's first floating-point tensor.
            torch_dtype: an older name of `dtype`.
            device_map: where the network goes: "cpu", "auto" (an accelerator if there is one), "cuda:0", a number, a
                torch.device, or {"": any of these}. Default: torch's default device, which is the CPU unless you set
                it.
            ignore_mismatched_sizes: initialise tensors whose shape is not the configuration's, instead of an error.
            output_loading_info: return (network, {"missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"}).
            attn_implementation: "sdpa" or "eager".
            generation_config: in place of the folder's, for a decoder.
            state_dict: take the weights from here; only the configuration is read from the folder.
            key_mapping: regular expressions to search the checkpoint's names for, and what to put in their place.
            use_safetensors, weights_only, variant: see `read_weights`.
            subfolder, revision, cache_dir, token, local_files_only, force_download: see `find_file`.
            **config_overrides: fields of the configuration to change, such as `num_labels=5`.

        Returns:
            The network. Tensors of a head that the checkpoint does not have are initialised as in a new network, and
            one warning of the logger "electra" says so.

        Raises:
            OSError: there is no such folder, no weights in it, a file may not be read, or memory is too small.
            ValueError: a file is damaged, the configuration is another model's or invalid, an argument is unknown, or
                the weights lack part of the encoder.
            RuntimeError: tensors have another shape than the configuration says.
        """
        name_or_path = pretrained_model_name_or_path
        location: Location = {
            "subfolder": subfolder,
            "revision": revision,
            "cache_dir": cache_dir,
            "token": token,
            "local_files_only": local_files_only,
            "force_download": force_download,
        }
        if attn_implementation is not None:
            config_overrides["attn_implementation"] = attn_implementation
        config = cls._read_config(name_or_path, config, config_overrides, location)
        weights = _given(state_dict)
        if weights is None:
            assert name_or_path is not None, "_read_config refuses this"
            options: dict[str, Any] = {"use_safetensors": use_safetensors, "weights_only": weights_only}
            weights = read_weights(name_or_path, variant=variant, **options, **location)
        weights = renamed(weights, key_mapping or {})
        config.dtype = choose_dtype(torch_dtype if torch_dtype is not None else dtype, config, weights.tensors.values())
        source = "the given state dict" if state_dict is not None else repr(str(name_or_path))
        _check_layers(config, weights, source)
        model = cls._on_meta(config)
        matched = model._match(weights, source, ignore_mismatched_sizes)
        model._assign(matched, config.dtype, choose_device(device_map))
        model._take_generation_config(generation_config, name_or_path, location)
        model.eval()
        return (model, _loading_info(matched)) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: PathLike,
        *,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "50GB",
        variant: str | None = None,
        safe_serialization: bool = True,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        token: str | bool | None = None,
        save_function: Any = None,
    ) -> None:
        """Write config.json and the weights (safetensors) into a folder.

        The folder's other files stay; an earlier save in it is replaced only once this one is whole on the disk, so
        that a full disk leaves it intact.

        Args:
            save_directory: the folder, which is created if it is not there.
            is_main_process: False writes nothing (the other processes of a distributed run).
            state_dict: these tensors instead of the network's own.
            max_shard_size: the largest file of weights, in bytes, or as "200MB".
            variant: "fp16" writes ``model.fp16.safetensors``.
            safe_serialization: only True, the default: pickles are not written.
            push_to_hub: upload what was written, and the model card.
            repo_id: the repository to upload to. Default: the folder's name.
            token: of the Hub; default: the one that you logged in with.
            save_function: has no effect; Accelerate's guides give one.

        Raises:
            OSError: the folder cannot be written.
            ValueError: safe_serialization is False.
        """
        if not safe_serialization:
            raise ValueError(
                "safe_serialization=False: weights are written as safetensors only, which every program that reads "
                "ELECTRA reads. For a pickle, use torch.save(model.state_dict(), path)."
            )
        if not is_main_process:
            return
        state = self._state_to_save(self.state_dict() if state_dict is None else state_dict)
        config = copy.deepcopy(self.config)
        config.architectures = [type(self).__name__]
        config.dtype = first_float(state.values()) or config.dtype
        config.name_or_path = ""  # a path of this machine means nothing to whoever reads the file
        with adding_to_folder(save_directory, replacing=weight_files(variant)) as folder:
            config.save_pretrained(folder)
            self._write_generation_config(folder)
            write_weights(folder, state, max_shard_size=max_shard_size, variant=variant)
            names = [file.name for file in folder.iterdir()]
        if push_to_hub:
            written = Path(save_directory)
            upload(
                written,
                repo_id or written.name,
                private=None,
                token=token,
                tags=getattr(self, "model_tags", ()),
                commit_message=f"Upload {type(self).__name__}",
                allow_patterns=[*names, "README.md"],  # nothing else that lies in the folder
            )

    def _save_to_push(self, folder: str, max_shard_size: int | str) -> None:
        self.save_pretrained(folder, max_shard_size=max_shard_size)

    def _take_generation_config(self, config: Any, name_or_path: PathLike | None, location: Location) -> None:
        """What a decoder also reads from its folder; other networks have none."""
        if config is not None:
            raise ValueError(f"generation_config was given, and {type(self).__name__} does not generate")

    def _write_generation_config(self, folder: Path) -> None:
        """What a decoder also writes into its folder."""

    # -- loading, step by step --------------------------------------------------------------------------------------

    @classmethod
    def _read_config(
        cls, name_or_path: PathLike | None, config: Any, overrides: dict[str, Any], location: Location
    ) -> Any:
        """The configuration with its overrides; never the caller's own object."""
        overrides = without_idle(overrides)
        if isinstance(config, cls.config_class):
            config = copy.deepcopy(config)
        elif config is None and name_or_path is None:
            raise ValueError("from_pretrained(None) needs config= and state_dict= as well.")
        else:
            config = cls.config_class.from_pretrained(name_or_path if config is None else config, **location)
        fields = {"num_labels", "attn_implementation", *(name for name in vars(config) if not name.startswith("_"))}
        refuse_unknown(
            f"{cls.__name__}.from_pretrained", overrides, fields, inspect.signature(cls.from_pretrained).parameters
        )
        if overrides:
            config.update(overrides)
        if name_or_path is not None:
            config.name_or_path = str(name_or_path)
        return config

    @classmethod
    def _on_meta(cls, config: Any) -> Self:
        """The network without memory for its parameters."""
        with torch.device("meta"), _WithoutInitialisation():
            model = cls(config)
        if any(True for _ in model.buffers()):  # only subclasses have some; their values are computed in __init__
            with torch.device("cpu"):
                model = cls(config)
        return model

    def _match(self, weights: Weights, source: str, ignore_mismatched_sizes: bool) -> Match:
        """Match the checkpoint's tensors with this network's; refuse one that does not fit, warn of what is new."""
        name, prefix = type(self).__name__, f"{self.base_model_prefix}."
        shapes = {key: tensor.shape for key, tensor in self.state_dict().items()}
        tied = self._tied_weights_keys if self.config.tie_word_embeddings else {}
        matched = match(weights.tensors, shapes, prefix=prefix, tied=tied, ignored=self._keys_to_ignore_on_load)
        if lacking := of_encoder(matched.missing, shapes, prefix):
            raise ValueError(incomplete(matched, lacking, model=name, source=source, holds=weights.tensors))
        if matched.mismatched and not ignore_mismatched_sizes:
            raise RuntimeError(wrong_shapes(matched, model=name, where=weights.files))
        for key, tensor in matched.loaded.items():
            if not tensor.is_floating_point() and key in dict(self.named_parameters()):
                where = weights.files.get(matched.original.get(key, key), source)
                raise ValueError(f"{key} in {where} holds {tensor.dtype}; expected floating-point numbers.")
        for text in notices(matched, shapes, prefix, model=name, source=source):
            log.warning(text)
        return matched

    def _assign(self, matched: Match, dtype: torch.dtype, device: torch.device) -> None:
        """Give this network, which is on meta, the checkpoint's tensors, and initial ones where it has none."""
        if matched.untied:
            log.warning("The checkpoint's output layer differs from its word embeddings: they are not tied.")
            self.config.tie_word_embeddings = False
        try:
            self._initialise(sorted(matched.missing | {name for name, _, _ in matched.mismatched}))
            fresh = {name: tensor for name, tensor in self.state_dict().items() if not tensor.is_meta}
            tensors = {
                name: tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)
                for name, tensor in {**fresh, **matched.loaded}.items()
            }
        except (MemoryError, RuntimeError) as error:
            if device.type == "cpu" and is_out_of_memory(error):
                raise OSError(errno.ENOMEM, f"{os.strerror(errno.ENOMEM)} for a network of this size") from error
            raise
        self.load_state_dict(tensors, assign=True, strict=False)
        self.tie_weights()
        empty = [name for name, tensor in self.state_dict().items() if tensor.is_meta]
        assert not empty, f"still without values: {empty}"

    def _initialise(self, names: list[str]) -> None:
        """Initial parameters of these names, on the CPU (so that a seed gives the same on every device)."""
        parameters = dict(self.named_parameters(remove_duplicate=False))
        owners: dict[str, nn.Module] = {}
        for name in (name for name in names if name in parameters):
            owner, _, own = name.rpartition(".")
            owners[owner] = self.get_submodule(owner)
            fresh = torch.zeros(parameters[name].shape, device="cpu")
            setattr(owners[owner], own, nn.Parameter(fresh, requires_grad=parameters[name].requires_grad))
        for module in owners.values():
            self._init_weights(module)

    def _state_to_save(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without the tensors that only repeat another."""
        tied = self._tied_weights_keys if self.config.tie_word_embeddings else {}
        repeated = {
            target
            for target, source in tied.items()
            if target in state and source in state and _same(state[target], state[source])
        }
        return {name: tensor for name, tensor in state.items() if name not in repeated}


def _check_layers(config: Any, weights: Weights, source: str) -> None:
    """Refuse a configuration of far more layers than the checkpoint has, before they are built."""
    numbers = [
        int(number[1]) for name in weights.tensors if (number := re.search(r"\bencoder\.layer\.([0-9]{1,6})\.", name))
    ]
    layers = max(numbers) + 1 if numbers else 0
    if layers and config.num_hidden_layers > layers + _FEW_LAYERS:
        raise ValueError(
            f"{source} has {layers} layers and the configuration says num_hidden_layers is {config.num_hidden_layers}: "
            "config.json describes another network"
        )


_FEW_LAYERS = 64
"""Up to so many more layers are built, which takes a moment, so that the error can list what is missing."""


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out `torch.nn.init`: on meta there is nothing to fill, and torch imports for a second to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _given(state_dict: Mapping[str, Tensor] | None) -> Weights | None:
    """A copy, since the network takes its tensors over."""
    if state_dict is None:
        return None
    return Weights({name: tensor.detach().clone() for name, tensor in state_dict.items()}, {})


def _same(one: Tensor, other: Tensor) -> bool:
    shared = one.data_ptr() == other.data_ptr() and one.shape == other.shape and not one.is_meta
    return shared or torch.equal(one, other)


def _loading_info(matched: Match) -> dict[str, Any]:
    return {
        "missing_keys": matched.missing,
        "unexpected_keys": matched.unexpected,
        "mismatched_keys": matched.mismatched,
        "error_msgs": [],
    }
