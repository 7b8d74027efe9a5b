"""`electra convert`: every kind of checkpoint in and out, to the same bits, and input that it refuses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from electra import (
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraTokenizer,
)
from electra.cli import run
from electra.commands.convert import convert
from electra.google.convert_config import ConvertConfig
from electra.google.tensorflow.bundle import Bundle, find_checkpoint
from electra.training.run.checkpoints import Checkpoints
from tests.google.google_folders import checkpoint, refused, write_vocab
from tests.parity.google import SHAPES, drawn, oriented, torch_name


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def values_of(folder: Path) -> dict[str, np.ndarray]:
    bundle = Bundle(find_checkpoint(folder))
    return {name: bundle.read(name) for name in bundle.shapes}


def assert_same_files(one: Path, other: Path) -> None:
    for kind in (".index", ".data-00000-of-00001"):
        assert (
            Path(f"{find_checkpoint(one)}{kind}").read_bytes() == Path(f"{find_checkpoint(other)}{kind}").read_bytes()
        )


# -- in, and out again ---------------------------------------------------------------------------------------------


PRETRAINED = ["pair", "generator as wide", "generator not as deep", "untied embeddings", "one encoder", "no generator"]


@pytest.mark.parametrize("kind", [*PRETRAINED, "masked language model"])
def test_every_variable_becomes_its_parameter(tmp_path: Path, kind: str) -> None:
    written = convert(ConvertConfig(checkpoint(tmp_path / "from", kind), tmp_path / "to"))
    classes = {"discriminator": ElectraForPreTraining, "generator": ElectraForMaskedLM}
    states = {name: classes[name].from_pretrained(folder).state_dict() for name, folder in written.items()}
    values = drawn(SHAPES[kind])
    seen = 0
    for variable, value in values.items():
        for network, state in states.items():
            own, parameter = torch_name(variable)
            # the generator's name for what is under electra/ too, unless it has that itself
            if own != network and variable.replace("electra/", "generator/", 1) in values:
                continue
            if parameter in state:
                assert (state[parameter].numpy() == oriented(variable, value)).all(), (network, variable)
                seen += 1
    assert seen == sum(len(state) - ("generator_lm_head.weight" in state) for state in states.values())


@pytest.mark.parametrize("kind", [*PRETRAINED, "masked language model"])
def test_networks_of_pretraining_go_back_to_the_same_bytes(tmp_path: Path, kind: str) -> None:
    source = checkpoint(tmp_path / "from", kind)
    convert(ConvertConfig(source, tmp_path / "models"))
    written = convert(ConvertConfig(tmp_path / "models", tmp_path / "back", to="tensorflow"))
    assert written == {"checkpoint": str(tmp_path / "back" / "model.ckpt-7")}
    assert_same_files(source, tmp_path / "back")
    assert (tmp_path / "back" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    # and what was written is read as what it was
    convert(ConvertConfig(tmp_path / "back", tmp_path / "again"))
    for file in sorted((tmp_path / "models").rglob("*")):
        if file.name in ("model.safetensors", "config.json"):
            assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "models")).read_bytes()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mnli", "mnli"),
        ("sts", "sts"),
        ("chunk", "chunk"),
        ("squadv1 joint", "squadv1"),
        ("squadv1 apart", "squadv1"),
        ("encoder", "encoder"),
    ],
)
def test_other_networks_go_back_to_the_same_bytes(tmp_path: Path, kind: str, name: str) -> None:
    source = checkpoint(tmp_path / "from", kind)
    assert convert(ConvertConfig(source, tmp_path / "models")) == {name: str(tmp_path / "models" / name)}
    convert(ConvertConfig(tmp_path / "models" / name, tmp_path / "back", to="tensorflow"))
    assert_same_files(source, tmp_path / "back")


def test_a_fine_tuned_checkpoint_may_have_moments(tmp_path: Path) -> None:
    convert(ConvertConfig(checkpoint(tmp_path / "from", "two tasks", slots=True), tmp_path / "models"))
    convert(ConvertConfig(tmp_path / "models" / "mnli", tmp_path / "back", to="tensorflow"))
    assert_same_files(checkpoint(tmp_path / "without", "mnli"), tmp_path / "back")


def test_what_is_trained_here_goes_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ElectraConfig(vocab_size=30, embedding_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = ElectraForPreTraining(config)
    model.save_pretrained(tmp_path / "mine")
    convert(ConvertConfig(tmp_path / "mine", tmp_path / "there", to="tensorflow"))
    values = values_of(tmp_path / "there")
    assert values["global_step"] == 0
    state = model.state_dict()
    for variable, value in values.items():
        if variable != "global_step":
            assert (state[torch_name(variable)[1]].numpy() == oriented(variable, value)).all()
    assert len(values) == len(state) + 1
    settings = json.loads((tmp_path / "there" / "hparams.json").read_text())
    assert settings["model_hparam_overrides"]["num_attention_heads"] == 2
    convert(ConvertConfig(tmp_path / "there", tmp_path / "back"))
    again = ElectraForPreTraining.from_pretrained(tmp_path / "back" / "discriminator")
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    assert again.config.num_attention_heads == 2


def test_old_files_in_half_precision_go_there(tmp_path: Path) -> None:
    """pytorch_model.bin, saved under DistributedDataParallel, with the first names of BERT's LayerNorm."""
    model = ElectraForPreTraining(ElectraConfig(vocab_size=30, num_hidden_layers=1, hidden_size=64)).half()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {}
    for name, tensor in model.state_dict().items():
        end = next((end for end in old if name.endswith(end)), "")
        state["module." + name.removesuffix(end) + old.get(end, "")] = tensor
    (tmp_path / "old").mkdir()
    model.config.architectures = ["ElectraForPreTraining"]
    model.config.save_pretrained(tmp_path / "old")
    torch.save(state, tmp_path / "old" / "pytorch_model.bin")
    convert(ConvertConfig(tmp_path / "old", tmp_path / "there", to="tensorflow"))
    values = values_of(tmp_path / "there")
    kernel = values["electra/encoder/layer_0/output/dense/kernel"]
    weight = model.electra.encoder.layer[0].output.dense.weight.detach().float().numpy()
    assert kernel.dtype == np.float32
    assert (weight == kernel.T).all()
    assert (values["electra/embeddings/LayerNorm/gamma"] == 1).all()


# -- the optimizer's state -----------------------------------------------------------------------------------------


def test_moments_become_those_of_a_run_and_go_back(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from", slots=True)
    written = convert(ConvertConfig(source, tmp_path / "run", optimizer=True))
    assert set(written) == {"discriminator", "generator", "checkpoints"}
    saved = Checkpoints(tmp_path / "run" / "checkpoints").latest()
    assert saved is not None
    assert saved.step == 7
    name = "discriminator.electra.encoder.layer.0.output.dense.weight"
    expected = values_of(source)["electra/encoder/layer_0/output/dense/kernel/adam_v"].T
    assert (saved.tensors["optimizer"][f"{name}.v"].numpy() == expected).all()
    convert(ConvertConfig(tmp_path / "run", tmp_path / "back", to="tensorflow", optimizer=True))
    assert_same_files(source, tmp_path / "back")


def test_moments_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    convert(ConvertConfig(checkpoint(tmp_path / "from", slots=True), tmp_path / "to"))
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["discriminator", "generator"]


@pytest.mark.parametrize(
    ("kind", "slots", "match"),
    [
        ("pair", False, "has no .*/adam_m: it was saved without the optimizer's state"),
        ("no generator", True, "these are other networks: leave out --optimizer"),
        ("untied embeddings", True, "these are other networks: leave out --optimizer"),
    ],
)
def test_moments_that_cannot_be_converted(tmp_path: Path, kind: str, slots: bool, match: str) -> None:
    refused(checkpoint(tmp_path / "from", kind, slots=slots), tmp_path / "to", match, optimizer=True)


def test_a_folder_without_a_run_has_no_moments(tmp_path: Path) -> None:
    convert(ConvertConfig(checkpoint(tmp_path / "from"), tmp_path / "models"))
    match = "not the folder of a pretraining run with a checkpoint"
    refused(tmp_path / "models", tmp_path / "back", match, to="tensorflow", optimizer=True)


# -- what is written beside the weights ----------------------------------------------------------------------------


def test_a_folder_has_what_a_model_needs(tmp_path: Path) -> None:
    convert(ConvertConfig(checkpoint(tmp_path / "from"), tmp_path / "to"))
    folder = tmp_path / "to" / "discriminator"
    config = ElectraConfig.from_pretrained(folder)
    assert config.architectures == ["ElectraForPreTraining"]
    assert (config.hidden_size, config.num_attention_heads, config.generator_hidden_size) == (16, 1, 0.5)
    tokenizer = ElectraTokenizer.from_pretrained(folder)
    assert (tokenizer.tokenize("SEAS"), tokenizer.model_max_length) == (["sea", "##s"], 24)
    assert "model.ckpt-7 of Google's code, after 7 steps" in (folder / "README.md").read_text()


def test_fine_tuned_networks_know_their_labels(tmp_path: Path) -> None:
    convert(ConvertConfig(checkpoint(tmp_path / "from", "two tasks"), tmp_path / "to"))
    model = ElectraForSequenceClassification.from_pretrained(tmp_path / "to" / "mnli")
    assert model.config.id2label == {0: "contradiction", 1: "entailment", 2: "neutral"}
    assert ElectraForTokenClassification.from_pretrained(tmp_path / "to" / "chunk").config.num_labels == 9


def test_a_tagger_takes_its_text_as_anybody_gives_it(tmp_path: Path) -> None:
    """Google's code gives taggers token type 1; a pipeline gives type 0."""
    source = checkpoint(tmp_path / "from", "chunk")
    convert(ConvertConfig(source, tmp_path / "to"))
    model = ElectraForTokenClassification.from_pretrained(tmp_path / "to" / "chunk")
    rows = model.electra.embeddings.token_type_embeddings.weight.detach().numpy()
    theirs = values_of(source)["electra/embeddings/token_type_embeddings"]
    assert (rows == theirs[[1, 1, 0]]).all()
    ids = torch.tensor([[2, 5, 6, 3]])
    assert torch.equal(model(ids).logits, model(ids, token_type_ids=torch.ones_like(ids)).logits)
    assert not torch.equal(model(ids).logits, model(ids, token_type_ids=torch.full_like(ids, 2)).logits)


def test_without_a_vocabulary_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = checkpoint(tmp_path / "from")
    (source / "vocab.txt").unlink()
    with caplog.at_level(logging.WARNING, "electra"):
        convert(ConvertConfig(source, tmp_path / "to"))
    assert "no vocab.txt beside it, so what is written has no tokenizer: give --vocab" in caplog.text
    assert not (tmp_path / "to" / "generator" / "tokenizer.json").exists()


def test_a_vocabulary_elsewhere_and_its_casing(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    vocab = write_vocab(tmp_path / "words", ["a", "Sea", "sea", "sea"])  # a published one may have a line twice
    (source / "hparams.json").write_text('{"do_lower_case": true}')
    convert(ConvertConfig(source, tmp_path / "lower", vocab=vocab))
    tokenizer = ElectraTokenizer.from_pretrained(tmp_path / "lower" / "generator")
    assert tokenizer("Sea")["input_ids"] == [2, 8, 3]
    (source / "hparams.json").unlink()
    convert(ConvertConfig(source, tmp_path / "cased", vocab=vocab))
    assert ElectraTokenizer.from_pretrained(tmp_path / "cased" / "generator")("Sea")["input_ids"] == [2, 6, 3]


def test_a_vocabulary_that_does_not_fit(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    long = write_vocab(tmp_path / "long", [f"w{i}" for i in range(40)])
    refused(source, tmp_path / "to", r"long has 45 tokens, .* have 37 rows: .* another model", vocab=long)
    (tmp_path / "odd").write_text("a\nb\n")
    refused(source, tmp_path / "to", r"odd: .*\[UNK\]", vocab=tmp_path / "odd")
    refused(source, tmp_path / "to", "no such vocabulary file", FileNotFoundError, vocab=tmp_path / "none")


@pytest.mark.parametrize(
    ("hparams", "flag", "expected"),
    [(None, None, (1, 1)), ({"num_attention_heads": 4}, None, (4, 1)), ({"num_attention_heads": 4}, 2, (2, 1))],
)
def test_attention_heads(tmp_path: Path, hparams: dict[str, int] | None, flag: int | None, expected: Any) -> None:
    source = checkpoint(tmp_path / "from")
    if hparams:
        (source / "hparams.json").write_text(json.dumps({"model_hparam_overrides": hparams}))
    convert(ConvertConfig(source, tmp_path / "to", attention_heads=flag))
    configs = (ElectraConfig.from_pretrained(tmp_path / "to" / name) for name in ("discriminator", "generator"))
    assert tuple(config.num_attention_heads for config in configs) == expected


def test_electric_s_discriminator_is_converted_and_the_rest_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = checkpoint(tmp_path / "from", "electric")
    with caplog.at_level(logging.WARNING, "electra"):
        assert list(convert(ConvertConfig(source, tmp_path / "to"))) == ["discriminator"]
    assert "not converted: 73 variables of Electric's two-tower cloze model" in caplog.text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = checkpoint(tmp_path / "from")
    assert run(["convert", str(source), str(tmp_path / "to")]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written == {name: str(tmp_path / "to" / name) for name in ("discriminator", "generator")}
    assert run(["convert", str(tmp_path / "to"), str(tmp_path / "back"), "--to", "tensorflow"]) == 0
    assert_same_files(source, tmp_path / "back")


# -- large checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_base_sized_checkpoint_takes_20_seconds_and_twice_its_size() -> None:
    """CPU seconds, of one core: others may be at work on this machine."""
    script = Path(__file__).parents[2] / "benchmarks" / "conversion.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["comes_back_to_the_same_bytes"]
    for direction in ("from_tensorflow", "to_tensorflow"):
        measured = found[direction]
        assert measured["source_megabytes"] > 400
        assert measured["cpu_seconds"] < 20
        assert measured["peak_megabytes"] < 2 * measured["source_megabytes"]
