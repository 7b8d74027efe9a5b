"""Tasks whose answers are labels out of a list: what text and token classification share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from electra.tasks.task import Encoded, LabelledTask, label_fields

E = TypeVar("E", bound=Encoded)
WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(LabelledTask[E]):
    """A task that is learnt from labelled examples and tells labels apart.

    Attributes:
        labels: the labels' names, in the order of the network's outputs.
    """

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.labels, str):
            raise ValueError(f"labels={self.labels!r}: a list of names is needed")
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels={self.labels}: at least one is needed, and each may come once")

    def config_fields(self) -> dict[str, Any]:
        return {**label_fields(self.labels), "problem_type": None}

    def label_index(self, label: Any) -> int:
        """Which output a label is: by its name, or a whole number by itself where no label is called by a number."""
        if str(label) in self.labels:
            return self.labels.index(str(label))
        counts = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.labels)
        if counts and not any(WHOLE.fullmatch(name) for name in self.labels):
            return int(label)
        allowed = ", ".join(map(repr, self.labels[:20])) + (", …" if len(self.labels) > 20 else "")
        raise ValueError(f"the label {label!r} is none of this task's {len(self.labels)}: {allowed}")

    def check_outputs(self, logits: Tensor) -> Tensor:
        """[…, K] -> the same in float32; K other than the number of labels is a `ValueError`."""
        if logits.shape[-1] != len(self.labels):
            raise ValueError(f"the model tells {logits.shape[-1]} labels apart, the task has {len(self.labels)}")
        return logits.float()
