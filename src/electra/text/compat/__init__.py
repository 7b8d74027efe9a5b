"""Tokenizer methods that are only there so that transformers' callers find them."""
