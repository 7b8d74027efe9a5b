"""From examples to rows of tokens."""
