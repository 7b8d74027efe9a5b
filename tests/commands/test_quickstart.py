"""`electra quickstart`: its text, its task, its figures, and the whole of it in small."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from electra.commands import quickstart_run as q
from electra.commands.quickstart import quickstart
from electra.data.corpus.python_docs import Source, gather
from electra.files.output_places import holding_place
from electra.pipelines import pipeline


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return gather()


def test_one_word_is_changed_and_tagged() -> None:
    sentence = "Return the sum of the two numbers, or zero."
    for seed in range(50):
        example = q.with_intruder(sentence, ["the", "of", "file", "zero"], random.Random(seed))
        changed = [word != other for word, other in zip(example["tokens"], sentence[:-1].split(), strict=True)]
        assert [tag == q.INTRUDER for tag in example["tags"]] == changed
        assert sum(changed) == 1
        assert not changed[0]


def test_the_likeliest_token_points_at_its_word() -> None:
    example = {"tokens": ["Return", "the", "bananas"], "tags": ["O", "O", q.INTRUDER]}

    def answer(*scores: float) -> list[dict[str, object]]:
        starts = (0, 7, 11, 14)  # "bananas" has two tokens
        entities = [q.INTRUDER if score > 0.5 else "O" for score in scores]
        sure = [max(score, 1 - score) for score in scores]
        return [{"entity": e, "score": s, "start": at} for e, s, at in zip(entities, sure, starts, strict=True)]

    assert [q.pointed_at(answer(*scores), example) for scores in ((0.4, 0.3, 0.2, 0.1), (0.1, 0.3, 0.2, 0.2))] == [0, 1]
    assert [q.pointed_at(answer(*scores), example) for scores in ((0.1, 0.1, 0.4, 0.1), (0.6, 0.1, 0.1, 0.7))] == [2, 2]


def test_the_standard_error_counts_seeds_and_examples() -> None:
    assert q.standard_error([[1, 0] * 50]) == pytest.approx(0.05, rel=0.01)
    assert q.standard_error([[0.7] * 9, [0.9] * 9]) == pytest.approx(0.1)


def test_a_gain_is_told_when_it_is_more_than_chance() -> None:
    few, more, most = ([i % 10 < right for i in range(1000)] for right in (1, 2, 3))
    assert q.verdict([more, most], [few, more]) == "Pretraining gained 10.0%, ± 0.6%."
    assert q.verdict([few, more], [more, most]) == "Pretraining cost 10.0%, ± 0.6%: a run this short does not help."
    assert "(+10.0%, ± 10.0%) is within twice its error" in q.verdict([few, most], [few, few])
    # the same examples are right on both sides but for five: the error is of these alone
    assert q.verdict([few], [[*few[:-50], *[False] * 50]]) == "Pretraining gained 0.5%, ± 0.2%."


def test_colours_and_brackets() -> None:
    detection = q.Detection(("the", "dog", "##s", "ran"), ("the", "cat", "##s", "ran"), (0.1, 0.9, 0.6, 0.3))
    assert q.coloured(detection).plain == "the cats ran"
    assert [str(span.style) for span in q.coloured(detection).spans if "underline" in str(span.style)] == [
        "bold white on red underline"
    ]
    assert q.coloured(detection, plain=True).plain == "the [cat][s] ran"


def test_the_whole_of_it_in_small(
    sources: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(q, "gather", lambda: [Source(s.name, s.sentences[:6]) for s in sources[:60]])
    monkeypatch.setattr(q, "LABELLED", 30)
    monkeypatch.setitem(q.FINETUNING, "epochs", 1)
    monkeypatch.setitem(q.PRETRAINING, "batch_size", 4)
    monkeypatch.setitem(q.PRETRAINING, "held_out_fraction", 0.2)
    quickstart(q.QuickstartConfig(steps=3, seeds=2))
    out = capsys.readouterr().out
    assert re.search(r"area under the ROC curve is 0\.\d{3}", out)
    scores = re.findall(r"(pretrained|random weights|guessing) +(\d+\.\d)%", out)
    assert [name for name, _ in scores] == ["pretrained", "random weights", "guessing"]
    assert (
        pipeline("token-classification", "quickstart/finder", ignore_labels=[])("Return it.")[0]["entity"]
        in "OINTRUDER"
    )
    last = out.strip().splitlines()[-3:]
    exec("\n".join(last))  # the three lines of Python it ends with
    assert re.search(r"return 0\.\d\d", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["text.txt", "finder", "notes.md"])
def test_files_of_others_are_not_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(q, "gather", lambda: [Source("a", ("One sentence.",)), Source("b", ("Another one.",))])
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=rf"{name} is there already, and no quickstart wrote it: give another"):
        quickstart(output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_an_output_that_another_process_works_in_is_refused(tmp_path: Path) -> None:
    with holding_place(tmp_path), pytest.raises(OSError, match=r"another process"):
        quickstart(output=tmp_path)
