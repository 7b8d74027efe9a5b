"""What a model is for: the only code that knows one task from another."""
