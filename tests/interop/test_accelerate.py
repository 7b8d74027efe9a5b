"""Accelerate prepares, saves and restores our models, and rebuilds their outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import convert_outputs_to_fp32
from torch.utils.data import DataLoader

import electra
from tests.interop.toy import build, examples, lively, tokenizer
from tests.parity.twins import padded_ids

pytestmark = pytest.mark.interop

NAMES = ["ElectraForTokenClassification", "ElectraForMaskedLM"]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Accelerate's state is the process's: none of another test, and none for the next."""
    for state in (AcceleratorState, GradientState):
        state._reset_state()
    yield
    for state in (AcceleratorState, GradientState):
        state._reset_state()


def prepared(name: str, folder: Path, seed: int = 0, **options: Any) -> tuple[Accelerator, Any, Any, Any]:
    accelerator = Accelerator(cpu=True, project_dir=str(folder), **options)
    model = build(name, seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    collate = transformers.DataCollatorForTokenClassification(tokenizer())
    batches = DataLoader(examples("tokens", 16), batch_size=8, collate_fn=collate)
    return accelerator, *accelerator.prepare(model, optimizer, batches)


def step(accelerator: Accelerator, model: Any, optimizer: Any, batches: Any) -> list[float]:
    losses = []
    for batch in batches:
        with accelerator.accumulate(model):
            output = model(**batch)
            accelerator.backward(output.loss)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(output.loss.item())
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on(name: str, tmp_path: Path) -> None:
    run = prepared(name, tmp_path)
    step(*run)
    run[0].save_state(str(tmp_path / "state"))
    expected = step(*run)
    again = prepared(name, tmp_path, seed=1)
    again[0].load_state(str(tmp_path / "state"))
    assert step(*again) == expected
    assert all(map(torch.equal, run[1].state_dict().values(), again[1].state_dict().values()))
    if name == "ElectraForMaskedLM":
        assert again[1].generator_lm_head.weight is again[1].get_input_embeddings().weight


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_saved_as_a_folder(name: str, tmp_path: Path) -> None:
    accelerator, model, *_ = run = prepared(name, tmp_path)
    step(*run)
    for main in (False, True):
        accelerator.unwrap_model(model).save_pretrained(
            tmp_path / str(main),
            is_main_process=main,
            save_function=accelerator.save,
            state_dict=accelerator.get_state_dict(model),
        )
    assert not (tmp_path / "False").exists()
    for library in (electra, transformers):
        loaded = getattr(library, name).from_pretrained(tmp_path / "True")
        assert all(torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_half_precision_and_gathered_outputs(tmp_path: Path) -> None:
    expected = step(*prepared("ElectraForTokenClassification", tmp_path))
    AcceleratorState._reset_state()
    half = prepared("ElectraForTokenClassification", tmp_path, mixed_precision="bf16")
    assert step(*half) == pytest.approx(expected, rel=0.02)
    accelerator, model, _, batches = half
    for batch in batches:
        output = model(**batch)
        gathered = accelerator.gather_for_metrics(output)
        assert type(gathered) is type(output)
        assert torch.equal(gathered.logits, output.logits)
        assert gathered.logits.dtype == torch.float32


def test_an_output_is_rebuilt_from_a_dictionary() -> None:
    output = lively("ElectraForPreTraining").bfloat16()(**padded_ids(vocabulary=60), output_hidden_states=True)
    wide = convert_outputs_to_fp32(lambda: output)()
    assert type(wide) is type(output)
    assert list(wide) == ["logits", "hidden_states"]
    assert torch.equal(wide.logits, output.logits.float())
    assert wide.hidden_states[0].dtype == torch.float32
    with pytest.raises(TypeError, match="scores"):
        type(output)({"scores": output.logits})
