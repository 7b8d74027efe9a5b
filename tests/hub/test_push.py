"""Pushing to the Hub: what is asked of `huggingface_hub`, whose own code is not run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects

import electra
from tests.parity.twins import SIZES


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Hub was asked for, and the files that it got."""
    seen: dict[str, Any] = {"card there": False}

    class Hub:
        def __init__(self, token: Any = None) -> None:
            seen["token"] = token

        def create_repo(self, repo_id: str, **options: Any) -> Any:
            seen["repository"] = options
            return SimpleNamespace(repo_id=f"me/{repo_id}")

        def file_exists(self, repo_id: str, filename: str) -> bool:
            assert (repo_id, filename) == ("me/mine", "README.md")
            return bool(seen["card there"])

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, allow_patterns: list[str] | None = None, **commit: Any
        ) -> str:
            wanted = filter_repo_objects([file.name for file in folder_path.iterdir()], allow_patterns=allow_patterns)
            seen["files"] = {name: (folder_path / name).read_bytes() for name in wanted}
            seen["commit"] = {"repo_id": repo_id, **commit}
            return "https://the.commit"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return seen


def test_a_model(asked: dict[str, Any]) -> None:
    model = electra.ElectraForMaskedLM(electra.ElectraConfig(**SIZES))
    model.add_model_tags("legal")
    model.add_model_tags(["legal", "long"])
    said = model.push_to_hub("mine", private=True, token="secret", revision="dev", create_pr=True, tags=["korean"])
    assert said == "https://the.commit"
    assert asked["token"] == "secret"
    assert asked["repository"] == {"private": True, "exist_ok": True}
    assert set(asked["files"]) >= {"config.json", "model.safetensors", "README.md"}
    assert b"- electra\n- legal\n- long\n- korean" in asked["files"]["README.md"]
    assert asked["commit"] == {
        "repo_id": "me/mine",
        "revision": "dev",
        "create_pr": True,
        "commit_message": "Upload ElectraForMaskedLM",
        "commit_description": None,
    }


def test_a_card_that_is_there_stays(asked: dict[str, Any]) -> None:
    asked["card there"] = True
    electra.ElectraModel(electra.ElectraConfig(**SIZES)).push_to_hub(
        "mine", commit_message="Better", max_shard_size="9KB"
    )
    assert "README.md" not in asked["files"]
    assert "model.safetensors.index.json" in asked["files"]
    assert asked["commit"]["commit_message"] == "Better"


def test_a_configuration(asked: dict[str, Any]) -> None:
    electra.ElectraConfig(**SIZES).push_to_hub("mine")
    assert set(asked["files"]) == {"config.json", "README.md"}


def test_a_tokenizer(asked: dict[str, Any], tmp_path: Path) -> None:
    electra.ElectraTokenizer().push_to_hub("mine")
    assert set(asked["files"]) >= {"tokenizer.json", "vocab.txt", "README.md"}
    assert asked["commit"]["commit_message"] == "Upload ElectraTokenizer"
    electra.ElectraTokenizer().save_pretrained(tmp_path / "mine", push_to_hub=True, token="secret")
    assert asked["token"] == "secret"
    assert (tmp_path / "mine" / "vocab.txt").exists()


def test_while_saving(asked: dict[str, Any], tmp_path: Path) -> None:
    model = electra.ElectraModel(electra.ElectraConfig(**SIZES))
    model.save_pretrained(tmp_path / "mine")
    assert "commit" not in asked
    model.add_model_tags("legal")
    (tmp_path / "mine" / "customers.csv").write_text("not for everybody")
    model.save_pretrained(tmp_path / "mine", push_to_hub=True, token=False)
    assert asked["commit"]["repo_id"] == "me/mine"
    assert set(asked["files"]) == {"config.json", "model.safetensors", "README.md"}
    assert b"- legal" in asked["files"]["README.md"]
    assert (tmp_path / "mine" / "config.json").exists()
    model.save_pretrained(tmp_path / "elsewhere", push_to_hub=True, repo_id="mine")
    assert asked["commit"]["repo_id"] == "me/mine"


def test_an_unknown_argument(asked: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="shard_size"):
        electra.ElectraModel(electra.ElectraConfig(**SIZES)).push_to_hub("mine", shard_size=3)
    assert "commit" not in asked
