"""Configurations: transformers' fields, files of all ages, the paper's sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from electra import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ReplacedTokenDetection

# recipe of the paper: (discriminator with head, generator with embeddings, trained together), in thousands
COUNTS = {"small": (13_549, 4_620, 14_196), "base": (109_483, 33_741, 119_386), "large": (335_143, 51_295, 354_655)}


def test_fields_and_defaults_are_those_of_transformers() -> None:
    ours, theirs = ElectraConfig(), transformers.ElectraConfig()
    for name, value in theirs.to_dict().items():
        if name not in ("transformers_version", "_name_or_path", "model_type"):
            assert getattr(ours, name) == value, name
    assert ours.model_type == theirs.model_type
    assert ours.num_labels == theirs.num_labels == 2


def test_files_go_both_ways(tmp_path: Path) -> None:
    ours = ElectraConfig(hidden_size=64, num_labels=3, my_note="kept", problem_type="regression", dtype="bfloat16")
    ours.save_pretrained(tmp_path)
    theirs = transformers.ElectraConfig.from_pretrained(tmp_path)
    assert (theirs.hidden_size, theirs.num_labels, theirs.my_note) == (64, 3, "kept")
    assert theirs.dtype == torch.bfloat16
    theirs.save_pretrained(tmp_path / "theirs")
    again = ElectraConfig.from_pretrained(tmp_path / "theirs")
    for name in ("hidden_size", "id2label", "label2id", "my_note", "problem_type", "dtype"):
        assert getattr(again, name) == getattr(ours, name), name
    assert ElectraConfig.from_pretrained(tmp_path / "theirs/config.json", hidden_act="relu").hidden_act == "relu"


def test_labels_are_overridden_as_one(tmp_path: Path) -> None:
    ElectraConfig(id2label={0: "a", 1: "b"}).save_pretrained(tmp_path)
    assert ElectraConfig.from_pretrained(tmp_path, id2label={0: "x", 1: "y", 2: "z"}).label2id == {
        "x": 0,
        "y": 1,
        "z": 2,
    }
    assert ElectraConfig.from_pretrained(tmp_path, num_labels=2).label2id == {"LABEL_0": 0, "LABEL_1": 1}
    config = ElectraConfig.from_pretrained(tmp_path)
    config.update({"label2id": {"no": 0, "yes": 1}})
    assert config.id2label == {0: "no", 1: "yes"}


def test_old_spellings_are_read() -> None:
    config = ElectraConfig.from_dict(
        {
            "model_type": "electra",
            "torch_dtype": "float16",
            "generator_hidden_size": 0.33333,
            "generator_size": "0.25",
            "position_embedding_type": "absolute",
            "_name_or_path": "somewhere",
            "id2label": {"0": "no", "1": "yes", "2": "maybe"},
            "summary_activation": None,
            "hidden_size": 768,
        }
    )
    assert config.dtype == torch.float16
    assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    assert config.generator().hidden_size == 256
    assert json.loads(config.to_json_string())["position_embedding_type"] == "absolute"


@pytest.mark.parametrize("size", COUNTS)
def test_the_sizes_have_the_paper_s_parameter_counts(size: str) -> None:
    with torch.device("meta"):
        config = ElectraConfig.preset(size)
        discriminator, generator = ElectraForPreTraining(config), ElectraForMaskedLM(config.generator())
        counts = [discriminator.num_parameters(), generator.num_parameters()]
        together = ReplacedTokenDetection(generator, discriminator)
    counts.append(sum(p.numel() for p in together.parameters()))
    assert [round(count / 1000) for count in counts] == list(COUNTS[size])


def test_a_generator_keeps_depth_and_embeddings() -> None:
    generator = ElectraConfig.preset("base", vocab_size=1000, architectures=["ElectraForPreTraining"]).generator()
    assert (generator.hidden_size, generator.num_attention_heads, generator.intermediate_size) == (256, 4, 1024)
    assert (generator.embedding_size, generator.num_hidden_layers, generator.vocab_size) == (768, 12, 1000)
    assert generator.architectures is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads is 5, which does not divide hidden_size 256"),
        ({"hidden_size": "32"}, "hidden_size is '32'"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"hidden_act": "gelo"}, "hidden_act is 'gelo'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob is 1.5"),
        ({"summary_type": "attn"}, "summary_type is 'attn'"),
        ({"problem_type": "foo"}, "problem_type is 'foo'"),
        ({"pad_token_id": 30522}, "pad_token_id is 30522"),
        ({"add_cross_attention": True}, "needs is_decoder=True"),
        ({"num_labels": 3, "id2label": {0: "a"}}, "num_labels is 3 and id2label names 1"),
        ({"num_labels": 0}, "num_labels is 0"),
        ({"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0}}, "not the inverse"),
        ({"num_labels": 1, "problem_type": "single_label_classification"}, "at least 2"),
        ({"dtype": "float31"}, "dtype is 'float31'"),
        ({"attn_implementation": "flash"}, "attn_implementation is 'flash'"),
    ],
)
def test_what_no_network_can_be_built_from_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ElectraConfig(**wrong)


def test_unknown_sizes_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size is .smal.: choose one of tiny, small, .* Did you mean small\?"):
        ElectraConfig.preset("smal")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match=r"config\.json: .*'bert'"):
        ElectraConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        ElectraConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json holds a JSON list, and it must be an object"):
        ElectraConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(OSError, match=r"no config\.json"):
        ElectraConfig.from_pretrained(tmp_path)


def test_what_is_written_and_iterated_is_what_transformers_writes() -> None:
    ours, theirs = (library.ElectraConfig(num_labels=3, hidden_size=64) for library in (electra, transformers))
    written = {k: v for k, v in json.loads(theirs.to_json_string()).items() if k != "transformers_version"}
    assert json.loads(ours.to_json_string()) == written
    assert len(json.loads(ours.to_json_string(use_diff=False))) > len(written)
    assert {"hidden_size", "vocab_size", "id2label"} <= set(ours)
    assert ours.get_text_config() is ours


def test_attributes_set_later_are_saved(tmp_path: Path) -> None:
    config = ElectraConfig()
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    config.save_pretrained(tmp_path)
    assert transformers.ElectraConfig.from_pretrained(tmp_path).sentence_transformers == config.sentence_transformers
    assert json.loads((tmp_path / "config.json").read_text())["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}


def test_unused_arguments_are_returned_where_asked_for(tmp_path: Path) -> None:
    ElectraConfig().save_pretrained(tmp_path)
    given = {"hidden_size": 64, "num_labels": 3, "colour": "red"}
    for library in (electra, transformers):
        config, unused = library.ElectraConfig.from_pretrained(tmp_path, return_unused_kwargs=True, **given)
        assert (config.hidden_size, config.num_labels, unused) == (64, 3, {"colour": "red"})
        assert not hasattr(config, "colour")


@pytest.mark.parametrize("name", ["flash_attention_2", "flex_attention", "sdpa", "eager"])
def test_attention_by_the_names_of_transformers(name: str) -> None:
    assert ElectraConfig(attn_implementation=name)._attn_implementation == name


def test_overrides_under_an_old_name_win_as_well(tmp_path: Path) -> None:
    for library in (electra, transformers):
        library.ElectraConfig(dtype="float32").save_pretrained(tmp_path)
        read = library.ElectraConfig.from_pretrained(tmp_path, torch_dtype="float16")
        assert str(read.dtype).removeprefix("torch.") == "float16"
        config = library.ElectraConfig(dtype="float32")
        config.update({"torch_dtype": torch.float16})
        assert config.dtype is torch.float16
        config.torch_dtype = torch.bfloat16
        assert config.dtype is torch.bfloat16


def test_the_way_of_attention_is_kept_and_changed_like_a_field() -> None:
    config = ElectraConfig(attn_implementation="eager")
    config.update({"num_labels": 3})
    assert config._attn_implementation == "eager"
    assert config.generator()._attn_implementation == "eager"
    config.update({"attn_implementation": "sdpa"})
    assert (config._attn_implementation, config.num_labels) == ("sdpa", 3)


def test_fields_from_text() -> None:
    for library in (electra, transformers):
        config = library.ElectraConfig()
        config.update_from_string("hidden_size=128,hidden_dropout_prob=0.2,use_cache=false,hidden_act=relu")
        assert (config.hidden_size, config.hidden_dropout_prob, config.use_cache) == (128, 0.2, False)
        assert config.hidden_act == "relu"
        assert config.torch_dtype is config.dtype
    config = ElectraConfig()
    config.hidden_size = "128"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="hidden_size is '128'"):
        config.validate()
    for wrong, message in (("colour=red", "'colour=' is no"), ("hidden_size", "is no"), ("hidden_size=x", "a number")):
        with pytest.raises(ValueError, match=message):
            ElectraConfig().update_from_string(wrong)
