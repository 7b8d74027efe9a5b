"""The README.md of the pretrained models, from the settings and metrics of their run"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from electra.hub.model_card import model_card
from electra.pretraining.pretrain_config import SHRINK, PretrainConfig
from electra.training.run.run_folder import Run

ABOUT = {
    "discriminator": ("ElectraForPreTraining", "predicts which tokens were replaced, and is the network to fine-tune"),
    "model": ("ElectraForMaskedLM", "predicts masked tokens, the only objective that it was trained with"),
    "generator": (
        "ElectraForMaskedLM",
        "predicts masked tokens; in pretraining it made the replacements for the discriminator",
    ),
}

OBJECTIVES = {"rtd": "replaced-token detection", "mlm": "masked language modelling"}
_NOT_SHOWN = ("seconds", "tokens_per_second", "peak_memory_bytes")


def network_card(name: str, config: PretrainConfig, run: Run) -> str:
    """The README.md of a model folder: how it was trained and its metrics on held-out text.

    Args:
        name: discriminator, generator or model, the folder in the run.
    """
    recipe, (network, does) = config.recipe, ABOUT[name]
    records = list(run.read_metrics())
    held_out = [record for record in records if record.get("split") == "held_out"]
    measured = held_out[-1] if held_out else {}
    return model_card(
        f"ELECTRA {name}, size {config.size}",
        f"It {does}. Pretrained from {_start(config)} by {OBJECTIVES[config.objective]}: {recipe.steps:,} steps of "
        f"{recipe.batch_size} examples of up to {recipe.max_length} tokens{_seen(records)}. "
        f"The metrics below were measured on held-out text.\n\n"
        f"## How it was made\n\n```sh\n{command(config)}\n```\n\n{_alarms(records)}",
        network=network,
        figures={key: value for key, value in measured.items() if isinstance(value, float) and key not in _NOT_SHOWN},
    )


def _start(config: PretrainConfig) -> str:
    sources = [source for source in (config.init, config.init_discriminator, config.init_generator) if source]
    return " and ".join(str(source) for source in sources if source != SHRINK) or "scratch"


def command(config: PretrainConfig) -> str:
    """The command line of this run: the settings that differ from the defaults, as flags."""
    words = ["electra", "pretrain", *config.files]
    for field in fields(config):
        value = getattr(config, field.name)
        default = None if field.default is MISSING else field.default
        if field.name == "files" or value == default:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def _seen(records: list[dict[str, Any]]) -> str:
    last = next((record for record in reversed(records) if "tokens_seen" in record), None)
    if last is None:
        return ""
    return f", {last['tokens_seen']:,} tokens or {last['epoch']:.2f} epochs"


def _alarms(records: list[dict[str, Any]]) -> str:
    """The alarms of the run, which users of the model should know."""
    alarms: list[Mapping[str, Any]] = [record for record in records if record.get("split") == "alarm"]
    if not alarms:
        return ""
    lines = [f"- step {record['step']:,}, {record['alarm']}: {record['reason']}" for record in alarms]
    return "Alarms during the run:\n\n" + "\n".join(lines)
