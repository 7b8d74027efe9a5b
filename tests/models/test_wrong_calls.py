"""Random wrong calls of every class: an error that names the argument, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import electra
from tests.parity.twins import SIZES, redraw

ROWS, COLUMNS, CHOICES, READ = 3, 6, 2, 4
IDS = torch.randint(1, 97, (ROWS, COLUMNS), generator=torch.Generator().manual_seed(1))
GRID: dict[str, Tensor] = {
    "input_ids": IDS,
    "attention_mask": (torch.arange(COLUMNS) < torch.tensor([[6], [4], [2]])).long(),
    "token_type_ids": IDS % 2,
    "position_ids": torch.arange(COLUMNS).repeat(ROWS, 1),
}
VECTORS = torch.randn(ROWS, COLUMNS, 24, generator=torch.Generator().manual_seed(2))
CROSSED = {
    "encoder_hidden_states": torch.randn(ROWS, READ, 32, generator=torch.Generator().manual_seed(3)),
    "encoder_attention_mask": torch.ones(ROWS, READ, dtype=torch.int64),
}
CLASSES = torch.tensor([0, 2, 1])
Call = tuple[str, dict[str, Any], dict[str, Tensor]]

CALLS: dict[str, Call] = {
    "encoder": ("ElectraModel", {}, GRID),
    "vectors": ("ElectraModel", {}, {"inputs_embeds": VECTORS, "attention_mask": GRID["attention_mask"]}),
    "decoder": ("ElectraModel", {"is_decoder": True, "add_cross_attention": True}, {**GRID, **CROSSED}),
    "replaced": ("ElectraForPreTraining", {}, {**GRID, "labels": IDS % 2}),
    "masked": ("ElectraForMaskedLM", {}, {**GRID, "labels": IDS}),
    "causal": ("ElectraForCausalLM", {"is_decoder": True}, {**GRID, "labels": IDS}),
    "classes": ("ElectraForSequenceClassification", {"num_labels": 3}, {**GRID, "labels": CLASSES}),
    "number": ("ElectraForSequenceClassification", {"num_labels": 1}, {**GRID, "labels": CLASSES.float()}),
    "several": ("ElectraForSequenceClassification", {"num_labels": 3}, {**GRID, "labels": torch.eye(3)}),
    "tags": ("ElectraForTokenClassification", {"num_labels": 3}, {**GRID, "labels": IDS % 3}),
    "span": ("ElectraForQuestionAnswering", {}, {**GRID, "start_positions": CLASSES, "end_positions": CLASSES + 1}),
    "choices": (
        "ElectraForMultipleChoice",
        {},
        {**{name: torch.stack([v] * CHOICES, 1) for name, v in GRID.items()}, "labels": torch.tensor([0, 1, 1])},
    ),
}


def _put(value: float) -> Callable[[Tensor], Tensor]:
    """One value in place of a tensor's last."""

    def put(tensor: Tensor) -> Tensor:
        flat = tensor.clone().flatten()
        flat[-1] = value
        return flat.view(tensor.shape)

    return put


# every one is wrong for every argument but those in ALLOWED
WRONGS: dict[str, Callable[[Tensor], Any]] = {
    "a list": lambda t: t.tolist(),
    "an array": lambda t: t.numpy(),
    "a number": lambda t: 1,
    "another device": lambda t: t.to("meta"),
    "one dimension less": lambda t: t[0],
    "one dimension more": lambda t: t[None],
    "a last dimension more": lambda t: t[..., None],
    "a row less": lambda t: t[1:],
    "one row": lambda t: t[:1],
    "a row more": lambda t: torch.cat([t, t[:1]]),
    "no row": lambda t: t[:0],
    "narrower": lambda t: t[..., 1:],
    "one wide": lambda t: t[..., :1],
    "wider": lambda t: torch.cat([t, t[..., :1]], -1),
    "of no width": lambda t: t[..., :0],
    "transposed": lambda t: t.transpose(0, -1)[..., :2],
    "complex": lambda t: t.to(torch.complex64),
    "fractions": lambda t: t.double() + 0.5,
    "other numbers": lambda t: t != 0,
    "far above": lambda t: _put(10_000)(t),
    "below zero": lambda t: _put(-7)(t),
    "not a number": lambda t: _put(float("nan"))(t.float()),
    "infinite": lambda t: _put(float("inf"))(t.float()),
}
ALLOWED = {
    *((name, "one row") for name in ("token_type_ids", "position_ids")),  # one for all, as in transformers
    *((name, "other numbers") for name in ("attention_mask", "encoder_attention_mask")),  # bool is a mask
    *((name, wrong) for name in ("inputs_embeds", "encoder_hidden_states") for wrong in ("far above", "below zero")),
    *((name, wrong) for name in ("start_positions", "end_positions") for wrong in ("far above", "below zero")),
    *((name, "a last dimension more") for name in ("start_positions", "end_positions")),
}
# what all arguments are measured against: with another one of these the others are wrong, or all is well
LEADS = ("input_ids", "inputs_embeds")
SIZES_OF_LEADS = ("a row less", "one row", "a row more", "narrower", "wider", "one wide", "transposed")


@cache
def _model(call: str) -> Any:
    name, fields, _ = CALLS[call]
    return redraw(getattr(electra, name)(electra.ElectraConfig(**{**SIZES, **fields}))).eval()


def _allowed(call: str, argument: str, wrong: str) -> bool:
    if (argument, wrong) in ALLOWED:
        return call != "choices" or wrong != "one row"
    if argument != "labels":
        return False
    by_call = {
        # transformers trains on fractions here, and takes true and false
        "replaced": ("other numbers",),
        "number": ("far above", "below zero", "fractions", "other numbers", "a last dimension more"),
        "classes": ("a last dimension more",),
        "choices": ("a last dimension more",),
    }
    return wrong in by_call.get(call, ())


@pytest.mark.parametrize("call", CALLS)
def test_every_wrong_argument_is_named_before_anything_is_computed(call: str) -> None:
    for argument in CALLS[call][2]:
        for wrong in WRONGS:
            _try(call, {argument: wrong})


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(call=st.sampled_from(sorted(CALLS)), data=st.data())
def test_calls_with_several_wrong_arguments(call: str, data: st.DataObject) -> None:
    arguments = st.sampled_from(sorted(CALLS[call][2]))
    _try(call, data.draw(st.dictionaries(arguments, st.sampled_from(sorted(WRONGS)), min_size=1, max_size=3)))


def _try(call: str, wrongs: dict[str, str]) -> None:
    """An error that names one of the wrong arguments (or one that it does not go with), or finite outputs."""
    inputs = CALLS[call][2]
    broken = {**inputs, **{argument: WRONGS[wrong](inputs[argument]) for argument, wrong in wrongs.items()}}
    model = _model(call)
    if all(_allowed(call, argument, wrong) for argument, wrong in wrongs.items()):
        _finite(model(**broken))
        return
    leads = any(argument in LEADS and wrong in SIZES_OF_LEADS for argument, wrong in wrongs.items())
    named = "|".join([*inputs, "choices"]) if leads else "|".join(wrongs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(electra.ElectraModel, "encode", _never)
        with pytest.raises(ValueError, match=named) as raised:
            model(**broken)
    assert any(word in str(raised.value) for word in ("must be", "allowed", "move it", "convert", "end at", "at least"))


def _never(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed with a wrong argument")


def _finite(output: Any) -> None:
    for name, value in output.items():
        if isinstance(value, Tensor):
            assert value.isfinite().all(), name


@pytest.mark.parametrize("call", CALLS)
def test_the_calls_as_they_stand_are_right(call: str) -> None:
    _finite(_model(call)(**CALLS[call][2]))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_row_that_may_look_at_nothing_has_finite_outputs(implementation: str, kind: torch.dtype) -> None:
    model = redraw(electra.ElectraModel(electra.ElectraConfig(**SIZES, attn_implementation=implementation)))
    model = model.eval().to(kind)
    whole = GRID["attention_mask"].clone()
    whole[1] = 0
    pairs = torch.zeros(ROWS, 1, COLUMNS, COLUMNS)
    pairs[1] = -torch.inf
    lowest = pairs.masked_fill(pairs.isinf(), torch.finfo(torch.float32).min)
    for mask in (whole, whole.bool(), pairs == 0, pairs, lowest):
        _finite(model(IDS, mask))


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("span", {"start_positions": CLASSES}, "start_positions and end_positions belong together"),
        ("causal", {"logits_to_keep": -1}, "logits_to_keep=-1"),
        ("causal", {"logits_to_keep": torch.tensor([6])}, "logits_to_keep holds 6: allowed is 0 to 5"),
        ("causal", {"logits_to_keep": torch.ones(2, 2).long()}, r"logits_to_keep has the shape \[2, 2\]"),
        ("causal", {"labels": IDS, "num_items_in_batch": 0}, "num_items_in_batch=0"),
        ("encoder", {"output_hidden_states": 4}, "output_hidden_states has 4: .* numbers from -4 to 3"),
        ("encoder", {"output_hidden_states": ["last"]}, "output_hidden_states has 'last'"),
        ("encoder", {"past_key_values": ((IDS, IDS),)}, "past_key_values is a tuple"),
        ("encoder", {"inputs_embeds": VECTORS.double()}, "give either input_ids or inputs_embeds"),
    ],
)
def test_arguments_that_are_no_tensors(call: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _model(call)(IDS, **arguments)


def test_wider_vectors_than_the_weights() -> None:
    with pytest.raises(ValueError, match=r"inputs_embeds has the dtype torch.float64 and the model's weights torch.fl"):
        _model("vectors")(inputs_embeds=VECTORS.double())


def test_a_cache_of_other_rows() -> None:
    decoder = _model("causal")
    begun = decoder(IDS).past_key_values
    with pytest.raises(ValueError, match="past_key_values is of 3 rows and the input has 2"):
        decoder(IDS[:2], past_key_values=begun)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    wrong=st.sampled_from(["another device", "one dimension more", "narrower", "fractions", "far above", "below zero"]),
    field=st.sampled_from(["input_ids", "token_type_ids", "position_ids"]),
    call=st.sampled_from(sorted(set(CALLS) - {"vectors", "decoder"})),
)
def test_a_wrong_batch_is_named(wrong: str, field: str, call: str) -> None:
    batch = electra.Batch.from_rows([electra.Row([1, 2, 3]), electra.Row([4, 5])])
    values = {name: getattr(batch, name) for name in ("input_ids", "token_type_ids", "position_ids")}
    broken = electra.Batch(**{**values, field: WRONGS[wrong](values[field])}, layout=batch.layout)
    choices = {"num_choices": 2} if call == "choices" else {}
    with pytest.raises(ValueError, match=f"the Batch's {field}"):
        _model(call)(broken, **choices)
    with pytest.raises(ValueError, match="a Batch has them inside"):
        _model(call)(batch, attention_mask=torch.ones(2, 3), **choices)
