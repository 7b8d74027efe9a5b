"""The fields of a configuration, with transformers' names and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch

from electra.config.label_names import numbered_labels, numbers_of
from electra.hub.push import Pushed


@dataclass(kw_only=True, eq=False)
class ConfigFields(Pushed):
    """The fields that transformers 5.23 gives an ElectraConfig, with its defaults. Their types are the schema that
    config.json is checked against.
    """

    vocab_size: int = 30522
    """Rows of the word embeddings and of the generator's output layer."""
    embedding_size: int = 128
    """Width of the three embedding tables; projected to `hidden_size` where the two differ."""
    hidden_size: int = 256
    """Width of the encoder."""
    num_hidden_layers: int = 12
    num_attention_heads: int = 4
    """Must divide `hidden_size`."""
    intermediate_size: int = 1024
    """Width of the feed-forward network inside a layer."""
    hidden_act: str = "gelu"
    """Activation of the feed-forward networks and of the discriminator's head."""
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    """The longest sequence, in tokens."""
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    """Standard deviation of initial weights."""
    layer_norm_eps: float = 1e-12
    summary_type: str = "first"
    """Multiple choice only: which token stands for the sequence (first, last, mean, cls_index)."""
    summary_use_proj: bool = True
    summary_activation: str | None = "gelu"
    summary_last_dropout: float = 0.1
    pad_token_id: int | None = 0
    use_cache: bool = True
    """Decoders only: return keys and values for the next call."""
    classifier_dropout: float | None = None
    """Dropout before a classifier; None: `hidden_dropout_prob`."""
    is_decoder: bool = False
    add_cross_attention: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True
    architectures: list[str] | None = None
    output_hidden_states: bool = False
    output_attentions: bool = False
    return_dict: bool = True
    dtype: torch.dtype | str | None = None
    chunk_size_feed_forward: int = 0
    is_encoder_decoder: bool = False
    id2label: dict[int, str] = field(default_factory=lambda: numbered_labels(2))
    label2id: dict[str, int] = field(default_factory=lambda: numbers_of(numbered_labels(2)))
    problem_type: str | None = None
    name_or_path: str = ""


FIELD_NAMES = tuple(field.name for field in fields(ConfigFields))
