"""predict(): order, batches, memory, and `electra predict` on files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import electra
from electra import pipeline
from electra.batch import Row
from electra.commands.predict import PredictConfig, predict_file
from electra.inference.predictor import batches, predict
from electra.tasks.replaced_tokens import ReplacedTokens
from electra.tasks.task import ExampleError
from tests.tasks.tiny import LONG_TEXT, LONGEST, TAGS, TEXTS, VOCABULARY, assert_same, fake, make_folder


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=LONGEST)


def ids_as_scores() -> Any:
    """A model that says of each token its id, as a probability of replacement."""
    return fake(lambda batch: SimpleNamespace(logits=(batch.input_ids / len(VOCABULARY)).logit()))


TASK = ReplacedTokens(max_length=LONGEST)


@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.integers(1, 60),
    st.integers(1, 8),
)
def test_batches_take_every_row_once_and_keep_to_their_limits(lengths: list[int], tokens: int, most: int) -> None:
    rows = [Row([0] * length) for length in lengths]
    chosen = list(batches(rows, tokens, most))
    assert sorted(i for batch in chosen for i in batch) == list(range(len(rows)))
    for batch in chosen:
        assert len(batch) <= most
        assert len(batch) == 1 or sum(lengths[i] for i in batch) <= tokens
    in_order = [lengths[i] for batch in chosen for i in batch]
    assert in_order == sorted(in_order, reverse=True)


@pytest.mark.parametrize("limits", [{}, {"batch_tokens": 7}, {"batch_tokens": 60, "batch_size": 2}], ids=repr)
def test_answers_come_in_order_whatever_the_batches(tokenizer: Any, limits: dict[str, int]) -> None:
    texts = [*TEXTS, LONG_TEXT] * 3
    answers = list(predict(ids_as_scores(), tokenizer, TASK, texts, **limits))
    for text, answer in zip(texts, answers, strict=True):
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        assert [round(token["score"] * len(VOCABULARY)) for token in answer] == ids
        assert [token["token"] for token in answer] == tokenizer.convert_ids_to_tokens(ids)


def test_nothing_is_padded_and_batches_are_filled(tokenizer: Any) -> None:
    model = ids_as_scores()
    list(predict(model, tokenizer, TASK, ["a", "a a a a a a a a"] * 20, batch_tokens=60))
    assert model.batches[0] == (10,) * 6
    assert sum(map(sum, model.batches)) == 20 * 3 + 20 * 10
    assert all(sum(lengths) > 50 for lengths in model.batches[:-1])


def test_a_streams_windows_grow(tokenizer: Any) -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for _ in range(200):
            read += 1
            yield "a cat"

    answers = predict(ids_as_scores(), tokenizer, TASK, texts(), batch_size=3)
    sizes = sorted({read for _ in answers})
    assert sizes == [3, 9, 21, 45, 93, 141, 189, 200]  # 1, 2, 4, 8, 16, 16, … batches more


class Given(str):
    """A string that can be watched."""


def test_a_stream_of_any_length_needs_the_memory_of_a_window(tokenizer: Any) -> None:
    alive: weakref.WeakSet[Given] = weakref.WeakSet()
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for i in range(3000):
            read += 1
            text = Given(TEXTS[i % 3])
            alive.add(text)
            yield text

    answers = predict(ids_as_scores(), tokenizer, TASK, texts(), batch_tokens=64)
    assert read == 0
    counts, most = [], 0
    for answer in answers:
        counts.append(len(answer))
        most = max(most, len(alive))
    assert counts == counts[:3] * 1000
    assert most < 500


def test_a_model_in_training_answers_without_dropout_and_goes_on_training(tokenizer: Any) -> None:
    model = ids_as_scores().train()
    answers = predict(model, tokenizer, TASK, ["a"] * 5, batch_tokens=3)
    next(answers)
    assert model.training
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("whole", [True, False])
def test_what_did_not_train_does_not_train_afterwards(whole: bool, tokenizer: Any) -> None:
    """And what does, though the model around it does not, is without dropout meanwhile."""
    model = torch.nn.Sequential(ids_as_scores(), torch.nn.Dropout()).train()
    model[1].eval()
    model.training = whole
    meanwhile = []
    model.forward = lambda batch: (meanwhile.append(model[0].training), model[0](batch))[1]  # type: ignore[method-assign,func-returns-value]
    list(predict(model, tokenizer, TASK, ["a"]))
    assert meanwhile == [False]
    assert [part.training for part in (model, *model)] == [whole, True, False]


def test_a_model_in_training_stays_without_dropout_for_all_threads_that_use_it(tokenizer: Any) -> None:
    first_is_done, second_is_in = threading.Event(), threading.Event()

    def run(batch: Any) -> Any:
        if batch.layout.longest == 3:  # the first thread's: leaves the network while the second is in it
            assert second_is_in.wait(60)
        else:
            second_is_in.set()
            assert first_is_done.wait(60)
            assert not model.training
        return SimpleNamespace(logits=batch.input_ids.float())

    model = fake(run).train()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: list(predict(model, tokenizer, TASK, ["a"])))
        first.add_done_callback(lambda _: first_is_done.set())
        second = threads.submit(lambda: list(predict(model, tokenizer, TASK, ["a a"])))
        assert len(first.result()) == len(second.result()) == 1
    assert model.training


def test_errors_count_examples_over_windows(tokenizer: Any) -> None:
    answers = predict(ids_as_scores(), tokenizer, TASK, [*(["the cat sat"] * 900), 3], batch_tokens=8)
    with pytest.raises(ExampleError, match="example 900: expected a string") as caught:
        list(answers)
    assert caught.value.index == 900
    with pytest.raises(ValueError, match="batch_tokens is 0"):
        predict(ids_as_scores(), tokenizer, TASK, [], batch_tokens=0)
    assert list(predict(ids_as_scores(), tokenizer, replace(TASK, max_length=9), [])) == []


# -- electra predict ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("three"), "ElectraForSequenceClassification", num_labels=3))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> str:
    fields = {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}}
    return str(make_folder(tmp_path_factory.mktemp("tags"), "ElectraForTokenClassification", **fields))


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(content: str | bytes, name: str = "in.txt") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return make


def answers_in(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def close(ours: Any, theirs: Any) -> bool:
    return [a["label"] for a in ours] == [b["label"] for b in theirs] and all(
        abs(a["score"] - b["score"]) < 1e-5 for a, b in zip(ours, theirs, strict=True)
    )


def test_lines_of_text_become_lines_of_json(folder: str, write: Write, tmp_path: Path) -> None:
    lines = ["Ann sat.", "", "Zürich 日本", "{not json"]
    output = tmp_path / "new" / "out.jsonl"
    predict_file(PredictConfig(folder, write("\r\n".join(lines)), output=str(output), device="cpu"))
    assert close(answers_in(output), pipeline("text-classification", folder, device="cpu")(lines))
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_leaves_no_half_of_an_answer(folder: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    os.mkfifo(texts)  # and nobody closes it: the command waits for more
    command = [sys.executable, "-m", "electra", "predict", folder, str(texts), "--output", str(tmp_path / "out.jsonl")]
    process = subprocess.Popen([*command, "--format", "text", "--device", "cpu"])
    with open(texts, "w") as pipe:
        pipe.write("Ann\n" * 5000)
        pipe.flush()
        while not list(tmp_path.glob(".out.jsonl.*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_pipe_is_written_to_and_not_replaced(folder: str, write: Write, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    predict_file(PredictConfig(folder, write("Ann"), output=str(pipe), device="cpu"))
    assert json.loads(os.read(reader, 1000)).keys() == {"label", "score"}
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_full_disk_is_reported(folder: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "w")  # noqa: SIM115 (closing it fails too)
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OSError, match="No space left"):
        predict_file(PredictConfig(folder, write("Ann"), device="cpu"))
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_json_lines_hold_texts_pairs_or_words(
    folder: str, tagger: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = [{"text": "Ann", "id": 7}, {"text": "Ann", "text_pair": "sat"}]
    lines = "\n".join(map(json.dumps, [*examples, "cat"]))
    predict_file(PredictConfig(folder, write(lines, "in.jsonl"), device="cpu"))
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert close(printed, pipeline("text-classification", folder, device="cpu")([*examples, "cat"]))

    words = {"tokens": ["Ann", "sat"]}
    lines = "\n".join(map(json.dumps, [words, words["tokens"], {"text": "Ann sat"}]))
    predict_file(PredictConfig(tagger, write(lines, "in.jsonl"), device="cpu", aggregation_strategy="simple"))
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed[0] == printed[1] == printed[2] != []


@pytest.mark.parametrize(
    ("architecture", "task", "example", "options"),
    [
        ("QuestionAnswering", None, {"question": "who", "context": "Ann sat", "id": 1}, {"top_k": 2}),
        (
            "QuestionAnswering",
            None,
            {"question": "who", "context": "Ann"},
            {"handle_impossible_answer": True, "top_k": 5},
        ),
        ("MultipleChoice", None, {"text": "Ann", "choices": ["sat", "in York"]}, {"top_k": 1}),
        ("SequenceClassification", "text-ranking", {"query": "Ann", "texts": ["sat", "cat", "a"]}, {"top_k": 2}),
        (
            "SequenceClassification",
            "zero-shot-classification",
            {"text": "Ann sat"},
            {"candidate_labels": "cat, Ann", "hypothesis_template": "a {}", "multi_label": True},
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_json_lines_of_every_kind(
    tmp_path: Path, write: Write, architecture: str, task: str | None, example: Any, options: dict[str, Any]
) -> None:
    names = {"id2label": {0: "contradiction", 1: "entailment"}, "label2id": {"contradiction": 0, "entailment": 1}}
    fields = names if task else {}
    folder = str(make_folder(tmp_path / "model", f"ElectraFor{architecture}", **fields))
    output = tmp_path / "out.jsonl"
    lines = "\n".join(map(json.dumps, [example, example]))
    predict_file(
        PredictConfig(folder, write(lines, "in.jsonl"), output=str(output), task=task, device="cpu", **options)
    )
    expected = pipeline(task, folder, device="cpu", **options)([example, example])
    assert_same(answers_in(output), expected)
    broken = json.dumps({next(iter(example)): 3})
    with pytest.raises(ValueError, match=r"in\.jsonl:3: "):
        predict_file(PredictConfig(folder, write(f"{lines}\n{broken}", "in.jsonl"), task=task, device="cpu", **options))


def piped(folder: str, content: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "electra", "predict", folder, "-", "--top-k", "3", "--device", "cpu", *flags]
    return subprocess.run(command, input=content, capture_output=True, text=True, encoding="utf-8", check=False)


def test_stdin_is_text_unless_a_format_is_given(folder: str) -> None:
    text, objects = "\ufeffAnn\ncat\n", '{"text": "Ann"}\n{"text": "cat"}\n'
    plain, structured = piped(folder, text), piped(folder, objects, "--format", "jsonl")
    assert plain.stdout == structured.stdout
    assert [len(json.loads(line)) for line in plain.stdout.splitlines()] == [3, 3]
    guessed = piped(folder, objects)
    assert guessed.returncode == 1
    assert "stdin:1: this may be text or JSON lines: say which with --format text or --format jsonl" in guessed.stderr
    assert len(piped(folder, objects, "--format", "text").stdout.splitlines()) == 2
    assert piped(folder, "text,id\nAnn,1\ncat,2\n", "--format", "csv").stdout == plain.stdout


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"good\nbad \xff\n", "in.txt", r"in\.txt:2: .*"),
        (b"good\nbad \0\n", "in.txt", "in.txt:2: a zero byte"),
        ('{"text": "a"}\n{"text": \n', "in.jsonl", "in.jsonl:2: not a line of JSON: Expecting value"),
        ("[" * 9999, "in.jsonl", "in.jsonl:1: not a line of JSON: maximum recursion depth"),
        ('{"text": "a"}\n\n', "in.jsonl", "in.jsonl:2: not a line of JSON: it is empty"),
        (
            '{"text": "a"}\n{"txt": "b"}\n',
            "in.jsonl",
            "in.jsonl:2: no column has the example: there is txt",
        ),
        ('{"text": "a"}\n[1, 2]\n', "in.jsonl", "in.jsonl:2: expected a string or a dict"),
        (
            '{"text": "a \\ud800"}\n',
            "in.jsonl",
            r"in.jsonl:1: character 2 of the text, .\\ud800., is half of a surrogate",
        ),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    folder: str, write: Write, tmp_path: Path, content: str | bytes, name: str, message: str
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("as it was")
    with pytest.raises(ValueError, match=message):
        predict_file(PredictConfig(folder, write(content, name), output=str(output), overwrite=True, device="cpu"))
    assert output.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.jsonl"])


def test_bad_options_and_files_are_refused(folder: str, tagger: str, write: Write, tmp_path: Path) -> None:
    file = write("a")
    with pytest.raises(ValueError, match=r"no task 'fil-mask'\. Did you mean fill-mask"):
        predict_file(PredictConfig(folder, file, task="fil-mask"))
    with pytest.raises(
        ValueError, match=r"token-classification has no option 'top_k'\. Choose one of aggregation_strategy"
    ):
        predict_file(PredictConfig(tagger, file, top_k=3))
    with pytest.raises(ValueError, match="top_k is 0"):  # what is given as 0 is given
        predict_file(PredictConfig(folder, file, top_k=0))
    with pytest.raises(ValueError, match="text-classification has no option 'multi_label'"):
        predict_file(PredictConfig(folder, file, multi_label=True))
    with pytest.raises(ValueError, match="none begins with 'entail'"):
        predict_file(PredictConfig(folder, file, task="zero-shot-classification", candidate_labels="a"))
    with pytest.raises(ValueError, match="format is 'xml': choose one of auto, text, jsonl, csv, tsv"):
        PredictConfig(folder, file, format="xml")
    with pytest.raises(FileNotFoundError):
        predict_file(PredictConfig(folder, str(tmp_path / "none.txt")))
    with pytest.raises(OSError, match="nowhere"):
        predict_file(PredictConfig(str(tmp_path / "nowhere"), file))
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="a folder: give the name of a file"):
        predict_file(PredictConfig(folder, file, output=str(tmp_path / "out"), device="cpu"))


def test_a_model_that_does_not_say_what_it_is_for_needs_a_task(folder: str, write: Write, tmp_path: Path) -> None:
    config = electra.ElectraConfig.from_pretrained(folder)
    config.architectures = None
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="does not say what it is for, so name the task: text-classification, "):
        predict_file(PredictConfig(str(tmp_path), write("a")))
    config.architectures = ["BertForQuestionAnswering"]
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has architectures .'BertForQuestionAnswering'., so name the task"):
        predict_file(PredictConfig(str(tmp_path), write("a")))


def test_a_model_that_answers_nan_is_reported(folder: str, write: Write, tmp_path: Path) -> None:
    model = electra.ElectraForSequenceClassification.from_pretrained(folder)
    model.classifier.out_proj.bias.data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    electra.ElectraTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "broken")
    with pytest.raises(ValueError, match=r"the weight classifier.out_proj.bias is NaN or infinite"):
        predict_file(PredictConfig(str(tmp_path / "broken"), write("a"), device="cpu"))


def test_importing_the_verb_does_not_import_torch() -> None:
    import subprocess

    code = "import sys, electra.inference.predictor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
