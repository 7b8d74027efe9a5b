"""The network that is fitted: its head's first weights, and adapters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from electra.commands.finetune import finetune
from electra.finetuning import task_network as network
from electra.finetuning.task_network import Adapters, new_model
from electra.models import ElectraForSequenceClassification, ElectraForTokenClassification
from electra.pipelines import pipeline
from electra.tasks.text_classification import TextClassification
from electra.training.run import checkpoints
from tests.finetuning.toy import examples, settings

TASK = TextClassification(labels=("no", "yes"), max_length=24)


def test_a_head_follows_from_the_seed(folder: Path) -> None:
    heads = [new_model(str(folder), TASK, seed=seed).classifier.dense.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_dropout_is_the_configuration_s_or_the_one_given_everywhere(folder: Path, tmp_path: Path) -> None:
    def rates(model: torch.nn.Module) -> set[float]:
        return {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)}

    assert rates(new_model(str(folder), TASK, seed=0)) == {0.1}
    assert rates(new_model(str(folder), TASK, seed=0, dropout=0.3)) == {0.3}
    finetune(config := settings(folder, tmp_path, dropout=0.0, epochs=1))
    assert rates(ElectraForSequenceClassification.from_pretrained(config.output)) == {0.0}


def test_adapters_without_peft_are_an_error_that_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    config = settings(folder, tmp_path, lora=4)
    with pytest.raises(ImportError, match=r"pip install 'electra\[lora\]'"):
        finetune(config)
    assert not config.unfinished.exists()


def test_peft_and_transformers_are_not_imported_for_anything_else() -> None:
    code = "import sys, electra.commands.finetune; sys.exit(bool({'peft', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.interop
def test_adapters_and_the_head_learn_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = settings(folder, tmp_path, lora=4, learning_rate=1e-2)
    found = finetune(config)
    before = ElectraForSequenceClassification.from_pretrained(folder, **TASK.config_fields())
    merged = ElectraForSequenceClassification.from_pretrained(config.output)
    changed = {
        name
        for (name, tensor), other in zip(merged.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(tensor, other)
    }
    of_encoder = {name for name in changed if name.startswith("electra.")}
    assert {name.split(".")[-2] for name in of_encoder} == {"query", "value"}
    assert not any(name.endswith("bias") for name in of_encoder)
    assert len(of_encoder) == 4
    assert {name for name in changed if name.startswith("classifier.")} == {
        name for name, _ in merged.named_parameters() if name.startswith("classifier.")
    }

    # the adapter folder on the pretrained model says what the merged folder says
    on_top = peft.PeftModel.from_pretrained(before, config.output / "adapter").get_base_model().eval()
    judges = [
        pipeline("text-classification", model, tokenizer=str(config.output), device="cpu") for model in (on_top, merged)
    ]
    texts = [example["text"] for example in examples(40, seed=1)]
    for one, other in zip(*(judge(texts) for judge in judges), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
    assert found["scores"]["accuracy"] > 0.8


@pytest.mark.interop
def test_a_stopped_fit_of_adapters_goes_on_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    from electra.finetuning.trial import Trial

    whole = settings(folder, tmp_path, lora=2, epochs=2, output=tmp_path / "whole", task="token-classification")
    finetune(whole)
    config = settings(folder, tmp_path, lora=2, epochs=2, task="token-classification")
    save = checkpoints.Checkpoints.save

    def once(self: checkpoints.Checkpoints, checkpoint: checkpoints.Checkpoint) -> Path:
        save(self, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.Checkpoints, "save", once)
    monkeypatch.setattr(Trial, "save_is_due", lambda self: len(self.evaluations) == 1)
    with pytest.raises(KeyboardInterrupt):
        finetune(config)
    monkeypatch.undo()
    finetune(config)
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        assert (config.output / name).read_bytes() == (whole.output / name).read_bytes()
    assert ElectraForTokenClassification.from_pretrained(config.output).config.id2label == {0: "O", 1: "B-RED"}


@pytest.mark.interop
def test_adapters_begin_as_nothing(folder: Path) -> None:
    pytest.importorskip("peft")
    plain, adapted = (new_model(str(folder), TASK, seed=3).eval() for _ in range(2))
    Adapters(adapted, 4, seed=3)
    ids = torch.tensor([[2, 5, 6, 3]])
    torch.testing.assert_close(adapted(ids).logits, plain(ids).logits)
    assert network.ADAPTED == ("query", "value")
