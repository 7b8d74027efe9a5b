"""Names of transformers' tokenizers that this one does not have, and what to use instead."""

from __future__ import annotations

INSTEAD = {
    "as_target_tokenizer": "pass text_target=... to the call",
    "convert_added_tokens": "tokenizers.AddedToken takes the same fields as keywords",
    "convert_to_native_format": "from_pretrained reads every form of the files",
    "encode_message_with_chat_template": "an ELECTRA model has no chat template",
    "get_response_parser": "an ELECTRA model writes no chat messages",
    "parse_response": "an ELECTRA model writes no chat messages",
    "prepare_seq2seq_batch": "call the tokenizer with text=... and text_target=...",
    "register_for_auto_class": "no code is read from model folders; import your own class",
    "sanitize_special_tokens": "a token with a role is always in the vocabulary here",
    "save_chat_templates": "an ELECTRA model has no chat template",
    "set_truncation_and_padding": "pass padding=, truncation=, max_length= and stride= to each call",
    "slow_tokenizer_class": "there is one implementation",
    "update_post_processor": "assign cls_token or sep_token through add_special_tokens, which renews the template",
}


def explain(owner: str, name: str) -> str:
    """The message of the AttributeError for `name`."""
    reason = f": {INSTEAD[name]}" if name in INSTEAD else ""
    return f"{owner!r} has no attribute {name!r}{reason}"
