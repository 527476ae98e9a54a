"""Training: a recipe becomes a run and its artifact. Preparing, launch checks, the loop, recovery, resuming."""
