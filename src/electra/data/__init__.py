"""Text for pretraining: files, documents, examples in shards, batches."""
