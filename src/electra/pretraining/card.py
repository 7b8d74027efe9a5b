"""The README.md of the two model folders."""

from __future__ import annotations

from electra.hub.card import model_card
from electra.pretraining.config import PretrainConfig
from electra.training.run import Run

ABOUT = {
    "discriminator": ("ElectraForPreTraining", "tells which tokens were replaced, and is the network to fine-tune"),
    "generator": ("ElectraForMaskedLM", "fills in masked tokens, as it did for the discriminator to find them"),
}


def network_card(name: str, config: PretrainConfig, run: Run) -> str:
    """The README.md of one of the two model folders, with the last figures on held-out text."""
    recipe, (network, does) = config.recipe, ABOUT[name]
    held_out = [line for line in run.read_metrics() if line["split"] == "held_out"]
    measured = held_out[-1] if held_out else {}
    return model_card(
        f"ELECTRA {name}, size {config.size}",
        f"It {does}. Pretrained from scratch by replaced-token detection: {recipe.steps:,} steps of "
        f"{recipe.batch_size} examples of up to {recipe.length} tokens. The figures were measured on held-out text.",
        network=network,
        figures={key: value for key, value in measured.items() if isinstance(value, float) and key != "seconds"},
    )
