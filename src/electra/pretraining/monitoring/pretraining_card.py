"""The README.md of the two model folders, from what is in the run's folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from electra.hub.model_card import model_card
from electra.pretraining.pretrain_config import SHRINK, PretrainConfig
from electra.training.run.run_folder import Run

ABOUT = {
    "discriminator": ("ElectraForPreTraining", "tells which tokens were replaced, and is the network to fine-tune"),
    "model": ("ElectraForMaskedLM", "fills in masked tokens, the one objective that it was trained with"),
    "generator": ("ElectraForMaskedLM", "fills in masked tokens, as it did for the discriminator to find them"),
}

OBJECTIVES = {"rtd": "replaced-token detection", "mlm": "masked language modelling"}
_NOT_FIGURES = ("seconds", "tokens_per_second", "peak_memory_bytes")


def network_card(name: str, config: PretrainConfig, run: Run) -> str:
    """The README.md of one of the two model folders: what it was trained with and how well it did on held-out text."""
    recipe, (network, does) = config.recipe, ABOUT[name]
    records = list(run.read_metrics())
    held_out = [record for record in records if record.get("split") == "held_out"]
    measured = held_out[-1] if held_out else {}
    return model_card(
        f"ELECTRA {name}, size {config.size}",
        f"It {does}. Pretrained from {_start(config)} by {OBJECTIVES[config.objective]}: {recipe.steps:,} steps of "
        f"{recipe.batch_size} examples of up to {recipe.length} tokens{_seen(records)}. "
        f"The figures were measured on held-out text.\n\n"
        f"## How it was made\n\n```sh\n{command(config)}\n```\n\n{_alarms(records)}",
        network=network,
        figures={key: value for key, value in measured.items() if isinstance(value, float) and key not in _NOT_FIGURES},
    )


def _start(config: PretrainConfig) -> str:
    given = [given for given in (config.init, config.init_discriminator, config.init_generator) if given]
    return " and ".join(str(name) for name in given if name != SHRINK) or "scratch"


def command(config: PretrainConfig) -> str:
    """The command line that makes this run: what differs from the defaults, as flags."""
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
    return f", {last['tokens_seen']:,} tokens or {last['epoch']:.2f} times the text"


def _alarms(records: list[dict[str, Any]]) -> str:
    """What went wrong on the way, as it belongs to what readers should know."""
    told: list[Mapping[str, Any]] = [record for record in records if record.get("split") == "alarm"]
    if not told:
        return ""
    lines = [f"- step {record['step']:,}, {record['alarm']}: {record['reason']}" for record in told]
    return "Alarms during the run:\n\n" + "\n".join(lines)
