"""Tensors to files and back; a file that is damaged, missing or of another kind is named, and the tensor too."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from electra.hub.weights import read_weights, write_weights


def state() -> dict[str, Tensor]:
    """Two layers of 4 KB each, a bias, and an integer."""
    return {
        "one.weight": torch.randn(32, 32),
        "two.weight": torch.randn(32, 32),
        "two.bias": torch.randn(32, dtype=torch.bfloat16),
        "count": torch.tensor(7),
    }


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_weights(tmp_path, state(), max_shard_size=5000)
    return tmp_path


@pytest.mark.parametrize(("size", "files"), [("5GB", 1), (5000, 2)])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_there_and_back(size: int | str, files: int, variant: str | None, tmp_path: Path) -> None:
    written = state()
    write_weights(tmp_path, written, max_shard_size=size, variant=variant)
    found = read_weights(tmp_path, variant=variant)
    assert_equal(dict(found.tensors), written)
    assert len(set(found.files.values())) == files == len(list(tmp_path.glob("*.safetensors")))
    if variant:
        with pytest.raises(FileNotFoundError, match=r"none of model\.safetensors"):
            read_weights(tmp_path)


def test_a_file_changed_afterwards_changes_nothing(tmp_path: Path) -> None:
    written = state()
    write_weights(tmp_path, written)
    found = read_weights(tmp_path)
    with open(tmp_path / "model.safetensors", "r+b") as file:
        file.write(bytes(9000))
    assert_equal(dict(found.tensors), written)


def test_shared_and_scattered_tensors_are_written_in_full(tmp_path: Path) -> None:
    table = torch.randn(6, 4)
    written = {"a": table, "same": table, "view": table[1:3], "scattered": table.T}
    write_weights(tmp_path, written)
    assert_equal(dict(read_weights(tmp_path).tensors), written)


def test_a_tensor_without_values(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.weight is on the meta device"):
        write_weights(tmp_path, {"one.weight": torch.empty(2, device="meta")})


@pytest.mark.parametrize("sharded", [False, True])
def test_old_pickles(sharded: bool, tmp_path: Path) -> None:
    written = state()
    if sharded:
        names = list(written)
        parts = {"pytorch_model-00001-of-00002.bin": names[:2], "pytorch_model-00002-of-00002.bin": names[2:]}
        for file, tensors in parts.items():
            torch.save({name: written[name] for name in tensors}, tmp_path / file)
        weight_map = {name: file for file, tensors in parts.items() for name in tensors}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    else:
        torch.save(written, tmp_path / "pytorch_model.bin")
    assert_equal(dict(read_weights(tmp_path).tensors), written)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors, model\.safetensors\.index\.json\."):
        read_weights(tmp_path, use_safetensors=True)


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    write_weights(tmp_path, {"a": torch.ones(1)})
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert read_weights(tmp_path).tensors["a"] == 1
    assert read_weights(tmp_path, use_safetensors=False).tensors["a"] == 0


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_of_wrapped_models(wrapper: str, tmp_path: Path) -> None:
    write_weights(tmp_path, {f"{wrapper}a.weight": torch.ones(1), f"{wrapper}b.weight": torch.ones(1)})
    assert set(read_weights(tmp_path).tensors) == {"a.weight", "b.weight"}


def test_a_prefix_that_not_all_names_have_is_kept(tmp_path: Path) -> None:
    write_weights(tmp_path, {"module.a": torch.ones(1), "b": torch.ones(1)})
    assert set(read_weights(tmp_path).tensors) == {"module.a", "b"}


def test_names_of_the_first_checkpoints(tmp_path: Path) -> None:
    torch.save({"x.LayerNorm.gamma": torch.ones(1), "x.LayerNorm.beta": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    found = read_weights(tmp_path)
    assert_equal(dict(found.tensors), {"x.LayerNorm.weight": torch.ones(1), "x.LayerNorm.bias": torch.zeros(1)})
    assert set(found.files) == {"x.LayerNorm.weight", "x.LayerNorm.bias"}


# -- damage --------------------------------------------------------------------------------------------------------


def test_a_truncated_file_names_the_first_tensor_cut_off(tmp_path: Path) -> None:
    write_weights(tmp_path, {"a": torch.ones(100), "b": torch.ones(100), "c": torch.ones(100)})
    file = tmp_path / "model.safetensors"
    whole = file.stat().st_size
    os.truncate(file, whole - 404)
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))}.*damaged.*have {whole:,} bytes; 'b' is the first"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"not JSON at all!"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_no_weights_file(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(name)} \({len(content)} bytes\) is damaged"):
        read_weights(tmp_path)


def test_a_truncated_pickle(tmp_path: Path) -> None:
    file = tmp_path / "pytorch_model.bin"
    torch.save(state(), file)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin .* is damaged"):
        read_weights(tmp_path)


class Other:
    """Something that only code can bring back."""


def test_a_pickle_with_code_in_it(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "b": Other()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin holds more than tensors .*Other.*weights_only=False"):
        read_weights(tmp_path)
    with pytest.raises(ValueError, match="not a state dict: 'b' are not tensors"):
        read_weights(tmp_path, weights_only=False)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds a list; expected tensors by name"):
        read_weights(tmp_path)


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 54\n"
    (tmp_path / "model.safetensors").write_text(text)
    with pytest.raises(ValueError, match="git lfs pull"):
        read_weights(tmp_path)


def test_a_missing_shard(shards: Path) -> None:
    (shards / "model-00002-of-00002.safetensors").unlink()
    message = (
        r"index\.json lists model-00002-of-00002\.safetensors, which is not beside it\. It holds \d tensors: .*two"
    )
    with pytest.raises(FileNotFoundError, match=message):
        read_weights(shards)


def test_a_shard_that_lacks_a_tensor(shards: Path) -> None:
    index = shards / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["three.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"model-00001-of-00002\.safetensors lacks three\.weight"):
        read_weights(shards)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index(content: str, shards: Path) -> None:
    (shards / "model.safetensors.index.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"index\.json.* (is not valid JSON|must be an object|weight_map (is|has) .* must (give|have))"
    ):
        read_weights(shards)


@pytest.mark.parametrize("file", ["../secret.safetensors", "/etc/secret.safetensors"])
def test_an_index_that_points_outside(file: str, shards: Path) -> None:
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(ValueError, match="points outside its folder"):
        read_weights(shards)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("tf_model.h5", "TensorFlow"),
        ("flax_model.msgpack", "Flax"),
        ("model.ckpt-1000.index", "TensorFlow checkpoint"),
        ("adapter_model.safetensors", "PEFT adapter"),
    ],
)
def test_weights_of_another_format(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=rf"has none of model\.safetensors.*It holds .*{what}"):
        read_weights(tmp_path)


# -- a full disk ---------------------------------------------------------------------------------------------------


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond `size` bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    with files_of_at_most(4096), pytest.raises(OSError, match=r"File too large.*model\.safetensors") as raised:
        write_weights(tmp_path, state())
    assert raised.value.errno == errno.EFBIG
