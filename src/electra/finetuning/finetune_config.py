"""The settings of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from electra.finetuning.learning_rates import Rates, usual_rates
from electra.training.run.settings import Setting

# These decide nothing about one seed's result. (Whether the files hold what they held is asked of the files.)
OF_ONE_CALL = frozenset({"device", "quiet"})  # these decide nothing about the seeds either
CHANGEABLE = frozenset({"train", "eval", "catalogue", "seeds", "restarts"}) | OF_ONE_CALL

EPOCHS, BATCH_SIZE = 3.0, 32

OF_ONE_FIT = frozenset({"task", "columns", "catalogue", "teacher"})  # what no named task says of itself

LORA_RATE = 1e-3  # ten times that of a base model: adapters start at zero, and the rest stands still


@dataclass(frozen=True)
class FinetuneConfig:
    """What is fitted to which examples, and how. Rates are the paper's, batches and epochs those of Google's code.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    model: str
    """A model folder, such as RUN/discriminator, or a name on the Hugging Face hub."""
    _: KW_ONLY
    task: str | None = None
    """What the model is to learn, such as text-classification, or the name of a task with known files and settings,
    such as mnli. Default: what the columns of the examples look like."""
    train: Path
    """Examples to learn from: .jsonl, .csv, .tsv, .parquet, .conll, SQuAD's .json, fastText's .txt (.gz, .xz too)."""
    eval: Path
    """Examples to choose the best epoch and seed by, and to score it with; none of them is learnt from."""
    output: Path
    """A new folder for the fitted model, its tokenizer and scores.json. Until it is whole, the work is in
    OUTPUT.unfinished, and the same command goes on from there."""
    columns: str | None = None
    """Which column is what, where it has no common name: text=review,label=stars."""
    catalogue: Path | None = None
    """A TOML file with named tasks of one's own."""
    skip_invalid: bool = False
    """Leave out examples that cannot be used, and count them; by default they are an error."""
    epochs: float | None = None
    """How many times the examples are gone through, at most; by default 3."""
    batch_size: int | None = None
    """Examples per step; by default 32."""
    rate: float | None = None
    """The highest learning rate; by default 1e-4, for small models 3e-4, for large ones 5e-5, with --lora 1e-3."""
    layer_decay: float | None = None
    """Factor on the rate from each layer to the one below; by default 0.8, for large models 0.9, with --lora 1."""
    even_layer_decay: bool = False
    """The encoder's last layer has the decay once; by default twice, as in Google's code and its published scores."""
    warmup: float = 0.1
    """The share of the steps over which the rate rises."""
    dropout: float | None = None
    """Everywhere in the model while it learns; by default what its configuration says, which is 0.1 for most."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not for biases and LayerNorms."""
    max_length: int | None = None
    """Longest row in tokens; by default 128, for questions and choices 512, for rankings 256. Longer texts are cut or
    read in windows, and that is said."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: a label's errors weigh the more the rarer it is."""
    evaluate_every: int | None = None
    """Steps from one evaluation to the next; by default an epoch. The best is kept."""
    patience: int = 3
    """Stop after so many evaluations in a row that are no better than the best before."""
    seed: int = 0
    """Decides the head's first weights, the order of the examples and dropout."""
    seeds: int = 1
    """How many fits, with consecutive seeds: scores get a mean and a deviation; the best model is kept."""
    restarts: int = 2
    """How many fits that diverge or learn nothing are begun again with another seed, at most."""
    lora: int | None = None
    """Train adapters of this rank on query and value, with the head, in place of all weights (needs peft)."""
    teacher: str | None = None
    """A fitted model of the same task and vocabulary, a larger one say, whose answers are learnt beside the labels."""
    teacher_share: float = 0.5
    """The share of the teacher's answers in the loss; the rest is the labels'."""
    temperature: float = 2.0
    """Softens the teacher's answers: its outputs and the model's are divided by it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    quiet: bool = False
    """Say nothing while at work."""

    def __post_init__(self) -> None:
        for name in ("train", "eval", "output"):
            object.__setattr__(self, name, Path(getattr(self, name)))
        object.__setattr__(self, "catalogue", None if self.catalogue is None else Path(self.catalogue))
        _check(self)

    @property
    def unfinished(self) -> Path:
        """Where the work is until the output is whole: a folder for each seed."""
        return self.output.with_name(self.output.name + ".unfinished")

    def with_usual(self, settings: Mapping[str, Any]) -> FinetuneConfig:
        """The same with a task's own settings, and what is usual, where nothing was said.

        Raises:
            ValueError: a setting that no task can have.
        """
        left_open = [each.name for each in fields(self) if each.default is None and each.name not in OF_ONE_FIT]
        for name in settings:
            if name not in left_open:
                raise ValueError(f"the task has a setting {name!r}; allowed are {', '.join(left_open)}")
        usual = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, **settings}
        return replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})

    def rates(self, hidden_size: int) -> Rates:
        """The learning rates for a model of this width."""
        rate, decay = usual_rates(hidden_size) if self.lora is None else (LORA_RATE, 1.0)
        return Rates(
            rate if self.rate is None else self.rate,
            decay if self.layer_decay is None else self.layer_decay,
            even=self.even_layer_decay,
            warmup=self.warmup,
        )

    def settings(self) -> dict[str, Setting]:
        """All there is to say, as simple values."""
        values: dict[str, Any] = asdict(self)
        del values["output"]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _check(config: FinetuneConfig) -> None:
    """Refuse what cannot be meant, before anything is read."""
    for each in fields(config):
        if str(each.type).startswith(("int", "float")):
            value, allowed = getattr(config, each.name), (int,) if "int" in str(each.type) else (int, float)
            right = value is None or (isinstance(value, allowed) and not isinstance(value, bool))
            _require(right, each.name, value, "a whole number" if allowed == (int,) else "a number")
    for name in ("epochs", "rate"):
        value = getattr(config, name)
        _require(value is None or value > 0, name, value, "a number above 0")
    decay = config.layer_decay
    _require(decay is None or 0 < decay <= 1, "layer_decay", decay, "above 0 and up to 1 (1: none)")
    _require(0 <= config.warmup < 1, "warmup", config.warmup, "a share of the steps, from 0 to below 1")
    _require(config.dropout is None or 0 <= config.dropout < 1, "dropout", config.dropout, "0 or more and below 1")
    _require(config.weight_decay >= 0, "weight_decay", config.weight_decay, "0 or more")
    length = config.max_length
    _require(length is None or length >= 3, "max_length", length, "3 or more tokens")
    for name in ("batch_size", "evaluate_every", "patience", "seeds", "lora"):
        value = getattr(config, name)
        _require(value is None or value >= 1, name, value, "1 or more")
    _require(config.restarts >= 0, "restarts", config.restarts, "0 or more")
    highest = 2**63 - config.seeds - config.restarts
    _require(0 <= config.seed < highest, "seed", config.seed, "from 0 to 2**63 - 1, with those that follow it")
    _require(config.class_weights in ("none", "balanced"), "class_weights", config.class_weights, "none or balanced")
    _require(0 < config.teacher_share <= 1, "teacher_share", config.teacher_share, "above 0 and up to 1 (no labels)")
    _require(config.temperature > 0, "temperature", config.temperature, "a number above 0")
    if config.teacher is not None and config.class_weights == "balanced":
        raise ValueError("teacher and class_weights are both given: a teacher's answers have no weights; give one")
    if config.output.name in ("", ".."):
        raise ValueError(f"output is {str(config.output)!r}: give the name of a new folder")
    if config.output.suffix == ".unfinished":
        raise ValueError(f"output is {config.output}: folders of that name hold unfinished work; give another name")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}: it must be {allowed}")
