"""`generate` gives transformers' tokens: greedily, by beam search and, from one seed, by sampling."""

from __future__ import annotations

import random
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from tests.parity.twins import assert_close, twins
from tests.tasks.tiny import quiet_transformers

ENDS = [11, 16, 58, 83]
NUMBERS = torch.Generator().manual_seed(1)
IDS = torch.randint(1, 97, (3, 5), generator=NUMBERS)
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]])
PADDED = {"input_ids": IDS * MASK, "attention_mask": MASK}
READ = torch.randn(3, 6, 32, generator=NUMBERS)
READING = {"encoder_hidden_states": READ, "encoder_attention_mask": (torch.arange(6) < 4).long().expand(3, 6)}


@cache
def decoders(**fields: Any) -> tuple[Any, Any]:
    """A pair of decoders of which neither repeats one token for ever."""
    ours, theirs = twins("ElectraForCausalLM", **{"is_decoder": True, **fields})
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.endswith("bias") or "attention.output.dense" in name:
                parameter.mul_(0.3)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def both(options: dict[str, Any], inputs: dict[str, Any] = PADDED, seed: int = 0, **fields: Any) -> tuple[Any, Any]:
    """What both libraries generate from one seed."""
    generated = []
    for model in decoders(**fields):
        torch.manual_seed(seed)
        with quiet_transformers():
            generated.append(model.generate(**inputs, **options))
    return generated[0], generated[1]


def assert_same_tokens(options: dict[str, Any], inputs: dict[str, Any] = PADDED, **fields: Any) -> Tensor:
    """With a cache and without one."""
    for use_cache in (True, False):
        ours, theirs = both({"use_cache": use_cache, **options}, inputs, **fields)
        assert torch.equal(ours, theirs), f"{options}, use_cache={use_cache}:\n{ours}\n{theirs}"
    return ours


GREEDY: dict[str, dict[str, Any]] = {
    "plain": {},
    "an end": {"eos_token_id": 83},
    "ends": {"eos_token_id": ENDS},
    "its own padding": {"eos_token_id": ENDS, "pad_token_id": 7},
    "at least": {"eos_token_id": ENDS, "min_length": 9},
    "at least so many new": {"eos_token_id": ENDS, "min_new_tokens": 6},
    "no repetition": {"no_repeat_ngram_size": 2},
    "no token twice": {"no_repeat_ngram_size": 1},
    "repetition costs": {"repetition_penalty": 1.7},
    "bad words": {"bad_words_ids": [[85], [16, 16], [50, 50, 16], [83]], "eos_token_id": 83},
    "biases": {"sequence_bias": {(85,): -8.0, (16, 50): 9.0, (14,): 2.0}},
    "suppressed": {"suppress_tokens": [85, 16], "begin_suppress_tokens": [50, 82]},
    "forced": {"forced_eos_token_id": 9, "forced_bos_token_id": 8, "eos_token_id": 9},
    "an end that draws near": {"exponential_decay_length_penalty": (3, 1.6), "eos_token_id": ENDS},
    "finite": {"remove_invalid_values": True, "renormalize_logits": True, "suppress_tokens": [3]},
}


@pytest.mark.parametrize("options", GREEDY.values(), ids=GREEDY)
def test_greedy(options: dict[str, Any]) -> None:
    made = assert_same_tokens({"max_new_tokens": 14, **options})
    assert len({tuple(row[5:].tolist()) for row in made}) == 3
    if set(options) == {"eos_token_id"}:
        ends = [options["eos_token_id"]] if isinstance(options["eos_token_id"], int) else options["eos_token_id"]
        stops = torch.isin(made[:, 5:], torch.tensor(ends)).int().argmax(1).tolist()
        assert len(set(stops)) > 1, "the texts are to end at different steps"


def test_the_first_token_that_is_not_forced() -> None:
    one, options = {"input_ids": IDS[:1, :1]}, {"max_new_tokens": 2, "forced_bos_token_id": 8}
    second = int(assert_same_tokens(options, one)[0, -1])
    suppressed = assert_same_tokens({**options, "begin_suppress_tokens": [second]}, one)
    assert suppressed[0, 1] == 8
    assert suppressed[0, 2] != second


def test_padding_is_no_repetition() -> None:
    """Padded with a token that is likely, and that the penalty would forbid if it counted."""
    likely = int(both({"max_new_tokens": 1})[0][1, -1])
    inputs = {"input_ids": IDS.where(MASK == 1, likely), "attention_mask": MASK}
    made = assert_same_tokens({"max_new_tokens": 6, "repetition_penalty": 9.0}, inputs)
    assert made[1, 5] == likely


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 3.0])
def test_beams_and_when_they_stop(early_stopping: Any, length_penalty: float) -> None:
    options = {"early_stopping": early_stopping, "length_penalty": length_penalty, "max_new_tokens": 9}
    for beams, answers, ends in ((2, 1, None), (4, 3, ENDS), (3, 3, 85), (5, 2, [85, 50])):
        assert_same_tokens({**options, "num_beams": beams, "num_return_sequences": answers, "eos_token_id": ends})


def test_stopping_early_and_the_length_penalty_show_in_these_texts() -> None:
    options = {"num_beams": 4, "num_return_sequences": 3, "eos_token_id": ENDS, "max_new_tokens": 9}
    early = [both({**options, "early_stopping": when})[0].tolist() for when in (True, False)]
    penalised = [both({**options, "length_penalty": penalty})[0].tolist() for penalty in (-1.0, 1.0, 3.0)]
    assert early[0] != early[1]
    assert penalised[0] != penalised[1] != penalised[2]


@pytest.mark.parametrize("name", [name for name in GREEDY if name != "plain"])
def test_beams_under_every_rule(name: str) -> None:
    assert_same_tokens({"max_new_tokens": 8, "num_beams": 3, "num_return_sequences": 2, **GREEDY[name]})


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_a_beam_search_computes_as_many_steps_as_that_of_transformers(early_stopping: Any) -> None:
    options = {"num_beams": 2, "eos_token_id": [*ENDS, 50, 85], "max_new_tokens": 14, "early_stopping": early_stopping}
    options |= {"length_penalty": 3.0} if early_stopping is True else {}  # longer ones would be better still
    steps = []
    for model in decoders():
        counted: list[Any] = []
        hook = model.register_forward_hook(lambda *_, counted=counted: counted.append(None))
        with quiet_transformers():
            model.generate(**PADDED, **options)
        hook.remove()
        steps.append(len(counted))
    assert steps[0] == steps[1]
    assert steps[0] < 14 or early_stopping == "never"


SAMPLED: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 1.7, "top_k": 0},
    "a sharp temperature": {"temperature": 0.4},
    "a whole temperature": {"temperature": 2.0, "top_k": 7},
    "top_k": {"top_k": 4},
    "top_p": {"top_p": 0.7, "top_k": 0},
    "min_p": {"min_p": 0.1, "top_k": 0},
    "typical_p": {"typical_p": 0.6, "top_k": 0},
    "epsilon": {"epsilon_cutoff": 0.02, "top_k": None},
    "eta": {"eta_cutoff": 0.02, "top_k": 0},
    "all of them": {"temperature": 1.3, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.9},
}


@pytest.mark.parametrize("options", SAMPLED.values(), ids=SAMPLED)
@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_sampled_from_and_what_is_drawn(options: dict[str, Any], beams: int) -> None:
    asked = {
        "do_sample": True,
        "max_new_tokens": 7,
        "num_beams": beams,
        "eos_token_id": ENDS,
        "num_return_sequences": 2,
    }
    ours, theirs = both({**asked, **options, "return_dict_in_generate": True, "output_scores": True})
    assert torch.equal(ours.sequences, theirs.sequences)
    assert len(ours.scores) == len(theirs.scores)
    for mine, yours in zip(ours.scores, theirs.scores, strict=True):
        assert torch.equal(mine.isneginf(), yours.isneginf())
        assert_close(mine.nan_to_num(neginf=0.0), yours.nan_to_num(neginf=0.0), 1e-5)
    if set(options) != {"temperature", "top_k"} or options["top_k"]:
        assert ours.scores[0].isneginf().any()


def test_a_drawn_token_follows_its_probability() -> None:
    """The frequencies of 20,000 draws against the softmax that transformers samples from: chi-squared by cells."""
    model = decoders()[0]
    torch.manual_seed(3)
    options: dict[str, Any] = {"do_sample": True, "max_new_tokens": 1, "temperature": 1.5, "top_k": 8}
    drawn = model.generate(IDS[:1], num_return_sequences=20_000, **options)[:, -1].bincount(minlength=97)
    outputs = {**options, "return_dict_in_generate": True, "output_scores": True}
    _, theirs = both(outputs, {"input_ids": IDS[:1]})
    expected = 20_000 * theirs.scores[0][0].softmax(-1)
    assert drawn[expected == 0].sum() == 0
    likely = expected > 0
    assert ((drawn - expected)[likely].square() / expected[likely]).sum() < 30  # 7 degrees of freedom: p < 1e-4


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints")
@pytest.mark.parametrize("seed", range(12))
def test_options_together(seed: int) -> None:
    """Options drawn at random, which single ones do not show: the order that they are applied in, and their limits."""
    draw = random.Random(seed)
    for _ in range(4):
        beams = draw.choice([1, 1, 2, 4])
        sample = draw.random() < 0.4
        options: dict[str, Any] = {
            "max_new_tokens": draw.randint(1, 10),
            "num_beams": beams,
            "do_sample": sample,
            "num_return_sequences": draw.randint(1, beams if beams > 1 else 3 if sample else 1),
            "eos_token_id": draw.choice([None, 85, ENDS, [2, 50]]),
            "repetition_penalty": draw.choice([None, 0.6, 1.4]),
            "no_repeat_ngram_size": draw.choice([0, 1, 3]),
            "min_length": draw.choice([0, 7, 10]),
            "bad_words_ids": draw.choice([None, [[85, 85], [14]], [[16]]]),
            "suppress_tokens": draw.choice([None, [5, 82]]),
            "length_penalty": draw.choice([0.3, 1.0, 2.0]),
            "early_stopping": draw.choice([True, False, "never"]),
        }
        if sample:
            options |= {"top_k": draw.choice([0, 9, 50]), "top_p": draw.choice([0.8, 1.0]), "temperature": 1.2}
        inputs = draw.choice([PADDED, {"input_ids": IDS}, {"input_ids": IDS[:1]}])
        assert_same_tokens(options, {**inputs, "token_type_ids": (IDS % 2)[: len(inputs["input_ids"])]})


@pytest.mark.parametrize("beams", [1, 3])
def test_everything_that_is_returned(beams: int) -> None:
    asked = ("output_scores", "output_logits", "output_attentions", "output_hidden_states", "return_dict_in_generate")
    options = {"num_beams": beams, "max_new_tokens": 6, "eos_token_id": ENDS, **dict.fromkeys(asked, True)}
    ours, theirs = both(options, attn_implementation="eager")
    assert list(ours.keys()) == list(theirs.keys())
    assert torch.equal(ours.sequences, theirs.sequences)
    # the rows of padding attend to nothing, where kernels may differ
    real = MASK.bool().repeat_interleave(beams, 0)
    for name in ("scores", "logits"):
        assert_close([s.clamp(min=-99) for s in ours[name]], [s.clamp(min=-99) for s in theirs[name]], 1e-5, name)
    assert_close([h[real] for h in ours.hidden_states[0]], [h[real] for h in theirs.hidden_states[0]], 1e-5)
    assert_close(ours.hidden_states[1:], theirs.hidden_states[1:], 1e-5)
    assert_close(ours.attentions[1:], theirs.attentions[1:], 1e-5)
    indices = {}
    if beams > 1:
        assert torch.equal(ours.beam_indices, theirs.beam_indices)
        assert_close(ours.sequences_scores, theirs.sequences_scores, 1e-5)
        indices = {"beam_indices": ours.beam_indices}
    for normalize in (False, True):
        weighed = [
            model.compute_transition_scores(made.sequences, made.scores, **indices, normalize_logits=normalize)
            for model, made in zip(decoders(attn_implementation="eager"), (ours, theirs), strict=True)
        ]
        assert_close(weighed[0].clamp(min=-99), weighed[1].clamp(min=-99), 1e-5)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}], ids=str)
def test_a_decoder_that_reads_an_encoder(options: dict[str, Any]) -> None:
    """With a cache, transformers 5.23 fails here: it makes one that has no place for the encoder's keys."""
    options = {"max_new_tokens": 8, "eos_token_id": ENDS, "bos_token_id": 12, **options}
    fields = {"add_cross_attention": True}
    for inputs in ({**PADDED, **READING}, READING):  # without a prompt: a text for each row that is read
        read, theirs = both({**options, "use_cache": False}, inputs, **fields)
        assert torch.equal(read, theirs)
        torch.manual_seed(0)
        assert torch.equal(decoders(**fields)[0].generate(**inputs, **options), read)
    unread = decoders(**fields)[0].generate(bos_token_id=12, max_new_tokens=8)
    assert read[0].tolist() != unread[0, : read.shape[1]].tolist()


@pytest.mark.parametrize(
    "options", [{"max_new_tokens": 6}, {"max_length": 13}, {"max_length": 12, "min_length": 9}], ids=str
)
@pytest.mark.parametrize("beams", [1, 3])
def test_from_vectors(options: dict[str, Any], beams: int) -> None:
    words = decoders()[0].get_input_embeddings()(PADDED["input_ids"]).detach()
    vectors = {"inputs_embeds": words, "attention_mask": MASK}
    options = {**options, "num_beams": beams, "eos_token_id": ENDS}
    alone, theirs = both(options, vectors)
    assert torch.equal(alone, theirs)
    with_ids, theirs = both(options, {**vectors, "input_ids": PADDED["input_ids"]})
    assert torch.equal(with_ids, theirs)
    from_ids = both(options, PADDED)[0]
    if "max_length" not in options:
        assert torch.equal(from_ids[:, 5:], alone)


def test_positions_types_and_padding_that_is_not_told() -> None:
    positions = torch.arange(5).expand(3, 5) + torch.tensor([[3], [0], [7]])
    options = {"max_new_tokens": 7}
    plain = assert_same_tokens(options, {"input_ids": IDS})
    for more in ({"position_ids": positions}, {"token_type_ids": torch.ones_like(IDS)}):
        assert not torch.equal(assert_same_tokens(options, {"input_ids": IDS, **more}), plain)
    untold = assert_same_tokens(options, {"input_ids": PADDED["input_ids"]})
    assert torch.equal(untold, assert_same_tokens(options, PADDED))
    assert_same_tokens({**options, "eos_token_id": 0}, {"input_ids": PADDED["input_ids"]})
    assert_same_tokens({"max_new_tokens": 5, "bos_token_id": 4}, {})


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default")
def test_the_default_length_is_that_of_transformers(caplog: pytest.LogCaptureFixture) -> None:
    assert assert_same_tokens({}).shape[1] == 25
    assert "at most 20 tokens" in caplog.text
    long = {"input_ids": torch.randint(1, 97, (1, 30), generator=NUMBERS)}
    assert assert_same_tokens({}, long).shape[1] == 40  # the positions end there


def test_the_length_that_just_fits() -> None:
    """The last token is not read, so it needs no position; and padding takes none."""
    for columns, mask in ((41, MASK[:1]), (43, MASK[1:2])):
        inputs = {"input_ids": IDS[:1], "attention_mask": mask}
        assert assert_same_tokens({"max_length": columns}, inputs).shape[1] == columns


def test_further_rules_and_criteria() -> None:
    def no_even_tokens(ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(torch.arange(97) % 2 == 0, -torch.inf)

    def at_seven(ids: Tensor, scores: Any) -> Tensor:
        return (ids[:, -1] % 7 == 0) & (ids.shape[1] > 7)

    def follows(prompt: int, ids: Tensor) -> list[int]:
        return [(int(ids[-1]) + step + prompt) % 97 for step in (1, 2, 14)]

    theirs_too = transformers.RepetitionPenaltyLogitsProcessor(1.4)
    for beams, end in product((1, 3), (None, 85)):
        options = {"max_new_tokens": 9, "num_beams": beams, "eos_token_id": end, "pad_token_id": 0 if end else 5}
        processors, criteria = {"logits_processor": [no_even_tokens, theirs_too]}, {"stopping_criteria": [at_seven]}
        odd = assert_same_tokens({**options, **processors})
        assert (odd[:, 5:] % 2 == 1).all() or end is not None
        assert_same_tokens({**options, "prefix_allowed_tokens_fn": follows})
        options |= {"prefix_allowed_tokens_fn": follows, "suppress_tokens": [7, 8, 20], **criteria}
        ours, theirs = both(options)
        # without an end, transformers puts -1, which is no token, behind a beam that a criterion finished
        assert torch.equal(ours, theirs.where(theirs >= 0, 5))
        if end is not None:
            assert_same_tokens(options)


class Recorder:
    """A streamer that remembers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def put(self, value: Tensor) -> None:
        self.heard.append(value.tolist())

    def end(self) -> None:
        self.heard.append("end")


def test_a_streamer_hears_the_same() -> None:
    heard = []
    for model in decoders():
        streamer = Recorder()
        with quiet_transformers():
            model.generate(**PADDED, max_new_tokens=6, eos_token_id=ENDS, streamer=streamer)
        heard.append(streamer.heard)
    assert heard[0] == heard[1]
    assert heard[0][-1] == "end"
    assert len(heard[0]) == 8


def test_continuing_from_a_cache() -> None:
    """A second turn reads only what is new, and says what reading the whole text says."""
    ours, theirs = decoders()
    second = torch.tensor([[4, 9, 44]])
    made = []
    for model in (ours, theirs):
        with quiet_transformers():
            first = model.generate(IDS[:1], max_new_tokens=6, return_dict_in_generate=True)
            assert first.past_key_values.get_seq_length() == 10
            whole = torch.cat((first.sequences, second), 1)
            again = model.generate(whole, max_new_tokens=6, past_key_values=first.past_key_values)
            assert torch.equal(again, model.generate(whole, max_new_tokens=6))
        made.append(again)
    assert torch.equal(*made)


def test_a_model_that_is_no_decoder_reads_the_whole_text_each_time() -> None:
    ours = decoders(is_decoder=False)[0]
    ids = IDS
    for _ in range(6):
        ids = torch.cat((ids, ours(ids).logits[:, -1:].argmax(-1)), 1)
    assert torch.equal(ours.generate(IDS, max_new_tokens=6), ids)
    assert_same_tokens({"max_new_tokens": 6, "use_cache": False}, {"input_ids": IDS}, is_decoder=False)
