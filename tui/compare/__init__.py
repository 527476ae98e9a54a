"""The Compare screen: base and tuned models side by side, and preferences between their answers."""
