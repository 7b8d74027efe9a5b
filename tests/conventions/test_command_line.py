"""The command line as a whole: quick help, a known list of flags."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from cyclopts import App, Parameter

from electra import cli

FLAGS = Path(__file__).with_name("flags.txt")


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_help_takes_less_than_0_4_seconds_of_cpu() -> None:
    assert min(cpu_seconds([sys.executable, "-m", "electra", "--help"]) for _ in range(3)) < 0.4


@pytest.mark.parametrize(
    "words", [["--help"], [], ["--version"], ["pretrian"], *([*verb.split(), "--help"] for verb in cli.VERBS)]
)
def test_help_version_and_typos_do_not_import_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom electra.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def parser(verb: str, app: App) -> App:
    return reduce(getitem, verb.split(), app)


def flags() -> str:
    """`verb: its arguments and flags`, as the parser knows them."""
    app = cli.application()
    lines = []
    for verb in cli.VERBS:
        arguments = parser(verb, app).assemble_argument_collection(default_parameter=app.default_parameter)
        names = [" ".join(argument.names) for argument in arguments if argument.show]
        lines.append(f"{verb}: {', '.join(names)}")
    return "\n".join(lines) + "\n"


def test_the_flags_are_those_of_the_snapshot() -> None:
    """A flag is a promise: adding or removing one shows up in a diff."""
    assert flags() == FLAGS.read_text(encoding="utf-8"), f"if this is meant, write it into {FLAGS}:\n{flags()}"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_flag_says_what_it_does(verb: str) -> None:
    for argument in parser(verb, cli.application()).assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help, f"electra {verb} {argument.name} has no help: give its field a docstring"


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["predict", "m", "-"], ["predict", "m", "/dev/stdin"]),
        (["evaluate", "m", "--data", "-"], ["evaluate", "m", "--data=-"]),
        (["predict", "m", "f", "--output", "-", "--top-k", "3"], ["predict", "m", "f", "--output=-", "--top-k", "3"]),
        (["pretrain", "a", "-", "--output", "o"], ["pretrain", "a", "/dev/stdin", "--output", "o"]),
    ],
)
def test_a_hyphen_is_a_value_in_every_verb(words: list[str], taken: list[str]) -> None:
    assert cli._with_dashes(words) == taken
    with pytest.raises(SystemExit) as left:
        cli.application().parse_args([*cli._with_dashes(words), "--no-such-flag"], print_error=False)
    assert left.value.code


def test_an_old_flag_is_understood_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.OLD_FLAGS, "finetune", {"--speed": "--epochs"})
    assert cli._with_new_flags(["finetune", "m", "--speed=3", "--seed", "1"]) == [
        "finetune", "m", "--epochs=3", "--seed", "1"
    ]  # fmt: skip
    assert "--speed is now --epochs" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.OLD_FLAGS)
def test_every_former_flag_has_a_successor(verb: str) -> None:
    known = parser(verb, cli.application()).assemble_argument_collection(default_parameter=Parameter(negative=()))
    names = {name for argument in known for name in argument.names}
    for former, current in cli.OLD_FLAGS[verb].items():
        assert current in names
        assert former not in names
