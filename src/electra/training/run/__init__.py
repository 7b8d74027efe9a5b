"""A run's folder: settings, checkpoints, trackers."""
