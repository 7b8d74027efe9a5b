"""Options: which are refused and how, which only cause a warning, and which take precedence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from electra import ElectraConfig, ElectraForCausalLM, ElectraForMaskedLM
from electra.generation.generation_config import GenerationConfig
from electra.generation.generation_options import FIELDS, SAMPLING, TABLE
from electra.nn.cache import KeyValueCache
from tests.parity.twins import SIZES, redraw

IDS = torch.tensor([[5, 9, 4], [7, 7, 8]])
MODEL = redraw(ElectraForCausalLM(ElectraConfig(**SIZES, is_decoder=True))).eval()

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"max_new_token": 3}, r"generate\(\) has no option 'max_new_token'\. Did you mean max_new_tokens\?"),
    "nothing like it": ({"zzz": 3}, r"no option 'zzz'. There is attention_mask, bad_words_ids"),
    "assisted": ({"assistant_model": MODEL}, r"generate\(\) does not take assistant_model="),
    "prompt lookup": ({"prompt_lookup_num_tokens": 3}, "does not take prompt_lookup_num_tokens=3"),
    "static cache": ({"cache_implementation": "static"}, "does not take cache_implementation='static'"),
    "contrastive": ({"penalty_alpha": 0.6}, "does not take penalty_alpha=0.6"),
    "guidance": ({"guidance_scale": 1.5}, "does not take guidance_scale=1.5"),
    "groups": ({"num_beams": 4, "num_beam_groups": 2}, "does not take num_beam_groups=2"),
    "a cold temperature": (
        {"do_sample": True, "temperature": 0},
        "temperature is 0: it must be above 0",
    ),
    "a negative temperature": ({"do_sample": True, "temperature": -1.0}, "temperature is -1.0"),
    "top_p of nothing": ({"do_sample": True, "top_p": 0.0}, "top_p is 0.0: it must be above 0 and at most 1"),
    "top_p of too much": ({"do_sample": True, "top_p": 1.1}, "top_p is 1.1"),
    "min_p": ({"do_sample": True, "min_p": 2}, "min_p is 2: it must be from 0 to 1"),
    "typical_p": ({"do_sample": True, "typical_p": -0.1}, "typical_p is -0.1"),
    "epsilon": ({"do_sample": True, "epsilon_cutoff": 1.0}, "epsilon_cutoff is 1.0: it must be from 0 to below 1"),
    "top_k": ({"do_sample": True, "top_k": -1}, "top_k is -1: it must be a whole number, 0 or above"),
    "no new token": ({"max_new_tokens": 0}, "max_new_tokens is 0: it must be a whole number of at least 1"),
    "half a token": ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5"),
    "too many answers": ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3 and num_beams 2"),
    "greedy answers": (
        {"num_return_sequences": 2},
        "num_return_sequences is 2, and the likeliest",
    ),
    "no beam": ({"num_beams": 0}, "num_beams is 0"),
    "early_stopping": ({"early_stopping": "always"}, "early_stopping is 'always': it must be True, False or 'never'"),
    "a penalty of nothing": ({"repetition_penalty": 0}, "repetition_penalty is 0: it must be a number above 0"),
    "n-grams": ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size is -2"),
    "flat bad words": (
        {"bad_words_ids": [3, 4]},
        r"bad_words_ids is \[3, 4\]: it must be a list of lists",
    ),
    "an empty bad word": ({"bad_words_ids": [[]]}, "bad_words_ids"),
    "an unknown bad word": (
        {"bad_words_ids": [[3, 97]]},
        "bad_words_ids holds 97: .* tokens are 0 to 96",
    ),
    "an unknown bias": ({"sequence_bias": {(99,): 1.0}}, "sequence_bias holds 99"),
    "a bias that is none": ({"sequence_bias": {(9,): "much"}}, "sequence_bias is"),
    "an unknown token": ({"suppress_tokens": [98]}, "suppress_tokens holds 98"),
    "an end that is no token": (
        {"eos_token_id": "[SEP]"},
        r"eos_token_id is '\[SEP\]': it must be a token id",
    ),
    "a padding that is no token": ({"pad_token_id": -1}, "pad_token_id is -1"),
    "an end nearer to nothing": ({"exponential_decay_length_penalty": (1, 2.0)}, "there is no eos_token_id"),
    "a stop without tokenizer": ({"stop_strings": "a"}, r"stop_strings need the tokenizer: generate\(…, tokenizer="),
    "a number for yes": ({"early_stopping": 1, "num_beams": 2}, "early_stopping is 1: it must be True, False or"),
    "no for a number": ({"pad_token_id": False}, "pad_token_id is False: it must be a token id"),
    "a fraction for a number": ({"top_k": 0.0}, r"top_k is 0\.0: it must be a whole number"),
    "an empty stop": ({"stop_strings": ""}, "stop_strings is ''"),
    "no time": ({"max_time": 0}, "max_time is 0"),
    "a config that is none": ({"generation_config": {"num_beams": 2}}, "generation_config is a dict"),
    "a streamer of beams": (
        {"streamer": SimpleNamespace(put=print, end=print), "num_beams": 2},
        "a streamer shows tokens as they are chosen",
    ),
    "the prompt itself": ({"max_length": 3}, "the prompt has 3 tokens and max_length, which counts them too, is 3"),
    "past the positions": (
        {"max_new_tokens": 39},
        r"longest prompt has 3 tokens, and up to 39 are to be added: that is 42, and the model's positions end at 40 "
        r"\(max_position_embeddings\). Give max_new_tokens of at most 38",
    ),
    "an allowed nothing": ({"prefix_allowed_tokens_fn": lambda prompt, ids: []}, "allows no token for prompt 0"),
    "twice": ({"input_ids": IDS}, "given twice, as inputs and as input_ids"),
    "another mask": ({"attention_mask": torch.ones(2, 4)}, r"attention_mask has the shape \[2, 4\]"),
    "a mask of pairs": ({"attention_mask": torch.ones(2, 1, 3, 3)}, "attention_mask has the shape"),
    "right padding": ({"attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}, "row 1 .* padding_side='left'"),
    "other types": ({"token_type_ids": torch.zeros(2, 2)}, "token_type_ids has the shape"),
    "other positions": ({"position_ids": torch.zeros(2, 2)}, "position_ids has the shape"),
    "fewer readings": (
        {"encoder_hidden_states": torch.zeros(1, 3, 32)},
        "has 1 rows, and there are 2 prompts",
    ),
    "a processor that is none": ({"logits_processor": 3}, "logits_processor is 3: it must be a list of functions"),
    "processors that are none": ({"logits_processor": ["a"]}, r"logits_processor is \['a'\]: it must be a list of"),
    "criteria that are none": ({"stopping_criteria": "stop"}, "stopping_criteria is 'stop': it must be a list"),
    "no function": ({"prefix_allowed_tokens_fn": [3]}, r"prefix_allowed_tokens_fn is \[3\]: it must be a function"),
    "a streamer that is none": ({"streamer": 5}, r"streamer is 5: it must be an object with put\(ids\) and end\(\)"),
    "a cache that is none": ({"past_key_values": ()}, "past_key_values is a tuple"),
}


WRONG = (
    True,
    "2",
    "",
    -1,
    2.5,
    float("nan"),
    float("inf"),
    10**400,
    [],
    [True],
    ["a"],
    [[]],
    {},
    {"a": 1},
    object(),
    b"x",
    {3},
)


def refusal(name: str, value: Any) -> str:
    """The message of the error for an option's value, or an empty string."""
    needed = {"do_sample": True} if TABLE[name]["needs"] == SAMPLING or name == "num_return_sequences" else {}
    try:
        GenerationConfig(**{**needed, name: value})
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FIELDS)
def test_an_option_of_a_wrong_type_is_named_in_one_sentence(name: str) -> None:
    """A value is one of the option's, or refused; no option takes more than a few of these."""
    refusals = [message for value in WRONG if (message := refusal(name, value))]
    assert [
        message for message in refusals if not message.startswith(f"{name} is ") or ": it must be " not in message
    ] == []
    assert len(refusals) >= len(WRONG) - 4


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_invalid_values_are_refused_before_anything_is_computed(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[Any] = []
    forward = ElectraForCausalLM.forward
    monkeypatch.setattr(ElectraForCausalLM, "forward", lambda *a, **k: computed.append(a) or forward(*a, **k))
    with pytest.raises(ValueError, match=message):
        MODEL.generate(IDS, **options)
    assert not computed or "prefix_allowed_tokens_fn" in options


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "there is no prompt, and no token for a text to begin with.*bos_token_id"),
        (torch.zeros(2, 0, dtype=torch.int64), "there is no prompt"),
        ([[5, 9]], r"input_ids is a list: .* generate\(\*\*encoding\)"),
        (torch.tensor([5, 9]), r"input_ids are torch.int64 \[2\]"),
        (torch.randn(2, 3), "input_ids are torch.float32"),
        (torch.zeros(0, 3, dtype=torch.int64), r"input_ids are torch.int64 \[0, 3\]: .* a row at least"),
        (torch.tensor([[5, 99]]), "input_ids holds 99"),
        (torch.tensor([[5, 0], [5, 6]]), "row 0 of the prompts ends in padding"),
        (torch.ones(1, 40, dtype=torch.int64), "the prompt has 40 tokens .* positions end at 40"),
        (torch.ones(1, 50, dtype=torch.int64), "the prompt has 50 tokens"),
    ],
    ids=["none", "empty", "a list", "one row", "floats", "no row", "no token", "right padding", "full", "overfull"],
)
def test_prompts_that_cannot_be_continued(prompt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODEL.generate(prompt)


def test_vectors_and_caches_that_do_not_fit() -> None:
    vectors = torch.randn(2, 3, 24)
    with pytest.raises(ValueError, match="the prompt has 3 tokens and max_length, which counts them too, is 3"):
        MODEL.generate(inputs_embeds=vectors, max_length=3)
    with pytest.raises(ValueError, match=r"inputs_embeds have the shape \[2, 3\]"):
        MODEL.generate(inputs_embeds=vectors[..., 0])
    encoder = redraw(ElectraForCausalLM(ElectraConfig(**SIZES))).eval()
    with pytest.raises(ValueError, match=r"needs a decoder \(is_decoder=True\)"):
        encoder.generate(inputs_embeds=vectors, max_new_tokens=2)
    cache = MODEL(IDS, use_cache=True).past_key_values
    assert isinstance(cache, KeyValueCache)
    with pytest.raises(ValueError, match="hold 3 tokens and the prompt has 3: give the whole text"):
        MODEL.generate(IDS, past_key_values=cache, max_new_tokens=2)
    longer = torch.cat((IDS, IDS), 1)
    with pytest.raises(ValueError, match="one row for each prompt"):
        MODEL.generate(longer, past_key_values=cache, num_beams=2, max_new_tokens=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.7}, "temperature: without do_sample=True this does nothing"),
        ({"top_k": 3, "top_p": 0.4}, "top_k, top_p: without do_sample=True"),
        ({"length_penalty": 2.0, "early_stopping": True}, "early_stopping, length_penalty: without num_beams above 1"),
        ({"output_scores": True}, "output_scores: without return_dict_in_generate=True"),
        ({"max_length": 30}, "max_new_tokens=2 wins over max_length=30"),
        ({"min_length": 3, "min_new_tokens": 1}, "min_new_tokens=1 wins over min_length=3"),
        ({"min_length": 30}, "at least 30 tokens, and ends at 5"),
        ({"eos_token_id": [-1, 4]}, "eos_token_id holds -1, which is no token"),
        ({"temperature": 1.0, "top_k": 50, "num_beam_groups": 1, "guidance_scale": None, "synced_gpus": False}, ""),
    ],
    ids=str,
)
def test_what_has_no_effect_is_logged(options: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture) -> None:
    MODEL.generate(IDS, **{"max_new_tokens": 2, **options})
    assert message in caplog.text
    assert len(caplog.records) == bool(message)


def test_the_default_length_and_a_model_that_is_no_decoder_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert redraw(ElectraForCausalLM(ElectraConfig(**SIZES))).eval().generate(IDS).shape == (2, 23)
    assert "neither max_new_tokens nor max_length is given: at most 20 tokens" in caplog.text
    assert "no decoder (is_decoder=False), so each step reads the whole text" in caplog.text


def test_the_call_wins_over_its_config_and_that_over_the_model() -> None:
    model = redraw(ElectraForCausalLM(ElectraConfig(**SIZES, is_decoder=True))).eval()
    model.generation_config.update(max_new_tokens=3)
    assert model.generate(IDS).shape == (2, 6)
    config = GenerationConfig(max_new_tokens=4)
    assert model.generate(IDS, config).shape == (2, 7)
    assert model.generate(IDS, config, max_new_tokens=5).shape == (2, 8)
    assert config == GenerationConfig(max_new_tokens=4)
    first = int(model.generate(IDS, max_new_tokens=1)[0, -1])
    model.generation_config.update(eos_token_id=first)
    assert model.generate(IDS[:1]).shape == (1, 4)
    assert model.generate(IDS[:1], eos_token_id=None).shape == (1, 6)  # None takes it back


def test_only_the_decoder_can_generate() -> None:
    assert ElectraForCausalLM.can_generate()
    assert MODEL.can_generate()
    assert not ElectraForMaskedLM.can_generate()
    assert not hasattr(ElectraForMaskedLM, "generate")
