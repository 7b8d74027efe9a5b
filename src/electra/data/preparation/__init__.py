"""Documents to examples of token ids in shards."""
