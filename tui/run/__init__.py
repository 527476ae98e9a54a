"""The Run screen: one run, live or recorded: curves, memory, samples, forgetting, log."""
