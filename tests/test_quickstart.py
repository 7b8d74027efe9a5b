"""`electra quickstart`: its text, its task, its figures, and the whole of it in small."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import pytest

from electra import quickstart as q
from electra.pipelines import pipeline


@pytest.fixture(scope="module")
def sources() -> list[q.Source]:
    return q.gather()


def test_the_text_is_prose_and_comes_once(sources: list[q.Source]) -> None:
    every = [sentence for source in sources for sentence in source.sentences]
    assert len(every) == len(set(every)) > 5000
    assert sum(len(sentence) for sentence in every) > 500_000
    assert not [sentence for sentence in every if ">>>" in sentence or "``" in sentence or ":func:" in sentence]
    assert {"asyncio/tasks.py", "argparse.py", "assert"} <= {source.name for source in sources}


def test_nothing_is_imported_to_read_it(sources: list[q.Source]) -> None:
    assert not {"this", "antigravity", "idlelib.idle", "turtle"} & set(sys.modules)


def test_sentences_leave_out_code_and_markup() -> None:
    text = """Return the sum of `a` and ``b``, as :func:`math.fsum` does.  It is *never* wrong,
    whatever the ``order'' of them is.

    >>> add(1, 2)
    3

    no capital at the beginning of this one here.

    Arguments:
    -- a the first
    """
    assert list(q.sentences(text)) == [
        "Return the sum of a and b, as math.fsum does.",
        "It is never wrong, whatever the 'order' of them is.",
    ]


def test_two_words_change_places() -> None:
    sentence = "Return the sum of the two numbers, or zero."
    for seed in range(50):
        swapped = q.swap_two_words(sentence, random.Random(seed))
        words, others = sentence[:-1].split(), swapped[:-1].split()
        assert sorted(words) == sorted(others)
        assert sum(a != b for a, b in zip(words, others, strict=True)) == 2
        assert swapped.startswith("Return ")
        assert swapped.endswith(".")


def test_the_task_is_balanced_and_no_text_comes_in_both_forms() -> None:
    texts = [f"This is number {word} of all the sentences." for word in range(200)]
    examples = q.swapped_or_not(texts, random.Random(0))
    assert [e["label"] for e in examples].count(q.SWAPPED) == 100
    assert all((e["text"] in texts) == (e["label"] == q.ORIGINAL) for e in examples)
    assert len({frozenset(e["text"].rstrip(".").split()) for e in examples}) == 200


def test_the_standard_error_counts_seeds_and_examples() -> None:
    assert q.standard_error([0.8], 100) == pytest.approx(0.04)
    assert q.standard_error([0.7, 0.9], 10**9) == pytest.approx(0.1, rel=1e-4)


def test_colours_and_brackets() -> None:
    detection = q.Detection(("the", "dog", "##s", "ran"), ("the", "cat", "##s", "ran"), (0.1, 0.9, 0.6, 0.3))
    assert q.coloured(detection).plain == "the cats ran"
    assert [str(span.style) for span in q.coloured(detection).spans if "underline" in str(span.style)] == [
        "bold white on red underline"
    ]
    assert q.coloured(detection, plain=True).plain == "the [cat][s] ran"


def test_the_whole_of_it_in_small(
    sources: list[q.Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(q, "gather", lambda: [q.Source(s.name, s.sentences[:6]) for s in sources[:60]])
    monkeypatch.setattr(q, "LABELLED", 30)
    monkeypatch.setitem(q.FINETUNING, "epochs", 1)
    monkeypatch.setitem(q.PRETRAINING, "batch_size", 4)
    monkeypatch.setitem(q.PRETRAINING, "held_out_fraction", 0.2)
    q.quickstart(q.QuickstartConfig(steps=3, seeds=2))
    out = capsys.readouterr().out
    assert re.search(r"area under the ROC curve is 0\.\d{3}", out)
    scores = re.findall(r"(pretrained|random weights|guessing) +(\d+\.\d)%", out)
    assert [name for name, _ in scores] == ["pretrained", "random weights", "guessing"]
    judge = pipeline("text-classification", "quickstart/classifier")
    assert judge("Return the sum of two numbers.")[0]["label"] in (q.SWAPPED, q.ORIGINAL)
    last = out.strip().splitlines()[-3:]
    exec("\n".join(last))  # the three lines of Python it ends with
    assert capsys.readouterr().out.count("label") == 2
