"""stdin, stdout and stderr that are closed or cannot be written: named in one sentence, and never an accident"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class ReaderLeft(OSError):
    """Whoever read stdout has left. Not a BrokenPipeError, which rich answers by leaving the process with code 1."""


class NamedStream:
    """A stream whose errors name it; None (closed): every write is such an error."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self.name = stream, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._stream, attribute)

    def write(self, text: str) -> int:
        """Write to the stream."""
        if self._stream is None:
            raise OSError(errno.EBADF, "it is closed, and the output goes there; redirect it to a file", self.name)
        with self._errors_named():
            return int(self._stream.write(text))

    def flush(self) -> None:
        """Write what is buffered."""
        if self._stream is not None:
            with self._errors_named():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream is not None and bool(self._stream.isatty())

    def fileno(self) -> int:
        """Its number."""
        if self._stream is None:
            raise OSError(errno.EBADF, "it is closed", self.name)
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:
        """Of the text."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise ReaderLeft(errno.EPIPE, "whoever read it has left", self.name) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror or "it cannot be written", self.name) from error


@contextmanager
def named_standard_streams() -> Iterator[None]:
    """Within this block, errors of stdout name it, and no file can get the number of a closed standard stream."""
    # A file that is opened while 0, 1 or 2 are free gets that number, and whatever a library prints goes into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    stdout = sys.stdout
    sys.stdout = NamedStream(stdout, "stdout")  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = stdout


def discard_stdout() -> None:
    """Let what is still buffered for stdout go nowhere, because it cannot be written; else Python's exit would fail."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
