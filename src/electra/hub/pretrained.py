"""`from_pretrained` and `save_pretrained`: a network from a folder or hub name, and back into a folder."""

from __future__ import annotations

import copy
import difflib
import inspect
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from electra.files.atomic import adding_to_folder
from electra.hardware import devices as hardware
from electra.hub.hub_names import Location
from electra.hub.push import Pushed, upload
from electra.hub.weight_matching import Fit, fit, incomplete, notices, of_encoder, wrong_shapes
from electra.hub.weights import Weights, read_weights, renamed, weight_files, write_weights

log = logging.getLogger("electra")

PathLike = str | os.PathLike[str]
DeviceMap = str | int | torch.device | Mapping[str, str | int | torch.device]

# transformers' ways of saying "an accelerator if there is one"; with one device they mean the same
_AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
# arguments of transformers that ask for what is done here anyway, or for nothing at all
_WITHOUT_EFFECT = (
    *("low_cpu_mem_usage", "_fast_init", "offload_state_dict", "trust_remote_code", "mirror"),
    *("use_kernels", "disable_mmap", "fusion_config"),
)
_OTHER_FRAMEWORKS = ("from_tf", "from_flax")

if TYPE_CHECKING:
    _Network = nn.Module
else:
    _Network = object


# arguments of transformers for which there is another way here
_ELSEWHERE = {
    **dict.fromkeys(
        ("quantization_config", "gguf_file", "load_in_8bit"),
        "weights are read as floating-point numbers; quantise the loaded network, with torchao for one",
    ),
    **dict.fromkeys(
        ("max_memory", "offload_folder", "offload_buffers", "tp_plan", "tp_size", "distributed_config", "device_mesh"),
        "a network is put on one device; for several, wrap it with torch's FSDP or accelerate",
    ),
    "adapter_kwargs": "adapters are loaded by peft: PeftModel.from_pretrained(model, adapter)",
}


class Pretrained(Pushed, _Network):
    """Mixin for an `nn.Module` built from one configuration: `Network(config)`."""

    config_class: ClassVar[type[Any]]
    base_model_prefix: ClassVar[str] = "electra"
    _tied_weights_keys: ClassVar[Mapping[str, str]] = {}
    _keys_to_ignore_on_load: ClassVar[tuple[str, ...]] = ()
    config: Any

    def _init_weights(self, module: nn.Module) -> None:
        """Draw the parameters of this one module (not of those inside it) anew, in place."""
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
        """The network of a folder or of a repository on the Hugging Face Hub, in evaluation mode.

        pretrained_model_name_or_path: a folder that `save_pretrained` (here or in transformers) wrote, or a name
            like "google/electra-small-discriminator". None: `config` and `state_dict` are both given.
        config: a configuration, or the folder or name to read it from (as the weights are: `subfolder`, `token`, …).
            Default: the one beside the weights.
        dtype: of the parameters: a torch.dtype, its name, or "auto" (the default): the configuration's `dtype`, else
            that of the checkpoint's first floating-point tensor. `torch_dtype` is its older name.
        device_map: where the network goes: "cpu", "auto" (an accelerator if there is one), "cuda:0", a number, a
            torch.device, or {"": any of these}. Default: torch's default device, which is the CPU unless you set it.
        ignore_mismatched_sizes: draw tensors anew whose shape is not the configuration's, instead of an error.
        output_loading_info: return (network, {"missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"}).
        attn_implementation: "sdpa" or "eager". generation_config: in place of the folder's, for a decoder.
        state_dict: take the weights from here; only the configuration is read from the folder.
        key_mapping: regular expressions to search the checkpoint's names for, and what to put in their place.
        use_safetensors, weights_only, variant: see `read_weights`. subfolder, revision, cache_dir, token,
            local_files_only, force_download: see `find_file`.
        config_overrides: fields of the configuration to change, such as `num_labels=5`.

        Tensors of a head that the checkpoint does not have are drawn as for a new network, and one warning of the
        logger "electra" says so. Raises `OSError` when there is no such folder or no weights in it, `ValueError` for
        a damaged file, a configuration of another kind of model, an unknown argument, or weights that lack part of
        the encoder, and `RuntimeError` for tensors of another shape.
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
        config.dtype = _dtype(torch_dtype if torch_dtype is not None else dtype, config, weights)
        model = cls._on_meta(config)
        source = "the given state dict" if state_dict is not None else repr(str(name_or_path))
        found = model._fit(weights, source, ignore_mismatched_sizes)
        model._take(found, config.dtype, _device(device_map))
        model._take_generation_config(generation_config, name_or_path, location)
        model.eval()
        return (model, _loading_info(found)) if output_loading_info else model

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
        """Write config.json and the weights (safetensors) into a folder, which is made if need be.

        The folder's other files stay; an earlier save in it is replaced only once this one is whole on the disk, so
        that a full disk leaves it intact. Raises `OSError` when the folder cannot be written.

        is_main_process: False writes nothing (the other processes of a distributed run). state_dict: these tensors
        instead of the network's own. max_shard_size: bytes, or "200MB"; more is split into several files.
        push_to_hub: upload what was written afterwards, and the model card, to the repository `repo_id` (default: of
            the folder's name).
        save_function: accepted, as Accelerate's guides give one, and without effect.
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
        config.dtype = _first_float(state.values()) or config.dtype
        config.name_or_path = ""  # a path of this machine says nothing to the reader of the file
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

    def _take_generation_config(self, given: Any, name_or_path: PathLike | None, location: Location) -> None:
        """What a decoder also reads from its folder; other networks have none."""
        if given is not None:
            raise ValueError(f"generation_config was given, and {type(self).__name__} does not generate")

    def _write_generation_config(self, folder: Path) -> None:
        """What a decoder also writes into its folder."""

    # -- loading, step by step --------------------------------------------------------------------------------------

    @classmethod
    def _read_config(
        cls, name_or_path: PathLike | None, config: Any, overrides: dict[str, Any], location: Location
    ) -> Any:
        """The configuration with its overrides; never the caller's own object."""
        overrides = {name: value for name, value in overrides.items() if name not in _WITHOUT_EFFECT}
        for name in _OTHER_FRAMEWORKS:
            if overrides.pop(name, False):
                raise ValueError(f"{name}=True: only PyTorch weights (safetensors, .bin) are read.")
        if isinstance(config, cls.config_class):
            config = copy.deepcopy(config)
        elif config is None and name_or_path is None:
            raise ValueError("from_pretrained(None) needs config= and state_dict= as well.")
        else:
            config = cls.config_class.from_pretrained(name_or_path if config is None else config, **location)
        cls._refuse_unknown(overrides, config)
        if overrides:
            config.update(overrides)
        if name_or_path is not None:
            config.name_or_path = str(name_or_path)
        return config

    @classmethod
    def _refuse_unknown(cls, overrides: Mapping[str, Any], config: Any) -> None:
        fields = {"num_labels", "attn_implementation", *(name for name in vars(config) if not name.startswith("_"))}
        for name in sorted(overrides.keys() - fields):
            own = [*inspect.signature(cls.from_pretrained).parameters, *fields]
            close = difflib.get_close_matches(name, own, 1)
            if name in _ELSEWHERE:
                raise ValueError(f"{cls.__name__}.from_pretrained has no argument {name!r}: {_ELSEWHERE[name]}.")
            raise ValueError(
                f"{cls.__name__}.from_pretrained has no argument {name!r}, nor has the configuration such a field"
                + (f"; meant {close[0]!r}?" if close else ".")
            )

    @classmethod
    def _on_meta(cls, config: Any) -> Self:
        """The network without memory for its parameters."""
        with torch.device("meta"), _WithoutDrawing():
            model = cls(config)
        if any(True for _ in model.buffers()):  # only a subclass has some, and they get their values when it is built
            with torch.device("cpu"):
                model = cls(config)
        return model

    def _fit(self, weights: Weights, source: str, ignore_mismatched_sizes: bool) -> Fit:
        """Lay the checkpoint against this network; raise where they do not go together, and say what is new."""
        name, prefix = type(self).__name__, f"{self.base_model_prefix}."
        shapes = {key: tensor.shape for key, tensor in self.state_dict().items()}
        tied = self._tied_weights_keys if self.config.tie_word_embeddings else {}
        found = fit(weights.tensors, shapes, prefix=prefix, tied=tied, ignored=self._keys_to_ignore_on_load)
        if lacking := of_encoder(found.missing, shapes, prefix):
            raise ValueError(incomplete(found, lacking, model=name, source=source, holds=weights.tensors))
        if found.mismatched and not ignore_mismatched_sizes:
            raise RuntimeError(wrong_shapes(found, model=name, where=weights.files))
        for key, tensor in found.loaded.items():
            if not tensor.is_floating_point() and key in dict(self.named_parameters()):
                where = weights.files.get(found.original.get(key, key), source)
                raise ValueError(f"{key} in {where} holds {tensor.dtype}; expected floating-point numbers.")
        for text in notices(found, shapes, prefix, model=name, source=source):
            log.warning(text)
        return found

    def _take(self, found: Fit, dtype: torch.dtype, device: torch.device) -> None:
        """Give this network, which is on meta, the tensors of the checkpoint, and fresh ones where it has none."""
        if found.untied:
            log.warning("The checkpoint's output layer differs from its word embeddings: they are not tied.")
            self.config.tie_word_embeddings = False
        self._draw(sorted(found.missing | {name for name, _, _ in found.mismatched}))
        fresh = {name: tensor for name, tensor in self.state_dict().items() if not tensor.is_meta}
        tensors = {
            name: tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in {**fresh, **found.loaded}.items()
        }
        self.load_state_dict(tensors, assign=True, strict=False)
        self.tie_weights()
        left = [name for name, tensor in self.state_dict().items() if tensor.is_meta]
        assert not left, f"still without values: {left}"

    def _draw(self, names: list[str]) -> None:
        """Fresh parameters of these names, on the CPU (so that a seed gives the same on every device)."""
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


class _WithoutDrawing(TorchFunctionMode):
    """Leaves out `torch.nn.init`: on meta there is nothing to draw, and torch imports for a second to find that out."""

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


def _loading_info(found: Fit) -> dict[str, Any]:
    return {
        "missing_keys": found.missing,
        "unexpected_keys": found.unexpected,
        "mismatched_keys": found.mismatched,
        "error_msgs": [],
    }


def _dtype(wanted: str | torch.dtype | None, config: Any, weights: Weights) -> torch.dtype:
    """The floating-point type of the parameters."""
    if wanted is None or wanted == "auto":
        dtype = config.dtype or _first_float(weights.tensors.values()) or torch.get_default_dtype()
    elif isinstance(wanted, str):
        dtype = getattr(torch, wanted.removeprefix("torch."), None)
    else:
        dtype = wanted
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(
            f"dtype={wanted!r}: expected 'auto' or a floating-point type such as 'float32', 'bfloat16', torch.float16."
        )
    return dtype


def _first_float(tensors: Iterable[Tensor]) -> torch.dtype | None:
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)


def _device(device_map: DeviceMap | None) -> torch.device:
    """The one device that a device map names."""
    if device_map is None:
        device = torch.get_default_device()
        if device.type == "meta":
            raise ValueError("the default device is 'meta', where nothing has values: load outside of that block.")
        return device
    named = list(device_map.values()) if isinstance(device_map, Mapping) else [device_map]
    devices = {hardware.choose("auto" if device in _AUTOMATIC else device) for device in named}
    if len(devices) != 1:
        raise ValueError(
            f"device_map={device_map!r} names {len(devices)} devices; a network is put on one. Give its name, or "
            '{"": name}.'
        )
    return devices.pop()
