"""What an answer is worth: rules, a user's Python file, or a reward model."""
