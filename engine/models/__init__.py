"""Models: loading them, adapters on them, the memory that they take, and what identifies their weights."""
