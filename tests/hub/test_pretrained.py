"""A network to a folder and back: nothing half-written, nothing silently random, every mismatch named."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file

from electra.config import ElectraConfig
from electra.files import atomic as files
from electra.models import (
    ElectraForCausalLM,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraModel,
    ElectraPreTrainedModel,
)
from tests.hub.saved import FIELDS, answers, edit, network, tree

# -- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["50GB", 4000])
@pytest.mark.parametrize("kind", [ElectraModel, ElectraForPreTraining, ElectraForMaskedLM, ElectraForCausalLM])
def test_the_answers_are_the_same_to_the_last_bit(
    kind: type[ElectraPreTrainedModel], size: int | str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = network(kind)
    saved.save_pretrained(tmp_path, max_shard_size=size)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1 or size == 4000
    loaded, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert info == {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set(), "error_msgs": []}
    assert torch.equal(answers(loaded), answers(saved))
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in saved.parameters())
    assert caplog.records == []


def test_config_json(tmp_path: Path) -> None:
    saved = network(ElectraForSequenceClassification, num_labels=3).to(torch.bfloat16)
    saved.config.name_or_path = "/home/someone/secret"
    saved.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["architectures"] == ["ElectraForSequenceClassification"]
    assert content["dtype"] == "bfloat16"
    assert content["model_type"] == "electra"
    assert "secret" not in str(content)
    assert saved.config.architectures is None, "saving changes nothing in the network"
    assert ElectraModel.from_pretrained(tmp_path).config.name_or_path == str(tmp_path)


def test_tied_weights_are_written_once(generator: Path) -> None:
    assert "generator_lm_head.weight" not in load_file(generator / "model.safetensors")
    model = ElectraForMaskedLM.from_pretrained(generator)
    assert model.generator_lm_head.weight is model.electra.embeddings.word_embeddings.weight


def test_untied_weights_are_written_both(tmp_path: Path) -> None:
    saved = network(ElectraForMaskedLM, tie_word_embeddings=False)
    saved.save_pretrained(tmp_path)
    loaded = ElectraForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(answers(loaded), answers(saved))
    assert loaded.generator_lm_head.weight is not loaded.electra.embeddings.word_embeddings.weight


def test_a_tie_that_the_checkpoint_contradicts(generator: Path, caplog: pytest.LogCaptureFixture) -> None:
    head = torch.randn(31, 12)
    edit(generator, **{"generator_lm_head.weight": head})
    model = ElectraForMaskedLM.from_pretrained(generator)
    assert torch.equal(model.generator_lm_head.weight, head)
    assert not torch.equal(model.electra.embeddings.word_embeddings.weight, head)
    assert "not tied" in caplog.text


def test_a_tie_of_which_only_the_head_is_there(generator: Path) -> None:
    words = load_file(generator / "model.safetensors")["electra.embeddings.word_embeddings.weight"]
    edit(generator, drop="word_embeddings", **{"generator_lm_head.weight": words})
    model = ElectraForMaskedLM.from_pretrained(generator)
    assert torch.equal(model.electra.embeddings.word_embeddings.weight, words)


def test_an_encoder_into_a_head_and_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = network(ElectraModel)
    encoder.save_pretrained(tmp_path / "encoder")
    torch.manual_seed(3)
    head, info = ElectraForPreTraining.from_pretrained(tmp_path / "encoder", output_loading_info=True)
    assert torch.equal(answers(head.electra), answers(encoder))
    assert info["missing_keys"] == {n for n in head.state_dict() if n.startswith("discriminator_predictions")}
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "new, with random values: discriminator_predictions.*. Train them" in caplog.text
    caplog.clear()
    head.save_pretrained(tmp_path / "head")
    again, info = ElectraModel.from_pretrained(tmp_path / "head", output_loading_info=True)
    assert torch.equal(answers(again), answers(encoder))
    assert info["unexpected_keys"] == {n for n in head.state_dict() if n.startswith("discriminator_predictions")}
    assert caplog.records == [], "leaving a head behind is what was asked for"


def test_a_new_head_is_drawn_as_for_a_new_network(discriminator: Path) -> None:
    torch.manual_seed(3)
    one = ElectraForSequenceClassification.from_pretrained(discriminator, initializer_range=5.0)
    torch.manual_seed(3)
    two = ElectraForSequenceClassification.from_pretrained(discriminator, initializer_range=5.0)
    weight = one.classifier.dense.weight
    assert torch.equal(weight, two.classifier.dense.weight)
    assert 4 < weight.std() < 6
    assert torch.equal(one.classifier.dense.bias, torch.zeros(16))


def test_a_lone_missing_bias_leaves_the_weight_beside_it(classifier: Path) -> None:
    wanted = load_file(classifier / "model.safetensors")["classifier.dense.weight"]
    edit(classifier, drop="classifier.dense.bias")
    model = ElectraForSequenceClassification.from_pretrained(classifier)
    assert torch.equal(model.classifier.dense.weight, wanted)
    assert torch.equal(model.classifier.dense.bias, torch.zeros(16))


@pytest.mark.parametrize("name", ["electra.embeddings.position_ids", "electra.embeddings.token_type_ids"])
def test_buffers_of_older_versions_are_passed_over(
    name: str, discriminator: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(discriminator, **{name: torch.arange(16)[None]})
    _, info = ElectraForPreTraining.from_pretrained(discriminator, output_loading_info=True)
    assert info["unexpected_keys"] == set()
    assert caplog.records == []


def test_a_state_dict_in_place_of_a_file(tmp_path: Path) -> None:
    saved = network(ElectraForPreTraining)
    state = {name: tensor.detach() for name, tensor in saved.state_dict().items()}
    loaded = ElectraForPreTraining.from_pretrained(None, config=saved.config, state_dict=state)
    assert torch.equal(answers(loaded), answers(saved))
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.zero_()
    assert answers(saved).abs().max() > 0, "the caller's tensors are not the network's"
    saved.config.save_pretrained(tmp_path)
    assert torch.equal(answers(ElectraForPreTraining.from_pretrained(tmp_path, state_dict=state)), answers(saved))
    with pytest.raises(ValueError, match="needs config= and state_dict="):
        ElectraForPreTraining.from_pretrained(None, state_dict=state)


def test_saving_another_state_dict(discriminator: Path, tmp_path: Path) -> None:
    model = ElectraForPreTraining.from_pretrained(discriminator)
    doubled = {name: 2 * tensor for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path / "doubled", state_dict=doubled)
    found = load_file(tmp_path / "doubled" / "model.safetensors")
    assert all(torch.equal(found[name], doubled[name]) for name in doubled)


class WithBuffer(ElectraModel):
    """A user's own class, with a buffer that is not in the state dict."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.register_buffer("steps", torch.arange(5), persistent=False)


def test_buffers_of_a_subclass_keep_their_values(discriminator: Path) -> None:
    model = WithBuffer.from_pretrained(discriminator)
    assert model.steps.tolist() == [0, 1, 2, 3, 4]  # type: ignore[operator]
    assert torch.equal(answers(model), answers(ElectraModel.from_pretrained(discriminator)))


# -- options -------------------------------------------------------------------------------------------------------


def test_dtype(tmp_path: Path) -> None:
    network(ElectraModel).to(torch.float16).save_pretrained(tmp_path)
    assert ElectraModel.from_pretrained(tmp_path).dtype == torch.float16, "the configuration's"
    for given in ("bfloat16", "torch.bfloat16", torch.bfloat16):
        model = ElectraModel.from_pretrained(tmp_path, dtype=given)
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16} == {model.config.dtype}
    assert ElectraModel.from_pretrained(tmp_path, torch_dtype=torch.float32).dtype == torch.float32
    config = ElectraConfig.from_pretrained(tmp_path)
    config.dtype = None
    assert ElectraModel.from_pretrained(tmp_path, config=config).dtype == torch.float16, "the checkpoint's"
    assert config.dtype is None, "the caller's configuration is left alone"
    config.dtype = torch.float32
    assert ElectraModel.from_pretrained(tmp_path, config=config).dtype == torch.float32
    fresh = ElectraForPreTraining.from_pretrained(tmp_path)
    assert {p.dtype for p in fresh.parameters()} == {torch.float16}, "those of a new head too"


@pytest.mark.parametrize("dtype", ["float31", torch.int8, 3])
def test_dtypes_that_are_none(dtype: Any, classifier: Path) -> None:
    with pytest.raises(ValueError, match="expected 'auto' or a floating-point type"):
        ElectraModel.from_pretrained(classifier, dtype=dtype)


@pytest.mark.parametrize("device_map", [None, "cpu", "auto", -1, torch.device("cpu"), {"": "cpu"}, "balanced"])
def test_device_map(device_map: Any, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert ElectraModel.from_pretrained(classifier, device_map=device_map).device == torch.device("cpu")


def test_device_maps_that_are_none(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    with pytest.raises(ValueError, match="no accelerator"):
        ElectraModel.from_pretrained(classifier, device_map="cuda")
    with pytest.raises(ValueError, match="names 0 devices"):
        ElectraModel.from_pretrained(classifier, device_map={})


def test_the_default_device_is_meta(classifier: Path) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="load outside of that block"):
        ElectraModel.from_pretrained(classifier)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_and_back(discriminator: Path, tmp_path: Path) -> None:
    model = ElectraForSequenceClassification.from_pretrained(discriminator, device_map="auto", dtype="bfloat16")
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cuda", torch.bfloat16)}
    model.save_pretrained(tmp_path / "again")
    again = ElectraForSequenceClassification.from_pretrained(tmp_path / "again")
    assert all(torch.equal(p.cpu(), q) for p, q in zip(model.parameters(), again.parameters(), strict=True))


def test_fields_of_the_configuration_as_arguments(classifier: Path) -> None:
    model = ElectraModel.from_pretrained(classifier, hidden_dropout_prob=0.3, attn_implementation="eager")
    assert model.config.hidden_dropout_prob == 0.3
    assert model.config._attn_implementation == "eager"
    given = ElectraConfig.from_pretrained(classifier)
    model = ElectraModel.from_pretrained(classifier, config=given, hidden_dropout_prob=0.3)
    assert (model.config.hidden_dropout_prob, given.hidden_dropout_prob) == (0.3, 0.1)
    assert ElectraModel.from_pretrained(classifier, low_cpu_mem_usage=True, from_tf=False) is not None


def test_a_configuration_elsewhere_is_looked_for_as_the_weights_are(tmp_path: Path) -> None:
    ElectraModel(ElectraConfig(**FIELDS)).save_pretrained(tmp_path / "weights" / "inner")
    ElectraConfig(**FIELDS, problem_type="regression").save_pretrained(tmp_path / "config" / "inner")
    for model in (ElectraModel, transformers.ElectraModel):
        found = model.from_pretrained(tmp_path / "weights", config=str(tmp_path / "config"), subfolder="inner")
        assert found.config.problem_type == "regression"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"hiden_dropout_prob": 0.3}, "no argument 'hiden_dropout_prob'.*Did you mean hidden_dropout_prob"),
        ({"local_file_only": True}, "Did you mean local_files_only"),
        ({"gguf_file": "x"}, "no argument 'gguf_file'"),
        ({"generator": 0.25}, "no argument 'generator'"),  # a method of the configuration, and no field
        ({"use_return_dict": True}, "no argument 'use_return_dict'"),
        ({"from_tf": True}, "only PyTorch weights"),
        ({"hidden_act": "gelo"}, "hidden_act"),
    ],
)
def test_arguments_that_are_none(argument: dict[str, Any], message: str, classifier: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ElectraModel.from_pretrained(classifier, **argument)


def test_another_number_of_labels(classifier: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match=r"classifier\.out_proj\.bias: \[3\] in .*model\.safetensors, \[5\] in Elec"):
        ElectraForSequenceClassification.from_pretrained(classifier, num_labels=5)
    model, info = ElectraForSequenceClassification.from_pretrained(
        classifier, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info["mismatched_keys"] == {
        ("classifier.out_proj.weight", torch.Size([3, 16]), torch.Size([5, 16])),
        ("classifier.out_proj.bias", torch.Size([3]), torch.Size([5])),
    }
    assert answers(model).shape == (2, 5)
    assert len(caplog.records) == 1
    assert "new, with random values: classifier.out_proj.bias, classifier.out_proj.weight. Train" in caplog.text
    assert "Of another shape in the checkpoint: classifier.out_proj.bias" in caplog.text


def test_an_encoder_of_another_shape(classifier: Path) -> None:
    with pytest.raises(RuntimeError, match=r"electra\.embeddings\.word_embeddings\.weight: \[31, 12\] in .*\[40, 12\]"):
        ElectraForSequenceClassification.from_pretrained(classifier, vocab_size=40)
    model = ElectraForSequenceClassification.from_pretrained(classifier, vocab_size=40, ignore_mismatched_sizes=True)
    assert model.electra.embeddings.word_embeddings.weight.shape == (40, 12)


def test_another_vocabulary_of_a_tied_generator(generator: Path) -> None:
    model = ElectraForMaskedLM.from_pretrained(generator, vocab_size=40, ignore_mismatched_sizes=True)
    assert model.generator_lm_head.weight is model.electra.embeddings.word_embeddings.weight
    assert answers(model).shape == (2, 9, 40)


def test_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"HF_HUB_OFFLINE.*does not hold 'google/electra-x'"):
        ElectraModel.from_pretrained("google/electra-x", cache_dir=tmp_path)


def test_from_the_cache_of_the_hub(classifier: Path, tmp_path: Path) -> None:
    repository = tmp_path / "cache" / "models--me--tiny"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "v2").write_text("abc")
    classifier.rename(repository / "snapshots" / "abc")
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    assert ElectraModel.from_pretrained("me/tiny", revision="v2", **options).config.name_or_path == "me/tiny"
    with pytest.raises(OSError, match="does not hold 'me/tiny'"):
        ElectraModel.from_pretrained("me/tiny", **options)


# -- a save that fails ---------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_earlier_save(classifier: Path) -> None:
    before = tree(classifier.parent)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            network(ElectraForPreTraining).save_pretrained(classifier)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert raised.value.filename == str(classifier)
    assert tree(classifier.parent) == before


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("there_before", [True, False])
def test_a_save_that_fails_at_the_end(
    fails: str, there_before: bool, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = tree(tmp_path)
    model = network(ElectraForPreTraining)
    with monkeypatch.context() as broken:
        broken.setattr(files.os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            model.save_pretrained(classifier if there_before else tmp_path / "new" / "model")
    assert tree(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way(classifier: Path) -> None:
    with pytest.raises(OSError, match=r"config\.json"):
        network(ElectraModel).save_pretrained(classifier / "config.json")
    assert json.loads((classifier / "config.json").read_text())["model_type"] == "electra"


def test_saving_over_an_earlier_save(classifier: Path) -> None:
    (classifier / "vocab.txt").write_text("[PAD]")
    model = network(ElectraModel)
    model.save_pretrained(classifier, max_shard_size=4000)
    assert not (classifier / "model.safetensors").exists(), "it would be read in place of the shards"
    assert torch.equal(answers(ElectraModel.from_pretrained(classifier)), answers(model))
    model.save_pretrained(classifier)
    assert sorted(p.name for p in classifier.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]


def test_what_save_refuses(tmp_path: Path) -> None:
    model = network(ElectraModel)
    with pytest.raises(ValueError, match="safe_serialization=False"):
        model.save_pretrained(tmp_path / "x", safe_serialization=False)
    model.save_pretrained(tmp_path / "x", is_main_process=False)
    assert list(tmp_path.iterdir()) == []


def test_names_of_the_checkpoint_are_mapped(discriminator: Path) -> None:
    model = ElectraForPreTraining.from_pretrained(discriminator)
    renamed = {key.replace("electra.", "backbone.", 1): value for key, value in model.state_dict().items()}
    options: dict[str, Any] = {"config": model.config, "state_dict": renamed}
    again = ElectraForPreTraining.from_pretrained(None, key_mapping={r"^backbone\.": "electra."}, **options)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    with pytest.raises(ValueError, match="no regular expression"):
        ElectraForPreTraining.from_pretrained(discriminator, key_mapping={"(": ""})
    with pytest.raises(ValueError, match="gives two tensors of the checkpoint one name"):
        ElectraForPreTraining.from_pretrained(discriminator, key_mapping={r"\d+": "0"})


@pytest.mark.parametrize("name", ["quantization_config", "max_memory", "gguf_file"])
def test_arguments_with_another_way(name: str, discriminator: Path) -> None:
    with pytest.raises(ValueError, match=f"has no argument '{name}': "):
        ElectraForPreTraining.from_pretrained(discriminator, **{name: {"a": 1}})
