"""`pipeline(…, precision=…)`: answers as torch's, the same bits alone and in a batch, and refusals."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from electra import evaluate, pipeline, predict
from electra.inference.checks import available_precisions
from electra.inference.predictor import predict as compute
from tests.tasks.tiny import QUESTIONS, TAGS, TEXTS, WHOLE_WORDS, assert_same, make_folder

SIZES = {"embedding_size": 64, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 192}
TASKS = {
    "text-classification": ("ElectraForSequenceClassification", {"num_labels": 3}),
    "token-classification": (
        "ElectraForTokenClassification",
        {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}},
    ),
    "question-answering": ("ElectraForQuestionAnswering", {}),
    "multiple-choice": ("ElectraForMultipleChoice", {}),
    "fill-mask": ("ElectraForMaskedLM", {}),
    "feature-extraction": ("ElectraModel", {}),
    "replaced-token-detection": ("ElectraForPreTraining", {}),
}
EXAMPLES: dict[str, list[Any]] = {
    "question-answering": [
        {"question": question, "context": " ".join(WHOLE_WORDS[:count])}
        for question, count in zip(QUESTIONS, (11, 3, 9), strict=True)
    ],
    "multiple-choice": [
        {"text": text, "choices": ["a cat", "in New York and on a mat", "is"]} for text in TEXTS if text
    ],
    "fill-mask": [f"{text} [MASK] cat" for text in ("Ann sat on", "a", "the big cat is in new york and")],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def folder(task: str) -> Path:
        architecture, fields = TASKS[task]
        with torch.inference_mode(False):
            return make_folder(tmp_path_factory.mktemp(task), architecture, **SIZES, **fields)

    return folder


@pytest.fixture(params=["float32", "bfloat16", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    if request.param not in available_precisions():
        pytest.skip(f"no kernels for {request.param} here")
    return str(request.param)


def examples(task: str) -> list[Any]:
    return EXAMPLES.get(task, TEXTS)


@pytest.mark.parametrize("task", TASKS)
def test_answers_in_float32_are_torchs(task: str, folders: Callable[[str], Path]) -> None:
    if "float32" not in available_precisions():
        pytest.skip("no kernels for float32 here")
    by_torch = pipeline(task, folders(task), device="cpu")
    by_kernels = pipeline(task, folders(task), device="cpu", precision="float32")
    assert by_torch.engine is None
    assert by_kernels.engine is not None
    assert by_kernels.engine.why_torch is None
    assert_same(by_kernels(examples(task)), by_torch(examples(task)), tolerance=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_an_example_has_the_same_answer_alone_and_in_a_batch(
    task: str, precision: str, folders: Callable[[str], Path]
) -> None:
    answer = pipeline(task, folders(task), device="cpu", precision=precision, num_threads=2)
    assert answer.engine is not None
    assert answer.engine.why_torch is None
    together = answer(examples(task))
    assert answer(examples(task), batch_size=1) == together
    for example, one in zip(examples(task), together, strict=True):
        alone = answer([example])
        assert alone in (one, [one])


def test_the_kernels_compute(precision: str, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = pipeline("text-classification", folders("text-classification"), device="cpu", precision=precision)
    calls: list[Any] = []
    encode = type(answer.engine).encode  # type: ignore[arg-type]

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(encode(self, *arguments, **named))
        return calls[-1]

    monkeypatch.setattr("electra.inference.engine.Engine.encode", counted)
    answer(TEXTS)
    assert calls
    assert all(hidden is not None for hidden in calls)


def test_the_engine_is_in_the_repr(precision: str, folders: Callable[[str], Path]) -> None:
    folder = folders("text-classification")
    answer = pipeline("text-classification", folder, device="cpu", precision=precision)
    assert f"on cpu by {answer.engine.kernels} kernels, {precision}" in repr(answer)  # type: ignore[union-attr]
    assert repr(pipeline("text-classification", folder, device="cpu")).endswith("on cpu)")


def test_auto(folders: Callable[[str], Path]) -> None:
    answer = pipeline("text-classification", folders("text-classification"), device="cpu", precision="auto")
    assert answer.engine is not None
    assert answer.engine.precision in ("float32", *available_precisions())
    assert [row["label"] for row in answer(TEXTS)]


def test_a_model_in_training_mode_answers_and_stays_in_it(precision: str, folders: Callable[[str], Path]) -> None:
    answer = pipeline("text-classification", folders("text-classification"), device="cpu", precision=precision)
    expected = answer(TEXTS)
    answer.model.train()
    assert answer(TEXTS) == expected
    assert all(module.training for module in answer.model.modules())


def test_copies_answer_the_same(precision: str, folders: Callable[[str], Path]) -> None:
    answer = pipeline("text-classification", folders("text-classification"), device="cpu", precision=precision)
    expected = answer(TEXTS)
    assert copy.deepcopy(answer)(TEXTS) == expected
    assert pickle.loads(pickle.dumps(answer))(TEXTS) == expected


@pytest.mark.parametrize("asked", ["int4", "float16", "", 8, True, ["int8"]])
def test_unknown_precisions(asked: Any) -> None:
    with pytest.raises(ValueError, match=r"precision is .*: choose one of float32, bfloat16, int8, auto"):
        pipeline("text-classification", "no-such-folder", precision=asked)


def test_numbers_of_threads(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match="num_threads is 0: it must be a whole number, 1 or more"):
        pipeline("text-classification", "no-such-folder", precision="int8", num_threads=0)
    with pytest.raises(ValueError, match="num_threads is 2: without a precision torch computes"):
        pipeline("text-classification", folders("text-classification"), num_threads=2)


def test_a_precision_that_the_processor_lacks(folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELECTRA_KERNELS", "avx2")
    if available_precisions() != ["float32", "int8"]:
        pytest.skip("this processor has no AVX2")
    with pytest.raises(ValueError, match=r"precision is 'bfloat16': .*Possible here: float32, int8$"):
        pipeline("text-classification", folders("text-classification"), device="cpu", precision="bfloat16")


def test_without_a_library_the_command_is_named(
    folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folders("text-classification")
    monkeypatch.setenv("ELECTRA_KERNELS_LIBRARY", str(tmp_path / "absent.so"))
    with pytest.raises(ValueError, match=r"precision is 'int8': .* run `python -m electra\.inference\.compiling`"):
        pipeline("text-classification", folder, device="cpu", precision="int8")
    answer = pipeline("text-classification", folder, device="cpu", precision="float32")
    assert "precision is float32: torch computes, because the library of kernels is not built" in caplog.text
    assert answer(TEXTS) == pipeline("text-classification", folder, device="cpu")(TEXTS)


def test_a_model_that_no_kernel_computes(tmp_path: Path) -> None:
    with torch.inference_mode(False):
        folder = make_folder(tmp_path / "narrow", "ElectraForSequenceClassification", num_labels=3)
    with pytest.raises(ValueError, match=r"precision is 'int8': .*embedding_size is 24, not a multiple of 64"):
        pipeline("text-classification", folder, device="cpu", precision="int8")
    answer = pipeline("text-classification", folder, device="cpu", precision="auto")
    assert "by torch, float32 (no kernels: its embedding_size is 24" in repr(answer)
    assert answer(TEXTS) == pipeline("text-classification", folder, device="cpu")(TEXTS)


def test_predict_and_evaluate(precision: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folders("text-classification")
    answer = pipeline("text-classification", folder, device="cpu", precision=precision)
    expected = answer(TEXTS)
    assert predict(str(folder), TEXTS, device="cpu", precision=precision) == expected
    examples = [{"text": text, "label": f"LABEL_{i % 3}"} for i, text in enumerate(TEXTS) if text]
    data = tmp_path / "labelled.jsonl"
    data.write_text("".join(f"{json.dumps(example)}\n" for example in examples), encoding="utf-8")
    shared: dict[str, Any] = {"device": "cpu", "resamples": 0, "quiet": True}
    by_kernels = evaluate(str(folder), data, **shared, precision=precision)
    by_torch = evaluate(str(folder), data, **shared)
    assert by_kernels["scores"].keys() == by_torch["scores"].keys()
    if precision == "float32":
        assert_same(dict(by_kernels["scores"]), dict(by_torch["scores"]), tolerance=1e-5)


@pytest.mark.parametrize("verb", [predict, evaluate])
def test_verbs_refuse_unknown_precisions(verb: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="precision is 'int4': choose one of float32, bfloat16, int8, auto"):
        verb("no-such-folder", "no-such-file.jsonl", precision="int4")


def test_another_model_is_computed_after_it_is_assigned(precision: str, folders: Callable[[str], Path]) -> None:
    answer = pipeline("text-classification", folders("text-classification"), device="cpu", precision=precision)
    before = answer(TEXTS)
    with torch.inference_mode(False), torch.no_grad():
        other = copy.deepcopy(answer.model)
        other.classifier.out_proj.weight.neg_()  # type: ignore[union-attr,operator]
    engine, answer.model = answer.engine, other
    assert answer(TEXTS) != before
    assert answer.engine is not engine
    with pytest.raises(ValueError, match="the engine was made of another model"):
        compute(other, answer.tokenizer, answer.options, TEXTS, engine=engine)
