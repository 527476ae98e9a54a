"""A job on disk: its folder, lock, events, requests and slot, how it is started, and how it is followed."""
