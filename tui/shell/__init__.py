"""What every screen is built from: its frame, keys, ladder rail, dialogs, and what can be asked of a run."""
