"""Labelled examples: read from people's files, prepared for named tasks, and what a model was fitted with."""
