"""ELECTRA: pretrain an encoder from plain text, fine-tune it, run it.

The public names are the list below. Each is imported when it is first asked for, so `import electra` costs nothing
and `electra --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> the module that has it; `__all__` is this list, sorted here and kept so by a test
_HOMES = {
    "AutoConfig": "auto",
    "AutoModel": "auto",
    "AutoModelForCausalLM": "auto",
    "AutoModelForMaskedLM": "auto",
    "AutoModelForMultipleChoice": "auto",
    "AutoModelForPreTraining": "auto",
    "AutoModelForQuestionAnswering": "auto",
    "AutoModelForSequenceClassification": "auto",
    "AutoModelForTextEncoding": "auto",
    "AutoModelForTokenClassification": "auto",
    "AutoTokenizer": "auto",
    "Batch": "batch",
    "ElectraConfig": "config",
    "ElectraForCausalLM": "models",
    "ElectraForJointQuestionAnswering": "models",
    "ElectraForMaskedLM": "models",
    "ElectraForMultipleChoice": "models",
    "ElectraForPreTraining": "models",
    "ElectraForPreTrainingOutput": "models",
    "ElectraForQuestionAnswering": "models",
    "ElectraForSequenceClassification": "models",
    "ElectraForTokenClassification": "models",
    "ElectraModel": "models",
    "ElectraPreTrainedModel": "models",
    "ElectraTokenizer": "text.tokenizer",
    "ElectraTokenizerFast": "text.tokenizer",
    "FinetuneConfig": "finetuning.finetune_config",
    "GenerationConfig": "generation.generation_config",
    "Masking": "objective.masking",
    "PretrainConfig": "pretraining.pretrain_config",
    "ReplacedTokenDetection": "objective.replaced_token_detection",
    "ReplacedTokenDetectionOutput": "objective.replaced_token_detection",
    "Row": "batch",
    "convert": "commands.convert",
    "evaluate": "commands.evaluate",
    "finetune": "commands.finetune",
    "inspect": "commands.inspect",
    "pipeline": "pipelines",
    "predict": "commands.predict",
    "pretrain": "commands.pretrain",
    "quickstart": "commands.quickstart",
    "read_vocabulary": "text.training.vocabulary",
    "report": "commands.report",
    "report_tokenizer": "commands.tokenizer_commands",
    "train_tokenizer": "commands.tokenizer_commands",
    "train_vocabulary": "text.training.vocabulary",
}

__all__ = list(_HOMES)

if TYPE_CHECKING:  # the same list for type checkers and editors, which cannot follow `__getattr__`
    from electra.auto import AutoConfig as AutoConfig
    from electra.auto import AutoModel as AutoModel
    from electra.auto import AutoModelForCausalLM as AutoModelForCausalLM
    from electra.auto import AutoModelForMaskedLM as AutoModelForMaskedLM
    from electra.auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
    from electra.auto import AutoModelForPreTraining as AutoModelForPreTraining
    from electra.auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
    from electra.auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
    from electra.auto import AutoModelForTextEncoding as AutoModelForTextEncoding
    from electra.auto import AutoModelForTokenClassification as AutoModelForTokenClassification
    from electra.auto import AutoTokenizer as AutoTokenizer
    from electra.batch import Batch as Batch
    from electra.batch import Row as Row
    from electra.commands.convert import convert as convert
    from electra.commands.evaluate import evaluate as evaluate
    from electra.commands.finetune import finetune as finetune
    from electra.commands.inspect import inspect as inspect
    from electra.commands.predict import predict as predict
    from electra.commands.pretrain import pretrain as pretrain
    from electra.commands.quickstart import quickstart as quickstart
    from electra.commands.report import report as report
    from electra.commands.tokenizer_commands import report_tokenizer as report_tokenizer
    from electra.commands.tokenizer_commands import train_tokenizer as train_tokenizer
    from electra.config import ElectraConfig as ElectraConfig
    from electra.finetuning.finetune_config import FinetuneConfig as FinetuneConfig
    from electra.generation.generation_config import GenerationConfig as GenerationConfig
    from electra.models import ElectraForCausalLM as ElectraForCausalLM
    from electra.models import ElectraForJointQuestionAnswering as ElectraForJointQuestionAnswering
    from electra.models import ElectraForMaskedLM as ElectraForMaskedLM
    from electra.models import ElectraForMultipleChoice as ElectraForMultipleChoice
    from electra.models import ElectraForPreTraining as ElectraForPreTraining
    from electra.models import ElectraForPreTrainingOutput as ElectraForPreTrainingOutput
    from electra.models import ElectraForQuestionAnswering as ElectraForQuestionAnswering
    from electra.models import ElectraForSequenceClassification as ElectraForSequenceClassification
    from electra.models import ElectraForTokenClassification as ElectraForTokenClassification
    from electra.models import ElectraModel as ElectraModel
    from electra.models import ElectraPreTrainedModel as ElectraPreTrainedModel
    from electra.objective.masking import Masking as Masking
    from electra.objective.replaced_token_detection import ReplacedTokenDetection as ReplacedTokenDetection
    from electra.objective.replaced_token_detection import ReplacedTokenDetectionOutput as ReplacedTokenDetectionOutput
    from electra.pipelines import pipeline as pipeline
    from electra.pretraining.pretrain_config import PretrainConfig as PretrainConfig
    from electra.text.tokenizer import ElectraTokenizer as ElectraTokenizer
    from electra.text.tokenizer import ElectraTokenizerFast as ElectraTokenizerFast
    from electra.text.training.vocabulary import read_vocabulary as read_vocabulary
    from electra.text.training.vocabulary import train_vocabulary as train_vocabulary


# names that people look for here, and where what they want is
_TRAINER = "transformers' own takes these models (docs/coming-from-transformers.md), and `electra finetune` needs none"
_ELSEWHERE = {
    "Trainer": _TRAINER,
    "TrainingArguments": _TRAINER,
    "EarlyStoppingCallback": _TRAINER,
    "DataCollatorWithPadding": "ElectraTokenizer.pad does the same, and transformers' own takes an ElectraTokenizer",
    "DataCollatorForLanguageModeling": "`electra pretrain` masks by itself; in Python, see electra.Masking",
    "BitsAndBytesConfig": "weights are read as floating-point numbers; quantise the loaded network, as with torchao",
}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        # `from electra import Trainer` would hide the message of an AttributeError
        raise ImportError(f"electra has no {name}: {_ELSEWHERE[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module 'electra' has no attribute {name!r}")
    value = getattr(import_module(f"electra.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
