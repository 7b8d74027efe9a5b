"""What a fit leaves on disk: model, scores, card, page."""
