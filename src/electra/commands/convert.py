"""`electra convert`: Google's TensorFlow checkpoints to model folders, and back."""

from __future__ import annotations

from typing import Any

from electra.commands.verb import verb
from electra.google.convert_config import ConvertConfig


@verb(ConvertConfig)
def convert(config: ConvertConfig) -> dict[str, Any]:
    """Convert a checkpoint into model folders, or model folders into a checkpoint, to the same bits.

    TensorFlow is not needed. `output` is written whole or left as it was.

    Returns:
        What was written: folders by the networks' names, or the prefix of the checkpoint.

    Raises:
        ValueError: the source is damaged (the message names the variable) or holds what has no class on the other side,
            or the output is not empty.
        OSError: a file cannot be read or written.
    """
    import torch

    from electra.files.output_places import holding_folder
    from electra.google.from_tensorflow import from_tensorflow
    from electra.google.to_tensorflow import to_tensorflow

    inputs = {"source": config.source, "vocab": config.vocab}
    with holding_folder(config.output, inputs) as output, output.writing() as folder, torch.no_grad():
        written = to_tensorflow(config, folder) if config.to == "tensorflow" else from_tensorflow(config, folder)
    return {name: str(config.output / place) for name, place in written.items()}
