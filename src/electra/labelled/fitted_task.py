"""What a model's configuration says of the task that it was fitted to, and of the files that it was fitted with.

So it is scored as it was when it was fitted: with rows of the same length, the same columns, the same thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from electra.config import ElectraConfig
from electra.labelled.labelled_examples import labelled_task
from electra.labelled.task_presets import NamedTask, read_table
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.task import FITTED_TO as FIELD
from electra.tasks.task import THRESHOLDS


def known_of_files(
    task: LabelledTask[Any], named: NamedTask | None, columns: Mapping[str, str], label_separator: str | None = None
) -> dict[str, Any]:
    """What has to be known to read such files again, as a catalogue has it: `columns` as they were given go first."""
    known = named or NamedTask(task=task.name)
    parts = dict.fromkeys((*columns, *known.columns))
    found = {
        "columns": {
            part: [*([columns[part]] if part in columns else []), *known.columns.get(part, ())] for part in parts
        },
        "header": list(known.header),
        "label_names": dict(known.label_names),
        "label_range": list(known.label_range or ()),
        "label_separator": label_separator or known.label_separator or "",
    }
    return {"task": task.name, **{key: value for key, value in found.items() if value}}


def remember(config: ElectraConfig, task: LabelledTask[Any], files: Mapping[str, Any]) -> None:
    """Write the task into a model's configuration, and forget the thresholds of what it was fitted to before."""
    for name in THRESHOLDS:
        if hasattr(config, name):
            delattr(config, name)
    if hasattr(config, FIELD):  # of what it was fitted to before
        delattr(config, FIELD)
    usual = type(task).from_config(config)
    options = {
        each.name: getattr(task, each.name)
        for each in fields(task)
        if not each.metadata.get("derived") and each.name not in THRESHOLDS
    }
    unusual = {name: value for name, value in options.items() if value != getattr(usual, name)}
    setattr(config, FIELD, {**files, "options": unusual})


def fitted_to(config: ElectraConfig, model: str) -> NamedTask | None:
    """The task that a model was fitted to by `electra finetune`; None for other models.

    Raises:
        ValueError: the configuration has something else in that place; the message names the model.
    """
    found = getattr(config, FIELD, None)
    return None if found is None else read_table(f"{model}: {FIELD} in config.json", found)


def fitted_task(config: ElectraConfig, model: str) -> LabelledTask[Any]:
    """That task with its options, as it was fitted.

    Raises:
        ValueError: the model was not fitted by `electra finetune`, or its configuration is damaged.
    """
    known = fitted_to(config, model)
    if known is None:
        raise ValueError(f"{model}: config.json does not say what it was fitted to: fit it with `electra finetune`")
    return labelled_task(known.task, config.architectures).from_config(config, **known.options)
