"""The forgetting meter's questions and texts: general ones of our own writing, or a model's or user's own."""
