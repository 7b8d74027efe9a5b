"""Model folders with something wrong in them: each is read, or refused in a sentence, by every class and by inspect."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from electra import ElectraConfig, ElectraForCausalLM, ElectraForMaskedLM, ElectraForSequenceClassification
from electra.commands.inspect import describe
from electra.models import ElectraForJointQuestionAnswering
from tests.hub.saved import network

VALUES: tuple[Any, ...] = (
    *(None, [], {}, [1], [None], [[[]]], {"a": None}, {"0": "a"}, {"0": "a", "1": "b", "2": "c"}),
    *("x", "\ud800", "gelu", "electra", "float16", "9" * 50),
    *(True, False, -1, 0, 1, 2, 3, 1.5, 4096, 2**31, 2**40, 10**30, 1e308),
)
FURTHER = ("num_labels", "summary_first_dropout", "torch_dtype", "beam_size", "joint_hidden_size", "generator_size")
READERS: tuple[Callable[[Path], object], ...] = (
    ElectraForSequenceClassification.from_pretrained,
    ElectraForCausalLM.from_pretrained,
    ElectraForJointQuestionAnswering.from_pretrained,
    ElectraConfig.from_pretrained,
    lambda folder: describe(str(folder)),
)


def change_config(folder: Path, pick: random.Random) -> None:
    file = folder / "config.json"
    values = json.loads(file.read_text())
    for _ in range(pick.randint(1, 3)):
        values[pick.choice([*values, *FURTHER])] = pick.choice(VALUES)
    file.write_text(json.dumps(values))


def change_index(folder: Path, pick: random.Random) -> None:
    file = folder / "model.safetensors.index.json"
    if file.exists():
        index = json.loads(file.read_text())
        weight_map = index["weight_map"]
        weight_map[pick.choice(list(weight_map))] = pick.choice([*VALUES, *weight_map.values()])
        file.write_text(json.dumps(index))


def change_tensors(folder: Path, pick: random.Random) -> None:
    file = pick.choice(sorted(folder.glob("*.safetensors")))
    state = load_file(file)
    name = pick.choice(sorted(state))
    old = state.pop(name)
    if pick.random() < 0.7:
        state[name] = pick.choice([torch.ones(1), torch.zeros(0), old.half(), old.long(), old.bool(), old[None]])
    save_file(state, file)


def change_bytes(folder: Path, pick: random.Random) -> None:
    file = pick.choice(sorted(folder.iterdir()))
    content = bytearray(file.read_bytes())
    for _ in range(pick.randint(1, 5)):
        content[pick.randrange(len(content))] = pick.randrange(256)
    file.write_bytes(bytes(content[: pick.randrange(len(content))] if pick.random() < 0.3 else content))


@pytest.mark.parametrize("change", [change_config, change_index, change_tensors, change_bytes])
def test_whatever_is_wrong_is_a_sentence(change: Callable[[Path, random.Random], None], tmp_path: Path) -> None:
    network(ElectraForSequenceClassification).save_pretrained(tmp_path / "whole")
    network(ElectraForMaskedLM).save_pretrained(tmp_path / "shards", max_shard_size="5KB")
    pick, folder = random.Random(0), tmp_path / "changed"
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / pick.choice(["whole", "shards"]), folder)
        change(folder, pick)
        for read in READERS:
            try:
                read(folder)
            except (ValueError, OSError) as error:
                message = str(error)
            except RuntimeError as error:  # as transformers raises it
                message = str(error)
                assert "another shape than the configuration says" in message
            else:
                continue
            assert message
            assert len(message) < 5000
