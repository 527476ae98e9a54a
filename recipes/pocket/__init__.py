"""The pocket model: a small chat model trained from scratch on text that the generators here write."""
