"""From what a network computes to answers."""
