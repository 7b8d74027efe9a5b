"""Vocabularies: trained from text, and how well one suits a text."""
