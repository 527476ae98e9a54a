"""Runs on disk: folders, locks, events read back, and starting or steering a run from outside its worker."""
