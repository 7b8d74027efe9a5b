"""The README.md of a fitted model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.hub.model_card import Score, model_card


def fitted_card(config: FinetuneConfig, examples: Examples, found: Mapping[str, Any]) -> str:
    """What was fitted to what, and how good it is; `found` is what `finetune` returns.

    The base model is named in the Hub's table where it is one of the Hub, and not a folder.
    """
    task, base, count = examples.task, Path(config.model), examples.data["train"]["examples"]
    name = base.resolve().name if base.exists() else config.model
    return model_card(
        config.output.resolve().name,
        f"{name}, fitted to {task.name} with {count:,} examples of {config.train.name}. "
        f"The scores are of {found['examples']:,} examples of {config.eval.name}, by which the best of its evaluations "
        f"was chosen ({found['main']}): other examples give a little less. `report.html` shows its curves, its errors "
        f"and its settings, `scores.json` has all figures.\n\n{_table(found)}",
        network=task.architecture,
        pipeline_tag=task.name,
        base_model=None if base.exists() else config.model,
        scores=[
            Score(name, value, _known(found, name)) for name, value in found["scores"].items() if _is_number(value)
        ],
        measured_on=config.eval.name,
        usage=f'from electra import pipeline\n\nanswer = pipeline("{task.name}", "PATH")',
    )


def _known(found: Mapping[str, Any], name: str) -> dict[str, float | int]:
    """What else is known of a score."""
    more: dict[str, float | int] = {}
    if name in found["intervals"]:
        low, high = found["intervals"][name]
        more |= {"confidence": found["confidence"], "low": low, "high": high}
    if "mean" in found:
        more |= {"seeds": found["seeds"], "mean": found["mean"][name], "deviation": found["deviation"][name]}
    return {key: value for key, value in more.items() if _is_number(value)}


def _table(found: Mapping[str, Any]) -> str:
    """The scores, as people read them."""
    several = "mean" in found
    header = ["score", "value", f"{100 * found['confidence']:g} % interval"]
    header += [f"mean ± deviation of {found['seeds']} seeds"] if several else []
    lines = [header, ["---"] * len(header)]
    for name, value in found["scores"].items():
        low, high = found["intervals"].get(name, (math.nan, math.nan))
        lines.append([name, _shown(value), f"{low:.4g} to {high:.4g}" if _is_number(low) else ""])
        if several:
            lines[-1].append(f"{_shown(found['mean'][name])} ± {_shown(found['deviation'][name])}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: float) -> str:
    """With four digits; a score that cannot be computed is a dash."""
    return f"{value:.4g}" if _is_number(value) else "–"


def _is_number(value: float) -> bool:
    return math.isfinite(value)
