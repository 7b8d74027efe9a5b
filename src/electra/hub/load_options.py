"""Options of `from_pretrained`: which of transformers' are understood, and where parameters go in which dtype."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from electra.hardware import devices as hardware
from electra.validation import did_you_mean

DeviceMap = str | int | torch.device | Mapping[str, str | int | torch.device]

# transformers' ways of saying "an accelerator if there is one"; with one device they mean the same
_AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
# arguments of transformers that ask for what is done here anyway
_WITHOUT_EFFECT = (
    *("low_cpu_mem_usage", "_fast_init", "offload_state_dict", "trust_remote_code", "mirror"),
    *("use_kernels", "disable_mmap", "fusion_config"),
)
_QUANTISED = "weights are read as floating-point numbers; quantise the loaded network, with torchao for one"
_ONE_DEVICE = "a network is put on one device; for several, wrap it with torch's FSDP or accelerate"
# arguments of transformers for which there is another way here
_ELSEWHERE = {
    **dict.fromkeys(("quantization_config", "gguf_file", "load_in_8bit", "load_in_4bit"), _QUANTISED),
    **dict.fromkeys(
        ("max_memory", "offload_folder", "offload_buffers", "tp_plan", "tp_size", "distributed_config", "device_mesh"),
        _ONE_DEVICE,
    ),
    "adapter_kwargs": "adapters are loaded by peft: PeftModel.from_pretrained(model, adapter)",
    "use_auth_token": "its name is token",
    "proxies": "proxies are read from the environment variables HTTPS_PROXY and HTTP_PROXY",
    "resume_download": "downloads are always resumed",
    **dict.fromkeys(("from_tf", "from_flax"), "only PyTorch weights (safetensors, .bin) are read"),
}


def without_idle(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without transformers' arguments that have no effect here, or that ask for nothing: None, False, {}.

    `resume_download` is allowed with any value, as it asks for what is done.
    """
    idle = {name for name, value in options.items() if name in _ELSEWHERE and not value}
    return {
        name: value
        for name, value in options.items()
        if name not in _WITHOUT_EFFECT and name not in idle and name != "resume_download"
    }


def refuse_unknown(caller: str, names: Iterable[str], fields: Iterable[str], arguments: Iterable[str]) -> None:
    """Refuse options that are neither arguments nor fields of the configuration.

    Args:
        caller: the function, for the message.
        names: of the options.
        fields: of the configuration.
        arguments: of the caller, to suggest one.

    Raises:
        ValueError: there is one; the message says what to use instead, or suggests the nearest name.
    """
    known = set(fields)
    for name in sorted(set(names) - known):
        if name in _ELSEWHERE:
            raise ValueError(f"{caller} has no argument {name!r}: {_ELSEWHERE[name]}.")
        hint = did_you_mean(name, [*arguments, *sorted(known)])
        raise ValueError(f"{caller} has no argument {name!r}, nor has the configuration such a field{hint or '.'}")


def choose_dtype(dtype: str | torch.dtype | None, config: Any, tensors: Iterable[Tensor]) -> torch.dtype:
    """The floating-point dtype of the parameters.

    Args:
        dtype: a dtype, its name, or "auto" or None: the configuration's, else that of the first of the tensors.
        config: of the network.
        tensors: of the checkpoint.
    """
    chosen: Any = dtype
    if dtype is None or dtype == "auto":
        chosen = config.dtype or first_float(tensors) or torch.get_default_dtype()
    elif isinstance(dtype, str):
        chosen = getattr(torch, dtype.removeprefix("torch."), None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ValueError(
            f"dtype={dtype!r}: expected 'auto' or a floating-point type such as 'float32', 'bfloat16', torch.float16."
        )
    return chosen


def first_float(tensors: Iterable[Tensor]) -> torch.dtype | None:
    """The dtype of the first floating-point tensor; None if there is none."""
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)


def choose_device(device_map: DeviceMap | None) -> torch.device:
    """The one device that a device map names; None: torch's default device."""
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
