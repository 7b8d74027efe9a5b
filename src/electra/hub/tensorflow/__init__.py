"""TensorFlow's checkpoints (the V2 or bundle format: an index and data files), read and written without TensorFlow."""
