"""What the models refuse, and how their outputs behave."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from electra import Batch, ElectraConfig, Row
from electra.nn.heads import span_loss
from electra.nn.resize_embeddings import resize_embedding
from tests.parity.twins import SIZES, assert_close, padded_ids, redraw, twins

IDS = torch.ones(2, 5, dtype=torch.int64)


def model(name: str = "ElectraModel", **fields: Any) -> Any:
    return redraw(getattr(electra, name)(ElectraConfig(**{**SIZES, **fields}))).eval()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "either input_ids or inputs_embeds"),
        ({"input_ids": IDS, "inputs_embeds": torch.ones(2, 5, 24)}, "not both"),
        ({"input_ids": IDS[0]}, r"input_ids has the shape \[5\]"),
        ({"input_ids": IDS[:, :0]}, "at least one row and one token"),
        ({"input_ids": IDS.float()}, "must be int64"),
        ({"input_ids": [[1, 2]]}, "input_ids is a list"),
        ({"input_ids": IDS + 96}, "input_ids holds 97: allowed is 0 to 96"),
        ({"input_ids": IDS - 2}, "input_ids holds -1"),
        ({"input_ids": torch.ones(1, 41, dtype=torch.int64)}, "41 tokens long .* end at 40"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 4)}, r"attention_mask has the shape \[2, 4\]"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 3, 5, 5)}, r"attention_mask has the shape \[2, 3, 5, 5\]"),
        ({"input_ids": IDS, "token_type_ids": IDS + 1}, "token_type_ids holds 2"),
        ({"input_ids": IDS, "position_ids": torch.ones(2, 4, dtype=torch.int64)}, "position_ids has the shape"),
        ({"inputs_embeds": torch.ones(2, 5, 32)}, "32 wide: they must be embedding_size 24"),
        ({"input_ids": IDS, "encoder_hidden_states": torch.ones(2, 3, 32)}, None),
    ],
)
def test_wrong_inputs(inputs: dict[str, Any], message: str | None) -> None:
    if message is None:  # an encoder reads no other encoder: ignored, as in transformers
        assert torch.equal(model()(**inputs)[0], model()(IDS)[0])
        return
    with pytest.raises(ValueError, match=message):
        model()(**inputs)
    for name in ("ElectraModel", "ElectraForCausalLM"):
        with pytest.raises(TypeError, match="head_mask"):
            model(name)(IDS, head_mask=None)


@pytest.mark.parametrize(
    ("name", "fields", "labels", "message"),
    [
        ("ElectraForPreTraining", {}, {"labels": IDS + 1}, "labels holds 2: allowed is 0 to 1"),
        ("ElectraForPreTraining", {}, {"labels": IDS[:, :4]}, r"labels has the shape \[2, 4\]: it must be \[2, 5\]"),
        ("ElectraForMaskedLM", {}, {"labels": IDS + 96}, "labels holds 97"),
        ("ElectraForTokenClassification", {"num_labels": 3}, {"labels": IDS + 2}, "labels holds 3: allowed is 0 to 2"),
        ("ElectraForTokenClassification", {"num_labels": 3}, {"labels": IDS - 2}, "holds -1: .* or -100"),
        ("ElectraForSequenceClassification", {"num_labels": 3}, {"labels": torch.tensor([0, 3])}, "labels holds 3"),
        ("ElectraForSequenceClassification", {"num_labels": 3}, {"labels": torch.tensor([0])}, r"must be \[2\]"),
        (
            "ElectraForSequenceClassification",
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            {"labels": torch.tensor([0, 1])},
            r"must be \[2, 3\]",
        ),
        ("ElectraForQuestionAnswering", {}, {"start_positions": IDS, "end_positions": IDS}, "start_positions has"),
        ("ElectraForCausalLM", {}, {"labels": IDS, "logits_to_keep": 1}, "logits_to_keep at 0"),
    ],
)
def test_wrong_labels(name: str, fields: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(name, **fields)(IDS, **labels)


def test_heads_that_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="num_labels is 3: question answering has 2"):
        model("ElectraForQuestionAnswering", num_labels=3)
    with pytest.raises(ValueError, match="add_cross_attention=True"):
        model("ElectraForCausalLM", is_decoder=True)(IDS, encoder_hidden_states=torch.ones(2, 3, 32))


def test_a_ragged_batch_is_checked_too() -> None:
    long = Batch.from_rows([Row([1] * 41)])
    with pytest.raises(ValueError, match="41 tokens long"):
        model()(long)
    with pytest.raises(ValueError, match="padded grid"):
        model()(Batch.from_rows([Row([1, 2])]), output_attentions=True)
    with pytest.raises(ValueError, match="num_choices"):
        model("ElectraForMultipleChoice")(Batch.from_rows([Row([1, 2])] * 4))
    assert model("ElectraForMultipleChoice")(Batch.from_rows([Row([1, 2])] * 4), num_choices=2).logits.shape == (2, 2)


def test_labels_of_minus_100_and_nothing_that_counts() -> None:
    """transformers counts -100 as a target in the discriminator, and has NaN where nothing counts."""
    discriminator = model("ElectraForPreTraining")
    labels = torch.tensor([[0, 1, -100, 1, 0], [1, 1, -100, -100, 0]])
    mask = (labels != -100).long()
    scores = discriminator(IDS).logits
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores[mask.bool()], labels[mask.bool()].float())
    assert discriminator(IDS, labels=labels).loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert discriminator(IDS, labels=torch.full_like(IDS, -100)).loss == 0
    assert model("ElectraForMaskedLM")(IDS, labels=torch.full_like(IDS, -100)).loss == 0
    far = torch.tensor([50, -1])
    assert model("ElectraForQuestionAnswering")(IDS, start_positions=far, end_positions=far).loss == 0


def test_the_configuration_is_not_written_by_a_forward_pass() -> None:
    classifier = model("ElectraForSequenceClassification", num_labels=3)
    classifier(IDS, labels=torch.tensor([0, 1]))
    assert classifier.config.problem_type is None


def test_outputs_are_dictionaries_tuples_and_objects() -> None:
    output = model("ElectraForPreTraining")(IDS, labels=torch.zeros_like(IDS), output_hidden_states=True)
    assert list(output.keys()) == ["loss", "logits", "hidden_states"]
    assert output["logits"] is output.logits is output[1] is output.to_tuple()[1]
    assert len(output[:2]) == 2
    assert output.attentions is None
    assert dict(**output)["loss"] is output.loss
    again = pickle.loads(pickle.dumps(output))
    assert type(again) is type(output)
    assert torch.equal(again.logits, output.logits)
    doubled = torch.utils._pytree.tree_map(lambda t: t * 2, output)
    assert torch.equal(doubled.logits, output.logits * 2)
    loss, logits, _ = model("ElectraForPreTraining", return_dict=False, output_hidden_states=True)(
        IDS, labels=torch.zeros_like(IDS)
    )
    assert torch.equal(logits, output.logits)
    assert loss == output.loss


def test_gradient_checkpointing_changes_no_gradient() -> None:
    plain, checkpointed = (model("ElectraForMaskedLM").train() for _ in range(2))
    checkpointed.gradient_checkpointing_enable()
    assert checkpointed.is_gradient_checkpointing
    for one in (plain, checkpointed):
        one(**padded_ids(), labels=padded_ids()["input_ids"]).loss.backward()
    for a, b in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_parameters_are_counted_as_transformers_counts_them() -> None:
    for name in ("ElectraForMaskedLM", "ElectraForPreTraining", "ElectraModel"):
        theirs = getattr(transformers, name)(transformers.ElectraConfig(**SIZES))
        assert model(name).num_parameters() == theirs.num_parameters()


def test_span_loss_of_a_ragged_batch_is_each_row_s_own() -> None:
    batch = Batch.from_rows([Row([1] * 4), Row([1] * 7)])
    start, end = torch.randn(2, 11, generator=torch.Generator().manual_seed(0))
    at = (torch.tensor([3, 5]), torch.tensor([0, 6]))
    both = span_loss(start, end, *at, batch.layout)
    alone = [
        span_loss(s, e, a[None], b[None], Batch.from_rows([Row([1] * len(s))]).layout)
        for s, e, a, b in zip(batch.layout.split(start), batch.layout.split(end), *at, strict=True)
    ]
    assert both.item() == pytest.approx(sum(a.item() for a in alone) / 2, rel=1e-6)


@pytest.mark.parametrize("name", ["ElectraModel", "ElectraForMaskedLM", "ElectraForSequenceClassification"])
@pytest.mark.parametrize(("tokens", "multiple", "expected"), [(120, None, 120), (60, None, 60), (None, 64, 128)])
@pytest.mark.parametrize("tied", [True, False])
def test_the_vocabulary_is_resized_as_in_transformers(
    name: str, tokens: int | None, multiple: int | None, expected: int, tied: bool
) -> None:
    ours, theirs = twins(name, tie_word_embeddings=tied)
    before = ours.get_input_embeddings().weight.detach().clone()
    for one in (ours, theirs):
        table = one.resize_token_embeddings(tokens, pad_to_multiple_of=multiple)
        assert table is one.get_input_embeddings()
        assert one.config.vocab_size == len(table.weight) == expected
    new = ours.state_dict()
    assert {key: value.shape for key, value in new.items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    table = ours.get_input_embeddings().weight
    kept = min(97, expected)
    assert torch.equal(table[:kept], before[:kept])
    assert (table[97:] - before.mean(0)).abs().max() < 1e-3 if expected > 97 else True
    if name == "ElectraForMaskedLM":
        assert (ours.generator_lm_head.weight is table) == tied
        assert ours.generator_lm_head.bias[97:].abs().sum() == 0
    kept_ids = padded_ids(vocabulary=min(60, expected))
    assert_close(ours(**kept_ids)[0][..., :60], theirs(**kept_ids)[0][..., :60], 1e-4)
    assert ours(**kept_ids)[0].shape == theirs(**kept_ids)[0].shape


def test_new_rows_may_be_drawn_as_in_a_new_network() -> None:
    one = model("ElectraForMaskedLM", initializer_range=0.5)
    one.resize_token_embeddings(2_000, mean_resizing=False)
    drawn = one.get_input_embeddings().weight[97:]
    assert drawn.std().item() == pytest.approx(0.5, rel=0.05)
    assert abs(drawn.mean().item()) < 0.02


def test_new_rows_follow_the_old_ones_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("electra.nn.resize_embeddings.SPREAD", 1.0)
    table = torch.nn.Embedding(500, 3)
    with torch.no_grad():
        table.weight.copy_(torch.randn(500, 3) @ torch.tensor([[2.0, 1, 0], [0, 1, 0], [0, 0, 0.1]]) + 5)
    old = table.weight.detach().clone()
    resize_embedding(table, 20_500)
    assert torch.allclose(table.weight[500:].T.cov(), old.T.cov(), atol=0.2)
    assert torch.allclose(table.weight[500:].mean(0), old.mean(0), atol=0.1)


def test_longer_rows_after_resizing_the_positions() -> None:
    """transformers has the method, and it is not implemented."""
    one = model()
    before = one(IDS)[0]
    one.resize_position_embeddings(60)
    assert torch.equal(one(IDS)[0], before)
    assert one(torch.ones(1, 60, dtype=torch.int64))[0].isfinite().all()
    with pytest.raises(ValueError, match="positions end at 60"):
        one(torch.ones(1, 61, dtype=torch.int64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.resize_token_embeddings(0), "new_num_tokens is 0: it must be a whole number, 1 or more"),
        (lambda m: m.resize_token_embeddings(9, pad_to_multiple_of=2.0), "pad_to_multiple_of is 2.0"),
        (lambda m: m.resize_position_embeddings(-1), "new_num_position_embeddings is -1"),
        (lambda m: m.gradient_checkpointing_enable({"reentrant": True}), "gradient_checkpointing_kwargs has 'reentr"),
        (lambda m: m.set_attn_implementation("fast"), "attn_implementation is 'fast'"),
        (lambda m: m.set_output_embeddings(None), "no output embeddings"),
    ],
)
def test_methods_refuse(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(model())


def test_inputs_can_be_made_to_require_gradients() -> None:
    one = model("ElectraForPreTraining").requires_grad_(False)
    one.enable_input_require_grads()
    one.enable_input_require_grads()  # as often as one likes
    assert one(IDS).logits.requires_grad
    one.disable_input_require_grads()
    assert not one(IDS).logits.requires_grad


def test_embeddings_are_got_and_set() -> None:
    one, theirs = twins("ElectraForMaskedLM")
    assert one.get_memory_footprint(return_buffers=False) == theirs.get_memory_footprint(return_buffers=False)
    assert one.get_input_embeddings() is one.electra.embeddings.word_embeddings
    assert one.get_output_embeddings() is one.generator_lm_head
    assert one.electra.get_output_embeddings() is None
    new = torch.nn.Embedding(97, 24)
    one.set_input_embeddings(new)
    assert one.generator_lm_head.weight is new.weight
    head = torch.nn.Linear(24, 97)
    one.set_output_embeddings(head)
    assert one.get_output_embeddings() is head
    assert one(**one.dummy_inputs).logits.shape == (2, 5, 97)
    before = one.electra.embeddings.LayerNorm.weight.clone()
    one.init_weights()
    assert not torch.equal(before, one.electra.embeddings.LayerNorm.weight)


def test_copies_pickles_and_the_meta_device(tmp_path: Path) -> None:
    one = model("ElectraForSequenceClassification")
    torch.save(one, tmp_path / "model.pt")
    for again in (
        copy.deepcopy(one),
        pickle.loads(pickle.dumps(one)),
        torch.load(tmp_path / "model.pt", weights_only=False),
    ):
        assert torch.equal(again(IDS).logits, one(IDS).logits)
    with torch.device("meta"):
        empty = electra.ElectraForSequenceClassification(ElectraConfig(**SIZES))
    assert empty(torch.ones(2, 5, dtype=torch.int64, device="meta")).logits.shape == (2, 2)
    generator = copy.deepcopy(model("ElectraForMaskedLM"))
    assert generator.generator_lm_head.weight is generator.electra.embeddings.word_embeddings.weight
