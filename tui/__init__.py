"""The terminal fronts: the command line and the screens. They compute nothing; the engine does."""
