"""Pipelines against transformers': the same nesting, keys and numbers, on models drawn to order one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from electra import pipeline
from tests.tasks.tiny import LONG_CONTEXT, LONG_TEXT, LONGEST, TAGS, TEXTS, assert_same, make_folder, quiet_transformers

FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "three": ("ElectraForSequenceClassification", {"num_labels": 3}),
    "multi": (
        "ElectraForSequenceClassification",
        {"num_labels": 3, "problem_type": "multi_label_classification"},
    ),
    "one": ("ElectraForSequenceClassification", {"num_labels": 1}),
    "number": ("ElectraForSequenceClassification", {"num_labels": 1, "problem_type": "regression"}),
    "tags": (
        "ElectraForTokenClassification",
        {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}},
    ),
    "fill": ("ElectraForMaskedLM", {}),
    "base": ("ElectraModel", {}),
    "replaced": ("ElectraForPreTraining", {}),
    "answers": ("ElectraForQuestionAnswering", {}),
    "choices": ("ElectraForMultipleChoice", {}),
}
Both = Callable[..., tuple[Any, Any]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def folder(name: str) -> Path:
        architecture, fields = FIELDS[name]
        return make_folder(tmp_path_factory.mktemp(name), architecture, **fields)

    return folder


@pytest.fixture(scope="module")
def both(folders: Callable[[str], Path]) -> Iterator[Both]:
    """Ours and transformers' pipeline of a task and a folder."""
    models: dict[tuple[str, str], tuple[Any, Any]] = {}

    def make(task: str, name: str, **options: Any) -> tuple[Any, Any]:
        folder = str(folders(name))
        if (task, name) not in models:
            theirs = transformers.pipeline(task, folder, device="cpu")
            models[task, name] = theirs.model, theirs.tokenizer
        model, tokenizer = models[task, name]
        theirs = transformers.pipeline(task, model, tokenizer=tokenizer, device="cpu", **options)
        return pipeline(task, folder, device="cpu", **options), theirs

    with quiet_transformers():
        yield make


PAIR = {"text": "Ann sat.", "text_pair": "The cat sat on the mat."}
FITTING = [text for text in TEXTS if len(text) < 60]  # transformers fails on longer ones


@pytest.mark.parametrize("name", ["three", "multi", "one", "number"])
@pytest.mark.parametrize("inputs", ["the cat", FITTING, ["cat"], PAIR, [PAIR, PAIR]], ids=repr)
def test_text_classification_equals_transformers(both: Both, name: str, inputs: Any) -> None:
    ours, theirs = both("text-classification", name)
    for options in ({}, {"top_k": None}, {"top_k": 2}, {"top_k": 1}, {"function_to_apply": "sigmoid"}):
        assert_same(ours(inputs, **options), theirs(inputs, **options), where=str(options))


@pytest.mark.parametrize("options", [{"top_k": None}, {"top_k": 2, "function_to_apply": "none"}], ids=repr)
def test_text_classification_options_at_construction(both: Both, options: dict[str, Any]) -> None:
    ours, theirs = both("sentiment-analysis", "three", **options)
    for inputs in ("the cat", FITTING, PAIR):
        assert_same(ours(inputs), theirs(inputs))


def test_a_pair_may_be_a_list_in_a_list(both: Both) -> None:
    ours, theirs = both("text-classification", "three")
    inputs = [[[PAIR["text"], PAIR["text_pair"]]]] * 2
    assert_same(ours(inputs), theirs(inputs))
    assert_same(ours(inputs), ours([PAIR, PAIR]))


def test_text_classification_truncates_as_transformers_is_told_to(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = both("text-classification", "three")
    texts = [*FITTING, LONG_TEXT, {"text": LONG_TEXT, "text_pair": LONG_TEXT}, {"text": "a", "text_pair": LONG_TEXT}]
    assert_same(ours(texts), theirs(texts[:-2], truncation=True) + theirs(texts[-2:], truncation=True))
    assert [record.getMessage() for record in caplog.records if record.name == "electra"] == [
        f"3 of {len(texts)} texts were longer than {LONGEST} tokens and were truncated"
    ]
    cut = {"truncation": True, "max_length": 9, "padding": True}
    assert_same(ours(LONG_TEXT, **cut), theirs(LONG_TEXT, **cut))
    with pytest.raises(ValueError, match=r"example 1: the text has 107 tokens, the model reads 24: .*truncation=True"):
        ours(["a", LONG_TEXT], truncation=False)


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_token_classification_equals_transformers(both: Both, strategy: str) -> None:
    ours, theirs = both("ner", "tags", aggregation_strategy=strategy)
    short = [text for text in TEXTS if len(text) < 60]
    for options in ({}, {"ignore_labels": []}, {"ignore_labels": ["B-PER", "LOC"]}):
        expected = theirs(short, **options)
        assert_same(ours(short, **options), expected)
        assert_same(ours(short[0], **options), theirs(short[0], **options))
    labels = {e.get("entity") or e["entity_group"] for entities in ours(short, ignore_labels=[]) for e in entities}
    assert len(labels) >= (4 if strategy == "none" else 2)
    words = ["New", "York", "singing", "Zürich", "don't"]
    split = {"is_split_into_words": True, "ignore_labels": []}
    assert_same(ours(words, **split), theirs(words, **split))
    assert_same(ours([words, ["cat"]], delimiter="_", **split), theirs([words, ["cat"]], delimiter="_", **split))


def test_token_classification_loses_no_token_of_a_long_text(folders: Callable[[str], Path]) -> None:
    ours = pipeline("token-classification", folders("tags"), device="cpu", ignore_labels=[])
    found = ours(LONG_TEXT)
    tokens = ours.tokenizer(LONG_TEXT, add_special_tokens=False, return_offsets_mapping=True)
    assert [(e["start"], e["end"]) for e in found] == list(map(tuple, tokens["offset_mapping"]))
    assert [e["index"] for e in found] == list(range(1, len(found) + 1))
    assert_same(ours(LONG_TEXT[: found[21]["end"]])[:15], found[:15])


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_windows_give_the_entities_that_transformers_merges(tmp_path: Path, strategy: str) -> None:
    """With a model that reads each token by itself, so that neither the window nor the place in it matters."""
    name, fields = FIELDS["tags"]
    folder = make_folder(tmp_path, name, **fields)
    model = electra.ElectraForTokenClassification.from_pretrained(folder)
    with torch.no_grad():
        model.electra.embeddings.position_embeddings.weight.zero_()
        for layer in model.electra.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    model.save_pretrained(folder)
    with quiet_transformers():
        theirs = transformers.pipeline("ner", str(folder), device="cpu", aggregation_strategy=strategy)
    ours = pipeline("ner", folder, device="cpu", aggregation_strategy=strategy)
    whole = ours(LONG_CONTEXT)  # its words are single tokens, which no window cuts
    assert len(whole) > 20
    for stride in (8, 12):
        assert_same(ours(LONG_CONTEXT, stride=stride), theirs(LONG_CONTEXT, stride=stride))
        assert_same(ours(LONG_CONTEXT, stride=stride), whole)


def test_offsets_may_be_given(both: Both) -> None:
    ours, theirs = both("ner", "tags", ignore_labels=[])
    text = "Ann and Zürich 日本"
    spans = [(0, 0), *((i, i + 1) for i in range(len(ours(text)))), (0, 0)]
    for options in ({}, {"aggregation_strategy": "simple"}):
        expected = theirs(text, offset_mapping=spans, **options)
        assert_same(ours(text, offset_mapping=spans, **options), expected)
        assert_same(ours({"text": text, "offset_mapping": spans}, **options), expected)
        # transformers gives every text the offsets of the first
        other = [(0, 0), (1, 2), (0, 0)]
        assert_same(ours([text, "cat"], offset_mapping=[spans, other], **options)[0], expected)
        (entity,) = ours([text, "cat"], offset_mapping=[spans, other], **options)[1]
        assert (entity["start"], entity["end"]) == (1, 2)


@pytest.mark.parametrize("text", ["the [MASK] sat", "[MASK]", "the [MASK] sat on [MASK]."])
def test_fill_mask_equals_transformers(both: Both, text: str) -> None:
    ours, theirs = both("fill-mask", "fill")
    many = [text, "Ann is in [MASK] york and the bigger cat is in Paris.", text]
    cut = {"tokenizer_kwargs": {"truncation": True, "max_length": 20, "padding": True}}
    for options in ({}, {"top_k": 3}, {"targets": ["mat", "cat"]}, {"targets": "paris"}, {"top_k": 999}, cut):
        if options != {"top_k": 999}:  # an error in transformers
            assert_same(ours(text, **options), theirs(text, **options))
            assert_same(ours([text], **options), theirs([text], **options))
            assert_same(ours(many, **options), theirs(many, **options))
    whole = ours("the [MASK]", top_k=999)
    assert len(whole) == ours.tokenizer.vocab_size
    assert sum(choice["score"] for choice in whole) == pytest.approx(1)


def test_fill_mask_replaces_targets_that_are_no_token(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = both("fill-mask", "fill", targets=["matting", "cat"])
    assert_same(ours("a [MASK]"), theirs("a [MASK]"))
    assert "the target 'matting' is not in the vocabulary: it is replaced by 'mat'" in caplog.text
    with pytest.raises(ValueError, match="none of them has a token"):
        ours("a [MASK]", targets=["\u0001"])


def test_fill_mask_answers_each_mask_of_a_long_text_once(folders: Callable[[str], Path]) -> None:
    ours = pipeline("fill-mask", folders("fill"), device="cpu", targets=["mat", "paris"])
    text = "a [MASK] cat " * 30
    found = ours(text)
    assert [len(choices) for choices in found] == [2] * 30
    for i, choices in enumerate(found):
        for choice in choices:
            words = choice["sequence"].split()[1:-1]  # [CLS], [SEP]
            assert words == [choice["token_str"] if n == 3 * i + 1 else word for n, word in enumerate(text.split())]
    (best, _) = ours("the cat " * 40 + "[MASK]")
    assert best["sequence"] == "the cat " * 40 + best["token_str"]


def test_feature_extraction_equals_transformers(both: Both) -> None:
    ours, theirs = both("feature-extraction", "base")
    assert_same(ours("the cat"), theirs("the cat"))
    assert_same(ours(FITTING), theirs(FITTING))
    assert_same(ours(["cat"], truncation=True), theirs(["cat"], truncation=True))
    cut = {"tokenize_kwargs": {"truncation": True, "max_length": 7}}
    assert_same(ours(LONG_TEXT, **cut), theirs(LONG_TEXT, **cut))
    with pytest.raises(ValueError, match="truncation is given twice, by itself and in tokenize_kwargs"):
        ours("the cat", truncation=True, tokenize_kwargs={"truncation": True})
    tensor = ours("the cat", return_tensors=True)
    torch.testing.assert_close(tensor, theirs("the cat", return_tensors=True), atol=1e-5, rtol=1e-5)


def test_features_come_from_the_encoder_of_any_model(folders: Callable[[str], Path]) -> None:
    model = electra.ElectraForSequenceClassification.from_pretrained(folders("three"))
    tokenizer = electra.ElectraTokenizer.from_pretrained(folders("three"))
    ours = pipeline("feature-extraction", model, tokenizer=tokenizer)
    alone = pipeline("feature-extraction", folders("three"), device="cpu")
    assert_same(ours("the cat"), alone("the cat"))


def test_replaced_token_detection(folders: Callable[[str], Path]) -> None:
    ours = pipeline("replaced-token-detection", folders("replaced"), device="cpu")
    text = "Ann sat on the bigger mat"
    found = ours(text)
    theirs = transformers.ElectraForPreTraining.from_pretrained(folders("replaced"))
    ids = ours.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        expected = theirs(**ids).logits[0, 1:-1].sigmoid().tolist()
    assert [set(token) for token in found] == [{"token", "start", "end", "score", "replaced"}] * 8
    assert [text[t["start"] : t["end"]].lower() for t in found] == [t["token"].removeprefix("##") for t in found]
    assert [t["score"] for t in found] == pytest.approx(expected, abs=1e-5)
    assert [t["replaced"] for t in found] == [score >= 0.5 for score in expected]
    assert all(t["replaced"] for t in ours(text, threshold=0.0))
    assert_same(ours([text, LONG_TEXT])[0], found)
    assert len(ours(LONG_TEXT)) == len(ours.tokenizer(LONG_TEXT, add_special_tokens=False)["input_ids"])


def test_batches_of_any_size_give_the_same(folders: Callable[[str], Path]) -> None:
    ours = pipeline("text-classification", folders("three"), device="cpu", top_k=None)
    expected = [ours([text])[0] for text in TEXTS]
    for options in ({"batch_size": 1}, {"batch_size": 4}, {"batch_tokens": 30}):
        found = pipeline("text-classification", folders("three"), device="cpu", top_k=None, **options)(TEXTS)
        assert_same(found, expected)
    assert ours([]) == []


def test_a_model_object_keeps_its_device_and_mode(folders: Callable[[str], Path]) -> None:
    model = electra.ElectraForTokenClassification.from_pretrained(folders("tags")).train()
    model.config.hidden_dropout_prob = 0.9
    with pytest.raises(ValueError, match="tokenizer="):
        pipeline("ner", model)
    ours = pipeline("ner", model, tokenizer=str(folders("tags")))
    assert_same(ours(TEXTS[:2]), pipeline("ner", folders("tags"), device="cpu")(TEXTS[:2]))
    assert model.training
    assert ours.task == "token-classification"
    assert pipeline(model=model, tokenizer=ours.tokenizer).task == "token-classification"
    with pytest.raises(ValueError, match="fill-mask is done by ElectraForMaskedLM, and the model is ElectraForToken"):
        pipeline("fill-mask", model, tokenizer=ours.tokenizer)


def test_a_config_and_model_kwargs_change_what_is_loaded(folders: Callable[[str], Path]) -> None:
    config = electra.ElectraConfig.from_pretrained(folders("three"), id2label={0: "x", 1: "y", 2: "z"})
    for options in ({"config": config}, {"model_kwargs": {"id2label": config.id2label}}):
        found = pipeline("text-classification", folders("three"), device="cpu", dtype="bfloat16", **options)
        assert found.model.dtype == torch.bfloat16
        assert found("the cat")[0]["label"] in ("x", "y", "z")


def test_arguments_of_transformers_pipeline_without_effect_here(folders: Callable[[str], Path]) -> None:
    plain = pipeline("ner", folders("tags"), device="cpu")
    nothing = dict.fromkeys(("feature_extractor", "image_processor", "processor", "pipeline_class", "token"))
    fast = {"use_fast": True, "trust_remote_code": False, "framework": "pt", "num_workers": 0, "device": -1}
    assert_same(pipeline("ner", str(folders("tags")), **nothing, **fast)(TEXTS[0]), plain(TEXTS[0]))
    for device in (torch.device("cpu"), "cpu", -1):
        assert pipeline("ner", folders("tags"), device=device).device.type == "cpu"
    assert pipeline("ner", folders("tags"), device_map="cpu").device.type == "cpu"
    assert pipeline("ner", folders("tags"), device="cpu", torch_dtype=torch.bfloat16).model.dtype == torch.bfloat16
    config = electra.ElectraConfig.from_pretrained(folders("tags"))
    tokenizer = electra.ElectraTokenizer.from_pretrained(folders("tags"))
    for given in (str(folders("tags")), config):
        found = pipeline("ner", folders("tags"), config=given, tokenizer=tokenizer, device="cpu")
        assert_same(found(TEXTS[0]), plain(TEXTS[0]))
    with pytest.raises(
        ValueError, match="no argument pipeline_class: ELECTRA's pipelines have a model and a tokenizer"
    ):
        pipeline("ner", folders("tags"), pipeline_class=object)


@pytest.mark.parametrize("name", FIELDS)
def test_the_task_is_the_one_the_model_was_made_for(folders: Callable[[str], Path], name: str) -> None:
    expected = {
        "tags": "token-classification",
        "fill": "fill-mask",
        "base": "feature-extraction",
        "replaced": "replaced-token-detection",
        "answers": "question-answering",
        "choices": "multiple-choice",
    }
    assert pipeline(model=folders(name), device="cpu").task == expected.get(name, "text-classification")


def test_unknown_tasks_and_options_are_refused_with_a_suggestion(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match=r"no task 'text-clasification'\. Did you mean text-classification\?"):
        pipeline("text-clasification", folders("three"))
    with pytest.raises(ValueError, match=r"fill-mask has no option 'topk'\. Did you mean top_k\?"):
        pipeline("fill-mask", folders("fill"), topk=3)
    with pytest.raises(ValueError, match="no option 'mask_token_id'"):
        pipeline("fill-mask", folders("fill"), mask_token_id=3)
    ours = pipeline("ner", folders("tags"), device="cpu")
    with pytest.raises(ValueError, match=r"no option 'agregation_strategy'\. Did you mean aggregation_strategy"):
        ours("a", agregation_strategy="simple")
    with pytest.raises(ValueError, match=r"'avarage': choose one of .*Did you mean average"):
        ours("a", aggregation_strategy="avarage")


@pytest.mark.parametrize(
    ("task", "name", "inputs", "options", "message"),
    [
        ("text-classification", "three", 3, {}, "expected a text"),
        ("text-classification", "three", ["a", 3], {}, "example 1: expected a string"),
        ("text-classification", "three", ["a", ["a", "b"]], {}, 'a pair of texts is {"text"'),
        ("text-classification", "three", {"txt": "a"}, {}, "'text' .* must be strings; the example has {'txt': str}"),
        ("text-classification", "three", "a", {"top_k": 0}, "top_k is 0"),
        ("text-classification", "three", "a", {"function_to_apply": "relu"}, "function_to_apply is 'relu'"),
        ("text-classification", "three", "a", {"truncation": "middle"}, "truncation='middle'"),
        ("text-classification", "three", "a", {"max_length": LONGEST + 1}, "reads at most 24 tokens"),
        ("text-classification", "three", "a", {"max_length": 2}, "must be 3 tokens or more"),
        (
            "text-classification",
            "three",
            "a",
            {"labels": ("x", "y")},
            "has 3 outputs, and there are 2 labels",
        ),
        (
            "text-classification",
            "three",
            "a",
            {"tokenizer_kwargs": True},
            "tokenizer_kwargs is True: it must be a dict",
        ),
        ("text-classification", "three", "a", {"max_length": None}, "max_length is None: it must be a whole number"),
        ("text-classification", "three", "a", {"batch_size": 0}, "batch_size is 0"),
        ("text-classification", "three", "a", {"batch_size": "4"}, "batch_size is '4'"),
        ("token-classification", "tags", {"text": "a", "text_pair": "b"}, {}, "not a pair"),
        ("token-classification", "tags", "a", {"stride": 22}, "stride=22: windows of 22 tokens can share 0 to 21"),
        ("token-classification", "tags", {"tokens": ["a", 3]}, {}, "list of words"),
        ("token-classification", "tags", "a", {"offset_mapping": [(0, 1)]}, "for each of the text's 1 tokens and for"),
        ("token-classification", "tags", ["a"], {"offset_mapping": []}, "has 0 lists, for 1 texts"),
        ("token-classification", "tags", iter("a"), {"offset_mapping": [[]]}, "1 lists, for a str_.*iterator"),
        ("fill-mask", "fill", "no mask", {}, r"has no \[MASK\] to fill: 'no mask'"),
        ("fill-mask", "fill", ["[MASK]", "none"], {}, "example 1: the text has no"),
        ("fill-mask", "fill", "[MASK]", {"top_k": 0}, "top_k is 0"),
        ("replaced-token-detection", "replaced", "a", {"threshold": 1.5}, "threshold is 1.5"),
    ],
)
def test_bad_input_is_refused(
    folders: Callable[[str], Path], task: str, name: str, inputs: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(task, folders(name), device="cpu")(inputs, **options)


def test_a_model_is_needed() -> None:
    with pytest.raises(ValueError, match="needs a model"):
        pipeline("fill-mask")
    with pytest.raises(ValueError, match="has no ElectraConfig"):
        pipeline("fill-mask", torch.nn.Linear(2, 2), tokenizer="x")
