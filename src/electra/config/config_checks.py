"""Checks of a configuration: the type of each field, and values that no network can be built from."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

from electra.config.config_fields import FIELD_NAMES, ConfigFields
from electra.validation import is_count, is_number, is_whole, require, require_one_of, require_type

# Each has its function in nn/activations.py.
ACTIVATIONS = (
    *("gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"),
    *("gelu_10", "quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "prelu", "silu", "swish", "hardswish", "mish"),
    *("sigmoid", "tanh", "linear", "laplace", "sqrtsoftplus"),
)
# transformers' names for single kernels: each means "the fastest for the input", which is what `sdpa` chooses here
FASTEST = ("sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")
SUMMARY_TYPES = ("first", "last", "mean", "cls_index")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

MOST_LAYERS = 4096
MOST_NUMBERS = 2**40
"""The largest matrix that is allowed, in numbers: 4 TB in float32. Beyond, torch's own sizes overflow."""

_SIZES = (
    *("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings", "type_vocab_size"),
)
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "summary_last_dropout", "classifier_dropout")


def check(config: ConfigFields, attn_implementation: str) -> None:
    """Refuse a configuration that no network can be built from.

    Args:
        config: the fields, labels among them as `label_names` reads them.
        attn_implementation: how to attend, which is no field.

    Raises:
        ValueError: a field has the wrong type, or a value that is not allowed; the message names it.
    """
    for name in _SIZES:
        value = getattr(config, name)
        require(is_count(value), name, value, "a whole number above 0")
    _check_types(config)
    for name in _PROBABILITIES:
        value = getattr(config, name)
        unset = value is None and name == "classifier_dropout"
        require(unset or (is_number(value) and 0 <= value <= 1), name, value, "a probability from 0 to 1")
    for name in ("initializer_range", "layer_norm_eps"):
        value = getattr(config, name)
        require(is_number(value) and value >= 0, name, value, "a number, 0 or above")
    _check_size(config)
    require_one_of("hidden_act", config.hidden_act, ACTIVATIONS)
    require_one_of("summary_type", config.summary_type, SUMMARY_TYPES)
    if config.summary_activation:
        require_one_of("summary_activation", config.summary_activation, ACTIVATIONS, "or None")
    if config.problem_type is not None:
        require_one_of("problem_type", config.problem_type, PROBLEM_TYPES, "or None")
    require_attention(attn_implementation)
    _check_token_ids(config)
    if config.add_cross_attention and not config.is_decoder:
        raise ValueError("add_cross_attention is True, which needs is_decoder=True as well")
    labels = len(config.id2label)
    if config.problem_type == "single_label_classification" and labels == 1:
        raise ValueError(
            "problem_type is 'single_label_classification', which needs num_labels of at least 2, and it is 1"
        )


def require_attention(name: object) -> None:
    """Refuse the name of an attention implementation that there is none of."""
    allowed = "'sdpa' (the fastest kernel for the input; so are " + ", ".join(map(repr, FASTEST[1:])) + ") or 'eager'"
    require(name in (*FASTEST, "eager"), "attn_implementation", name, allowed)


def _check_types(config: ConfigFields) -> None:
    """Every field is of the type that it is annotated with."""
    annotations = _annotations()
    for name in FIELD_NAMES:
        require_type(name, getattr(config, name), annotations[name])


@cache
def _annotations() -> dict[str, Any]:
    return get_type_hints(ConfigFields)


def _check_size(config: ConfigFields) -> None:
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"num_attention_heads is {config.num_attention_heads}, "
            f"which does not divide hidden_size {config.hidden_size}"
        )
    layers = config.num_hidden_layers
    require(layers <= MOST_LAYERS, "num_hidden_layers", layers, f"a whole number from 1 to {MOST_LAYERS}")
    for rows, columns in (
        ("vocab_size", "embedding_size"),
        ("max_position_embeddings", "embedding_size"),
        ("type_vocab_size", "embedding_size"),
        ("embedding_size", "hidden_size"),
        ("hidden_size", "hidden_size"),
        ("hidden_size", "intermediate_size"),
    ):
        if getattr(config, rows) * getattr(config, columns) > MOST_NUMBERS:
            large = max((rows, columns), key=lambda name: int(getattr(config, name)))
            require(False, large, getattr(config, large), f"smaller: a matrix of {rows} x {columns} fits no memory")


def _check_token_ids(config: ConfigFields) -> None:
    pad, vocabulary = config.pad_token_id, config.vocab_size
    inside = pad is None or (is_whole(pad) and -vocabulary <= pad < vocabulary)
    require(inside, "pad_token_id", pad, f"a token id below vocab_size {vocabulary}, or None")
