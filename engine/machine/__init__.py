"""This machine: its GPUs and memory, its allocator, and the Python interpreters that workers could run in."""
