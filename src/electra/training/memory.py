"""Let a process keep the memory that a step frees and the next one takes again."""

from __future__ import annotations

import ctypes
import sys

# names and numbers of malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for as long as it lives.

    The C library gives large blocks back to the system as soon as they are freed. A training step on a CPU frees and
    takes hundreds of them, and the system clears every page again: a twentieth of a step of ELECTRA-small, a quarter of
    one of `tiny` (benchmarks/results/pretraining-step_cpu_2026-11-23.md). Blocks above 1 GiB are still given back. The
    peak of memory stays as it was; afterwards memory does not shrink.

    Returns:
        Whether it is so: only GNU's C library has the setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(
        mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES) and mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK_BYTES - 1)
    )
