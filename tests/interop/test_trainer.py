"""transformers' Trainer takes our models and our tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import electra
from tests.interop.toy import build, examples, texts, theirs, tokenizer
from tests.parity.twins import assert_close

pytestmark = pytest.mark.interop

HEADS = {
    "ElectraForSequenceClassification": "classes",
    "ElectraForTokenClassification": "tokens",
    "ElectraForPreTraining": "tokens",
    "ElectraForMaskedLM": "words",
    "ElectraForCausalLM": "words",
}


class FolderTrainer(Trainer):  # type: ignore[misc]
    """Checkpoints that are whole model folders: what to do where a model has tied weights."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = output_dir or self.args.output_dir
        self.model.save_pretrained(folder, is_main_process=self.args.should_save)
        self.processing_class.save_pretrained(folder)


def trainer(
    model: Any, folder: Path, kind: type[Trainer] = Trainer, steps: int = 4, task: str | None = None, **options: Any
) -> Trainer:
    """A Trainer for the model's task; `options` are TrainingArguments, and `compute_metrics`."""
    task = task or HEADS[type(model).__name__]
    metrics = {key: options.pop(key) for key in ("compute_metrics",) if key in options}
    arguments: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "seed": 3,
    }
    words = tokenizer()
    collate = {
        "classes": DataCollatorWithPadding(words),
        "tokens": DataCollatorForTokenClassification(words),
        "words": DataCollatorForLanguageModeling(words, mlm="Masked" in type(model).__name__),
    }[task]
    return kind(
        model,
        TrainingArguments(str(folder), **{**arguments, **options}),
        train_dataset=examples(task),
        eval_dataset=examples(task, 24, seed=1),
        processing_class=words,
        data_collator=collate,
        **metrics,
    )


def trained(*given: Any, **options: Any) -> Trainer:
    """A Trainer that has run. It seeds torch when it is made: so one run is over before the next is made."""
    run = trainer(*given, **options)
    run.train()
    return run


def logged(run: Trainer, what: str = "loss") -> list[float]:
    return [entry[what] for entry in run.state.log_history if what in entry]


@pytest.mark.parametrize("name", HEADS)
def test_the_losses_are_those_of_transformers_model(name: str, tmp_path: Path) -> None:
    fields = {"is_decoder": True} if name == "ElectraForCausalLM" else {}
    ours = build(name, **fields).train()
    runs = [trained(model, tmp_path) for model in (ours, theirs(ours))]
    mine, yours = map(logged, runs)
    assert len(mine) == 4
    assert len(set(mine)) == 4
    assert mine == pytest.approx(yours, rel=1e-4)
    assert logged(runs[0], "grad_norm") == pytest.approx(logged(runs[1], "grad_norm"), rel=1e-3)
    evaluated = []
    for run in runs:
        torch.manual_seed(0)  # the masks are drawn anew
        evaluated.append(run.evaluate()["eval_loss"])
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-4)


def accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


def test_it_learns_keeps_the_best_and_predicts(tmp_path: Path) -> None:
    model = build("ElectraForSequenceClassification")
    run = trained(
        model,
        tmp_path,
        steps=60,
        learning_rate=5e-3,
        compute_metrics=accuracy,
        eval_strategy="steps",
        eval_steps=20,
        save_strategy="steps",
        save_steps=20,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
    )
    losses = logged(run)
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    best = load_file(Path(str(run.state.best_model_checkpoint)) / "model.safetensors")
    assert all(torch.equal(tensor, best[key]) for key, tensor in model.state_dict().items())
    predicted = run.predict(run.eval_dataset)
    assert predicted.metrics["test_accuracy"] == max(logged(run, "eval_accuracy")) > 0.9
    batch = tokenizer()(texts(24, seed=1), padding=True, return_tensors="pt")
    with torch.no_grad():
        alone = model.eval()(**batch).logits
    assert_close(torch.from_numpy(predicted.predictions), alone, 1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ElectraForTokenClassification", Trainer),
        ("ElectraForTokenClassification", FolderTrainer),
        ("ElectraForMaskedLM", FolderTrainer),
    ],
)
def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(
    name: str, kind: type[Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    # `tokens` for all: masks that the collator draws are not those of the first run, for any model
    options: dict[str, Any] = {"kind": kind, "task": "tokens", "save_strategy": "steps", "save_steps": 3}
    whole = trained(with_fields(name, fields), tmp_path / "whole", steps=6, **options)
    again = trainer(with_fields(name, fields, seed=1), tmp_path / "again", steps=6, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert logged(again) == logged(whole)
    state = again.model.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in whole.model.state_dict().items())
    if name == "ElectraForMaskedLM":
        assert again.model.generator_lm_head.weight is again.model.get_input_embeddings().weight
    assert "missing keys" not in caplog.text


def with_fields(name: str, fields: dict[str, Any], seed: int = 0) -> Any:
    model = build(name, seed)
    return type(model)(electra.ElectraConfig(**{**model.config.to_dict(), **fields}))


def test_checkpoints_are_model_folders_where_they_are_saved_as_such(tmp_path: Path) -> None:
    """The Trainer itself writes only the tensors of what is not transformers' own class, and no tied ones."""
    model = build("ElectraForMaskedLM")
    with pytest.raises(RuntimeError, match="share memory"):
        trained(model, tmp_path, save_strategy="steps", save_steps=2)
    run = trained(model, tmp_path, FolderTrainer, save_strategy="steps", save_steps=2)
    for library in (electra, transformers):
        loaded = library.ElectraForMaskedLM.from_pretrained(tmp_path / "checkpoint-4")
        assert all(torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in model.state_dict().items())
        assert library.AutoTokenizer.from_pretrained(tmp_path / "checkpoint-4")("the cat").input_ids == [2, 5, 6, 3]
    run.create_model_card()
    assert (tmp_path / "README.md").exists()


@pytest.mark.parametrize("name", ["ElectraForSequenceClassification", "ElectraForCausalLM"])
def test_two_half_batches_are_one(name: str, tmp_path: Path) -> None:
    """Of the causal model each token counts alike, however they are spread over the halves."""
    runs = [
        trained(build(name), tmp_path, per_device_train_batch_size=8 // parts, gradient_accumulation_steps=parts)
        for parts in (1, 2)
    ]
    assert logged(runs[0]) == pytest.approx(logged(runs[1]), rel=1e-4)
    assert logged(runs[0], "grad_norm") == pytest.approx(logged(runs[1], "grad_norm"), rel=1e-3)


def test_activation_checkpointing_changes_nothing(tmp_path: Path) -> None:
    runs = [
        trained(build("ElectraForTokenClassification"), tmp_path, activation_checkpointing=wanted)
        for wanted in (False, True)
    ]
    assert runs[1].model.is_activation_checkpointing
    assert logged(runs[0]) == logged(runs[1])
    with pytest.raises(ValueError, match="every_n_layers=2"):
        runs[0].model.activation_checkpointing_enable(every_n_layers=2)


def test_half_precision_label_smoothing_and_noise(tmp_path: Path) -> None:
    plain = trained(build("ElectraForTokenClassification"), tmp_path)
    half = trained(build("ElectraForTokenClassification"), tmp_path, bf16=True)
    assert logged(half) != logged(plain)
    assert logged(half) == pytest.approx(logged(plain), rel=0.02)
    options = {"label_smoothing_factor": 0.1, "neftune_noise_alpha": 5.0}
    ours = build("ElectraForTokenClassification").train()
    runs = [trained(model, tmp_path, **options) for model in (ours, theirs(ours))]
    assert logged(runs[0]) == pytest.approx(logged(runs[1]), rel=1e-4)


@pytest.mark.parametrize("kind", ["padding", "tokens", "masked", "whole words", "choices"])
def test_collators_make_the_same_batch_of_our_tokenizer(kind: str) -> None:
    batches = []
    for library in (electra, transformers):
        words = tokenizer(library)
        more = {"return_offsets_mapping": True, "padding": "max_length"} if kind == "whole words" else {}
        rows = [dict(words(text, **more)) for text in texts(6)]
        if kind == "tokens":
            rows = [{**row, "labels": list(range(len(row["input_ids"])))} for row in rows]
        if kind == "choices":
            rows = [{**{key: [row[key]] * 2 for key in row}, "label": 1} for row in rows]
        collate = {
            "padding": lambda words: DataCollatorWithPadding(words, pad_to_multiple_of=8),
            "tokens": DataCollatorForTokenClassification,
            "masked": lambda words: DataCollatorForLanguageModeling(words, seed=5),
            "whole words": lambda words: DataCollatorForLanguageModeling(
                words, seed=5, whole_word_mask=True, mask_replace_prob=1, random_replace_prob=0
            ),
            "choices": DataCollatorForMultipleChoice,
        }[kind](words)
        batches.append(collate(rows))
    ours, expected = batches
    assert list(ours) == list(expected)
    for key in expected:
        assert np.array_equal(ours[key], expected[key]), key
