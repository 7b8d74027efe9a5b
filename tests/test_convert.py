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

import electra
from electra import (
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraTokenizer,
)
from electra.cli import run
from electra.convert import ConvertConfig, convert
from electra.hub.tensorflow.bundle import Bundle, find_checkpoint
from electra.training.checkpoints import Checkpoints
from tests.parity.google import SHAPES, drawn, oriented, torch_name, write_checkpoint

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def write_vocab(path: Path, tokens: list[str]) -> Path:
    path.write_text("\n".join([*SPECIAL, *tokens]) + "\n", encoding="utf-8")
    return path


def checkpoint(folder: Path, kind: str = "pair", **options: Any) -> Path:
    """A checkpoint with a vocabulary beside it; returns its folder."""
    write_checkpoint(folder, drawn(SHAPES[kind], **options))
    write_vocab(folder / "vocab.txt", ["sea", "##s"])
    return folder


def values_of(folder: Path) -> dict[str, np.ndarray]:
    bundle = Bundle(find_checkpoint(folder))
    return {name: bundle.read(name) for name in bundle.shapes}


def assert_same_files(one: Path, other: Path) -> None:
    for kind in (".index", ".data-00000-of-00001"):
        assert (
            Path(f"{find_checkpoint(one)}{kind}").read_bytes() == Path(f"{find_checkpoint(other)}{kind}").read_bytes()
        )


def refused(source: Path, output: Path, match: str, error: type[Exception] = ValueError, **options: Any) -> None:
    """The error says so, and nothing is written."""
    before = sorted(output.parent.iterdir())
    with pytest.raises(error, match=match):
        convert(ConvertConfig(source, output, **options))
    assert sorted(output.parent.iterdir()) == before


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


# -- refused, and nothing written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"to": "onnx"}, "to is 'onnx': allowed is pytorch or tensorflow"),
        ({"task": "ner"}, "task is 'ner': allowed is text-classification or token-classification"),
        ({"attention_heads": 0}, "attention_heads is 0"),
        ({"to": "tensorflow", "vocab": "v"}, "vocab is of use with a TensorFlow checkpoint only"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ConvertConfig(Path("a"), Path("b"), **options)


def test_a_changed_bit_names_the_variable(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    file = source / "model.ckpt-7.data-00000-of-00001"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    refused(source, tmp_path / "to", "damaged: the values of the variable 'global_step'")
    data[-1] ^= 1
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refused(source, tmp_path / "to", r"damaged: the values of the variable 'electra/\S+' \(bytes")


def test_cut_and_missing_files_name_a_variable(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    file = source / "model.ckpt-7.data-00000-of-00001"
    file.write_bytes(file.read_bytes()[:-1])
    refused(source, tmp_path / "to", "cut off: the variable 'global_step' ends at byte")
    file.unlink()
    refused(source, tmp_path / "to", "the variable '.*' is in .* which is not there", FileNotFoundError)
    index = source / "model.ckpt-7.index"
    index.write_bytes(index.read_bytes()[:-5])
    refused(source, tmp_path / "to", "its end is missing")


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    values = drawn(SHAPES["pair"])
    del values["electra/encoder/layer_1/output/LayerNorm/gamma"]
    write_checkpoint(tmp_path / "from", values)
    refused(tmp_path / "from", tmp_path / "to", "lacks 1 variables .*: electra/encoder/layer_1/output/LayerNorm/gamma")


def test_a_variable_of_another_shape_is_named(tmp_path: Path) -> None:
    values = drawn(SHAPES["pair"])
    values["electra/encoder/layer_1/output/dense/kernel"] = np.zeros((3, 16), np.float32)
    write_checkpoint(tmp_path / "from", values)
    match = r"'electra/encoder/layer_1/output/dense/kernel' makes .* of shape \[16, 3\], and \[16, 20\] goes with"
    refused(tmp_path / "from", tmp_path / "to", match)


def test_heads_that_do_not_divide_the_width(tmp_path: Path) -> None:
    match = "3 attention heads do not divide the hidden size, 16"
    refused(checkpoint(tmp_path / "from"), tmp_path / "to", match, attention_heads=3)


def test_an_output_that_is_there_is_left_alone(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    (tmp_path / "to").mkdir()
    convert(ConvertConfig(source, tmp_path / "to"))  # an empty folder will do
    refused(source, tmp_path / "to", "is there already: give a new or an empty folder")
    (tmp_path / "file").write_text("x")
    refused(source, tmp_path / "file", "is there already: give a new or an empty folder")


def test_sources_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "to", "no file that ends in .index", FileNotFoundError)
    refused(tmp_path / "empty", tmp_path / "to", "is no model folder", FileNotFoundError, to="tensorflow")
    ElectraConfig().save_pretrained(tmp_path / "unnamed")
    refused(tmp_path / "unnamed", tmp_path / "to", "is a model folder, which from_pretrained reads as it is")
    refused(tmp_path / "unnamed", tmp_path / "to", "does not say, under architectures", to="tensorflow")


TINY = {"vocab_size": 30, "num_hidden_layers": 1, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 1}


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (ElectraForSequenceClassification, "its classifier has two layers"),
        (ElectraForMultipleChoice, "ElectraForMultipleChoice has no counterpart in Google's code"),
        (electra.ElectraForCausalLM, "ElectraForCausalLM has no counterpart in Google's code"),
    ],
)
def test_heads_that_google_does_not_have(tmp_path: Path, kind: Any, match: str) -> None:
    kind(ElectraConfig(**TINY)).save_pretrained(tmp_path / "mine")
    refused(tmp_path / "mine", tmp_path / "to", match, to="tensorflow")


def test_a_model_without_its_head_is_refused(tmp_path: Path) -> None:
    electra.ElectraModel(ElectraConfig(**TINY)).save_pretrained(tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps({**config, "architectures": ["ElectraForPreTraining"]}))
    refused(tmp_path / "mine", tmp_path / "to", r"lacks discriminator_predictions\.", to="tensorflow")


def test_two_networks_that_google_cannot_have_together(tmp_path: Path) -> None:
    ElectraForPreTraining(ElectraConfig(**TINY)).save_pretrained(tmp_path / "pair" / "discriminator")
    ElectraForMaskedLM(ElectraConfig(**TINY)).save_pretrained(tmp_path / "pair" / "generator")
    refused(tmp_path / "pair", tmp_path / "to", "other embeddings than the discriminator", to="tensorflow")


def test_an_output_layer_of_its_own_is_refused(tmp_path: Path) -> None:
    ElectraForMaskedLM(ElectraConfig(tie_word_embeddings=False, **TINY)).save_pretrained(tmp_path / "mine")
    refused(tmp_path / "mine", tmp_path / "to", "its output layer is not its word embeddings", to="tensorflow")


# -- large checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_base_sized_checkpoint_takes_20_seconds_and_twice_its_size() -> None:
    """CPU seconds, of one core: others may be at work on this machine."""
    script = Path(__file__).parents[1] / "benchmarks" / "conversion.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["comes_back_to_the_same_bytes"]
    for direction in ("from_tensorflow", "to_tensorflow"):
        measured = found[direction]
        assert measured["source_megabytes"] > 400
        assert measured["cpu_seconds"] < 20
        assert measured["peak_megabytes"] < 2 * measured["source_megabytes"]
