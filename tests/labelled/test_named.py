"""Tasks by name: files of GLUE and of the reference data, and tasks of one's own from a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from electra.labelled.labelled_examples import labelled_task, read_labelled
from electra.labelled.task_presets import NAMED_TASKS, NamedTask, named_task, read_catalogue
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from tests.labelled.test_labelled import written


@pytest.mark.parametrize(
    ("name", "header", "line", "example"),
    [
        ("cola", None, "gj04\t0\t*\tThe sea wide.", {"text": "The sea wide.", "label": "unacceptable"}),
        ("sst2", "sentence\tlabel", "fine \t1", {"text": "fine ", "label": "positive"}),
        (
            "mrpc",
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            '1\t2\t3\t"A\tB',
            {"text": '"A', "text_pair": "B", "label": "equivalent"},
        ),
        (
            "stsb",
            "index\tsentence1\tsentence2\tscore",
            "0\tA\tB\t2.500",
            {"text": "A", "text_pair": "B", "label": 0.5},
        ),
        (
            "qqp",
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
            "1\t2\t3\tA\tB\t0",
            {"text": "A", "text_pair": "B", "label": "not_duplicate"},
        ),
        (
            "mnli",
            "index\tsentence1\tsentence2\tlabel1\tgold_label",
            "0\tA\tB\tneutral\tentailment",
            {"text": "A", "text_pair": "B", "label": "entailment"},
        ),
        (
            "qnli",
            "index\tquestion\tsentence\tlabel",
            "0\tA\tB\tnot_entailment",
            {"text": "A", "text_pair": "B", "label": "not_entailment"},
        ),
        (
            "rte",
            "index\tsentence1\tsentence2\tlabel",
            "0\tA\tB\tentailment",
            {"text": "A", "text_pair": "B", "label": "entailment"},
        ),
        (
            "wnli",
            "index\tsentence1\tsentence2\tlabel",
            "0\tA\tB\t1",
            {"text": "A", "text_pair": "B", "label": "entailment"},
        ),
    ],
)
def test_files_of_glue(tmp_path: Path, name: str, header: str | None, line: str, example: Any) -> None:
    path = written(tmp_path / "dev.tsv", *filter(None, (header, line)))
    named = NAMED_TASKS[name]
    kind = labelled_task(named.task)
    found = read_labelled(path, (kind,), named=named)
    assert found.examples == [example]
    task = kind.from_examples(found.examples, **named.options)
    assert task.target(example) == (example["label"] if name == "stsb" else task.labels.index(example["label"]))


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("glue/cola/dev.jsonl.gz", "cola", TextClassification),
        ("glue/qnli_dev_resplit/dev.jsonl.gz", "qnli", TextClassification),
        ("conll2000/dev.jsonl.gz", "chunking", TokenClassification),
        ("conll2003/dev.jsonl.gz", "ner", TokenClassification),
        ("squad/v2.0/dev.json.gz", "squad2", QuestionAnswering),
    ],
)
def test_files_of_the_reference_data(shared: Path, file: str, name: str, kind: Any) -> None:
    named = NAMED_TASKS[name]
    found = read_labelled(shared / "data" / file, (labelled_task(named.task),), named=named)
    assert len(found) > 100
    assert issubclass(found.kind, kind)
    task = found.kind.from_examples(found.examples, **named.options)
    if name in ("chunking", "ner"):
        assert {"chunking": "B-NP", "ner": "B-PER"}[name] in task.labels


def test_google_s_settings() -> None:
    """configure_finetuning.py, lines 134 to 146."""
    assert NAMED_TASKS["rte"].settings == NAMED_TASKS["stsb"].settings == {"epochs": 10}
    assert NAMED_TASKS["squad2"].settings == {"epochs": 2, "max_length": 512}
    assert NAMED_TASKS["chunking"].settings == {"max_length": 256}
    pair = {"text": "a", "text_pair": "b", "label": "equivalent"}
    swapped = {"text": "b", "text_pair": "a", "label": "equivalent"}
    assert NAMED_TASKS["mrpc"].arranged([pair]) == [pair, swapped]
    assert NAMED_TASKS["qqp"].arranged([pair]) == [pair]
    for named in NAMED_TASKS.values():
        assert set(named.columns) <= {column.key for column in labelled_task(named.task).columns}


def test_a_catalogue_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(
        """
        [reviews]
        task = "text-classification"
        columns = {text = "review", label = ["stars", "label"]}
        options = {labels = ["bad", "good"]}
        label_names = {1 = "bad", 5 = "good"}
        metric = "f1"
        settings = {epochs = 4, rate = 2e-4}
        """
    )
    named = named_task("reviews", path)
    assert named is not None
    assert (named.settings, named.metric) == ({"epochs": 4, "rate": 2e-4}, "f1")
    found = read_labelled(written(tmp_path / "a.csv", "review,stars", "fine,5"), (TextClassification,), named=named)
    assert found.examples == [{"text": "fine", "label": "good"}]
    assert named.values({"label": ["1", 5, "x"]}) == {"label": ["bad", "good", "x"]}
    for label in ([0, 1, 0], [0.0, 1.0], [True, False]):
        with pytest.raises(ValueError, match=r"what the places of a list of 0 and 1 are called belongs into options"):
            named.values({"label": label})
    named = NamedTask(task="token-classification", label_names={"0": "O", "1": "B-X"})
    assert named.values({"tags": [0, 1, 0]})["tags"] == named.values({"tags": "0 1 0"})["tags"] == ["O", "B-X", "O"]
    named = NamedTask(task="text-ranking", label_names={"0": "0", "1": "0", "2": "1"})
    assert named.values({"label": [1, 0, 2]}) == {"label": ["0", "0", "1"]}
    assert named_task("mnli", path) is NAMED_TASKS["mnli"]
    assert named_task("no such task", path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", r"tasks\.toml: not TOML"),
        ("a = 1", r"tasks\.toml: \[a\] is to be a table with a task in it"),
        ("[a]\nmetric = 'f1'", r"\[a\] is to be a table with a task in it"),
        ("[a]\ntask = 'ner'\nmetrics = 'f1'", r"\[a\] has a key 'metrics' that is unknown. Did you mean metric"),
        ("[a]\ntask = 'ner'\nlabel_range = [5, 5]", r"\[a\]: label_range is \[5, 5\], where \[lowest, highest\]"),
        ("[a]\ntask = 'ner'\nlabel_range = [0]", r"\[a\]: label_range is \[0\], where \[lowest, highest\]"),
        ("[a]\ntask = 'ner'\ncolumns = {tags = 3}", r"\[a\]: columns has tags = 3, where a name or a list of names"),
        ("[a]\ntask = 'ner'\noptions = {labels = 'yes'}", r"\[a\]: options has labels = 'yes', where a list of names"),
        ("[a]\ntask = 'ner'\noptions = {labels = [1, 2]}", r"\[a\]: options has labels = \[1, 2\], where a list of"),
        ("[a]\ntask = 'ner'\nheader = 'f1'", r"\[a\]: header is 'f1', where a list belongs"),
    ],
)
def test_a_catalogue_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_catalogue(path)
