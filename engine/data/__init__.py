"""Examples: read from files, brought into one shape, tokenised with a loss mask, and reported row by row."""
