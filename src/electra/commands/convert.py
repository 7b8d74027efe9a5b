"""`electra convert`: Google's TensorFlow checkpoints to model folders, and back."""

from __future__ import annotations

from typing import Any

from electra.commands.verb import verb
from electra.google import conversion
from electra.google.conversion import ConvertConfig


@verb(ConvertConfig)
def convert(config: ConvertConfig) -> dict[str, Any]:
    """Convert a checkpoint into model folders, or model folders into a checkpoint.

    Returns:
        What was written: `output` and the networks by name.

    Raises:
        ValueError: a checkpoint, folder or value that cannot be converted; the message says why.
        OSError: a file cannot be read or written.
    """
    return conversion.convert(config)
