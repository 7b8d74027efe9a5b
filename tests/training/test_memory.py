"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from electra.training import memory

# 64 MiB taken, written and freed again and again: how many pages the system has to give anew
PROGRAM = """
import ctypes, resource, sys
from electra.training.memory import keep_freed_memory
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def use():
    block = library.malloc(2**26)
    ctypes.memset(block, 1, 2**26)
    library.free(block)
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's C library is on Linux")
def test_pages_are_given_once() -> None:
    kept, faults = pages("keep")
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    assert int(faults) < 100
    assert int(pages("give back")[1]) > 100


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False
