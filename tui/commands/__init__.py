"""One file a command: `add_arguments(parser)` and `run(args) -> int`, imported only when the command is chosen."""
