"""`python -m tests.fuzz.driver`: random input for some minutes; what fails is named with the command that repeats it.

An input may be answered, or refused by an error that the package words itself. Anything else is a failure: another
exception, an error of Python or of a library that reaches the user as it is, a case of over 20 seconds, more than 2 GB
of memory, and what a family checks besides. Everything is written below one scratch folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import electra

PACKAGE = str(Path(electra.__file__).parent)
SECONDS_FOR_A_CASE = 20
MEMORY_BYTES = 2 * 2**30

BARE = re.compile(
    r"invalid literal|could not convert|index out of range|NoneType|unhashable|not subscriptable|not iterable|"
    r"has no len\(\)|unsupported operand|values to unpack|object has no attribute|must be str, not|"
    r"expected str instance|'<' not supported|'>' not supported|takes \d+ positional|not supported between|"
    r"Expecting value|codec can't"
)
"""How messages of Python itself look, at their start: quoted in a sentence of the package they are no fault."""
START = 60

Case = Callable[[random.Random, Path], str]
"""Runs one random case in a folder of its own and says what came of it."""


class Broken(AssertionError):
    """What a family finds wrong that raised nothing."""


class TooSlow(BaseException):
    """A case that takes too long."""


@dataclass(frozen=True)
class Family:
    """A kind of input. prepare: makes what its cases share in a folder, once, and returns the cases' function."""

    name: str
    prepare: Callable[[Path], Case]


@dataclass(frozen=True)
class Failure:
    """What came of a case that failed, and how to repeat it."""

    family: str
    seed: int
    what: str

    def __str__(self) -> str:
        command = f"python -m tests.fuzz.driver --only {self.family} --seed {self.seed} --cases 1"
        return f"{self.family}, seed {self.seed}: {self.what}\n  again: {command}"


def families() -> list[Family]:
    """All of them."""
    from tests.fuzz import command_lines, model_folders, pages, pipeline_calls, readers, tokenizers

    return [
        Family("readers", readers.prepare),
        Family("folders", model_folders.prepare),
        Family("tokenizers", tokenizers.prepare),
        Family("pipelines", pipeline_calls.prepare),
        Family("weights", pipeline_calls.prepare_damaged),
        Family("pages", pages.prepare),
        Family("commands", command_lines.prepare),
    ]


def is_worded(error: BaseException) -> bool:
    """Whether the package says in its own words what is wrong, or the operating system does, with the file's name."""
    if isinstance(error, OSError) and error.filename:
        return True
    if not isinstance(error, (ValueError, OSError, ImportError, TypeError)) or isinstance(
        error, (UnicodeError, json.JSONDecodeError)
    ):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    message = str(error)
    raised_here = bool(frames) and frames[-1].filename.startswith(PACKAGE)
    return raised_here and len(message) > 10 and not BARE.search(message[:START])


def run_case(family: str, case: Case, seed: int, folder: Path) -> str | Failure:
    """What came of one case: a word, or a failure."""
    folder.mkdir()
    before = os.getcwd()
    os.chdir(folder)
    try:
        with time_limit():
            return case(random.Random(seed), folder)
    except TooSlow:
        return Failure(family, seed, f"took more than {SECONDS_FOR_A_CASE} seconds")
    except Broken as error:
        return Failure(family, seed, str(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if is_worded(error):
            return "refused"
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(family, seed, f"{type(error).__name__}: {str(error)[:200]} ({last.filename}:{last.lineno})")
    finally:
        os.chdir(before)


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TooSlow` in the block after some seconds."""

    def ring(*_: object) -> None:
        raise TooSlow

    previous = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS_FOR_A_CASE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def fuzz(
    scratch: Path, *, seconds: float, seed: int = 0, cases: int | None = None, only: Sequence[str] = ()
) -> tuple[Counter[str], list[Failure]]:
    """Run the families in turn.

    Args:
        scratch: an empty folder; nothing is written outside it.
        seconds: how long, in all.
        seed: of the first case of each family; the next has the next number.
        cases: how many of each family at most.
        only: names of families. Default: all.

    Returns:
        How often a family came to a result, by "family: result", and the failures, one for each place.
    """
    chosen = [family for family in families() if not only or family.name in only]
    counts: Counter[str] = Counter()
    failures: dict[str, Failure] = {}
    end = time.monotonic() + seconds
    prepared: dict[str, Case] = {}
    for family in chosen:
        shared = scratch / f"shared-{family.name}"
        shared.mkdir()
        prepared[family.name] = family.prepare(shared)
    number = 0
    while time.monotonic() < end and (cases is None or number < cases):
        for name, case in prepared.items():
            # as many cheap cases as dear ones cost, so that no family waits for another
            until = time.monotonic() + 0.25
            offset = 0
            while offset == 0 or (time.monotonic() < until and cases is None):
                case_seed = seed + number * 10_000 + offset if cases is None else seed + number
                folder = scratch / f"{name}-{case_seed}"
                result = run_case(name, case, case_seed, folder)
                if isinstance(result, Failure):
                    counts[f"{name}: failed"] += 1
                    failures.setdefault(re.sub(r"\d+", "0", result.what), result)
                else:
                    counts[f"{name}: {result}"] += 1
                    remove(folder)
                offset += 1
        number += 1
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY_BYTES:
            failures["memory"] = Failure("all", seed, "the process took more than 2 GB")
            break
    return counts, list(failures.values())


def remove(folder: Path) -> None:
    """Remove a folder of this run."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Fuzz for `--seconds`, print counts and failures, exit with 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, help="of each family, at most")
    parser.add_argument("--only", nargs="*", default=[], help="names of families")
    given = parser.parse_args()
    quieten()
    with tempfile.TemporaryDirectory(prefix="electra-fuzz-") as scratch:
        leave_rights(Path(scratch))
        counts, failures = fuzz(
            Path(scratch), seconds=given.seconds, seed=given.seed, cases=given.cases, only=given.only
        )
    for name in sorted(counts):
        print(f"{counts[name]:8,d}  {name}")
    print(f"{counts.total():8,d}  in all")
    for failure in failures:
        print(f"\n{failure}")
    sys.exit(1 if failures else 0)


def quieten() -> None:
    """No log lines and no warnings of the thousands of inputs."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"


def leave_rights(scratch: Path) -> None:
    """Run as nobody where this is the superuser's process and nobody can read Python and the package."""
    if os.name == "posix" and os.geteuid() == 0 and all(map(_everybody_reads, (json.__file__, PACKAGE, __file__))):
        os.chown(scratch, 65534, 65534)
        os.environ.update(HOME=str(scratch), HF_HOME=str(scratch / "hub"), TMPDIR=str(scratch))
        tempfile.tempdir = str(scratch)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def _everybody_reads(file: str) -> bool:
    return all(path.stat().st_mode & 0o005 == 0o005 for path in Path(file).resolve().parents)


if __name__ == "__main__":
    main()
