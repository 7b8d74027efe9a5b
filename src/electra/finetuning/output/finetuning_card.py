"""The model card (README.md) of a fitted model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.hub.model_card import Score, escaped, model_card
from electra.validation import is_number


def fitted_card(config: FinetuneConfig, examples: Examples, result: Mapping[str, Any]) -> str:
    """The text of the card.

    Args:
        config: the settings. The base model is in the Hub's metadata only where it is a model of the Hub, not a folder.
        examples: what it was fitted to.
        result: what `finetune` returns.
    """
    task, base, count = examples.task, Path(config.model), examples.data["train"]["examples"]
    name = base.resolve().name if base.exists() else config.model
    return model_card(
        config.output.resolve().name,
        f"{escaped(name)}, fine-tuned for {task.name} on {count:,} examples of {escaped(config.train.name)}. "
        f"The scores are of {result['examples']:,} examples of {escaped(config.eval_name)}, which also selected the "
        f"best evaluation ({result['main']}), so expect a little less on other examples. `report.html` shows curves, "
        f"errors and settings, `scores.json` has all figures.\n\n{_table(result)}",
        network=task.architecture,
        pipeline_tag=task.name,
        base_model=None if base.exists() else config.model,
        scores=[
            Score(name, value, _more(result, name)) for name, value in result["scores"].items() if is_number(value)
        ],
        measured_on=config.eval_name,
        usage=f'from electra import pipeline\n\nanswer = pipeline("{task.name}", "PATH")',
    )


def _more(result: Mapping[str, Any], name: str) -> dict[str, float | int]:
    """The interval of a score, and its mean over seeds."""
    more: dict[str, float | int] = {}
    if name in result["intervals"]:
        low, high = result["intervals"][name]
        more |= {"confidence": result["confidence"], "low": low, "high": high}
    if "mean" in result:
        more |= {"seeds": result["seeds"], "mean": result["mean"][name], "deviation": result["deviation"][name]}
    return {key: value for key, value in more.items() if is_number(value)}


def _table(result: Mapping[str, Any]) -> str:
    """The scores as a Markdown table."""
    several = "mean" in result
    header = ["score", "value", f"{100 * result['confidence']:g} % interval"]
    header += [f"mean ± standard deviation of {result['seeds']} seeds"] if several else []
    lines = [header, ["---"] * len(header)]
    for name, value in result["scores"].items():
        low, high = result["intervals"].get(name, (math.nan, math.nan))
        lines.append([name, _shown(value), f"{low:.4g} to {high:.4g}" if is_number(low) else ""])
        if several:
            lines[-1].append(f"{_shown(result['mean'][name])} ± {_shown(result['deviation'][name])}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: float) -> str:
    """Four significant digits; a dash for a score that cannot be computed."""
    return f"{value:.4g}" if is_number(value) else "–"
