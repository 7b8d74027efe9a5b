"""Examples in, answers out, in batches without padding: the engine of pipelines, `predict` and `evaluate`."""
