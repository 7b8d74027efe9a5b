"""Memory that a step frees and the next one takes again."""

from __future__ import annotations

import ctypes
import sys

# names and numbers of malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 2**30


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for as long as it lives, instead of giving it back; whether that is so.

    The C library gives large blocks back as soon as they are free. A training step on a CPU frees and takes hundreds of
    them, and the system clears every page anew: a twentieth of a step of ELECTRA-small, a quarter of one of `tiny`
    (benchmarks/results/pretraining-step_cpu_2026-11-23.md). Blocks above 1 GiB are still given back. Only GNU's library
    is asked, as others have no such setting; memory is at its peak as before, and does not fall from there.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK) and mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK - 1))
