"""Files of text to documents."""
