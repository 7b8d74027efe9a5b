"""What is said once is not said again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_notices(wanted: bool = True) -> Iterator[None]:
    """Within this block the package's notices and warnings are not shown, if that is wanted; errors are."""
    log = logging.getLogger("electra")
    before = log.level
    if wanted:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
