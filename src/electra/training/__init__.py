"""The training engine: it knows tensors, steps and files, and neither models nor tasks."""
