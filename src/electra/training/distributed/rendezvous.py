"""Where the processes of a run meet: which is which, as torchrun or Slurm says it, and a store that is theirs alone."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]

SILENCE = timedelta(minutes=10)
"""How long a process waits for the others. One that ends is noticed at once: this is for one that hangs."""


@dataclass(frozen=True)
class Place:
    """Which of `count` processes this is, which of those on this machine, and where they meet (None: torch knows)."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    meeting: str | None = None


def place_of(environment: Mapping[str, str] = os.environ) -> Place:
    """This process's place, as torchrun says it (RANK, WORLD_SIZE, LOCAL_RANK), else Slurm's srun.

    Only what srun started has SLURM_STEP_NUM_TASKS: a batch script has a rank too, and is no process of a step. Such
    processes meet at the step's first machine, at a port that follows from the job's number, unless MASTER_ADDR or
    MASTER_PORT say otherwise.

    Raises:
        ValueError: a variable is missing or no such number.
    """
    if "RANK" in environment or "WORLD_SIZE" in environment:
        rank, count, local_rank = (_number(environment, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        place = Place(rank, count, local_rank)
    elif environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        rank, count, local_rank = (_number(environment, name) for name in names)
        place = Place(rank, count, local_rank, _meeting(environment))
    else:
        return Place()
    if not 0 <= place.rank < place.count:
        raise ValueError(
            f"this process is number {place.rank} of {place.count}: numbers are from 0 to {place.count - 1}"
        )
    return place


def meet(place: Place) -> Any:
    """A store of names and values that all processes of this start see, and those of an earlier start do not.

    torchrun keeps one store when it starts the processes again, in which those that are gone have left their addresses
    (pytorch/pytorch issue 135712), and tells them nothing by which all of them could know which start this is. So the
    first process names it, and tells the name to every one that says hello with a number that nobody has used.

    Raises:
        ConnectionError: the others have not come in time; the message has their numbers.
    """
    meeting = place.meeting or "env://"
    store, _, _ = next(rendezvous(meeting, place.rank, place.count, timeout=SILENCE))
    return PrefixStore(_name_of_start(store, place), store)


def _name_of_start(store: Any, place: Place) -> str:
    number = secrets.token_hex(8)
    if place.rank == 0:
        _greet(store, place, name=number)
        return number
    store.set(f"electra/hello/{place.rank}", number)
    name: str = store.get(f"electra/answer/{number}").decode()
    store.set(f"electra/here/{name}/{place.rank}", "")
    return name


def _greet(store: Any, place: Place, *, name: str) -> None:
    """Answer every hello, those of an earlier start too, until each of the others has said that it knows the name."""
    away, deadline = list(range(1, place.count)), time.monotonic() + SILENCE.total_seconds()
    while away:
        if time.monotonic() > deadline:
            raise ConnectionError(f"of {place.count} processes, these have not come in {SILENCE}: {away}")
        for rank in away:
            if store.check([f"electra/hello/{rank}"]):
                store.set(f"electra/answer/{store.get(f'electra/hello/{rank}').decode()}", name)
        away = [rank for rank in away if not store.check([f"electra/here/{name}/{rank}"])]
        time.sleep(0.02)


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        given = f"is {environment[name]!r}" if name in environment else "is not set"
        raise ValueError(
            f"{name} {given}, and says which process this is: start several processes with torchrun or srun, "
            "or unset RANK and WORLD_SIZE"
        ) from None


def _meeting(environment: Mapping[str, str]) -> str:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    host = environment.get("MASTER_ADDR") or first_host(nodes)
    port = environment.get("MASTER_PORT") or 20_000 + int(environment.get("SLURM_JOB_ID", "0")) % 20_000
    return f"tcp://{host}:{port}"


def first_host(nodes: str) -> str:
    """The first of a list of machines as Slurm writes it: `gpu[003-006,9],login` -> `gpu003`."""
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", nodes)
    if found is None:
        raise ValueError(f"Slurm's list of machines is {nodes!r}: set MASTER_ADDR to the first machine of the step")
    return "".join(part or "" for part in found.groups())
