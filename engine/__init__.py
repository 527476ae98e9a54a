"""Rung's engine: recipes, data, training, measuring. Knows nothing of the screens; imports nothing heavy by itself."""
