"""Runs read in the background: the thread that follows them, its messages, and the state of each run."""
