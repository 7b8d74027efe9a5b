"""The settings of fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from electra.training.run.settings import Setting
from electra.validation import did_you_mean, require, require_count, require_one_of, require_positive

if TYPE_CHECKING:  # it imports torch, which `electra finetune --help` need not wait for
    from electra.finetuning.learning_rates import Rates

OF_ONE_CALL = frozenset({"device", "quiet", "overwrite"})
"""Settings that change no result."""
CHANGEABLE = frozenset({"train", "eval", "catalogue", "seeds", "restarts"}) | OF_ONE_CALL
"""Settings that change no result of a single seed. Files are compared by their content, not by name."""
OLD_NAMES = {"rate": "learning_rate", "warmup": "warmup_fraction", "teacher_share": "teacher_weight"}
"""Settings that had other names: in catalogues, and in folders of fits that an earlier version started."""

EPOCHS, BATCH_SIZE = 3.0, 32
EVAL_FRACTION = 0.2

OF_ONE_FIT = frozenset(
    {"task", "columns", "catalogue", "eval", "eval_fraction", "split_seed", "folds"}
    | {"metric", "teacher", "warmup_steps", "label_separator"}
)
"""Settings that are None by default and that a named task cannot have."""

LORA_LEARNING_RATE = 1e-3
"""Ten times that of a base model: adapters start at zero, and all other weights are frozen."""


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tune a model on labelled examples. The default learning rates are the paper's.

    Batch size and epochs are those of Google's code.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    model: str
    """A model folder, such as RUN/discriminator, or a name on the Hugging Face hub."""
    _: KW_ONLY
    task: str | None = None
    """The task (text-classification, token-classification, question-answering, joint-question-answering,
    multiple-choice, text-ranking), or a data set with known files and settings (cola, sst2, mrpc, stsb, qqp, mnli,
    qnli, rte, wnli, squad1, squad2, chunking, ner). Default: inferred from the columns of the examples."""
    metric: str | None = None
    """The score that selects the best epoch and seed. Classes: accuracy, macro_f1, matthews, of two classes f1. Several
    labels: micro_f1, macro_f1, accuracy. Numbers: pearson, spearman, mean_squared_error. Entities: f1, precision,
    recall, conlleval_f1, accuracy. Questions: f1, exact. Choices: accuracy. Rankings: ndcg@10, mrr@10, map. Default:
    that of the data set, else the first of each."""
    train: Path
    """Training examples: .jsonl, .csv, .tsv, .parquet, .conll, SQuAD's .json, fastText's .txt (.gz, .xz too)."""
    eval: Path | None = None
    """Evaluation examples: they select the best epoch and seed and give the scores; never trained on. Default: a part
    of the training examples, stratified by label; with --columns group=author no author is on both sides."""
    eval_fraction: float | None = None
    """The fraction of the training examples that are for evaluation, where --eval is not given; by default 0.2."""
    split_seed: int | None = None
    """Of that split; by default 0, whatever --seed is."""
    folds: int | None = None
    """Cross-validation in place of --eval: so many fits, each evaluated on another part of the training examples.
    Scores get a mean and a standard deviation over the folds; the model of the best fold is kept."""
    drop_overlap: bool = False
    """Do not train on examples whose texts are evaluation examples too; their number is always logged."""
    output: Path
    """A new folder for the model, its tokenizer and scores.json. Until it is complete, the work is in
    OUTPUT.unfinished, and the same command resumes it."""
    columns: str | None = None
    """The columns to use, where they have no common names: text=review,label=stars. Also a 0/1 column for each label
    (labels=toxic+insult), columns of tagged text by number (tokens=1,tags=3), and id= for a column that is no id."""
    label_separator: str | None = None
    """What separates several labels in a cell of a table, such as | in joy|love."""
    encoding: str = "utf-8"
    """The encoding of the examples, such as cp1252 or utf-16."""
    catalogue: Path | None = None
    """A TOML file with your own named tasks."""
    skip_invalid: bool = False
    """Leave out invalid examples and count them; by default they are an error."""
    epochs: float | None = None
    """Passes over the training examples, at most; by default 3."""
    batch_size: int | None = None
    """Examples per step; by default 32."""
    learning_rate: float | None = None
    """The peak learning rate; by default 1e-4, for small models 3e-4, for large ones 5e-5, with --lora 1e-3."""
    layer_decay: float | None = None
    """Factor on the learning rate from each layer to the one below; by default 0.8, for large models 0.9, with --lora
    1."""
    even_layer_decay: bool = False
    """The encoder's last layer has the decay once; by default twice, as in Google's code and its published scores."""
    warmup_fraction: float = 0.1
    """The fraction of the steps over which the learning rate rises."""
    warmup_steps: int | None = None
    """The number of these steps, in place of the fraction."""
    dropout: float | None = None
    """Every dropout of the model during training; by default those of its config, 0.1 for most."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not for biases and LayerNorms."""
    max_length: int | None = None
    """Longest sequence in tokens; by default 128, for questions and choices 512, for rankings 256. Longer texts are
    truncated or read in windows, and their number is logged."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weight the loss of each class by its inverse frequency."""
    evaluate_every: int | None = None
    """Steps between evaluations; by default an epoch. The best one is kept."""
    patience: int = 3
    """Stop early after this many evaluations in a row without an improvement."""
    seed: int = 0
    """Of the head's initial weights, the order of the examples, and dropout."""
    seeds: int = 1
    """How many fits, with consecutive seeds: scores get a mean and a standard deviation; the best model is kept."""
    restarts: int = 2
    """How many fits that diverge or learn nothing are restarted with another seed, at most."""
    lora: int | None = None
    """Train LoRA adapters of this rank on query and value, and the head, in place of all weights (needs peft)."""
    teacher: str | None = None
    """Distil this fine-tuned model of the same task, labels and vocabulary, such as a larger one."""
    teacher_weight: float = 0.5
    """The weight of the teacher's outputs in the loss; that of the labels is 1 minus it."""
    temperature: float = 2.0
    """Of the distillation: the outputs of teacher and model are divided by it."""
    overwrite: bool = False
    """Replace an output that `electra finetune` wrote before; anything else that is there is never replaced."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    quiet: bool = False
    """No progress and notices on stderr."""

    def __post_init__(self) -> None:
        for name in ("train", "eval", "output", "catalogue"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        _check(self)

    @property
    def unfinished(self) -> Path:
        """Where the work is until the output is complete: a folder for each seed."""
        return self.output.with_name(self.output.name + ".unfinished")

    def with_usual(self, settings: Mapping[str, Any]) -> FinetuneConfig:
        """This config with the settings of a named task, and the defaults, where a field is None.

        Args:
            settings: of the named task.

        Raises:
            ValueError: a setting that a named task cannot have.
        """
        allowed = [each.name for each in fields(self) if each.default is None and each.name not in OF_ONE_FIT]
        settings = with_new_names(settings)
        for name in settings:
            if name not in allowed:
                raise ValueError(
                    f"the task has a setting {name!r}: choose one of {', '.join(allowed)}{did_you_mean(name, allowed)}"
                )
        usual = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, **settings}
        return replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})

    def rates(self, hidden_size: int) -> Rates:
        """The learning rates for a model of this width."""
        from electra.finetuning.learning_rates import Rates, usual_rates

        rate, decay = usual_rates(hidden_size) if self.lora is None else (LORA_LEARNING_RATE, 1.0)
        return Rates(
            rate if self.learning_rate is None else self.learning_rate,
            decay if self.layer_decay is None else self.layer_decay,
            even=self.even_layer_decay,
            warmup=self.warmup_fraction,
            warmup_steps=self.warmup_steps,
        )

    @property
    def eval_name(self) -> str:
        """What the evaluation examples are called in reports."""
        if self.eval is not None:
            return self.eval.name
        if self.folds is not None:
            return f"{self.train.name} (one of {self.folds} folds)"
        return f"{self.train.name} ({100 * (self.eval_fraction or EVAL_FRACTION):g} % held out)"

    def settings(self) -> dict[str, Setting]:
        """All fields but the output, as simple values; fields that earlier versions lacked only where they are used."""
        values: dict[str, Any] = asdict(self)
        del values["output"]
        for name, usual in (("drop_overlap", False), ("label_separator", None), ("encoding", "utf-8")):
            if values[name] == usual:
                del values[name]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def with_new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under today's names, whatever version wrote them."""
    return {OLD_NAMES.get(name, name): value for name, value in settings.items()}


def _check(config: FinetuneConfig) -> None:
    """Refuse invalid values before anything is read."""
    for each in fields(config):
        if str(each.type).startswith(("int", "float")):
            value, kinds = getattr(config, each.name), (int,) if "int" in str(each.type) else (int, float)
            valid = value is None or (isinstance(value, kinds) and not isinstance(value, bool))
            require(valid, each.name, value, "a whole number" if kinds == (int,) else "a number")
    for name in ("epochs", "learning_rate"):
        if getattr(config, name) is not None:
            require_positive(name, getattr(config, name))
    fraction = config.eval_fraction
    require(fraction is None or 0 < fraction < 1, "eval_fraction", fraction, "between 0 and 1")
    if config.eval is not None and (fraction is not None or config.split_seed is not None):
        raise ValueError(
            "eval_fraction and split_seed are for a split of --train: leave them out where --eval is given"
        )
    if config.folds is not None and (config.eval is not None or fraction is not None):
        raise ValueError("folds is given beside eval or eval_fraction: every example is evaluated in a fold; give one")
    decay, dropout, warmup = config.layer_decay, config.dropout, config.warmup_fraction
    require(decay is None or 0 < decay <= 1, "layer_decay", decay, "above 0 and up to 1 (1: none)")
    require(0 <= warmup < 1, "warmup_fraction", warmup, "a fraction of the steps, from 0 to below 1")
    require(dropout is None or 0 <= dropout < 1, "dropout", dropout, "from 0 to below 1")
    require(0 <= config.weight_decay < math.inf, "weight_decay", config.weight_decay, "0 or more")
    for name, least in LEAST.items():
        if getattr(config, name) is not None:
            require_count(name, getattr(config, name), least)
    highest = 2**63 - config.seeds - config.restarts
    require(0 <= config.seed < highest, "seed", config.seed, "from 0 to 2**63 - 1, as are the seeds that follow it")
    require_one_of("class_weights", config.class_weights, ("none", "balanced"))
    weight = config.teacher_weight
    require(0 < weight <= 1, "teacher_weight", weight, "above 0 and up to 1 (the teacher alone)")
    require_positive("temperature", config.temperature)
    if config.teacher is not None and config.class_weights == "balanced":
        raise ValueError("teacher and class_weights are both given: a teacher's outputs have no weights; give one")
    _check_output(config.output)


LEAST = {
    "max_length": 3,
    "batch_size": 1,
    "evaluate_every": 1,
    "patience": 1,
    "seeds": 1,
    "lora": 1,
    "restarts": 0,
    "warmup_steps": 0,
    "split_seed": 0,
    "folds": 2,
}
"""The lowest allowed value of each count."""


def _check_output(output: Path) -> None:
    require(output.name not in ("", ".."), "output", str(output), "the name of a new folder")
    if output.suffix == ".unfinished":
        raise ValueError(f"output is {output}: folders of that name hold unfinished work; give another name")
