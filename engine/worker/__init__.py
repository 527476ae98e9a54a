"""Worker processes: what runs beside the screens, with the training stack, and tells what it does by files or pipes."""
