"""The ground: errors, files that are written whole or not at all, YAML with its lines and comments."""
