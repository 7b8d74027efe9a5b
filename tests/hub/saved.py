"""Small networks that are saved, changed on disk and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from electra.config import ElectraConfig
from electra.models import ElectraPreTrainedModel

FIELDS: dict[str, Any] = {
    "vocab_size": 31,
    "embedding_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
IDS = torch.randint(1, 31, (2, 9), generator=torch.Generator().manual_seed(1))


def network(kind: type[ElectraPreTrainedModel], **fields: Any) -> ElectraPreTrainedModel:
    """One with weights of order one, since at initialisation every output is near zero."""
    model = kind(ElectraConfig(**{**FIELDS, **fields}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def answers(model: Any) -> torch.Tensor:
    with torch.no_grad():
        first: torch.Tensor = model(IDS)[0]
    return first


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(folder: Path, *, drop: str = "", **tensors: torch.Tensor) -> None:
    """Change the tensors of a saved model: without those whose name has `drop` in it, and with `tensors`."""
    state = {k: v for k, v in load_file(folder / "model.safetensors").items() if not (drop and drop in k)}
    save_file({**state, **tensors}, folder / "model.safetensors", metadata={"format": "pt"})
