"""The two networks of pretraining as Google's code names their variables, with the moments of its optimizer"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from electra import models
from electra.config import ElectraConfig
from electra.google.variable_names import Scopes, variable_name
from electra.models import ElectraPreTrainedModel
from electra.objective.replaced_token_detection import ReplacedTokenDetection

PAIR = {"discriminator": Scopes(), "generator": Scopes("generator", "electra")}
"""Where Google's code has the two networks, in the order in which they are written."""


def variables_in_training(pair: Mapping[str, ElectraPreTrainedModel]) -> dict[str, str]:
    """The variable of every parameter of a run's two networks, by the names that they have in its checkpoints."""
    both = ReplacedTokenDetection(pair["generator"], pair["discriminator"])
    names = ((name, *name.split(".", 1)) for name, _ in both.named_parameters())
    return {name: variable_name(own, PAIR[network]) for name, network, own in names}


def network_on_meta(architecture: str, config: ElectraConfig) -> ElectraPreTrainedModel:
    """A network without memory for its parameters."""
    with torch.device("meta"):
        model: ElectraPreTrainedModel = getattr(models, architecture)(config)
    return model
