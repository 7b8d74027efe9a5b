"""What no network can be built from, refused by the name of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electra.config.electra_config import ElectraConfig

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


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}: it must be {allowed}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check(config: ElectraConfig) -> None:
    """Refuse what no network can be built from, naming the field."""
    for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        require_count(config, name)
    for name in ("intermediate_size", "max_position_embeddings", "type_vocab_size"):
        require_count(config, name)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "summary_last_dropout", "classifier_dropout"):
        value = getattr(config, name)
        unset = value is None and name == "classifier_dropout"
        require(unset or (_is_number(value) and 0 <= value <= 1), name, value, "a probability from 0 to 1")
    for name in ("initializer_range", "layer_norm_eps"):
        value = getattr(config, name)
        require(_is_number(value) and value >= 0, name, value, "a number, 0 or above")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"num_attention_heads is {config.num_attention_heads}, "
            f"which does not divide hidden_size {config.hidden_size}"
        )
    require(config.hidden_act in ACTIVATIONS, "hidden_act", config.hidden_act, f"one of {', '.join(ACTIVATIONS)}")
    require(config.summary_type in SUMMARY_TYPES, "summary_type", config.summary_type, f"one of {SUMMARY_TYPES}")
    summary = config.summary_activation
    require(not summary or summary in ACTIVATIONS, "summary_activation", summary, f"one of {', '.join(ACTIVATIONS)}")
    kind = config.problem_type
    require(kind is None or kind in PROBLEM_TYPES, "problem_type", kind, f"one of {', '.join(PROBLEM_TYPES)}, or None")
    require_attention(config._attn_implementation)
    pad = config.pad_token_id
    inside = pad is None or (isinstance(pad, int) and -config.vocab_size <= pad < config.vocab_size)
    require(inside, "pad_token_id", pad, f"a token id below vocab_size {config.vocab_size}, or None")
    if config.add_cross_attention and not config.is_decoder:
        raise ValueError("add_cross_attention is True, which needs is_decoder=True as well")
    if sorted(config.id2label) != sorted(config.label2id.values()):
        raise ValueError(f"label2id {config.label2id} is not the inverse of id2label {config.id2label}")
    if kind == "single_label_classification" and config.num_labels == 1:
        raise ValueError(
            "problem_type is 'single_label_classification', which needs num_labels of at least 2, and it is 1"
        )


def require_count(config: ElectraConfig, name: str) -> None:
    value = getattr(config, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(whole and value > 0, name, value, "a whole number above 0")


def require_attention(name: str) -> None:
    allowed = "'sdpa' (the fastest kernel for the input; so are " + ", ".join(map(repr, FASTEST[1:])) + ") or 'eager'"
    require(name in (*FASTEST, "eager"), "attn_implementation", name, allowed)
