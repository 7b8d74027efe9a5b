"""Which tasks there are, and which of them a model is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from electra.config import ElectraConfig
from electra.tasks.feature_extraction import FeatureExtraction
from electra.tasks.fill_mask import FillMask
from electra.tasks.joint_question_answering import JointQuestionAnswering
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.replaced_tokens import ReplacedTokens
from electra.tasks.task import Task
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_generation import TextGeneration
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification
from electra.tasks.zero_shot_classification import ZeroShotClassification
from electra.validation import choose_one_of

# where tasks share an architecture, a model is for the first of them unless another is asked for
TASKS: tuple[type[Task[Any]], ...] = (
    TextClassification,
    TokenClassification,
    QuestionAnswering,
    JointQuestionAnswering,
    MultipleChoice,
    TextRanking,
    ZeroShotClassification,
    FillMask,
    TextGeneration,
    FeatureExtraction,
    ReplacedTokens,
)

# where examples look like those of several tasks, they are of the first
LABELLED_TASKS: tuple[type[LabelledTask[Any]], ...] = (
    MultipleChoice,
    QuestionAnswering,
    JointQuestionAnswering,
    TokenClassification,
    TextRanking,
    TextClassification,
)


def find_task(name: str, architectures: Sequence[str] | None = None) -> type[Task[Any]]:
    """The task of this name or alias; of several, that of a model's architectures, else the first.

    An unknown name is a `ValueError` with a suggestion.
    """
    named = [task for task in TASKS if name in (task.name, *task.aliases)]
    if not named:
        known = sorted({alias for task in TASKS for alias in (task.name, *task.aliases)})
        raise ValueError(f"there is no task {name!r}{choose_one_of(name, known)}")
    return next((task for task in named if task.architecture in (architectures or ())), named[0])


def task_for(config: ElectraConfig, model: str, architectures: Sequence[str] | None = None) -> type[Task[Any]]:
    """The task that a model is for: the one that `electra finetune` fitted it to, else that of its architecture.

    Args:
        config: the model's.
        model: its name, for the message.
        architectures: in place of those of the configuration.

    Raises:
        ValueError: the configuration does not say it.
    """
    architectures = config.architectures if architectures is None else architectures
    for task in TASKS:
        if task.is_fitted(config) and task.architecture in (architectures or ()):
            return task
    by_architecture: dict[str, type[Task[Any]]] = {task.architecture: task for task in reversed(TASKS)}
    for architecture in architectures or ():
        if architecture in by_architecture:
            return by_architecture[architecture]
    names = ", ".join(dict.fromkeys(task.name for task in TASKS))
    stated = f"has architectures {list(architectures)}" if architectures else "does not say what it is for"
    raise ValueError(f"{model}: its config.json {stated}, so name the task: {names}")
