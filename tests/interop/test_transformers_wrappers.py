"""transformers' own classes around our folders: AutoModel, pipelines of both, EncoderDecoderModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from tests.interop.toy import build, lively, save, texts, theirs, tokenizer
from tests.parity.twins import assert_close

pytestmark = pytest.mark.interop

AUTO = {
    "AutoModel": "ElectraModel",
    "AutoModelForPreTraining": "ElectraForPreTraining",
    "AutoModelForMaskedLM": "ElectraForMaskedLM",
    "AutoModelForCausalLM": "ElectraForCausalLM",
    "AutoModelForSequenceClassification": "ElectraForSequenceClassification",
    "AutoModelForTokenClassification": "ElectraForTokenClassification",
    "AutoModelForQuestionAnswering": "ElectraForQuestionAnswering",
    "AutoModelForMultipleChoice": "ElectraForMultipleChoice",
}


def batch() -> Any:
    return tokenizer()(texts(4), padding=True, return_tensors="pt")


@pytest.mark.parametrize("auto", AUTO)
def test_the_auto_classes_find_the_same(auto: str, tmp_path: Path) -> None:
    fields = {"is_decoder": True} if auto == "AutoModelForCausalLM" else {}
    model = lively(AUTO[auto], **fields)
    folder = save(model, tmp_path)
    found = [getattr(library, auto).from_pretrained(folder) for library in (electra, transformers)]
    assert [type(one).__name__ for one in found] == [AUTO[auto]] * 2
    inputs = batch()
    if auto == "AutoModelForMultipleChoice":
        inputs = {name: value[None] for name, value in inputs.items()}
    with torch.no_grad():
        expected = model(**inputs)[0]
        for one in found:
            assert_close(one(**inputs)[0], expected, 1e-5)
    config = transformers.AutoConfig.from_pretrained(folder)
    assert (type(config).__name__, config.architectures) == ("ElectraConfig", [AUTO[auto]])
    words = transformers.AutoTokenizer.from_pretrained(folder)
    assert words(texts(3)).input_ids == tokenizer()(texts(3)).input_ids


def test_an_encoder_and_a_decoder_of_two_folders(tmp_path: Path) -> None:
    """EncoderDecoderModel builds cross-attention into the decoder; its folder gives both parts back to us."""
    encoder = save(lively("ElectraModel"), tmp_path / "encoder")
    decoder = save(
        lively("ElectraForCausalLM", seed=1, is_decoder=True, add_cross_attention=True, bos_token_id=2, eos_token_id=3),
        tmp_path / "decoder",
    )
    pair = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(str(encoder), str(decoder)).eval()
    inputs, outputs = batch(), tokenizer()(texts(4, seed=1), padding=True, return_tensors="pt")
    with torch.no_grad():
        memory = electra.ElectraModel.from_pretrained(encoder)(**inputs).last_hidden_state
        ours = electra.ElectraForCausalLM.from_pretrained(decoder)(
            outputs["input_ids"],
            outputs["attention_mask"],
            encoder_hidden_states=memory,
            encoder_attention_mask=inputs["attention_mask"],
        )
        expected = pair(
            **inputs, decoder_input_ids=outputs["input_ids"], decoder_attention_mask=outputs["attention_mask"]
        )
    assert expected.logits.std() > 0.1
    assert_close(ours.logits, expected.logits, 1e-5)


def test_modules_and_outputs_are_where_code_that_pokes_expects_them() -> None:
    """Freezing by name, hooks on a layer, the first classifier weight: the paths of transformers."""
    ours = build("ElectraForSequenceClassification")
    other = theirs(ours)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in other.named_parameters()]
    ours_modules, their_modules = ({name for name, _ in one.named_modules()} for one in (ours, other))
    assert not {name for name in their_modules - ours_modules if not name.endswith(("activation", "act_fn"))}
    seen = []
    for model in (ours, other):
        hook = model.electra.embeddings.word_embeddings.register_forward_hook(lambda _, __, out: seen.append(out.shape))
        model(**batch())
        hook.remove()
    assert seen[0] == seen[1]
