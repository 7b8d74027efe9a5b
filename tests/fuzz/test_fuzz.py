"""A short seeded run of the fuzzers, and the inputs that they found, kept as cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import driver, readers
from tests.fuzz.driver import Failure, run_case

CASES = sorted((Path(__file__).parent / "cases").iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_minutes_of_everything(tmp_path: Path) -> None:
    counts, failures = driver.fuzz(tmp_path, seconds=120, seed=1)
    assert not failures, "\n".join(map(str, failures))
    assert counts.total() > 1000
    assert {name.split(":")[0] for name in counts} == {family.name for family in driver.families()}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
@pytest.mark.parametrize("labelled", [True, False])
def test_files_that_were_found(path: Path, labelled: bool, tmp_path: Path) -> None:
    result = run_case("readers", lambda *_: readers.read(path, labelled=labelled), 0, tmp_path / "case")
    assert not isinstance(result, Failure), result


def test_a_bare_error_is_a_failure(tmp_path: Path) -> None:
    result = run_case("x", lambda *_: str(int("x")), 0, tmp_path / "a")
    assert isinstance(result, Failure)
    assert "invalid literal" in result.what
    result = run_case("x", lambda *_: [][0], 0, tmp_path / "b")
    assert isinstance(result, Failure)


def test_a_case_that_hangs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SECONDS_FOR_A_CASE", 1)

    def hang(*_: object) -> str:
        while True:
            pass

    result = run_case("x", hang, 0, tmp_path / "a")
    assert isinstance(result, Failure)
    assert "took more than" in result.what
