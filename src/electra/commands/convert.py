"""`electra convert`: Google's TensorFlow checkpoints to model folders, and back."""

from __future__ import annotations

from electra.google.conversion import ConvertConfig, convert

__all__ = ["ConvertConfig", "convert"]
