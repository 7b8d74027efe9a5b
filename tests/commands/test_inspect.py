"""`electra inspect`: what a folder holds, without loading it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from electra.commands.inspect import InspectConfig, describe, inspect, print_description
from electra.config import ElectraConfig
from electra.hub import weights
from electra.models import (
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraModel,
)
from electra.text.training.vocabulary import train_vocabulary

SIZES = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def config(**values: object) -> ElectraConfig:
    return ElectraConfig(vocab_size=120, intermediate_size=48, max_position_embeddings=40, **SIZES, **values)


@pytest.mark.parametrize(
    ("kind", "network", "head"),
    [
        (ElectraForPreTraining, "discriminator", "replaced tokens"),
        (ElectraForMaskedLM, "generator", "masked tokens"),
        (ElectraForSequenceClassification, "fine-tuned encoder", "text classification"),
        (ElectraForTokenClassification, "fine-tuned encoder", "token classification"),
        (ElectraForQuestionAnswering, "fine-tuned encoder", "question answering"),
        (ElectraForMultipleChoice, "fine-tuned encoder", "multiple choice"),
        (ElectraModel, "bare encoder", None),
    ],
)
def test_which_network_it_is_and_how_large(tmp_path: Path, kind: type, network: str, head: str | None) -> None:
    model = kind(config())
    model.save_pretrained(tmp_path)
    found = describe(str(tmp_path))
    assert (found.network, found.head) == (network, head)
    assert found.architectures == (kind.__name__,)
    assert found.parameters == model.num_parameters() == sum(found.parameters_by_part.values())
    assert found.weight_bytes == 4 * found.parameters
    expected = sum(p.numel() for p in model.base_model.embeddings.parameters())
    assert found.parameters_by_part["embeddings"] == expected
    assert found.problems == ("there is no tokenizer",)


def test_labels_are_a_classifier_s_only(tmp_path: Path) -> None:
    labels = {0: "no", 1: "yes", 2: "perhaps"}
    ElectraForSequenceClassification(config(id2label=labels)).save_pretrained(tmp_path / "classifier")
    ElectraForPreTraining(config(id2label=labels)).save_pretrained(tmp_path / "discriminator")
    assert describe(str(tmp_path / "classifier")).labels == ("no", "yes", "perhaps")
    assert describe(str(tmp_path / "discriminator")).labels == ()


def test_safetensors_are_read_up_to_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ElectraForPreTraining(config()).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    monkeypatch.setattr(weights, "read_weights", None)
    monkeypatch.setattr(weights, "read_safetensors", None)
    for folder in ("whole", "shards"):
        found = describe(str(tmp_path / folder))
        assert (found.parameters, found.dtypes) == (model.num_parameters(), ("bfloat16",))
        assert found.weight_bytes == 2 * found.parameters


def test_old_weight_files_are_read(tmp_path: Path) -> None:
    model = ElectraForMaskedLM(config())
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert describe(str(tmp_path)).network == "generator"


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    tokenizer = train_vocabulary(["the quick brown fox jumps over the lazy dog"] * 50, size=150)
    model = ElectraForPreTraining(ElectraConfig(vocab_size=len(tokenizer), **SIZES, intermediate_size=48))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = describe(str(tmp_path))
    assert found.problems == ()
    assert found.tokenizer is not None
    assert (found.tokenizer["tokens"], found.tokenizer["fingerprint"]) == (len(tokenizer), tokenizer.fingerprint())
    model.config.update({"vocab_size": len(tokenizer) - 1})
    model.config.save_pretrained(tmp_path)
    problems = describe(str(tmp_path)).problems
    assert len(problems) == 2
    assert "word embeddings" in problems[0]
    assert "tokenizer" in problems[1]


def test_lines_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ElectraForPreTraining(config()).save_pretrained(tmp_path)
    print_description(InspectConfig(str(tmp_path)))
    lines = capsys.readouterr().out
    assert "discriminator" in lines
    assert "2 layers, 32 wide" in lines
    print_description(InspectConfig(str(tmp_path), json=True))
    assert json.loads(capsys.readouterr().out)["hidden_size"] == 32


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        describe(str(tmp_path / "nowhere"))
    ElectraForPreTraining(config()).save_pretrained(tmp_path / "run" / "discriminator")
    with pytest.raises(ValueError, match=r"the folder of a pretraining run: say which .*run/discriminator"):
        describe(str(tmp_path / "run"))
    file = tmp_path / "run" / "discriminator" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors .* is damaged or incomplete"):
        describe(str(file.parent))
    file.unlink()
    with pytest.raises(OSError, match="discriminator"):
        describe(str(file.parent))
    (file.parent / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="'bert'"):
        describe(str(file.parent))


def test_the_function_returns_the_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ElectraForPreTraining(config()).save_pretrained(tmp_path)
    assert inspect(str(tmp_path)) == inspect(model=tmp_path) == describe(str(tmp_path))
    assert capsys.readouterr().out == ""
