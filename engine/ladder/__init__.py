"""The ladder: candidates measured on one held-out set, rung by rung, and what the figures say."""
