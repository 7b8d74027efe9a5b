"""PEFT puts adapters into our models and into transformers' of our folders, and each reads the other's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import AutoPeftModelForSequenceClassification, LoraConfig, PeftModel, get_peft_model
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

import electra
from tests.interop.toy import build, examples, lively, save, texts, tokenizer
from tests.parity.twins import assert_close

pytestmark = [
    pytest.mark.interop,
    # PEFT 0.21 asks transformers' models so
    pytest.mark.filterwarnings("ignore:`(is_gradient|gradient)_checkpointing:FutureWarning"),
]

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "SEQ_CLS": ("ElectraForSequenceClassification", {"num_labels": 3}),
    "TOKEN_CLS": ("ElectraForTokenClassification", {"num_labels": 3}),
    "QUESTION_ANS": ("ElectraForQuestionAnswering", {}),
    "FEATURE_EXTRACTION": ("ElectraModel", {}),
    "CAUSAL_LM": ("ElectraForCausalLM", {"is_decoder": True}),
}


def batch() -> Any:
    return tokenizer()(texts(6), padding=True, return_tensors="pt")


def answers(model: Any) -> Any:
    with torch.no_grad():
        return model.eval()(**batch())[0]


@pytest.mark.parametrize("task", TASKS)
def test_an_adapter_trained_on_ours_serves_everywhere(task: str, tmp_path: Path) -> None:
    name, fields = TASKS[task]
    base = save(lively(name, **fields), tmp_path / "base")
    ours = getattr(electra, name).from_pretrained(base)
    before = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    plain = answers(ours)
    adapted = get_peft_model(ours, LoraConfig(task_type=task, r=4))  # targets: PEFT's own for this model_type
    trained = sorted(
        key.split(".lora_")[0] for key, p in adapted.named_parameters() if p.requires_grad and "lora" in key
    )
    assert {key.rsplit(".", 1)[1] for key in trained} == {"query", "value"}
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=0.02)
    adapted.train()
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (adapted(**batch())[0] - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    expected = answers(adapted)
    assert (expected - plain).abs().max() > 0.1
    kept = ours.state_dict()
    assert all(torch.equal(tensor, kept[key]) for key, tensor in before.items() if key in kept)

    adapted.save_pretrained(tmp_path / "adapter")
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(base)
    for library in (electra, transformers):
        again = PeftModel.from_pretrained(getattr(library, name).from_pretrained(base), tmp_path / "adapter")
        assert_close(answers(again), expected, 1e-5)
    merged = adapted.merge_and_unload()
    assert type(merged) is getattr(electra, name)
    assert_close(answers(merged), expected, 1e-5)
    merged.save_pretrained(tmp_path / "merged")
    for library in (electra, transformers):
        loaded, info = getattr(library, name).from_pretrained(tmp_path / "merged", output_loading_info=True)
        assert not any(info.values())
        assert_close(answers(loaded), expected, 1e-5)


def test_an_adapter_trained_on_transformers_model_of_our_folder_serves_ours(tmp_path: Path) -> None:
    name, fields = TASKS["SEQ_CLS"]
    base = save(lively(name, **fields), tmp_path / "base")
    theirs = transformers.ElectraForSequenceClassification.from_pretrained(base)
    plain = answers(theirs)
    adapted = get_peft_model(theirs, LoraConfig(task_type="SEQ_CLS", r=4, init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    expected = answers(adapted)
    assert (expected - plain).abs().max() > 0.1
    ours = PeftModel.from_pretrained(
        electra.ElectraForSequenceClassification.from_pretrained(base), tmp_path / "adapter"
    )
    assert_close(answers(ours), expected, 1e-5)
    found = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter", num_labels=3)
    assert_close(answers(found), expected, 1e-5)


@pytest.mark.parametrize("options", [{}, {"activation_checkpointing": True}], ids=["plain", "checkpointing"])
def test_transformers_trainer_trains_and_saves_an_adapter_of_ours(options: dict[str, Any], tmp_path: Path) -> None:
    model = get_peft_model(
        build("ElectraForSequenceClassification"),
        LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "dense"]),
    )
    run = Trainer(
        model,
        TrainingArguments(
            str(tmp_path),
            max_steps=40,
            learning_rate=0.01,
            logging_steps=1,
            save_steps=40,
            use_cpu=True,
            disable_tqdm=True,
            report_to="none",
            **options,
        ),
        train_dataset=examples("classes"),
        processing_class=tokenizer(),
        data_collator=DataCollatorWithPadding(tokenizer()),
    )
    run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    again = PeftModel.from_pretrained(build("ElectraForSequenceClassification"), tmp_path / "checkpoint-40")
    assert_close(answers(again), answers(model), 1e-5)
