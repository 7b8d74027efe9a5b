"""What a network is made of."""

from electra.config.config_checks import PROBLEM_TYPES as PROBLEM_TYPES
from electra.config.electra_config import ElectraConfig as ElectraConfig
from electra.config.presets import PRESETS as PRESETS
