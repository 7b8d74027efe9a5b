"""Every class equals transformers' with the same weights: outputs and losses to 1e-5, gradients to 1e-4 relative."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from electra import Batch, Row
from electra.config.config_checks import ACTIVATIONS
from tests.parity.twins import assert_close, assert_gradients_equal, padded_ids, twins

NUMBERS = torch.Generator().manual_seed(11)
TOKEN_LABELS = torch.randint(0, 3, (4, 17), generator=NUMBERS)
TOKEN_LABELS[1, 3:6] = -100
WORD_LABELS = torch.randint(0, 97, (4, 17), generator=NUMBERS)
WORD_LABELS[:, ::3] = -100

HEADS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "replaced tokens": ("ElectraForPreTraining", {}, {"labels": (TOKEN_LABELS > 0).long()}),
    "masked": ("ElectraForMaskedLM", {}, {"labels": WORD_LABELS}),
    "causal": ("ElectraForCausalLM", {"is_decoder": True}, {"labels": WORD_LABELS}),
    "causal, not a decoder": ("ElectraForCausalLM", {}, {"labels": WORD_LABELS}),
    "classes": ("ElectraForSequenceClassification", {"num_labels": 3}, {"labels": torch.tensor([0, 2, 1, 2])}),
    "several classes": (
        "ElectraForSequenceClassification",
        {"num_labels": 3},
        {"labels": torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])},
    ),
    "regression": ("ElectraForSequenceClassification", {"num_labels": 1}, {"labels": torch.tensor([0.5, -1, 2, 0])}),
    "token classes": ("ElectraForTokenClassification", {"num_labels": 3}, {"labels": TOKEN_LABELS}),
    "question answering": (
        "ElectraForQuestionAnswering",
        {},
        {"start_positions": torch.tensor([1, 0, 17, 3]), "end_positions": torch.tensor([2, 90, 1, 3])},
    ),
}
PLAIN = [(name, fields, labels) for name, fields, labels in HEADS.values()]
SHAPES = [{}, {"embedding_size": 32, "hidden_act": "gelu_new", "initializer_range": 0.1}]


@pytest.mark.parametrize("shape", SHAPES, ids=["projected", "as wide"])
@pytest.mark.parametrize(("name", "fields", "labels"), PLAIN, ids=HEADS)
def test_outputs_loss_and_gradients(name: str, fields: Any, labels: Any, shape: Any) -> None:
    ours, theirs = twins(name, **fields, **shape)
    inputs = padded_ids()
    mine, yours = ours(**inputs, **labels), theirs(**inputs, **labels)
    assert list(mine.keys()) == [key for key in yours if key != "past_key_values"]
    for key in mine:
        assert mine[key].abs().max() > 0.1
        assert_close(mine[key], yours[key], 1e-5, key)
    assert_gradients_equal(ours, theirs, ((), {**inputs, **labels}))


@pytest.mark.parametrize("summary", ["first", "last", "mean", "cls_index"])
@pytest.mark.parametrize("project", [True, False])
def test_multiple_choice(summary: str, project: bool) -> None:
    ours, theirs = twins("ElectraForMultipleChoice", summary_type=summary, summary_use_proj=project)
    inputs = {name: value.view(2, 2, 17) for name, value in padded_ids().items()}
    labels = torch.tensor([1, 0])
    mine, yours = ours(**inputs, labels=labels), theirs(**inputs, labels=labels)
    assert_close(mine.logits, yours.logits, 1e-5)
    assert_close(mine.loss, yours.loss, 1e-5)
    assert_gradients_equal(ours, theirs, ((), {**inputs, "labels": labels}))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_encoder_from_ids_and_from_vectors(implementation: str) -> None:
    ours, theirs = twins("ElectraModel", attn_implementation=implementation)
    inputs = padded_ids()
    real = inputs["attention_mask"].bool()
    positions = torch.arange(17).flip(0)[None]
    vectors = torch.randn(4, 17, 24, generator=torch.Generator().manual_seed(1))
    cases: list[dict[str, Any]] = [
        inputs,
        {"input_ids": inputs["input_ids"]},
        {"input_ids": inputs["input_ids"].int()},
        {**inputs, "position_ids": positions},
        {"inputs_embeds": vectors, "attention_mask": inputs["attention_mask"]},
    ]
    for case in cases:
        mine, yours = ours(**case, output_hidden_states=True), theirs(**case, output_hidden_states=True)
        assert_close(mine.last_hidden_state[real], yours.last_hidden_state[real], 1e-5)
        assert_close([h[real] for h in mine.hidden_states], [h[real] for h in yours.hidden_states], 1e-5)
        as_tuple = ours(**case, return_dict=False)
        assert isinstance(as_tuple, tuple)
        assert torch.equal(as_tuple[0], mine[0])


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation(name: str) -> None:
    """In the encoder, the discriminator's head and the summary; what has weights of its own is named alike."""
    fields = {"hidden_act": name, "summary_activation": name, "num_hidden_layers": 1}
    for model in ("ElectraForPreTraining", "ElectraForMultipleChoice"):
        ours, theirs = twins(model, **fields)
        inputs = padded_ids()
        if model == "ElectraForMultipleChoice":
            inputs = {key: value.view(2, 2, 17) for key, value in inputs.items()}
        assert_close(ours(**inputs).logits, theirs(**inputs).logits, 1e-5)


@pytest.mark.parametrize("wanted", [1, -1, [0, -2], (3,), [], True, False, None])
def test_hidden_states_by_number(wanted: Any) -> None:
    ours, theirs = twins("ElectraForMaskedLM")
    inputs = padded_ids()
    mine, yours = ours(**inputs, output_hidden_states=wanted), theirs(**inputs, output_hidden_states=wanted)
    if not yours.hidden_states:
        assert mine.hidden_states is None
        return
    assert [state is None for state in mine.hidden_states] == [state is None for state in yours.hidden_states]
    for a, b in zip(mine.hidden_states, yours.hidden_states, strict=True):
        if a is not None:
            assert_close(a, b, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "fields", "labels"), PLAIN, ids=HEADS)
def test_half_precision(name: str, fields: Any, labels: Any, dtype: torch.dtype) -> None:
    """As near to the float32 outputs as transformers' own in the same precision; the loss is finite."""
    ours, theirs = twins(name, **fields)
    inputs = padded_ids()
    real = inputs["attention_mask"].bool()
    key = "start_logits" if name == "ElectraForQuestionAnswering" else "logits"
    exact = theirs(**inputs)[key].float()
    mine, yours = ours.to(dtype)(**inputs, **labels), theirs.to(dtype)(**inputs, **labels)
    assert mine[key].dtype == dtype
    assert mine.loss.isfinite()
    errors = [
        ((given[key].float() - exact)[real if given[key].dim() > 1 and given[key].shape[1] == 17 else ...])
        for given in (mine, yours)
    ]
    assert errors[0].abs().mean() <= 1.5 * errors[1].abs().mean() + 1e-3
    assert (mine.loss - yours.loss).abs() <= 0.05 * yours.loss.abs() + 0.05


def test_shifted_labels() -> None:
    ours, theirs = twins("ElectraForCausalLM", is_decoder=True)
    inputs = padded_ids()
    following = torch.nn.functional.pad(inputs["input_ids"][:, 1:], (0, 1), value=-100)
    given = {**inputs, "labels": inputs["input_ids"], "shift_labels": following}
    assert_close(ours(**given).loss, theirs(**given).loss, 1e-5)
    assert_close(ours(**given).loss, ours(**inputs, labels=inputs["input_ids"]).loss, 1e-6)


def test_attentions_equal_the_written_out_ones_of_transformers() -> None:
    ours, theirs = twins("ElectraForPreTraining", attn_implementation="eager")
    inputs = padded_ids()
    mine, yours = ours(**inputs, output_attentions=True), theirs(**inputs, output_attentions=True)
    assert_close(mine.attentions, yours.attentions, 1e-5)
    ours.set_attn_implementation("sdpa")  # still has them: transformers returns an empty tuple here
    assert_close(ours(**inputs, output_attentions=True).attentions, yours.attentions, 1e-5)


def test_masks_of_three_and_four_dimensions() -> None:
    ours, theirs = twins("ElectraModel")
    ids = padded_ids()["input_ids"]
    keep = torch.rand(4, 1, 17, 17, generator=torch.Generator().manual_seed(3)) > 0.4
    keep[..., 0] = True
    added = torch.where(keep, 0.0, -3.0)
    for mask in (keep, added):
        assert_close(ours(ids, mask)[0], theirs(ids, mask)[0], 1e-5)
    assert_close(ours(ids, keep[:, 0])[0], theirs(ids, keep)[0], 1e-5)


def test_a_decoder_with_cross_attention_and_cache() -> None:
    ours, theirs = twins("ElectraForCausalLM", is_decoder=True, add_cross_attention=True)
    inputs = padded_ids()
    read = torch.randn(4, 9, 32, generator=torch.Generator().manual_seed(2))
    reading = {"encoder_hidden_states": read, "encoder_attention_mask": (torch.arange(9) < 7).long().expand(4, 9)}
    ids = inputs["input_ids"]
    whole = theirs(input_ids=ids, **reading)
    assert_close(ours(input_ids=ids, **reading).logits, whole.logits, 1e-5)
    begun = ours(input_ids=ids[:, :11], **reading, use_cache=True)
    rest = ours(input_ids=ids[:, 11:], past_key_values=begun.past_key_values, **reading, logits_to_keep=2)
    assert begun.past_key_values.get_seq_length() == 17
    assert_close(rest.logits, whole.logits[:, -2:], 1e-5)
    learning = {**inputs, **reading, "labels": ids, "num_items_in_batch": 7}
    assert_close(ours(**learning).loss, theirs(**learning).loss, 1e-5)
    assert_gradients_equal(ours, theirs, ((), learning))


def test_a_cache_of_transformers_is_read() -> None:
    ours, theirs = twins("ElectraForCausalLM", is_decoder=True)
    ids = padded_ids()["input_ids"]
    begun = theirs(ids[:, :11], use_cache=True).past_key_values
    assert_close(ours(ids[:, 11:], past_key_values=begun).logits, theirs(ids).logits[:, 11:], 1e-5)
    assert begun.get_seq_length() == 11


@pytest.mark.parametrize("head", ["masked", "classes", "token classes", "replaced tokens", "multiple choice"])
def test_dropout_sits_where_transformers_has_it(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dropout that scales instead of drawing shows in the outputs, and how often and where it is applied."""
    monkeypatch.setattr(
        torch.nn.functional, "dropout", lambda x, p=0.5, training=True, inplace=False: x * (1 - p * training)
    )
    rates = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3, "classifier_dropout": 0.4}
    rates["summary_first_dropout"] = 0.5
    name, fields, _ = HEADS.get(head, ("ElectraForMultipleChoice", {}, {}))
    ours, theirs = twins(name, **{**fields, **rates, "summary_last_dropout": 0.6, "attn_implementation": "eager"})
    inputs = padded_ids()
    if head == "multiple choice":
        inputs = {key: value.view(2, 2, 17) for key, value in inputs.items()}
    calm = ours(**inputs).logits
    mine, yours = ours.train()(**inputs), theirs.train()(**inputs)
    assert (mine.logits - calm).abs().max() > 0.1
    assert_close(mine.logits, yours.logits, 1e-5)


def test_attention_dropout_reaches_the_fused_kernel() -> None:
    """With probability 1 nothing is attended to."""
    ours, theirs = twins("ElectraModel", attention_probs_dropout_prob=1.0)
    inputs = padded_ids()
    assert_close(ours.train()(**inputs)[0], theirs.train()(**inputs)[0], 1e-5)
    real = inputs["attention_mask"].bool()
    assert_close(ours(ragged(inputs))[0], theirs(**inputs)[0][real], 1e-5)


def ragged(inputs: dict[str, torch.Tensor]) -> Batch:
    lengths = inputs["attention_mask"].sum(1).tolist()
    return Batch.from_rows(
        [
            Row(ids[:n].tolist(), types[:n].tolist())
            for ids, types, n in zip(inputs["input_ids"], inputs["token_type_ids"], lengths, strict=True)
        ]
    )


@pytest.mark.parametrize(("name", "fields", "labels"), PLAIN, ids=HEADS)
def test_a_ragged_batch_equals_the_padded_one(name: str, fields: Any, labels: Any) -> None:
    if name == "ElectraForQuestionAnswering":  # in the padded grid a position may lie in the padding
        labels = {"start_positions": torch.tensor([1, 0, 1, 0]), "end_positions": torch.tensor([2, 90, 1, 1])}
    ours, twin = twins(name, **fields)[0], twins(name, **fields)[0]
    inputs = padded_ids()
    real = inputs["attention_mask"].bool()
    flat = {key: value[real] if value.shape == real.shape else value for key, value in labels.items()}
    if name in ("ElectraForTokenClassification", "ElectraForMaskedLM", "ElectraForCausalLM"):
        labels = {"labels": labels["labels"].masked_fill(~real, -100)}
    mine, yours = ours(ragged(inputs), **flat), twin(**inputs, **labels)
    for key in mine:
        expected = yours[key][real] if yours[key].shape[:2] == real.shape else yours[key]
        if name == "ElectraForQuestionAnswering" and key == "loss":
            continue  # the padded softmax runs over the padding too, as transformers'
        assert_close(mine[key], expected, 1e-5, key)
    if name != "ElectraForQuestionAnswering":
        assert_gradients_equal(ours, twin, ((ragged(inputs),), flat), ((), {**inputs, **labels}))


def test_a_row_of_a_padded_batch_equals_the_row_alone() -> None:
    ours, _ = twins("ElectraForTokenClassification", num_labels=3)
    inputs = padded_ids()
    together = ours(**inputs).logits
    for row, length in enumerate(inputs["attention_mask"].sum(1).tolist()):
        alone = ours(**{name: value[row : row + 1, :length] for name, value in inputs.items()}).logits
        assert_close(together[row : row + 1, :length], alone, 1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_seed_drops_what_it_drops_with_transformers(attention: str) -> None:
    ours, theirs = twins(
        "ElectraForSequenceClassification", hidden_dropout_prob=0.2, attn_implementation=attention, num_labels=3
    )
    found = []
    for model in (ours.train(), theirs.train()):
        torch.manual_seed(0)
        found.append(model(**padded_ids()).logits)
    assert_close(*found, 1e-5)
