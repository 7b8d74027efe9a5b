"""A run's page, made of files written here: what is on it, what is refused, how large it gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from electra.commands.report import ReportConfig, report
from electra.pretraining.monitoring.pretraining_page import CURVES, read_run, write_report
from electra.reporting import curves
from electra.training.run.settings import write_settings

NASTY = "<img src=x onerror=alert(1)>"
FIGURES = {name for curve in CURVES for name in (curve.figure, *curve.beside)}


def train(step: int) -> dict[str, Any]:
    return {"step": step, "split": "train", **dict.fromkeys(FIGURES, 1 / (1 + step)), "tokens_seen": 10 * step}


RECORDS: list[dict[str, Any]] = [
    {"step": 0, "split": "start", "machine": {"device": "a processor", "threads": 2}},
    *map(train, range(100, 600, 100)),
    {"step": 300, "split": "start", "machine": {"device": "another processor"}},
    {"step": 500, "split": "held_out", **dict.fromkeys(FIGURES, 0.5), "discriminator_precision": None},
    {"step": 500, "split": "alarm", "alarm": "recall", "reason": "next to none was found", "remedy": "Wait & see"},
]
TOKEN = {"original": NASTY, "masked": True, "probability": 0.75, "sampled": "river</span>"}
SAMPLES = {"step": 500, "rows": [[TOKEN, {"original": "##s", "masked": False, "probability": 0.1}]]}


def made(folder: Path, records: list[dict[str, Any]] | None = None, samples: Any = SAMPLES, **settings: Any) -> Path:
    folder.mkdir(parents=True)
    write_settings(folder / "config.toml", {"files": (NASTY,), "steps": 1000, **settings}, title="A run")
    lines = RECORDS if records is None else records
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if samples is not None:
        (folder / "samples.json").write_text(json.dumps(samples))
    return folder


def test_the_page_of_a_run(tmp_path: Path) -> None:
    path = report(ReportConfig(made(tmp_path / "run")))  # type: ignore[arg-type]  one folder is taken as well
    text = path.read_text("utf-8")
    assert path == tmp_path / "run" / "report.html"
    assert text.count("<svg") == len(CURVES)
    assert "step 500 of 1,000, 5,000 tokens seen" in text
    assert "resumed once." in text
    for words in (
        "Wait &amp; see",
        "next to none was found",
        "another processor",
        "base rate",
        "resumed",
        "held-out text",
    ):
        assert words in text
    assert "<img" not in text
    assert "</span>" in text
    assert "river&lt;/span&gt;" in text
    assert "P(replaced) = 0.75; sampled" in text
    assert len(text) < 400_000


def test_several_runs_on_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = (
        made(tmp_path / "a" / "run"),
        made(tmp_path / "b" / "run", steps=2000),
        made(tmp_path / "third", samples=None),
    )
    path = report(ReportConfig(runs))
    text = path.read_text("utf-8")
    assert path == Path("comparison.html")
    assert text.count("<svg") == len(FIGURES)
    assert f"{tmp_path}/a/run" in text  # two have the same name
    assert ">third<" in text
    assert re.search(r'class="differs"><th scope="row">steps.*?1,000.*?2,000', text)


def test_another_place_for_the_page(tmp_path: Path) -> None:
    path = report(ReportConfig((made(tmp_path / "run"),), output=tmp_path / "new" / "page.html"))
    assert path.is_file()
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_page_of_a_month_of_reports_stays_below_a_megabyte(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(n), list(map(train, range(1000, 1_000_000, 1000)))) for n in range(2)]
    for chosen in (runs[:1], [*runs, *runs]):
        assert write_report(chosen, tmp_path / "page.html").stat().st_size < 1_000_000


def test_a_run_without_figures_yet_has_a_page(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", [], samples=None)
    assert "No metrics yet" in write_report([folder], tmp_path / "page.html").read_text()
    (folder / "metrics.jsonl").unlink()
    text = write_report([folder], tmp_path / "page.html").read_text()
    assert "No metrics yet" in text
    assert "<svg" not in text


def test_figures_that_a_run_does_not_have_are_left_out(tmp_path: Path) -> None:
    """Of masked language modelling, or of an earlier version of this package."""
    records = [{"step": step, "split": "train", "loss": 2.0, "generator_loss": 2.0} for step in (1, 2)]
    text = write_report([made(tmp_path / "run", records, None)], tmp_path / "page.html").read_text()
    assert text.count("<svg") == 1


def test_without_matplotlib_the_page_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    text = write_report([made(tmp_path / "run")], tmp_path / "page.html").read_text()
    assert "pip install &#39;electra[report]&#39;" in text
    assert "<svg" not in text
    assert "Wait &amp; see" in text


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"is not the folder of a run: it has no config\.toml"):
            read_run(folder)
    with pytest.raises(ValueError, match="runs is empty"):
        ReportConfig(())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.jsonl", '{"step": 1, "split": "train"}\n{"ste\n', r"metrics\.jsonl, line 2 is damaged"),
        ("config.toml", "steps = ", r"config\.toml is not a settings file"),
        ("samples.json", "{", r"samples\.json is damaged"),
        ("samples.json", '{"rows": [["a"]]}', r"samples\.json is damaged"),
        ("samples.json", "[]", r"samples\.json is damaged"),
    ],
)
def test_a_damaged_file_is_named(file: str, content: str, message: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        report(ReportConfig((folder,)))
    assert not (folder / "report.html").exists()
