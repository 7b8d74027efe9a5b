"""Text generation as a pipeline: transformers' answers, whatever texts share a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from electra.tasks.text_generation import TextGeneration
from tests.tasks.tiny import TEXTS, VOCABULARY, make_folder, quiet_transformers

ENDS = [VOCABULARY.index(token) for token in ("2", "l", "paris", "sat")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with room for longer texts than the other tasks', and untied, so that it does not repeat itself."""
    fields = {"is_decoder": True, "max_position_embeddings": 64, "tie_word_embeddings": False}
    made = make_folder(tmp_path_factory.mktemp("decoder"), "ElectraForCausalLM", **fields)
    model = transformers.ElectraForCausalLM.from_pretrained(made)
    with torch.no_grad():  # the feed-forward network says much the same to every token
        for name, parameter in model.named_parameters():
            if name.endswith("output.dense.weight") and "attention" not in name:
                parameter.mul_(0.1)
    model.save_pretrained(made)
    transformers.AutoTokenizer.from_pretrained(made, model_max_length=64).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return electra.pipeline("text-generation", str(folder), device="cpu")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    with quiet_transformers():
        return transformers.pipeline("text-generation", str(folder), device="cpu")


GREEDY = {"do_sample": False, "max_new_tokens": 12}
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ends": {"eos_token_id": ENDS},
    "the answer alone": {"return_full_text": False, "eos_token_id": ENDS},
    "tokens": {"return_tensors": True, "eos_token_id": ENDS},
    "beams": {"num_beams": 3, "num_return_sequences": 2, "eos_token_id": ENDS},
    "tokens of beams": {"num_beams": 3, "num_return_sequences": 3, "eos_token_id": ENDS, "return_tensors": True},
    "no [CLS]": {"add_special_tokens": False, "repetition_penalty": 1.5},
    "special tokens shown": {"skip_special_tokens": False, "bad_words_ids": [[5]]},
    "no token twice": {"no_repeat_ngram_size": 1},
    "a length of the whole": {"max_length": 40, "max_new_tokens": None},
    "a prefix": {"prefix": "paris and"},
    "a stop": {"stop_sequence": ["g u", "e the", "2"]},
}


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_answers_are_those_of_transformers(options: dict[str, Any], ours: Any, theirs: Any) -> None:
    """There every text is alone in its batch; here they share one, padded on the left."""
    texts = [text for text in TEXTS if text] if options.get("add_special_tokens") is False else TEXTS
    options = {name: value for name, value in (GREEDY | options).items() if value is not None}
    with quiet_transformers():
        expected = theirs(texts, **options)
        alone = theirs(texts[0], **options)
    assert ours(texts, **options) == expected
    assert ours(texts[0], **options) == alone
    assert list(ours((text for text in texts), **options)) == expected
    assert len({str(answer) for answer in expected}) == len(texts)


def test_texts_share_a_batch_unless_an_option_counts_padding(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    generate = type(ours.model).generate

    def counted(model: Any, **given: Any) -> Any:
        batches.append(len(given["input_ids"]))
        return generate(model, **given)

    monkeypatch.setattr(type(ours.model), "generate", counted)
    ours(TEXTS, **GREEDY)
    assert batches == [len(TEXTS)]
    batches.clear()
    ours(TEXTS, **GREEDY, no_repeat_ngram_size=2)
    assert batches == [1] * len(TEXTS)


def test_by_default_it_samples_as_transformers_does(ours: Any, theirs: Any) -> None:
    """Warmly, and as far as there are positions: where transformers stops with an index error, this ends."""
    for options in ({"max_new_tokens": 20}, {"max_new_tokens": 9, "num_return_sequences": 3, "top_k": 4}):
        torch.manual_seed(4)
        with quiet_transformers():
            expected = theirs("the big cat", **options)
        torch.manual_seed(4)
        assert ours("the big cat", **options) == expected
    torch.manual_seed(4)
    (answer,) = ours("the big cat", return_tensors=True)
    assert len(answer["generated_token_ids"]) == 65
    lengths = [len(found[0]["generated_token_ids"]) for found in ours(TEXTS, return_tensors=True)]
    assert lengths == [65] * len(TEXTS)


def test_the_model_says_what_neither_the_call_nor_the_pipeline_does(folder: Path, tmp_path: Path) -> None:
    model = electra.ElectraForCausalLM.from_pretrained(folder)
    tokenizer = electra.ElectraTokenizer.from_pretrained(folder)
    model.generation_config.update(max_new_tokens=3, do_sample=False)
    generate = electra.pipeline("text-generation", model, tokenizer=tokenizer)
    first = generate("the cat", return_tensors=True)
    assert first == generate("the cat", return_tensors=True)
    assert len(first[0]["generated_token_ids"]) == 7
    assert len(generate("the cat", return_tensors=True, max_new_tokens=5)[0]["generated_token_ids"]) == 9
    config = transformers.GenerationConfig(max_new_tokens=6)
    assert len(generate("the cat", return_tensors=True, generation_config=config)[0]["generated_token_ids"]) == 10


def test_a_hole_makes_room_for_the_answer(ours: Any, theirs: Any) -> None:
    text = "the cat sat on a mat and " * 10
    options = {**GREEDY, "handle_long_generation": "hole", "return_full_text": False}
    with quiet_transformers():
        assert ours(text, **options) == theirs(text, **options)
    with pytest.raises(ValueError, match=r"the longest prompt has 72 tokens, and up to 12 .* end at 64"):
        ours(text, **GREEDY)
    cut = ours(text, truncation=True, max_length=30, do_sample=False, max_new_tokens=4, return_tensors=True)
    assert len(cut[0]["generated_token_ids"]) == 34


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_token": 3}, "text-generation has no option 'max_new_token'. Did you mean max_new_tokens"),
        ({"return_full_text": True, "return_tensors": True}, "return_full_text and return_tensors exclude each other"),
        ({"return_text": True, "return_tensors": True}, "return_tensors and return_text exclude each other"),
        ({"output_scores": True}, "output_scores: a pipeline answers with texts"),
        ({"handle_long_generation": "cut"}, "handle_long_generation is 'cut': choose one of hole"),
        ({"tokenizer_encode_kwargs": {"stride": 3}}, "tokenizer_encode_kwargs has 'stride'"),
        ({"handle_long_generation": "hole", "max_new_tokens": 64}, "64 new tokens leave no room"),
        ({"num_return_sequences": 2, "do_sample": False}, "num_return_sequences is 2, and the likeliest"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str, ours: Any) -> None:
    with pytest.raises(ValueError, match=message):
        ours("the cat", **options)


def test_prompts_that_cannot_be_gone_on_from(ours: Any) -> None:
    with pytest.raises(ValueError, match="example 1: the prompt has no token"):
        ours(["cat", ""], add_special_tokens=False, **GREEDY)
    with pytest.raises(ValueError, match="example 0: expected a string or a dict"):
        ours([3])
    with pytest.raises(ValueError, match="reads one text at a time"):
        ours({"text": "a", "text_pair": "b"})


def test_a_folder_of_a_decoder_is_for_this_task(folder: Path) -> None:
    assert isinstance(electra.pipeline(model=str(folder), device="cpu").options, TextGeneration)
