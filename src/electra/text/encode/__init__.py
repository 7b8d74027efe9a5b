"""From pieces to rows of ids: truncation, windows, padding, columns, tensors."""
