"""Google's TensorFlow checkpoints: read, written, and converted to model folders and back."""
