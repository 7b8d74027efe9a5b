"""Suppress notices that were logged before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_notices(suppress: bool = True) -> Iterator[None]:
    """Within this block the package logs errors only, unless `suppress` is False."""
    log = logging.getLogger("electra")
    before = log.level
    if suppress:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
