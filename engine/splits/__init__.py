"""Held-out rows: how rows are divided, frozen, kept apart by group, and searched for leaks."""
