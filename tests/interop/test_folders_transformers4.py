"""Folders of ours in transformers 4.57 and 5.23, and folders of 4.57 here: nothing missing, the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from tests.interop.toy import CAT, FIELDS, lively, save, tokenizer
from tests.parity.twins import assert_close

pytestmark = pytest.mark.interop

HEADS: dict[str, dict[str, Any]] = {
    "ElectraModel": {},
    "ElectraForPreTraining": {},
    "ElectraForMaskedLM": {},
    "ElectraForCausalLM": {"is_decoder": True},
    "ElectraForSequenceClassification": {"num_labels": 3, "problem_type": "multi_label_classification"},
    "ElectraForTokenClassification": {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}},
    "ElectraForQuestionAnswering": {},
    "ElectraForMultipleChoice": {"summary_type": "mean"},
}
OURS = [(name, form) for name in HEADS for form in ("float32", "bfloat16", "float16", "shards")]
THEIRS = [(name, form) for name in HEADS for form in ("bin", "safetensors", "shards", "bfloat16")]
TEXT = ["the cat sat on a mat", "cat"]

# loads ours and says what it found; saves its own and says what those answer
PROGRAM = """
import sys, torch, transformers
from pathlib import Path
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

def answers(model, name):
    ids = torch.tensor(given["ids"])
    choices = name == "ElectraForMultipleChoice"
    ids, mask = (t[None] if choices else t for t in (ids, torch.tensor(given["mask"])))
    with torch.no_grad():
        return model.float().eval()(input_ids=ids, attention_mask=mask)[0].tolist()

said = {"version": transformers.__version__, "ours": {}, "theirs": {}}
for name, form in given["ours"]:
    folder = Path(given["folder"]) / "ours" / f"{name}-{form}"
    kind = getattr(transformers, name)
    model, info = kind.from_pretrained(folder, output_loading_info=True, torch_dtype="auto")
    auto = transformers.AutoModel.from_pretrained(folder)
    said["ours"][f"{name}-{form}"] = {
        "info": {key: sorted(map(str, values)) for key, values in info.items()},
        "dtype": str(model.dtype),
        "labels": model.config.id2label,
        "problem_type": model.config.problem_type,
        "auto": type(auto).__name__,
        "ids": transformers.AutoTokenizer.from_pretrained(folder)("the cat")["input_ids"],
        "answers": answers(model, name),
    }
for name, form in given["theirs"]:
    torch.manual_seed(7)
    config = transformers.ElectraConfig(**{**given["fields"], **given["heads"][name]})
    model = getattr(transformers, name)(config).to(torch.bfloat16 if form == "bfloat16" else torch.float32)
    folder = Path(given["folder"]) / "theirs" / f"{name}-{form}"
    size = "20KB" if form == "shards" else "5GB"
    model.save_pretrained(folder, safe_serialization=form != "bin", max_shard_size=size)
    said["theirs"][f"{name}-{form}"] = answers(model, name)
print(json.dumps(said))
"""


def batch() -> Any:
    return tokenizer()(TEXT, padding=True, return_tensors="pt")


def answers(model: Any) -> torch.Tensor:
    inputs = {name: value for name, value in batch().items() if name != "token_type_ids"}
    if "MultipleChoice" in type(model).__name__:
        inputs = {name: value[None] for name, value in inputs.items()}
    with torch.no_grad():
        return model.float().eval()(**inputs)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ours for every head and form."""
    root = tmp_path_factory.mktemp("folders")
    for name, form in OURS:
        model = lively(name, **HEADS[name])
        at = root / "ours" / f"{name}-{form}"
        if form == "shards":
            model.save_pretrained(at, max_shard_size="20KB")
            tokenizer().save_pretrained(at)
            assert len(list(at.glob("model-*.safetensors"))) > 1
        else:
            save(model.to(getattr(torch, form)), at)
    return root


@pytest.fixture(scope="module")
def said(folder: Path, transformers4: Callable[[str, Any], Any]) -> Any:
    asked = {
        "folder": str(folder),
        "ids": batch()["input_ids"].tolist(),
        "mask": batch()["attention_mask"].tolist(),
        "ours": OURS,
        "theirs": THEIRS,
        "fields": FIELDS,
        "heads": HEADS,
    }
    said = transformers4(PROGRAM, asked)
    assert said["version"].startswith("4.57")
    return said


@pytest.mark.parametrize(("name", "form"), OURS)
def test_ours_in_transformers_4(name: str, form: str, said: Any) -> None:
    there = said["ours"][f"{name}-{form}"]
    model = lively(name, **HEADS[name])
    rounded = model.to(getattr(torch, form)) if form != "shards" else model
    assert there["info"] == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
    assert there["dtype"] == str(rounded.dtype)
    assert there["labels"] == {str(number): label for number, label in model.config.id2label.items()}
    assert there["problem_type"] == model.config.problem_type
    assert there["auto"] == "ElectraModel"
    assert there["ids"] == [2, 5, CAT, 3]
    expected = answers(rounded)
    assert expected.std() > 0.01
    assert_close(torch.tensor(there["answers"]), expected, 1e-5)


@pytest.mark.parametrize(("name", "form"), OURS)
def test_ours_in_transformers_5(name: str, form: str, folder: Path) -> None:
    at = folder / "ours" / f"{name}-{form}"
    model, info = getattr(transformers, name).from_pretrained(at, output_loading_info=True)
    assert not any(info.values())
    ours = getattr(electra, name).from_pretrained(at)
    assert model.dtype == ours.dtype
    assert_close(answers(model), answers(ours), 1e-5)


@pytest.mark.parametrize(("name", "form"), THEIRS)
def test_those_of_transformers_4_here(name: str, form: str, folder: Path, said: Any) -> None:
    at = folder / "theirs" / f"{name}-{form}"
    assert bool(list(at.glob("*.bin"))) == (form == "bin")
    assert (len(list(at.glob("*.safetensors"))) > 1) == (form == "shards")
    model, info = getattr(electra, name).from_pretrained(at, output_loading_info=True)
    assert not any(info.values())
    assert model.dtype == (torch.bfloat16 if form == "bfloat16" else torch.float32)
    expected = torch.tensor(said["theirs"][f"{name}-{form}"])
    assert expected.std() > 0.001
    assert_close(answers(model), expected, 1e-5)
