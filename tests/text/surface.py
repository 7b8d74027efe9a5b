"""What transformers' tokenizers offer by name, and what of it is left out here on purpose."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from electra.text.compat.absent_names import INSTEAD

# settings of other tokenizers (byte-level BPE, SentencePiece), and notes that transformers keeps for itself
NOT_OURS = {
    "SPECIAL_TOKENS_ATTRIBUTES",
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "backend",
    "can_save_slow_tokenizer",
    "chat_control_tokens",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    "deprecation_warnings",
    "files_loaded",
    "init_inputs",
    "init_kwargs",
    "model",
    "pretrained_vocab_files_map",
    "response_template",
    "verbose",
}

# (method, parameter): read by no tokenizer of an ELECTRA
PARAMETERS_NOT_OURS = {
    ("clean_up_tokenization", "out_string"),  # `text` in transformers 5
    ("save_pretrained", "save_format"),
    ("push_to_hub", "use_temp_dir"),  # of transformers 4; there is always a folder of its own
    ("push_to_hub", "safe_serialization"),
    ("prepare_for_model", "return_offsets_mapping"),  # ids have no characters; transformers 4 raises an error
}

# run under either version of transformers: name -> the parameters of a method, or null
DESCRIBE = """
import inspect

def describe(thing):
    found = {}
    for name in dir(thing):
        if name.startswith("_"):
            continue
        try:
            value = getattr(thing, name)
            signature = inspect.signature(value) if callable(value) else None
        except (AttributeError, ValueError):
            signature = None
        parameters = signature.parameters.values() if signature else ()
        named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        found[name] = named if signature else None
    return found
"""


def left_out(theirs: dict[str, list[str] | None], ours: Any) -> list[str]:
    """The names, and the parameters `name(parameter)`, that `ours` lacks and no reason is given for."""
    missing = [name for name in theirs if name not in dir(type(ours)) and not hasattr(ours, name)]
    lacking = [name for name in missing if name not in NOT_OURS and name not in INSTEAD]
    for name, parameters in theirs.items():
        if name not in missing and parameters is not None:
            taken = _parameters(getattr(ours, name))
            lacking += [f"{name}({one})" for one in parameters if not _is_taken(name, one, taken)]
    return lacking


def _is_taken(method: str, parameter: str, taken: Iterable[str]) -> bool:
    return parameter in taken or "*" in taken or (method, parameter) in PARAMETERS_NOT_OURS


def _parameters(method: Any) -> list[str]:
    """The names that a method takes; "*" where it raises an error whatever it is given."""
    parameters = inspect.signature(method).parameters.values()
    names = [one.name for one in parameters]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return ["*"]
    if any(one.kind is one.VAR_KEYWORD for one in parameters):  # handed on to a call
        names += inspect.signature(type(method.__self__).__call__).parameters
    return names
