"""Rendezvous of the processes of a run: their ranks, as torchrun or Slurm set them, and a store that they share"""

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

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others. One that ends is noticed at once: this is for one that hangs."""


@dataclass(frozen=True)
class Rank:
    """Which process of a run this is.

    Attributes:
        rank: its number among all processes.
        world_size: how many there are.
        local_rank: its number among those on this machine.
        init_method: the address of the rendezvous, `tcp://HOST:PORT`; None: torch reads it from the environment.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    init_method: str | None = None


def rank_from_environment(environment: Mapping[str, str] = os.environ) -> Rank:
    """The rank of this process: torchrun's (RANK, WORLD_SIZE, LOCAL_RANK), else that of Slurm's srun.

    Processes of srun meet at the first machine of the step, at a port that follows from the job's number, unless
    MASTER_ADDR or MASTER_PORT are set.

    Raises:
        ValueError: a variable is missing or not a valid number.
    """
    if "RANK" in environment or "WORLD_SIZE" in environment:
        rank, world_size, local_rank = (_number(environment, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        process = Rank(rank, world_size, local_rank)
    # Only what srun starts has SLURM_STEP_NUM_TASKS: a batch script has SLURM_PROCID too, and is no process of a step.
    elif environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        rank, world_size, local_rank = (_number(environment, name) for name in names)
        process = Rank(rank, world_size, local_rank, _slurm_address(environment))
    else:
        return Rank()
    if not 0 <= process.rank < process.world_size:
        raise ValueError(
            f"the rank of this process is {process.rank} of {process.world_size}: it must be 0 to "
            f"{process.world_size - 1}; start the processes with torchrun or srun"
        )
    return process


def create_store(process: Rank) -> Any:
    """A store of names and values that all processes of this start share, and those of an earlier start do not.

    torchrun keeps one store when it restarts the processes, which still holds the addresses of the earlier ones
    (pytorch/pytorch issue 135712), and passes nothing by which all of them could know which start this is. So rank 0
    chooses a name for this start, and sends it to every rank that registers with a number that nobody has used.

    Raises:
        ConnectionError: other ranks have not registered in time; the message has their numbers.
    """
    address = process.init_method or "env://"
    store, _, _ = next(rendezvous(address, process.rank, process.world_size, timeout=TIMEOUT))
    return PrefixStore(_name_of_start(store, process), store)


def _name_of_start(store: Any, process: Rank) -> str:
    number = secrets.token_hex(8)
    if process.rank == 0:
        _register_others(store, process, name=number)
        return number
    store.set(f"electra/hello/{process.rank}", number)
    name: str = store.get(f"electra/answer/{number}").decode()
    store.set(f"electra/here/{name}/{process.rank}", "")
    return name


def _register_others(store: Any, process: Rank, *, name: str) -> None:
    """Answer every registration, also those of an earlier start, until all other ranks have confirmed this name."""
    missing, deadline = list(range(1, process.world_size)), time.monotonic() + TIMEOUT.total_seconds()
    while missing:
        if time.monotonic() > deadline:
            raise ConnectionError(
                f"of {process.world_size} processes, these ranks have not registered in {TIMEOUT}: {missing}. "
                "Look for their own error messages, and whether their machines reach this one"
            )
        for rank in missing:
            if store.check([f"electra/hello/{rank}"]):
                store.set(f"electra/answer/{store.get(f'electra/hello/{rank}').decode()}", name)
        missing = [rank for rank in missing if not store.check([f"electra/here/{name}/{rank}"])]
        time.sleep(0.02)


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        value = f"is {environment[name]!r}" if name in environment else "is not set"
        raise ValueError(
            f"{name} {value}: it must be a whole number, which says which process this is; start several processes "
            "with torchrun or srun, or unset RANK and WORLD_SIZE"
        ) from None


def _slurm_address(environment: Mapping[str, str]) -> str:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    host = environment.get("MASTER_ADDR") or first_host(nodes)
    port = environment.get("MASTER_PORT") or 20_000 + int(environment.get("SLURM_JOB_ID", "0")) % 20_000
    return f"tcp://{host}:{port}"


def first_host(nodes: str) -> str:
    """The first of a list of machines as Slurm writes it: `gpu[003-006,9],login` -> `gpu003`."""
    match = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", nodes)
    if match is None:
        raise ValueError(f"Slurm's list of machines is {nodes!r}: set MASTER_ADDR to the first machine of the step")
    return "".join(part or "" for part in match.groups())
