"""Files of weights that cost more than they seem, cannot be read, or contradict their index."""

from __future__ import annotations

import json
import logging
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from electra import ElectraForPreTraining, ElectraForSequenceClassification, ElectraModel
from electra.commands.inspect import describe
from electra.hub import weight_files
from electra.hub.weights import read_headers, read_weights
from tests.hub.saved import network


def repacked(folder: Path, compression: int) -> Path:
    """pytorch_model.bin with its entries packed again."""
    torch.save({"a": torch.zeros(100_000)}, folder / "plain.bin")
    file = folder / "pytorch_model.bin"
    with zipfile.ZipFile(folder / "plain.bin") as old, zipfile.ZipFile(file, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return file


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(compression: int, tmp_path: Path) -> None:
    repacked(tmp_path, compression)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin has compressed entries .* torch\.save never writes"):
        read_weights(tmp_path)


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    file = repacked(tmp_path, zipfile.ZIP_STORED)
    assert list(read_weights(tmp_path).tensors) == ["a"]
    with zipfile.ZipFile(file, "a") as archive:  # the large entry several times in the directory, once in the file
        archive.filelist += [max(archive.filelist, key=lambda entry: entry.file_size)] * 3
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"pytorch_model\.bin has entries that overlap"):
        read_weights(tmp_path)


def test_a_header_of_a_million_tensors_is_refused(tmp_path: Path) -> None:
    length = weight_files.MOST_HEADER_BYTES + 8
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(length + 8)
    for read in (read_weights, read_headers):
        with pytest.raises(ValueError, match=r"model\.safetensors has a header of 16,777,224 bytes"):
            read(tmp_path)


def test_a_header_longer_than_the_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    for read in (read_weights, read_headers):
        with pytest.raises(ValueError, match=r"model\.safetensors .* is damaged"):
            read(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_may_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / name
    file.write_bytes(b"x")
    opening = open

    def refused(path: Any, *given: Any, **options: Any) -> Any:
        if Path(path) == file:
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *given, **options)

    monkeypatch.setattr("builtins.open", refused)  # root may read every file
    with pytest.raises(PermissionError, match=f"Permission denied: '.*{name}'"):
        read_weights(tmp_path)


MEMORY = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.mark.parametrize("error", [RuntimeError(MEMORY), MemoryError()])
def test_too_little_memory_is_not_damage(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any, **options: Any) -> Any:
        raise error

    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", refused)
    with pytest.raises(OSError, match=r"Cannot allocate memory for its .* bytes: .*pytorch_model\.bin") as told:
        read_weights(tmp_path)
    assert "damaged" not in str(told.value)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(weight_files, "safe_open", refused)
    with pytest.raises(OSError, match=r"Cannot allocate memory for its .* bytes: .*model\.safetensors"):
        read_weights(tmp_path)


def test_objects_of_a_module_that_is_not_here(tmp_path: Path) -> None:
    module = types.ModuleType("somebodys_code")
    module.Thing = type("Thing", (), {"__module__": "somebodys_code"})  # type: ignore[attr-defined]
    sys.modules["somebodys_code"] = module
    try:
        torch.save({"a": module.Thing()}, tmp_path / "pytorch_model.bin", pickle_module=pickle)
    finally:
        del sys.modules["somebodys_code"]
    with pytest.raises(ValueError, match=r"holds objects of the module 'somebodys_code', which is not here"):
        read_weights(tmp_path, weights_only=False)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    network(ElectraForPreTraining).save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    return tmp_path


def change_index(folder: Path, change: Any) -> None:
    file = folder / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    change(index["weight_map"])
    file.write_text(json.dumps(index))


def test_a_tensor_that_the_index_gives_to_another_shard(shards: Path) -> None:
    index = json.loads((shards / "model.safetensors.index.json").read_text())["weight_map"]
    name, file = next(iter(index.items()))
    other = next(other for other in index.values() if other != file)
    state = weight_files.read_safetensors(shards / other)
    save_file({**state, name: torch.ones(3)}, shards / other)
    for read in (read_weights, read_headers, ElectraForPreTraining.from_pretrained, lambda path: describe(str(path))):
        with pytest.raises(ValueError, match=rf"{other} holds {name}, which model.* says is in {file}"):
            read(shards)


def test_a_tensor_that_two_shards_hold_and_the_index_does_not_name(shards: Path) -> None:
    for file in sorted(shards.glob("*.safetensors"))[:2]:
        save_file({**weight_files.read_safetensors(file), "extra": torch.ones(1)}, file)
    with pytest.raises(ValueError, match=r"both hold extra"):
        read_weights(shards)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (None, "weight_map is None: it must give a file for each tensor"),
        ([], r"weight_map is \[\]"),
        ({}, r"weight_map is \{\}"),
        ({"a": None}, "weight_map has None: each tensor must have the name of a file"),
        ({"a": ["b"]}, r"weight_map has \['b'\]"),
        ({"a": ""}, "weight_map has ''"),
        ({"a": "b\0c"}, "points outside its folder"),
        ({"a": "../b"}, "points outside its folder"),
        ({"a": "..\\b"}, "points outside its folder"),
        ({"a": "/b"}, "points outside its folder"),
    ],
)
def test_what_an_index_may_not_say(weight_map: Any, message: str, shards: Path) -> None:
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    for read in (ElectraModel.from_pretrained, lambda path: describe(str(path))):
        with pytest.raises(ValueError, match=rf"model\.safetensors\.index\.json.*{message}"):
            read(shards)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map": ' + "9" * 5000 + "}", "nonsense", "[]"])
def test_an_index_that_is_no_object(text: str, shards: Path) -> None:
    (shards / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json"):
        ElectraModel.from_pretrained(shards)


def test_many_more_layers_than_the_weights_are_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network(ElectraForSequenceClassification).save_pretrained(tmp_path)
    monkeypatch.setattr(ElectraForSequenceClassification, "_on_meta", None)
    with pytest.raises(ValueError, match="has 2 layers and the configuration says num_hidden_layers is 4000"):
        ElectraForSequenceClassification.from_pretrained(tmp_path, num_hidden_layers=4000)


@pytest.mark.parametrize(
    "idle",
    [
        {"quantization_config": None},
        {"proxies": {}},
        {"proxies": None},
        {"load_in_8bit": False},
        {"load_in_4bit": False},
        {"use_auth_token": None},
        {"max_memory": None, "offload_folder": None, "tp_plan": None},
        {"from_tf": False, "from_flax": False},
        {"gguf_file": None, "adapter_kwargs": {}},
        {"resume_download": True},
        {"trust_remote_code": True, "low_cpu_mem_usage": True},
    ],
)
def test_arguments_that_ask_for_nothing(idle: dict[str, Any], tmp_path: Path, caplog: Any) -> None:
    network(ElectraForPreTraining).save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, "electra"):
        ElectraForPreTraining.from_pretrained(tmp_path, **idle)
    assert not caplog.records


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"load_in_4bit": True}, "quantise the loaded network"),
        ({"load_in_8bit": True}, "quantise the loaded network"),
        ({"quantization_config": {"bits": 4}}, "quantise the loaded network"),
        ({"use_auth_token": "hf_x"}, "its name is token"),
        ({"proxies": {"https": "http://x"}}, "HTTPS_PROXY"),
        ({"from_tf": True}, "only PyTorch weights"),
        ({"device_mapp": "cpu"}, "Did you mean device_map"),
    ],
)
def test_names_that_are_near_but_wrong(argument: dict[str, Any], message: str, tmp_path: Path) -> None:
    network(ElectraForPreTraining).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        ElectraForPreTraining.from_pretrained(tmp_path, **argument)
