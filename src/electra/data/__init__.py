"""Files of text -> batches of tokens: documents, segments, shards, order, batches."""
